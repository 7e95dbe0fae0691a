"""Command line flags of the extension; the WebUI imports this file before anything else of it."""

from __future__ import annotations

import argparse


def preload(parser: argparse.ArgumentParser) -> None:
    """Add `--hps-dir`."""
    parser.add_argument("--hps-dir", type=str, default=None, help="folder with weights of HPS (default: models/HPS)")
