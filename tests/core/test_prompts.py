"""Cleaning prompts of the WebUI's syntax."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_hps.scoring.prompts import clean_prompt

CASES = {
    "a <lora:fox:0.8> cat": "a cat",
    "<hypernet:x:1> a cat <lyco:y:0.5:0.3>": "a cat",
    "(a red:1.2) fox": "a red fox",
    "((a)) fox": "a fox",
    "[a] fox": "a fox",
    "[[a]:3]": "a",
    "[a|b] fox": "a fox",
    "[a|b|c] fox": "a fox",
    "[cat:dog:0.5] on grass": "dog on grass",
    "[cat:dog:12] on grass": "dog on grass",
    "[cat::0.5] on grass": "on grass",
    "[cat:0.5] on grass": "cat on grass",
    "[a:b] fox": "a:b fox",
    "a fox BREAK snow": "a fox, snow",
    "a fox, BREAK snow": "a fox, snow",
    "a fox AND snow": "a fox, snow",
    "a fox :1.2 AND snow :0.5": "a fox, snow",
    "a fox AND_PERP snow :-0.5": "a fox, snow",
    r"a fox \(animal\)": "a fox (animal)",
    r"a fox \[2\]": "a fox [2]",
    r"(a \(red\) fox:1.1)": "a (red) fox",
    "[(a:1.2):[b|c]:.3]": "b",
    "(a (b:1.2) c:1.3)": "a b c",
    "(a:b:1.1)": "a:b",
    "((((a fox": "a fox",
    "(a fox]": "a fox]",
    "([a)] fox": "a] fox",
    "(masterpiece, best quality:1.2), 1girl, [red:blue:0.3] hair, <lora:abc:0.5>": (
        "masterpiece, best quality, 1girl, blue hair"
    ),
}

UNCHANGED = [
    "a photo of a cat, 35mm, f/1.8",
    "at 10:30, a train | a bus",
    "I <3 cats :)",
    "  two  spaces\nand a line ",
    "a\\b",
    "Fuchs im Schnee, 🦊",
    "standing and breaking",
    "",
]


@pytest.mark.parametrize("text", CASES)
def test_syntax_is_taken_out(text: str) -> None:
    assert clean_prompt(text) == CASES[text]


@pytest.mark.parametrize("text", UNCHANGED)
def test_a_prompt_without_syntax_is_unchanged(text: str) -> None:
    assert clean_prompt(text) == text


@given(st.text())
def test_any_text_is_cleaned_without_an_error(text: str) -> None:
    assert isinstance(clean_prompt(text), str)


@given(st.text(alphabet="()[]:|\\,. ab1<>AND BREAK", max_size=80))
def test_text_full_of_syntax_is_cleaned_without_an_error_and_gains_nothing(text: str) -> None:
    assert len(clean_prompt(text)) <= len(text) + 2 * text.count("AND") + 2 * text.count("BREAK")


words = st.text(alphabet="abcdefghij klm", min_size=1, max_size=12).map(str.strip).filter(bool)
plain = words.map(lambda text: " ".join(text.split()))


@given(st.text(alphabet=st.characters(exclude_characters="()[]<\\", codec="utf-8")).filter(lambda t: t.islower()))
def test_text_without_brackets_is_unchanged(text: str) -> None:
    assert clean_prompt(text) == text


@given(plain, st.integers(0, 30), st.sampled_from(["()", "[]"]))
def test_emphasis_of_any_depth_leaves_the_words(text: str, depth: int, pair: str) -> None:
    assert clean_prompt(pair[0] * depth + text + pair[1] * depth) == text


@given(plain, plain, st.floats(0, 2).map(lambda x: f"{x:.2f}"))
def test_scheduling_keeps_what_comes_last_and_alternation_what_comes_first(first: str, last: str, when: str) -> None:
    assert clean_prompt(f"[{first}:{last}:{when}]") == last
    assert clean_prompt(f"[{first}|{last}]") == first
    assert clean_prompt(f"({first}:{when}) [{last}:{when}]") == f"{first} {last}"


@given(
    st.recursive(plain, lambda inner: st.tuples(inner, inner).map(lambda p: f"({p[0]} [{p[1]}]:1.2)"), max_leaves=20)
)
def test_balanced_nesting_leaves_no_brackets_and_cleaning_again_changes_nothing(text: str) -> None:
    cleaned = clean_prompt(text)
    assert not set(cleaned) & set("()[]")
    assert clean_prompt(cleaned) == cleaned


def test_ten_thousand_open_brackets_are_no_problem() -> None:
    assert clean_prompt("(" * 10_000 + "a") == "a"
    assert clean_prompt("(" * 10_000 + "a" + ")" * 10_000) == "a"
