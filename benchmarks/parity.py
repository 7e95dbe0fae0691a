"""Full-size parity: our CLIP against the public implementations on the same random weights, as a Markdown table.

    python benchmarks/parity.py [--cases openai hpsv2 open_clip transformers] [--images FOLDER]

Each case builds the peer's own model with random weights, writes it in the format in which such weights are published,
loads that file with ours, and compares in fp32 on the CPU: features and scores of the same pixels and prompts, and the
score from the picture, each side with its own preprocessing and tokenizer. A peer that cannot be imported is left out,
with its reason. The largest case needs 10 GB of memory and 4 GB of disk.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "contracts")]

import numpy as np  # noqa: E402
import peers  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from lib_hps.scoring import load_scorer  # noqa: E402
from lib_hps.scoring.checkpoints import load_clip  # noqa: E402
from lib_hps.scoring.clip.tokenizer import Tokenizer  # noqa: E402

PROMPTS = [
    "a photograph of an astronaut riding a horse",
    "Portrait of an old fisherman; 85mm f/1.4, bokeh, golden hour, it's 35 degrees",
    "一只戴着帽子的狐狸 🦊, émigré café, " + "very detailed, " * 60,
]
LOGIT_SCALE = 4.6052  # exp of it is 100, where all published CLIPs have ended
VIT_H = {"image_size": 224, "layers": 32, "width": 1280, "head_width": 80, "patch_size": 14}
VIT_H_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 1024, "heads": 16, "layers": 24}


@dataclass
class Peer:
    """One implementation, with what its users call: features, and the score from the picture."""

    model: Any
    save: Callable[[Path], Path]
    image_features: Callable[[Any], Any]
    text_features: Callable[[Any], Any]
    preprocess: Callable[[Image.Image], Any]
    score: Callable[[list[Image.Image], str, Path], Any]


def pictures(folder: Path | None) -> list[Image.Image]:
    """Four pictures of a folder, or four made up ones of several shapes: smooth colours with noise on top."""
    if folder is not None:
        return [Image.open(path).convert("RGB") for path in sorted(folder.rglob("*.png"))[:4]]
    rng = np.random.default_rng(0)
    made = []
    for width, height in ((512, 512), (640, 384), (300, 700), (224, 224)):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((width, height), Image.BICUBIC)
        noisy = np.asarray(coarse, dtype=np.int16) + rng.integers(-20, 21, (height, width, 3))
        made.append(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)))
    return made


def shake(model: Any) -> Any:
    """Random weights that no initialisation leaves at zero or one; the published logit_scale."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
        model.logit_scale.fill_(LOGIT_SCALE)
    return model.eval()


def cosines(images: Any, texts: Any) -> Any:
    return torch.nn.functional.normalize(images, dim=-1) @ torch.nn.functional.normalize(texts, dim=-1).T


def save_state(model: Any) -> Callable[[Path], Path]:
    def save(folder: Path) -> Path:
        path = folder / "weights.pt"
        torch.save({"state_dict": model.state_dict(), "epoch": 1}, path)
        return path

    return save


def openai() -> Peer:
    clip = peers.openai_clip("model")
    tokenizer = peers.openai_clip("simple_tokenizer").SimpleTokenizer()
    peers.open_clip()  # makes torchvision importable
    from torchvision import transforms as t

    model = shake(clip.CLIP(768, 224, 24, 1024, 14, 77, 49408, 768, 12, 12).float())
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    # clip.clip._transform, whose module needs pkg_resources
    bicubic = t.InterpolationMode.BICUBIC
    preprocess = t.Compose([t.Resize(224, bicubic), t.CenterCrop(224), t.ToTensor(), t.Normalize(mean, std)])

    def score(images: list[Image.Image], prompt: str, _: Path) -> Any:
        ids = [49406, *tokenizer.encode(prompt)[:75], 49407]
        tokens = torch.tensor([ids + [0] * (77 - len(ids))])
        return cosines(model.encode_image(torch.stack([preprocess(i) for i in images])), model.encode_text(tokens))[
            :, 0
        ]

    return Peer(model, save_state(model), model.encode_image, model.encode_text, preprocess, score)


def hpsv2() -> Peer:
    peers.hpsv2()
    from hpsv2 import img_score
    from hpsv2.src.open_clip.model import CLIP
    from hpsv2.src.open_clip.transform import image_transform

    model = shake(CLIP(1024, VIT_H, VIT_H_TEXT, output_dict=True))
    preprocess = image_transform(224, is_train=False, resize_longest_max=True)

    real_load = torch.load
    ready = {"model": model, "preprocess_val": preprocess}

    def score(images: list[Image.Image], prompt: str, path: Path) -> Any:
        with (
            mock.patch.object(img_score, "model_dict", ready),
            mock.patch.object(img_score, "device", "cpu"),
            # mapped, or the process would hold the weights three times
            mock.patch("torch.load", lambda *args, **kwargs: real_load(*args, **kwargs, mmap=True)),
        ):
            return torch.tensor(np.array(img_score.score(images, prompt, cp=str(path))))

    return Peer(model, save_state(model), model.encode_image, model.encode_text, preprocess, score)


