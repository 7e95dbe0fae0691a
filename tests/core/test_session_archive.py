"""A session travels as a zip; a hostile zip is refused and leaves nothing behind."""

from __future__ import annotations

import io
import json
import stat
import warnings
import zipfile
from pathlib import Path

import pytest
from board_host import SETTINGS, paint

from lib_hps.errors import InputError
from lib_hps.infotext import png_info
from lib_hps.ranking import Ranking
from lib_hps.session import SessionStore, archive
from lib_hps.session.archive import export_session, import_session
from lib_hps.session.pictures import content_name


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "here")


@pytest.fixture
def elsewhere(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "there")


@pytest.fixture
def session(store):
    made = store.create(
        name="cat", settings=SETTINGS, optimizer={"name": "random", "seed": 7, "batch": 3, "params": {}}
    )
    for _ in range(2):
        state = made.state()
        for index in state.missing():
            recipe = state.asked.candidates[index].recipe.format()
            made.add_picture(recipe, state.key, paint(recipe), "text")
        made.tell(state.round, Ranking.pick(1, 3), by="person", order=[[1]])
    return made


@pytest.fixture
def parts(session, tmp_path) -> dict[str, bytes]:
    """A good zip's entries, to be spoilt one by one."""
    with zipfile.ZipFile(export_session(session, tmp_path / "good.zip")) as good:
        return {name: good.read(name) for name in good.namelist()}


def pack(tmp_path: Path, parts: dict[str, bytes]) -> Path:
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return path


def nothing_in(store: SessionStore) -> bool:
    return not store.root.exists() or [path for path in store.root.iterdir() if path.name != ".locks"] == []


def test_a_session_comes_through_a_zip_bit_for_bit_with_pictures_and_thumbnails(session, elsewhere, tmp_path):
    read = import_session(elsewhere, export_session(session, tmp_path / "s.zip"))
    assert read.state().to_dict() == session.state().to_dict()
    assert read.optimizer_state() == session.optimizer_state()
    for drawn in read.state().pictures.values():
        assert read.picture(drawn.file).read_bytes() == session.picture(drawn.file).read_bytes()
        assert read.picture(drawn.thumb).is_file()


def test_an_id_that_is_taken_even_in_the_trash_gives_a_new_one(session, store, tmp_path):
    path = export_session(session, tmp_path / "s.zip")
    second = import_session(store, path)
    assert second.id != session.id
    assert second.state().answers == session.state().answers
    store.trash(session.id)
    assert import_session(store, path).id != session.id
    assert store.restore(session.id).state().round == 3


def test_a_torn_last_line_is_not_exported(session, elsewhere, tmp_path):
    with (session.folder / "log.jsonl").open("ab") as log:
        log.write(b'{"n": 99')
    read = import_session(elsewhere, export_session(session, tmp_path / "s.zip"))
    assert read.state().version == session.state().version


@pytest.mark.parametrize(
    "name",
    [
        "../log.jsonl",
        "/etc/cron.d/x",
        "..\\log.jsonl",
        "C:\\x.png",
        "pictures/../../x.png",
        "pictures/x.png",
        "thumbs/0123456789abcdef0123.jpg",
        "pictures/0123456789abcdef0123.png.exe",
        "pictures/",
        "pictures/0123456789abcdef0123.png\n",
    ],
)
def test_a_name_that_does_not_belong_there_is_refused(parts, elsewhere, tmp_path, name):
    with pytest.raises(InputError, match="does not belong"):
        import_session(elsewhere, pack(tmp_path, {**parts, name: b"x"}))
    assert nothing_in(elsewhere)


def test_links_and_encrypted_entries_are_refused(parts, elsewhere, tmp_path):
    name = next(name for name in parts if name.startswith("pictures/"))
    path = tmp_path / "link.zip"
    with zipfile.ZipFile(path, "w") as made:
        for entry, content in parts.items():
            info = zipfile.ZipInfo(entry)
            if entry == name:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
                content = b"/etc/passwd"
            made.writestr(info, content)
    with pytest.raises(InputError, match="is a link"):
        import_session(elsewhere, path)
    raw = bytearray(pack(tmp_path, parts).read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 8] |= 1  # the directory's flag "encrypted"
    path.write_bytes(bytes(raw))
    with pytest.raises(InputError, match="encrypted"):
        import_session(elsewhere, path)
    assert nothing_in(elsewhere)


def test_a_name_twice_and_too_many_files_are_refused(parts, elsewhere, tmp_path, monkeypatch):
    path = pack(tmp_path, parts)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as made:
        warnings.simplefilter("ignore")
        made.writestr("log.jsonl", b"")
    with pytest.raises(InputError, match="twice"):
        import_session(elsewhere, path)
    monkeypatch.setattr(archive, "MOST_FILES", 3)
    with pytest.raises(InputError, match="at most 3"):
        import_session(elsewhere, pack(tmp_path, parts))
    assert nothing_in(elsewhere)


