"""Scorers by name, and a trained classifier from its file alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lib_hps.errors import InputError, WeightsError
from lib_hps.scoring import load_scorer
from lib_hps.scoring.classifier_file import ScorerCard, read_card, write_classifier
from lib_hps.scoring.clip.config import ClipConfig, TextConfig, VisionConfig
from lib_hps.scoring.clip.model import build
from lib_hps.scoring.safetensors_writing import write_tensors


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hps-v2.2", "Did you mean 'hps-v2"),
        ("nonsense", "There is no scorer 'nonsense'"),
        ("ensemble:", "is not <scorer>=<weight>"),
        ("ensemble:hps-v1", "'hps-v1' in"),
        ("ensemble:hps-v1=1,,pickscore=1", "'' in"),
        ("ensemble:hps-v1=heavy", "weight 'heavy' of 'hps-v1'"),
        ("ensemble:hps-v1=nan", "must be finite"),
        ("ensemble:hps-v1=0", "not zero"),
        ("ensemble:hps-v1=1,hps-v1=2", "twice"),
        ("ensemble:ensemble:a=1=1", "an ensemble itself"),
        ("clip:", "is not clip:<architecture>"),
        ("imagereward", "pip install image-reward"),
    ],
)
def test_a_wrong_name_is_refused_and_the_part_named(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words.replace("[", r"\[")):
        load_scorer(name)


def test_a_clip_that_nobody_here_knows_says_which_are_known() -> None:
    with pytest.raises(InputError, match="clip:ViT-L-14/openai"):
        load_scorer("clip:ViT-Z-99/nowhere")


def tiny() -> ClipConfig:
    return ClipConfig(
        embed_dim=16,
        vision=VisionConfig(image_size=16, width=64, layers=1, heads=2, patch_size=8, mlp_width=64),
        text=TextConfig(vocab_size=512 + 3 + 2, context_length=16, width=64, layers=1, heads=1, mlp_width=64),
        quick_gelu=True,
    )


MERGES = '"bpe_simple_vocab_16e6.txt#version: 0.2\nt h\nth e</w>\nf o\n'


def test_a_classifier_with_its_tokenizer_inside_loads_from_its_file_alone(tmp_path: Path) -> None:
    merges = tmp_path / "merges.txt"
    merges.write_text(MERGES, encoding="utf-8")
    card = ScorerCard(name="my taste", version="3", preprocess="pad", tokenizer="embedded", extra={"steps": 12})
    path = write_classifier(
        tmp_path / "taste.safetensors", build(tiny(), seed=0).state_dict(), config=tiny(), card=card, merges_file=merges
    )
    merges.unlink()
    scorer = load_scorer(str(path), device="cpu")
    assert (scorer.name, scorer.version, scorer.scale) == ("my taste", "3", "cosine")
    assert scorer.preprocess.mode == "pad"  # type: ignore[attr-defined]
    assert scorer.preprocess.size_px == 16  # type: ignore[attr-defined]
    assert scorer.score(torch.rand(2, 3, 20, 20), "the fox").shape == (2,)


def test_a_classifier_with_its_tokenizer_beside_it_says_so_when_that_is_missing(tmp_path: Path) -> None:
    card = ScorerCard(name="tiny", tokenizer="merges.txt")
    state = build(tiny(), seed=0).state_dict()
    path = write_classifier(tmp_path / "model.safetensors", state, config=tiny(), card=card)
    with pytest.raises(WeightsError, match=r"needs its tokenizer merges\.txt beside it"):
        load_scorer(str(path), device="cpu").score(torch.rand(1, 3, 8, 8), "the")
    (tmp_path / "merges.txt").write_text(MERGES, encoding="utf-8")
    assert load_scorer(str(path), device="cpu").score(torch.rand(1, 3, 8, 8), "the").shape == (1,)


def test_a_tokenizer_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    state = build(tiny(), seed=0).state_dict()
    path = write_classifier(tmp_path / "model.safetensors", state, config=tiny(), card=ScorerCard(name="tiny"))
    with pytest.raises(WeightsError, match="knows 517 tokens, its tokenizer 49408"):
        load_scorer(str(path), device="cpu").score(torch.rand(1, 3, 8, 8), "the")


def test_a_file_that_does_not_say_how_it_scores_is_refused(tmp_path: Path) -> None:
    save_file(build(tiny(), seed=0).state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="does not say how it is to be used"):
        load_scorer(str(tmp_path / "model.safetensors"))


def test_a_card_survives_its_file_with_what_its_trainer_noted() -> None:
    card = ScorerCard(name="tiny", version="2", tokenizer="merges.txt.gz", scale="logit", extra={"base": "hps-v2.1"})
    assert ScorerCard.from_json(card.to_json()) == card


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not a scorer's card"),
        ("[]", "not a scorer's card"),
        ("{}", "not a scorer's card"),
        ('{"format": 99, "name": "x"}', "later version"),
        ('{"name": "a=b"}', "without '='"),
        ('{"name": "x", "preprocess": "stretch"}', "preprocess"),
        ('{"name": "x", "scale": "points"}', "scale"),
        ('{"name": "x", "mean": [0.5]}', "three means"),
    ],
)
def test_a_card_that_cannot_be_used_names_the_file(text: str, words: str) -> None:
    with pytest.raises(WeightsError, match=rf"x\.safetensors: .*{words}"):
        read_card(Path("x.safetensors"), {"hps_scorer": text})


def test_a_written_file_is_what_the_library_reads_and_the_same_bytes_each_time(tmp_path) -> None:
    from safetensors import safe_open

    tensors = {
        "half": torch.arange(6, dtype=torch.float16).view(2, 3).T,
        "flag": torch.tensor([True, False, True]),
        "scale": torch.tensor(4.6),
        "whole": torch.arange(5),
        "brain": torch.randn(3, generator=torch.Generator().manual_seed(1)).bfloat16(),
    }
    metadata = {"b": "zwei ü", "a": "1"}
    files = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for file, given in zip(files, (metadata, dict(reversed(metadata.items()))), strict=True):
        with file.open("wb") as stream:
            write_tensors(stream, tensors, given)
    assert files[0].read_bytes() == files[1].read_bytes()
    with safe_open(files[0], "pt") as opened:
        assert opened.metadata() == metadata
        assert sorted(opened.keys()) == sorted(tensors)
        for name, tensor in tensors.items():
            assert torch.equal(opened.get_tensor(name), tensor)
            assert opened.get_tensor(name).dtype == tensor.dtype