def open_clip() -> Peer:
    package = peers.open_clip()
    model = shake(package.create_model("ViT-H-14"))
    preprocess = package.image_transform(224, is_train=False)
    tokenizer = package.get_tokenizer("ViT-H-14")

    def score(images: list[Image.Image], prompt: str, _: Path) -> Any:
        image = model.encode_image(torch.stack([preprocess(i) for i in images]))
        return cosines(image, model.encode_text(tokenizer([prompt])))[:, 0]

    return Peer(model, save_state(model), model.encode_image, model.encode_text, preprocess, score)


def transformers() -> Peer:
    package = peers.transformers()
    text = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    vision = {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "intermediate_size": 5120}
    shared = {"hidden_act": "gelu", "projection_dim": 1024}
    config = package.CLIPConfig(
        text_config={**text, **shared, "eos_token_id": 49407},
        vision_config={**vision, **shared, "patch_size": 14},
        projection_dim=1024,
    )
    model = shake(package.CLIPModel(config))
    processor = package.CLIPImageProcessor()
    tokenizer = Tokenizer(cleaning="transformers")  # equality with transformers' own: tests/contracts/test_peers.py

    def preprocess(image: Image.Image) -> Any:
        return processor(images=image, return_tensors="pt")["pixel_values"][0]

    def image_features(pixels: Any) -> Any:
        return peers.transformers_features(model.get_image_features(pixel_values=pixels))

    def text_features(tokens: Any) -> Any:
        return peers.transformers_features(model.get_text_features(input_ids=tokens))

    def save(folder: Path) -> Path:
        model.save_pretrained(folder)
        return folder / "model.safetensors"

    def score(images: list[Image.Image], prompt: str, _: Path) -> Any:
        image = image_features(torch.stack([preprocess(i) for i in images]))
        return model.logit_scale.exp() * cosines(image, text_features(tokenizer([prompt])))[:, 0]

    return Peer(model, save, image_features, text_features, preprocess, score)


# case: peer, its package, what is compared, our scorer, QuickGELU
CASES: dict[str, tuple[Callable[[], Peer], str, str, str, bool]] = {
    "openai": (openai, "clip-anytorch", "ViT-L/14, `{state_dict}`", "hps-v1", True),
    "hpsv2": (hpsv2, "hpsv2", "ViT-H/14, `{state_dict}`", "hps-v2.1", False),
    "open_clip": (open_clip, "open_clip_torch", "ViT-H/14, `{state_dict}`", "clip:ViT-H-14/laion2b_s32b_b79k", False),
    "transformers": (transformers, "transformers", "ViT-H/14, safetensors", "pickscore", False),
}


def worst(ours: Any, theirs: Any) -> str:
    return f"{(ours - theirs).abs().max().item():.1e}"


@torch.inference_mode()
def measure(name: str, images: list[Image.Image]) -> str:
    """One row of the table."""
    make, package, what, scorer_name, quick_gelu = CASES[name]
    peer = make()
    tokens = Tokenizer()(PROMPTS)
    with tempfile.TemporaryDirectory(dir=Path.home()) as folder:
        path = peer.save(Path(folder))
        pixels = torch.stack([peer.preprocess(image) for image in images])
        image, text = peer.image_features(pixels), peer.text_features(tokens)
        their_scores = torch.stack([peer.score(images, prompt, path) for prompt in PROMPTS])
        del peer
        gc.collect()
        began = time.perf_counter()
        ours = load_clip(path, quick_gelu=quick_gelu)
        seconds = time.perf_counter() - began
        our_image, our_text = ours.encode_image(pixels), ours.encode_text(tokens)
        wrong = load_clip(path, quick_gelu=not quick_gelu)
        wrong_score = cosines(wrong.encode_image(pixels), wrong.encode_text(tokens))
        del ours, wrong
        gc.collect()
        scorer = load_scorer(scorer_name, path, device="cpu", dtype="fp32", clean_prompts=False)
        our_scores = torch.stack([torch.from_numpy(scorer.score(images, prompt)) for prompt in PROMPTS])
    expected = cosines(image, text)
    cells = [
        f"{package} {version(package)}",
        f"{what}, {'QuickGELU' if quick_gelu else 'GELU'}",
        worst(our_image, image),
        worst(our_text, text),
        worst(cosines(our_image, our_text), expected),
        f"{scorer_name.partition(':')[0]} ({scorer.scale})",
        worst(our_scores, their_scores),
        worst(wrong_score, expected),
        f"{seconds:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure the asked cases and print, or write, the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--images", type=Path, help="a folder of PNG files; four are taken (default: made up)")
    args = parser.parse_args()
    images = pictures(args.images)
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {datetime.date.today()}, fp32 on the CPU")
    print(
        "\n| peer | weights | image features | text features | cosine | our scorer | score from the pictures "
        "| cosine with the wrong activation | load, s |\n|---|---|---|---|---|---|---|---|---|"
    )
    for name in args.cases:
        try:
            print(measure(name, images), flush=True)
        except ImportError as error:
            print(f"| {name}: left out, {error} |" + " |" * 8, flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
