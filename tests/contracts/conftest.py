"""Tiny weights of every scorer, and pictures to score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_weights
from PIL import Image


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("weights")
    return folder, tiny_weights.write_all(folder)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    paths = []
    for number, (width, height) in enumerate([(64, 64), (90, 60), (50, 120), (28, 28), (200, 31)]):
        small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        small.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
        paths.append(folder / f"{number}.png")
    return paths
