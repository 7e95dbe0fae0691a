"""Finding weights, recognising what is no whole weight file, telling what is there."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lib_hps.errors import WeightsError
from lib_hps.scoring import list_scorers, load_scorer
from lib_hps.scoring.registry import REGISTRY, Entry, entry_for
from lib_hps.scoring.weights import check_complete, find_weights, obtain_weights, search_folders

ENTRY = entry_for("hps-v2.1")


def test_folders_are_searched_in_the_documented_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPS_DIR", str(tmp_path / "env"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folders = [tmp_path / "env", tmp_path / "webui", tmp_path / "cache" / "hps"]
    assert search_folders(tmp_path / "webui") == folders
    for place in reversed(folders):
        place.mkdir(parents=True)
        (place / ENTRY.file_name).write_bytes(b"\x80weights")
        assert find_weights(ENTRY, tmp_path / "webui") == place / ENTRY.file_name


def test_a_given_file_or_folder_goes_before_every_folder(folder: Path, tmp_path: Path) -> None:
    (folder / ENTRY.file_name).write_bytes(b"\x80one")
    other = tmp_path / "other"
    other.mkdir()
    (other / ENTRY.file_name).write_bytes(b"\x80two")
    assert obtain_weights(ENTRY, other, weights_dir=folder) == other / ENTRY.file_name
    assert obtain_weights(ENTRY, other / ENTRY.file_name, weights_dir=folder) == other / ENTRY.file_name


def test_what_another_program_left_in_the_hubs_cache_is_found(folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--xswu--HPSv2" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / ENTRY.file_name).write_bytes(b"\x80weights")
    refs = tmp_path / "hub" / "models--xswu--HPSv2" / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)
    assert find_weights(ENTRY, folder) == snapshot / ENTRY.file_name


def test_weights_without_a_hub_are_asked_for_by_name_and_place(folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"hpc\.pt.*put it as hpc\.pt into"):
        load_scorer("hps-v1", weights_dir=folder)


def test_a_path_that_is_not_there_is_an_error_that_sees_the_unfinished_download(folder: Path) -> None:
    (folder / "hpc.pt.crdownload").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"only hpc\.pt\.crdownload, a download that never finished"):
        load_scorer("hps-v1", weights=folder / "hpc.pt")


def test_half_of_a_torch_file_is_recognised(folder: Path, content: bytes) -> None:
    (folder / ENTRY.file_name).write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match="half downloaded"):
        load_scorer("hps-v2.1", weights_dir=folder)


def test_half_of_a_safetensors_file_is_recognised(folder: Path) -> None:
    save_file({"weight": torch.zeros(10_000)}, folder / "whole.safetensors")
    data = (folder / "whole.safetensors").read_bytes()
    (folder / "PickScore_v1.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(WeightsError, match="half downloaded"):
        load_scorer("pickscore", weights_dir=folder)


def test_an_empty_weight_file_is_recognised(folder: Path) -> None:
    (folder / "hpc.pt").write_bytes(b"")
    with pytest.raises(WeightsError, match="zero bytes"):
        load_scorer("hps-v1", weights_dir=folder)


def test_a_size_other_than_the_registrys_is_recognised(folder: Path, content: bytes) -> None:
    path = folder / ENTRY.file_name
    path.write_bytes(content)
    assert check_complete(path, dataclasses.replace(ENTRY, size_bytes=len(content))) == path
    with pytest.raises(WeightsError, match="half downloaded or another file"):
        check_complete(path, dataclasses.replace(ENTRY, size_bytes=len(content) + 1))


def test_a_pickle_that_would_run_code_is_refused_and_runs_none(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "was_run"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(target),)

    torch.save({"state_dict": Payload()}, folder / "hpc.pt")
    scorer = load_scorer("hps-v1", weights_dir=folder, device="cpu")
    with pytest.raises(WeightsError, match="could run code"):
        scorer.score(torch.rand(1, 3, 8, 8), "a")
    assert not target.exists()


def test_a_checkpoint_of_another_architecture_is_refused_with_names(folder: Path, content: bytes) -> None:
    (folder / ENTRY.file_name).write_bytes(content)
    with pytest.raises(WeightsError, match="not a CLIP that this project can load"):
        load_scorer("hps-v2.1", weights_dir=folder, device="cpu").score(torch.rand(1, 3, 8, 8), "a")


def test_the_list_tells_what_is_here_how_large_and_under_which_licence(folder: Path) -> None:
    (folder / "hpc.pt").write_bytes(b"\x80" + b"x" * 99)
    scorers = {info.name: info for info in list_scorers(folder)}
    assert set(scorers) == set(REGISTRY)
    assert scorers["hps-v1"].is_available
    assert scorers["hps-v1"].size_bytes == 100
    assert scorers["hps-v1"].licence == "Apache-2.0"
    assert not scorers["hps-v2.1"].is_available
    assert scorers["hps-v2.1"].is_downloadable
    assert not scorers["hps-v1"].is_downloadable
    assert not scorers["aesthetic"].is_available


def test_an_aesthetic_head_without_its_tower_is_not_available(folder: Path) -> None:
    (folder / REGISTRY["aesthetic"].file_name).write_bytes(b"\x80x")
    assert not {info.name: info for info in list_scorers(folder)}["aesthetic"].is_available
    (folder / "ViT-L-14-openai.safetensors").write_bytes(b"x")
    assert {info.name: info for info in list_scorers(folder)}["aesthetic"].is_available


@pytest.mark.parametrize("entry", REGISTRY.values(), ids=lambda entry: entry.name)
def test_every_entry_can_be_had_somehow(entry: Entry) -> None:
    assert entry.source
    assert entry.licence
    assert (entry.hub_repo is None) == (entry.hub_file is None)
    assert entry.sha256 is None or len(entry.sha256) == 64
    assert entry.tower is None or entry.tower in REGISTRY
