"""Full-size parity: our CLIP against the public implementations on the same random weights, as a Markdown table.

    python benchmarks/parity.py [--cases openai hpsv2 open_clip transformers] [--images FOLDER] [--pixels]

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
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "contracts")]

import full_size_peers as full  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from lib_hps.scoring import load_scorer  # noqa: E402
from lib_hps.scoring.checkpoints import load_clip  # noqa: E402
from lib_hps.scoring.clip.tokenizer import Tokenizer  # noqa: E402
from lib_hps.scoring.images import Preprocess  # noqa: E402
from lib_hps.scoring.preprocess import normalise  # noqa: E402

PROMPTS = [
    "a photograph of an astronaut riding a horse",
    "Portrait of an old fisherman; 85mm f/1.4, bokeh, golden hour, it's 35 degrees",
    "一只戴着帽子的狐狸 🦊, émigré café, " + "very detailed, " * 60,
]


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


# case: peer, its pixels, our preprocessing, its package, its weights, our scorer, QuickGELU
CASES: dict[str, tuple[Callable[[], full.Peer], Callable[[], full.Pixels], Any, str, str, str, bool]] = {
    "openai": (full.openai, full.openai_pixels, "crop", "clip-anytorch", "ViT-L/14, `{state_dict}`", "hps-v1", True),
    "hpsv2": (full.hpsv2, full.hpsv2_pixels, "pad", "hpsv2", "ViT-H/14, `{state_dict}`", "hps-v2.1", False),
    "open_clip": (
        *(full.open_clip, full.open_clip_pixels, "crop", "open_clip_torch", "ViT-H/14, `{state_dict}`"),
        *("clip:ViT-H-14/laion2b_s32b_b79k", False),
    ),
    "transformers": (
        *(full.transformers, full.transformers_pixels, "crop-floor", "transformers", "ViT-H/14, safetensors"),
        *("pickscore", False),
    ),
}


def worst(ours: Any, theirs: Any) -> str:
    return f"{(ours - theirs).abs().max().item():.1e}"


@torch.inference_mode()
def measure(name: str, images: list[Image.Image]) -> str:
    """One row of the table."""
    make, _, _, package, what, scorer_name, quick_gelu = CASES[name]
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
        wrong_score = full.cosines(wrong.encode_image(pixels), wrong.encode_text(tokens))
        del ours, wrong
        gc.collect()
        scorer = load_scorer(scorer_name, path, device="cpu", dtype="fp32", clean_prompts=False)
        our_scores = torch.stack([torch.from_numpy(scorer.score(images, prompt)) for prompt in PROMPTS])
    expected = full.cosines(image, text)
    cells = [
        f"{package} {version(package)}",
        f"{what}, {'QuickGELU' if quick_gelu else 'GELU'}",
        worst(our_image, image),
        worst(our_text, text),
        worst(full.cosines(our_image, our_text), expected),
        f"{scorer_name.partition(':')[0]} ({scorer.scale})",
        worst(our_scores, their_scores),
        worst(wrong_score, expected),
        f"{seconds:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def measure_pixels(name: str, images: list[Image.Image]) -> str:
    """The largest difference of normalised pixels for each picture; needs no model."""
    _, make_pixels, mode, package, *_ = CASES[name]
    theirs, ours = make_pixels(), Preprocess(224, mode)
    cells = []
    for image in images:
        pixels = normalise(torch.from_numpy(ours(image))[None], ours, dtype=torch.float32)[0]
        cells.append(f"{image.width} x {image.height}: {worst(pixels, theirs(image))}")
    return f"| {package} {version(package)} | `{mode}` | {', '.join(cells)} |"


def main() -> None:
    """Measure the asked cases and print, or write, the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--images", type=Path, help="a folder of PNG files; four are taken (default: made up)")
    parser.add_argument("--pixels", action="store_true", help="compare the preprocessing alone")
    args = parser.parse_args()
    images = pictures(args.images)
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {datetime.date.today()}, fp32 on the CPU")
    if args.pixels:
        print("\n| peer | our mode | largest difference of normalised pixels |\n|---|---|---|")
    else:
        print(
            "\n| peer | weights | image features | text features | cosine | our scorer | score from the pictures "
            "| cosine with the wrong activation | load, s |\n|---|---|---|---|---|---|---|---|---|"
        )
    for name in args.cases:
        try:
            print((measure_pixels if args.pixels else measure)(name, images), flush=True)
        except ImportError as error:
            print(f"| {name}: left out, {error} |", flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
