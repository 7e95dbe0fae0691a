"""LoRA training side by side: `hps train-lora`, diffusers' `train_text_to_image_lora.py`, kohya's `train_network.py`.

One random checkpoint of SD1.5's real size, the same pictures, batch, rank, precision and threads; one process after the
other, each timed from one backward pass to the next, without the first two, and stopped after the last. A peer is left
out where its folder is not given. kohya's names of its tokenizer and models are read from the disk: nothing is
downloaded. Give ours and the peers the same torch.

    python -m benchmarks.training --rounds 2 --diffusers DIFFUSERS --diffusers-python peer/bin/python \\
        --kohya SD-SCRIPTS --kohya-python kohya/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

RANK, LR = 4, 1e-4
WARM = 2  # steps that are not counted
ROOT = Path(__file__).parents[1]
TIMER = Path(__file__).with_name("training_timer.py")


@dataclass(frozen=True)
class Row:
    """One way to train: what runs, in which Python, and whether it keeps latents and text embeddings."""

    name: str
    python: str
    folder: Path
    arguments: list[str]


def write_base(folder: Path) -> tuple[Path, Path]:
    """Random weights of SD1.5's size: a folder as diffusers has it, and one file as the WebUI has it (fp16 both)."""
    import torch
    from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from safetensors.torch import save_file
    from transformers import CLIPTextConfig, CLIPTextModel

    from lib_hps.diffusion.tokens import _standard_backend
    from tools.tiny_models.export import text_to_ldm, unet_to_ldm, vae_to_ldm

    torch.manual_seed(0)
    unet = UNet2DConditionModel(cross_attention_dim=768, sample_size=64).half()
    widths = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4}
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    vae = AutoencoderKL(**widths, **blocks, scaling_factor=0.18215).half()
    text = CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12)).half()
    noise = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)
    tokenizer = _standard_backend()
    parts = {"unet": unet, "vae": vae, "text_encoder": text, "scheduler": noise, "tokenizer": tokenizer}
    pipeline = StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    pipeline.save_pretrained(folder / "base")
    write_tokenizer(tokenizer, folder / "base" / "tokenizer")
    write_tokenizer(tokenizer, folder / "tokenizers" / "openai_clip-vit-large-patch14")
    weights = {f"model.diffusion_model.{k}": v for k, v in unet_to_ldm(unet).items()}
    weights |= {f"first_stage_model.{k}": v for k, v in vae_to_ldm(vae).items()}
    weights |= {f"cond_stage_model.transformer.{k}": v for k, v in text_to_ldm(text).items()}
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / "base.safetensors")
    return folder / "base", folder / "base.safetensors"


def write_tokenizer(tokenizer: object, folder: Path) -> None:
    """vocab.json and merges.txt too, for those who read no tokenizer.json."""
    tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]
    model = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), "utf-8")
    pairs = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs, ""]), "utf-8")
    plain = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "unk_token": "<|endoftext|>"}
    plain |= {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(plain), "utf-8")
    (folder / "tokenizer.json").unlink()


def write_pictures(folder: Path, count: int, side: int) -> None:
    """The same files with the captions in each trainer's own form."""
    rng, pictures = np.random.default_rng(0), folder / "pictures" / "1_all"
    shutil.rmtree(pictures, ignore_errors=True)  # of another size
    pictures.mkdir(parents=True)
    rows, lines = [], []
    for number in range(count):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        file, caption = pictures / f"{number:02}.png", f"picture number {number} of a house by the sea"
        small.resize((side, side), Image.Resampling.BICUBIC).save(file)
        file.with_suffix(".txt").write_text(caption, "utf-8")
        rows.append({"file_name": file.name, "text": caption})
        one = {"file": str(file), "caption": caption, "prompt": caption, "kind": "regularisation", "group": number}
        lines.append(one)
    for path, found in ((pictures / "metadata.jsonl", rows), (folder / "manifest.jsonl", lines)):
        path.write_text("".join(json.dumps(row) + "\n" for row in found), "utf-8")


