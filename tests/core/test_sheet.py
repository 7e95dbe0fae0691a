"""The contact sheet shows every picture best first, escapes everything, and needs no network."""

import re

import pytest
from PIL import Image

from lib_hps.errors import InputError
from lib_hps.sheet import write_sheet


@pytest.fixture
def rows(tmp_path):
    made = []
    for index, (prompt, score) in enumerate([("a cat", 0.1), ("a cat", 0.3), ('a <b>dog</b> & "x"', 0.2)]):
        file = tmp_path / f"p {index}#&.png"
        Image.new("RGB", (16, 24), (index * 80, 0, 0)).save(file)
        made.append(
            {
                "file": str(file),
                "prompt": prompt,
                "scorer": "tiny-hps",
                "score": score,
                "rank": 1,
                "tiny-holdout": -score,
            }
        )
    return made


def test_pictures_are_embedded_and_sorted_best_first(tmp_path, rows):
    text = write_sheet(tmp_path / "s.html", rows, title="T").read_text()
    assert text.count("data:image/webp;base64,") == 3
    cats = text[text.index('data-prompt="a cat"') : text.index("dog")]
    assert re.findall(r'class="score">([\d.]+)', cats) == ["0.3000", "0.1000"]
    assert "http" not in text


def test_links_are_relative_to_the_sheet_and_escaped(tmp_path, rows):
    text = write_sheet(tmp_path / "out" / "s.html", rows, are_embedded=False).read_text()
    assert 'src="../p%200%23%26.png"' in text


def test_every_text_is_escaped(tmp_path, rows):
    rows[0]["file"] = '"><script>alert(1)</script>.png'
    text = write_sheet(tmp_path / "s.html", rows, title="<script>{{sections}}", other="tiny-holdout").read_text()
    assert text.count("<script>") == 1
    assert "<b>dog" not in text
    assert "a &lt;b&gt;dog&lt;/b&gt; &amp; &quot;x&quot;" in text
    assert "picture not readable" in text


def test_the_held_out_score_stands_beside_the_other(tmp_path, rows):
    text = write_sheet(tmp_path / "s.html", rows, other="tiny-holdout").read_text()
    assert "<em>-0.3000</em>" in text
    assert "held out" in text


def test_a_row_without_a_score_is_refused(tmp_path):
    with pytest.raises(InputError, match="score"):
        write_sheet(tmp_path / "s.html", [{"file": "x"}])
    assert not (tmp_path / "s.html").exists()


def test_a_full_sheet_links_and_an_empty_one_is_a_page(tmp_path, rows):
    text = write_sheet(tmp_path / "s.html", rows * 200).read_text()
    assert "base64" not in text
    assert write_sheet(tmp_path / "e.html", []).read_text().endswith("</html>\n")
