"""The one place from which the commands write to the terminal."""

from __future__ import annotations

import sys


def say(text: str = "") -> None:
    """Results: standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Everything about the results: standard error, so that results can be piped."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
