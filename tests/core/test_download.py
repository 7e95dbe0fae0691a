"""Downloading weights from a hub on this machine: resuming, verifying, refusing."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from lib_hps.errors import DownloadError, StorageError
from lib_hps.scoring.registry import entry_for
from lib_hps.scoring.weights import find_weights, obtain_weights

ENTRY = entry_for("hps-v2.1")


def test_a_download_arrives_verified_under_its_name_and_leaves_nothing_else(
    folder: Path, content: bytes, serve
) -> None:
    server = serve(content)
    seen: list[tuple[int, int | None]] = []
    path = obtain_weights(ENTRY, weights_dir=folder, progress=lambda done, total: seen.append((done, total)))
    assert path == folder / "HPS_v2.1_compressed.pt"
    assert path.read_bytes() == content
    assert zipfile.is_zipfile(path)
    assert seen[-1] == (len(content), len(content))
    assert [p.name for p in folder.rglob("*") if p.is_file()] == [path.name]
    obtain_weights(ENTRY, weights_dir=folder)
    assert len(server.ranges) == 1, "what is there is not fetched again"


def test_a_broken_connection_is_resumed_where_it_broke(folder: Path, content: bytes, serve) -> None:
    server = serve(content, breaks=3)
    assert obtain_weights(ENTRY, weights_dir=folder).read_bytes() == content
    assert len(server.ranges) == 4
    assert server.ranges == sorted(set(server.ranges)), "every try asks for the rest only"


def test_a_server_that_cannot_resume_is_asked_from_the_start(folder: Path, content: bytes, serve) -> None:
    serve(content, breaks=1, resumes=False)
    assert obtain_weights(ENTRY, weights_dir=folder).read_bytes() == content


def test_a_killed_download_is_resumed_by_the_next_one(folder: Path, content: bytes, serve) -> None:
    server = serve(content)

    def kill(done: int, total: int | None) -> None:
        if done > len(content) // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        obtain_weights(ENTRY, weights_dir=folder, progress=kill)
    assert find_weights(ENTRY, folder) is None, "half a file does not count as weights"
    assert obtain_weights(ENTRY, weights_dir=folder).read_bytes() == content
    assert server.ranges[-1] > 0, "the second download asks for the rest only"


def test_a_download_with_another_checksum_is_thrown_away(folder: Path, content: bytes, serve) -> None:
    serve(content, lies=True)
    with pytest.raises(DownloadError, match="SHA-256"):
        obtain_weights(ENTRY, weights_dir=folder)
    assert not (folder / ENTRY.file_name).exists()


def test_the_registrys_checksum_goes_before_the_hubs(folder: Path, content: bytes, serve) -> None:
    serve(content)
    wrong = dataclasses.replace(ENTRY, sha256=hashlib.sha256(b"x").hexdigest())
    with pytest.raises(DownloadError, match="SHA-256"):
        obtain_weights(wrong, weights_dir=folder)
    right = dataclasses.replace(ENTRY, sha256=hashlib.sha256(content).hexdigest())
    assert obtain_weights(right, weights_dir=folder).read_bytes() == content


def test_without_enough_space_nothing_is_fetched(
    folder: Path, content: bytes, serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(content)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    with pytest.raises(StorageError, match="Free some space"):
        obtain_weights(ENTRY, weights_dir=folder)
    assert server.ranges == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, content: bytes, serve, folder: Path) -> None:
    serve(content)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="Cannot write to"):
        obtain_weights(ENTRY, weights_dir=tmp_path / "file")


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_says_what_to_put_where(
    folder: Path, content: bytes, serve, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    server = serve(content)
    monkeypatch.setenv(variable, "1")
    with pytest.raises(DownloadError, match=r"get HPS_v2\.1_compressed\.pt from .* into "):
        obtain_weights(ENTRY, weights_dir=folder)
    assert server.ranges == []


def test_an_unreachable_hub_and_a_missing_file_are_told(folder: Path, content: bytes, serve) -> None:
    with pytest.raises(DownloadError, match="could not be downloaded"):
        obtain_weights(ENTRY, weights_dir=folder)
    serve(content, is_there=False)
    with pytest.raises(DownloadError, match="could not be downloaded"):
        obtain_weights(ENTRY, weights_dir=folder)
