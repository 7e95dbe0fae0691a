"""The tokenizer: OpenAI's ids (equality with the public tokenizers is in tests/contracts/test_peers.py)."""

from __future__ import annotations

import gzip
import time

import pytest

torch = pytest.importorskip("torch")

from lib_hps.errors import InputError  # noqa: E402
from lib_hps.scoring.clip import cleaning  # noqa: E402
from lib_hps.scoring.clip.bpe import OPENAI_MERGES, BytePairEncoder  # noqa: E402
from lib_hps.scoring.clip.tokenizer import Tokenizer  # noqa: E402

SMALL = "#version: 0.2\nc a\nca t</w>\na t\n"


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer()


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "merges.txt"
    path.write_text(SMALL, "utf-8")
    return Tokenizer(path, context_length=8)


def test_known_ids_of_openai_clip(tokenizer):
    # the ids that OpenAI's README example ("a diagram", "a dog", "a cat") encodes to
    assert tokenizer(["a diagram", "a dog", "a cat"])[:, :5].tolist() == [
        [49406, 320, 22697, 49407, 0],
        [49406, 320, 1929, 49407, 0],
        [49406, 320, 2368, 49407, 0],
    ]
    assert tokenizer.vocab_size == 49408


def test_a_batch_is_int64_of_the_context_length(tokenizer):
    ids = tokenizer(["", "a cat"])
    assert ids.dtype == torch.int64
    assert ids.shape == (2, 77)
    assert ids[0, :3].tolist() == [49406, 49407, 0]
    assert tokenizer([]).shape == (0, 77)
    assert torch.equal(tokenizer("a cat"), ids[1:])


def test_a_long_prompt_is_cut_and_still_ends_with_the_end(tokenizer):
    fits, cut = " ".join(["cat"] * 75), " ".join(["cat"] * 76)
    ids = tokenizer([fits, cut])
    assert ids[:, -1].tolist() == [49407, 49407]
    assert torch.equal(ids[0], ids[1])
    assert not tokenizer.truncated(fits)
    assert tokenizer.truncated(cut)


def test_what_a_text_looks_like_is_cleaned_away(tokenizer):
    assert tokenizer.encode("  A\tCAT &amp;amp; dog ") == tokenizer.encode("a cat & dog")
    assert tokenizer.encode("lone \ud800 surrogate") == tokenizer.encode("lone \ufffd surrogate")


def test_a_page_without_a_space_takes_no_time(tokenizer):
    began = time.perf_counter()
    tokenizer(["abcdefghij" * 5000, "一" * 20000, "cat " * 50000])
    assert time.perf_counter() - began < 5


def test_own_merges_have_bytes_word_ends_merges_and_two_specials(small):
    assert small.vocab_size == 256 + 256 + 3 + 2
    # c a -> ca, ca t</w> -> cat</w>; "at" in the middle of a word; letters that no merge joins stay bytes
    letters = [*range(ord("!"), ord("~") + 1)]
    x_end = 256 + letters.index(ord("x"))
    assert small(["cat atx"])[0].tolist() == [515, 513, 514, x_end, 516, 0, 0, 0]


def test_merges_may_be_compressed(tmp_path, small):
    path = tmp_path / "merges.txt.gz"
    path.write_bytes(gzip.compress(SMALL.encode()))
    assert torch.equal(Tokenizer(path, context_length=8)(["a cat"]), small(["a cat"]))


def test_equal_pairs_join_from_the_left_before_a_new_pair_is_looked_at():
    # (ab,c) ranks above (abc,ab): both "abc" must form first, as in a rescan of the whole word
    merges = [("a", "b"), ("b", "c"), ("a", "bc"), ("ab", "c"), ("abc", "ab"), ("a", "a")]
    encoder = BytePairEncoder(merges)
    names = {i: symbol for symbol, i in encoder.ids.items()}
    assert [names[i] for i in encoder.word_ids("abcabcx")] == ["abc", "abc", "x</w>"]
    assert [names[i] for i in encoder.word_ids("aaaaax")] == ["aa", "aa", "a", "x</w>"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("header\nno pair here\n", "line 2"),
        ("\udcff", "Cannot read"),
        (b"\x1f\x8b broken", "Cannot read"),
        (None, "Cannot"),
    ],
)
def test_a_file_that_is_no_merges_file_is_named(tmp_path, content, words):
    path = tmp_path / "merges.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=words) as caught:
        Tokenizer(path)
    assert "merges.txt" in str(caught.value)


def test_what_is_no_text_is_refused_with_its_place(tokenizer):
    with pytest.raises(InputError, match="position 1"):
        tokenizer(["a", 3])
    with pytest.raises(InputError, match="context_length"):
        Tokenizer(context_length=1)


TEXTS = [
    "it's a DOG's life, they'll say 3.14 & more!!!",
    "émigré ЁЖИК 一只狐狸 눈 قطة गुलाबी 🦊❤️ ½ x² Ⅷ ①",
    "<start_of_text> a_b-c <end_of_text>",
    "“don’t” ﬁne ＦＵＬＬ　１２３ caf\u0065\u0301",
]


def test_without_the_regex_package_the_split_is_the_same(tokenizer):
    pytest.importorskip("regex")
    for text in map(cleaning.clean, TEXTS):
        assert cleaning.pattern_without_regex().findall(text) == cleaning.pattern().findall(text)


def test_without_ftfy_everything_but_mojibake_is_repaired_alike(monkeypatch):
    pytest.importorskip("ftfy")
    expected = [cleaning.clean(text) for text in TEXTS]
    monkeypatch.setattr(cleaning, "fixer", lambda: cleaning.basic_fix)
    assert [cleaning.clean(text) for text in TEXTS] == expected


def test_transformers_cleaning_keeps_curly_quotes(tokenizer):
    other = Tokenizer(cleaning="transformers")
    assert other.encode("a corgi's  HEAD") == tokenizer.encode("a corgi's  HEAD")
    assert other.encode("a corgi’s head") != tokenizer.encode("a corgi’s head")


def test_the_bundled_merges_are_openais():
    import hashlib

    digest = hashlib.sha256(OPENAI_MERGES.read_bytes()).hexdigest()
    assert digest == "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
