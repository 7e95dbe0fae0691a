"""`hps convert`: a LoRA file from one layout to another, complete or not at all."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("source", type=Path, help="a LoRA: .safetensors, or .bin/.pt that holds nothing but weights")
    parser.add_argument("target", type=Path, help="the .safetensors to write")
    parser.add_argument("--to", choices=["kohya", "diffusers", "peft"], default="kohya", help="default: %(default)s")
    parser.add_argument("--sdxl", action="store_true", help="it belongs to SDXL (default: SD1 or SD2)")


def run(arguments: argparse.Namespace) -> int:
    """Convert and write."""
    from safetensors.torch import save

    from lib_hps.cli.output import note, say
    from lib_hps.diffusion.lora_file import read_tensors
    from lib_hps.diffusion.lora_layouts import modules_of, written
    from lib_hps.diffusion.lora_names import LoraNames
    from lib_hps.files import atomic_write

    names = LoraNames.standard(is_sdxl=arguments.sdxl)
    tensors, metadata = read_tensors(arguments.source)
    modules = modules_of(tensors, arguments.source, names)
    kept = {key: value for key, value in metadata.items() if not key.startswith("sshs_")}  # hashes of other content
    content = save(written(modules, arguments.to, names), kept or None)
    with atomic_write(arguments.target) as stream:
        stream.write(content)
    note(f"{len(modules)} modules.")
    say(str(arguments.target))
    return 0
