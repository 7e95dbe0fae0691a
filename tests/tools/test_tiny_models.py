"""The makers of the bundled models: vocabulary, layouts, training loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from lib_hps.scoring.clip.tokenizer import Tokenizer
from tools.tiny_models import captions, loop
from tools.tiny_models.diffusion import build_unet
from tools.tiny_models.export import export_tiny_sd
from tools.tiny_models.text import build_text_encoder
from tools.tiny_models.vae import build

LINES = ["red heart, noto style", "a cat face on a blue background", "weird image"] * 3


def test_both_tokenizers_read_the_learned_vocabulary_alike(tmp_path: Path) -> None:
    merges = captions.learn_merges(LINES)
    captions.write_clip_tokenizer(merges, tmp_path)
    captions.write_open_clip_merges(merges, tmp_path / "merges.txt.gz")
    theirs = CLIPTokenizer.from_pretrained(str(tmp_path))
    ours = Tokenizer(tmp_path / "merges.txt.gz")
    for text in [*LINES, "A Heart!!! (really) 99", "straße 日本", ""]:
        ids = theirs(text).input_ids
        assert ours([text])[0, : len(ids)].tolist() == ids
    assert len(theirs) == ours.vocab_size


def test_exported_checkpoint_comes_back_through_diffusers_unchanged(tmp_path: Path) -> None:
    torch.manual_seed(0)
    merges = captions.learn_merges(LINES)
    unet, vae = build_unet(), build()
    text = build_text_encoder(len(captions.vocabulary(merges)))
    file = export_tiny_sd(unet, vae, text, merges, tmp_path)
    options = {"original_config": str(tmp_path / "tiny-sd.yaml"), "local_files_only": True}
    for model, cls in ((unet, UNet2DConditionModel), (vae, AutoencoderKL)):
        back = cls.from_single_file(str(file), **options).state_dict()
        for key, value in model.state_dict().items():
            assert torch.equal(back[key].float().reshape(value.shape), value.half().float()), key
    assert (
        CLIPTextModel.config_class.from_pretrained(str(tmp_path / "text_encoder")).vocab_size == text.config.vocab_size
    )


def _train(
    folder: Path, steps: int, stop_after: int | None = None, validate: Callable[[nn.Module], float] | None = None
) -> torch.Tensor:
    torch.manual_seed(3)
    model, calls = nn.Linear(4, 1), 0

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if stop_after is not None and calls > stop_after:
            raise KeyboardInterrupt
        x = torch.randn(8, 4, generator=generator)
        return (model(x) - x.sum(dim=1, keepdim=True)).square().mean()

    stage = loop.Stage(name="line", steps=steps, lr=1e-2, warmup=5, save_every_s=0, validate_every=5)
    loop.train(stage, model, loss_of, folder, validate=validate)
    return model.weight.detach().clone()


def test_a_resumed_stage_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = _train(tmp_path / "whole", 30)
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "parts", 30, stop_after=13)
    assert torch.equal(_train(tmp_path / "parts", 30), whole)


def test_a_finished_stage_is_not_trained_again(tmp_path: Path) -> None:
    first = _train(tmp_path, 10)
    assert torch.equal(_train(tmp_path, 10, stop_after=0), first)


def test_the_weights_that_validation_liked_best_are_returned_also_behind_a_kill(tmp_path: Path) -> None:
    """The worth is highest in the middle: how near the weights are to those of step 15."""
    seen: list[torch.Tensor] = []

    def first_look(model: nn.Module) -> float:
        seen.append(model.get_parameter("weight").detach().clone())
        return 0.0

    for name in ("looks", "whole", "parts"):
        (tmp_path / name).mkdir()
    _train(tmp_path / "looks", 30, validate=first_look)
    assert len(seen) == 6

    def nearness(model: nn.Module) -> float:
        return -float((model.get_parameter("weight").detach() - seen[2]).abs().sum())

    assert torch.equal(_train(tmp_path / "whole", 30, validate=nearness), seen[2])
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "parts", 30, stop_after=22, validate=nearness)
    assert torch.equal(_train(tmp_path / "parts", 30, validate=nearness), seen[2])
    assert torch.equal(_train(tmp_path / "parts", 30, stop_after=0, validate=nearness), seen[2])
