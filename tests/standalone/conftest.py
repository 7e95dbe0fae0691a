"""Random models of the real architectures, written in the real file formats."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from random_models import MERGES, ROOT


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory) -> Path:
    """tiny-sd's shape with random weights, through the converter that writes the bundled model."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from tools.tiny_models.export import export_tiny_sd

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        block_out_channels=(96, 192),
        layers_per_block=1,
        attention_head_dim=8,
        cross_attention_dim=128,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 64, 96),
        layers_per_block=1,
        latent_channels=4,
        sample_size=64,
        scaling_factor=0.18215,
    )
    vocabulary = 512 + len(MERGES) + 2
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=4,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        )
    )
    return export_tiny_sd(unet, vae, text, MERGES, tmp_path_factory.mktemp("tiny-sd"))


@pytest.fixture(scope="session")
def pipeline(tiny_checkpoint):
    from lib_hps.diffusion.pipeline import load_pipeline

    return load_pipeline(tiny_checkpoint, "cpu")


@pytest.fixture(scope="module")
def board_server(tiny_checkpoint, tmp_path_factory):
    """`hps serve` on random models; tests may kill and start it."""
    from board_server import BoardServer

    server = BoardServer(tiny_checkpoint, tmp_path_factory.mktemp("board"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def chromium():
    """A headless browser for the board's tests."""
    from board_server import CHROMIUM, PATIENCE_MS
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS // 4)
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def page(board_server, chromium, request):
    """The board's page; a test ends well only without a fault of its script and without a request to elsewhere."""
    from board_server import PATIENCE_MS

    options = getattr(request, "param", {"viewport": {"width": 1280, "height": 800}})
    context = chromium.new_context(accept_downloads=True, **options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.faults, page.asked = [], []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.goto(board_server.board)
    page.get_by_role("button", name="Start", exact=True).wait_for()
    yield page
    assert page.faults == []
    assert [url for url in page.asked if not url.startswith((board_server.url, "data:", "blob:"))] == []
    context.close()
