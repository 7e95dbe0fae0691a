"""`hps render`: a picture again, from its infotext alone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.cli.serve import add_lora_dir

if TYPE_CHECKING:
    from PIL.Image import Image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--infotext",
        type=Path,
        required=True,
        metavar="FILE",
        help="a picture with its infotext, or a .txt that holds it",
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="the model that drew it (default: the bundled tiny-sd)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write (default: <name>-render.png in this folder)"
    )
    add_lora_dir(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument(
        "--dtype", default="auto", choices=["auto", "float32", "float16", "bfloat16"], help="precision of the model"
    )


def run(arguments: argparse.Namespace) -> int:
    """Draw, save, and compare where there is something to compare with."""
    from lib_hps.cli.output import note, say
    from lib_hps.diffusion.bundled import require_tiny_checkpoint
    from lib_hps.diffusion.pipeline import load_pipeline
    from lib_hps.files import atomic_write
    from lib_hps.hosts.standalone.rendering import read_text_or_picture, render, request_from
    from lib_hps.infotext import png_info

    found = read_text_or_picture(arguments.infotext)
    request_from(found)  # refuses before a model is loaded
    checkpoint = arguments.checkpoint or require_tiny_checkpoint()
    pipeline = load_pipeline(checkpoint, arguments.device, arguments.dtype, lora_dir=arguments.lora_dir)
    wanted = found.settings.get("Model hash")
    if wanted and wanted != pipeline.model_hash:
        note(
            f"The picture was drawn by {found.settings.get('Model', 'a model')} ({wanted}), this is {pipeline.name} "
            f"({pipeline.model_hash}): expect another picture, or give --checkpoint."
        )
    picture, infotext = render(pipeline, found)
    out = arguments.out or Path(f"{arguments.infotext.stem}-render.png")
    with atomic_write(out) as stream:
        picture.image.save(stream, "PNG", pnginfo=png_info(infotext))
    say(str(out))
    if arguments.infotext.suffix.lower() != ".png":
        return 0
    difference = largest_difference(arguments.infotext, picture.image)
    note("Identical to the given picture." if difference == 0 else f"Not the given picture: {difference}.")
    return 0 if difference == 0 else 1


def largest_difference(path: Path, image: Image) -> int | str:
    """0 for equal pixels, else by how much they differ, in words."""
    from PIL import Image as PIL
    from PIL import ImageChops

    with PIL.open(path) as opened:
        given = opened.convert("RGB")
    if given.size != image.size:
        return f"it has {given.width} x {given.height} pixels, the new one {image.width} x {image.height}"
    extrema = ImageChops.difference(given, image.convert("RGB")).getextrema()
    largest = max(int(high) for _, high in extrema)  # type: ignore[misc]
    return 0 if largest == 0 else f"pixels differ by up to {largest} of 255"