def test_a_compression_bomb_is_refused_before_it_is_unpacked(parts, elsewhere, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="too big to unpack"):
        import_session(elsewhere, pack(tmp_path, {**parts, "log.jsonl": b" " * 20_000_000}))
    monkeypatch.setattr(archive, "MOST_TOTAL_BYTES", 1000)
    with pytest.raises(InputError, match="at most 1,000"):
        import_session(elsewhere, pack(tmp_path, parts))
    assert nothing_in(elsewhere)


def test_a_header_that_lies_about_the_size_is_not_believed(parts, elsewhere, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_LOG_BYTES", 1000)
    raw = bytearray(pack(tmp_path, {**parts, "log.jsonl": b"x" * 5000}).read_bytes())
    with zipfile.ZipFile(io.BytesIO(bytes(raw))) as made:
        info = made.getinfo("log.jsonl")
        directory = raw.index(b"PK\x01\x02", raw.rindex(b"PK\x03\x04"))
        at = next(
            at
            for at in range(directory, len(raw) - 46)
            if raw[at : at + 4] == b"PK\x01\x02" and raw[at + 46 : at + 55] == b"log.jsonl"
        )
    for place in (info.header_offset + 22, at + 24):
        raw[place : place + 4] = (500).to_bytes(4, "little")
    path = tmp_path / "lie.zip"
    path.write_bytes(bytes(raw))
    with pytest.raises(InputError):
        import_session(elsewhere, path)
    assert nothing_in(elsewhere)


def _event(parts: dict[str, bytes], number: int, **changes: object) -> bytes:
    lines = parts["log.jsonl"].splitlines()
    lines[number - 1] = json.dumps({**json.loads(lines[number - 1]), **changes}).encode()
    return b"\n".join(lines) + b"\n"


@pytest.mark.parametrize(
    ("number", "changes", "said"),
    [
        (1, {"v": 99}, "newer version"),
        (1, {"type": "magic"}, "Event 1"),
        (1, {"settings": {"prompt": "a"}}, "missing"),
        (1, {"optimizer": {"name": "../../x"}}, "no optimiser"),
        (2, {"n": 7}, "no event number 2"),
        (2, {"shown": [0, 0, 1]}, "no positions"),
        (2, {"candidates": [["7*1", "fresh"]] * 65}, "2 to 64"),
        (2, {"candidates": [["7*.2", "fresh"], ["8*1", "fresh"]]}, "2-norm"),
        (3, {"file": "../../../etc/passwd"}, "no names of pictures"),
        (3, {"file": "0123456789abcdef0123.png"}, "not in the zip"),
        (6, {"ranking": {"count": 3, "edges": [[0, 1], [1, 0]]}}, "contradict"),
        (6, {"round": 5}, "of round 5"),
        (6, {"best": 5}, "no text"),
    ],
)
def test_a_log_that_cannot_be_is_refused(parts, elsewhere, tmp_path, number, changes, said):
    with pytest.raises(InputError, match=said):
        import_session(elsewhere, pack(tmp_path, {**parts, "log.jsonl": _event(parts, number, **changes)}))
    assert nothing_in(elsewhere)


def test_a_picture_that_is_none_or_another_one_is_refused(parts, elsewhere, tmp_path):
    name = next(name for name in parts if name.startswith("pictures/"))
    with pytest.raises(InputError, match="not the picture"):
        import_session(elsewhere, pack(tmp_path, {**parts, name: b"GIF89a"}))
    html = b"<script>alert(1)</script>"
    with pytest.raises(InputError, match="has to be a PNG"):
        import_session(elsewhere, pack(tmp_path, {**parts, f"pictures/{content_name(html)}.png": html}))
    stream = io.BytesIO()
    paint("7*1").save(stream, "PNG", pnginfo=png_info("t"))
    cut = stream.getvalue()[:200]
    with pytest.raises(InputError, match="damaged"):
        import_session(elsewhere, pack(tmp_path, {**parts, f"pictures/{content_name(cut)}.png": cut}))
    assert nothing_in(elsewhere)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + b"\0" * 40])
def test_what_is_no_zip_is_refused(elsewhere, tmp_path, content):
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no zip of a session"):
        import_session(elsewhere, path)
    assert nothing_in(elsewhere)


def test_a_zip_without_a_log_is_refused(parts, elsewhere, tmp_path):
    del parts["log.jsonl"]
    with pytest.raises(InputError, match=r"no log\.jsonl"):
        import_session(elsewhere, pack(tmp_path, parts))
    with pytest.raises(InputError, match="empty"):
        import_session(elsewhere, pack(tmp_path, {"log.jsonl": b""}))
    assert nothing_in(elsewhere)