def rows(options: argparse.Namespace, folder: Path, base: Path, checkpoint: Path) -> list[Row]:
    """Every row that can run here."""
    steps, batch, side, precision = options.steps, options.batch, options.size_px, options.precision
    found = []
    for name, more in (("ours, cached", []), ("ours, not cached", ["--no-cache"])):
        out = folder / name.replace(", ", "-").replace(" ", "-")
        found.append(Row(name, options.python, ROOT, [
            "-m", "lib_hps.cli", "train-lora", f"{folder}/manifest.jsonl", "--base", f"{checkpoint}", "--out",
            f"{out}.safetensors", "--run", f"{out}-run", "--objective", "regularisation-only", "--steps", f"{steps}",
            "--batch", f"{batch}", "--micro-batch", f"{batch}", "--rank", f"{RANK}", "--lr", f"{LR}",
            "--precision", precision, "--resolution", f"{side}", "--crops", "1", "--sample-every", "0",
            "--sample-prompts", "0", "--device", options.device, *more,
        ]))  # fmt: skip
    mixed = {"fp32": "no"}.get(precision, precision)
    if options.diffusers:
        script = options.diffusers / "examples" / "text_to_image" / "train_text_to_image_lora.py"
        found.append(Row("diffusers' script (has no cache)", options.diffusers_python, script.parent, [
            f"{script}", f"--pretrained_model_name_or_path={base}", f"--train_data_dir={folder}/pictures/1_all",
            f"--output_dir={folder}/diffusers", f"--resolution={side}", f"--train_batch_size={batch}",
            f"--max_train_steps={steps}", f"--learning_rate={LR}", f"--rank={RANK}", f"--mixed_precision={mixed}",
            "--lr_scheduler=constant", "--lr_warmup_steps=0", "--seed=0", f"--checkpointing_steps={10 * steps}",
            "--caption_column=text",
        ]))  # fmt: skip
    for name, more in (("kohya, latents cached", ["--cache_latents"]), ("kohya, not cached", [])):
        if options.kohya:
            found.append(Row(name, options.kohya_python, options.kohya, [
                f"{options.kohya}/train_network.py", f"--pretrained_model_name_or_path={base}",
                f"--train_data_dir={folder}/pictures", f"--output_dir={folder}/kohya", "--output_name=lora",
                f"--resolution={side},{side}", f"--train_batch_size={batch}", f"--max_train_steps={steps}",
                f"--learning_rate={LR}", f"--network_dim={RANK}", f"--network_alpha={RANK}", "--caption_extension=.txt",
                "--network_module=networks.lora", "--network_train_unet_only", f"--mixed_precision={mixed}", "--sdpa",
                "--optimizer_type=AdamW", "--lr_scheduler=constant", "--seed=0", "--max_data_loader_n_workers=0",
                f"--tokenizer_cache_dir={folder}/tokenizers", "--save_model_as=safetensors", *more,
            ]))  # fmt: skip
    return [row for row in found if any(text in row.name for text in options.only)]


def run(row: Row, options: argparse.Namespace, folder: Path) -> dict[str, Any] | None:
    """What the timer found; None where the trainer failed."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(options.threads),
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "disabled",
    }
    environment |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{row.folder}", "XDG_CACHE_HOME": f"{folder}/cache"}
    if options.device == "cpu":
        environment |= {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
    outcome = folder / "outcome.json"
    for left in ("ours-cached-run", "ours-not-cached-run"):
        shutil.rmtree(folder / left, ignore_errors=True)  # else it would go on where it ended
    command = [row.python, str(TIMER), str(outcome), f"{options.steps}", f"{WARM}", *row.arguments]
    done = subprocess.run(command, env=environment, cwd=row.folder, capture_output=True, text=True, check=False)
    if done.returncode or not outcome.exists():
        print(f"{row.name} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}", file=sys.stderr)
        return None
    found: dict[str, Any] = json.loads(outcome.read_text("utf-8"))
    outcome.unlink()
    return found


def line(name: str, found: Sequence[dict[str, Any]]) -> str:
    """One line of the table from every round: the median and the fastest step, the largest memory."""
    if not found:
        return f"| {name} | failed | | | | |"
    times = [one["times"][WARM - 1 :] for one in found]
    steps = [b - a for one in times for a, b in pairwise(one)]
    seconds = statistics.median(steps)
    peaks = " | ".join(f"{max(one[name] for one in found) / 2**30:.2f}" for name in ("peak_bytes", "step_peak_bytes"))
    return f"| {name} | {seconds:.2f} | {min(steps):.2f} | {1 / seconds:.3f} | {peaks} |"


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="for ours")
    for peer in ("diffusers", "kohya"):
        parser.add_argument(f"--{peer}", type=Path, help="a checkout of its repository")
        parser.add_argument(f"--{peer}-python", default=sys.executable)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16"])
    for name, value in (("size-px", 128), ("batch", 2), ("steps", 10), ("rounds", 1), ("threads", os.cpu_count() or 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="rows whose name holds one of these")
    parser.add_argument("--work", type=Path, help="a folder that is kept; left out: a temporary one")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="hps-") as temporary:
        folder = options.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        base, checkpoint = folder / "base", folder / "base.safetensors"
        if not checkpoint.exists():
            write_base(folder)
        write_pictures(folder, max(4, options.batch), options.size_px)
        facts = f"SD1.5's size, {options.size_px} px, batch {options.batch}, {options.precision}, rank {RANK}"
        print(f"{facts}, {options.device}, {options.threads} threads, torch {torch.__version__}\n")
        found: dict[str, list[dict[str, Any]]] = {}
        for number in range(options.rounds):
            for row in rows(options, folder, base, checkpoint)[:: -1 if number % 2 else 1]:
                one = run(row, options, folder)
                found.setdefault(row.name, []).extend([one] if one else [])
                print(line(row.name, [one] if one else []), file=sys.stderr, flush=True)
        print("| trainer | s/step | fastest | steps/s | peak GiB | of the steps |\n|---|---|---|---|---|---|")
        for name, rounds in found.items():
            print(line(name, rounds))


if __name__ == "__main__":
    main()
