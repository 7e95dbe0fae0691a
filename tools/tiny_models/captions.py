"""What is said of a picture, and the byte-pair vocabulary that says it."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import torch

from .augment import BACKGROUNDS
from .emoji import STYLES, Emoji

MERGES = 2000
CONTEXT = 77
NEGATIVE_PREFIX = "weird image. "
_STYLE_WORDS = tuple(f"{s} style" for s in STYLES)
_OTHER_WORDS = (
    "a an the of on in with and by style background picture image photo drawing emoji icon weird blurry ugly best "
    "quality masterpiece beautiful cute simple red orange yellow green blue purple pink brown black white grey dark "
    "light small large round warm cold bright"
)


def caption(emoji: Emoji, style: int, background: int, generator: torch.Generator) -> str:
    """One of the ways to ask for this picture. The background is always said when it is not white."""

    def chance(p: float) -> bool:
        return bool(torch.rand((), generator=generator) < p)

    words = emoji.name
    if emoji.keywords and chance(0.15):
        words = emoji.keywords[int(torch.randint(len(emoji.keywords), (), generator=generator))]
    if chance(0.3):
        words = ("an " if words[0] in "aeiou" else "a ") + words
    if chance(0.6):
        words += ", " + _STYLE_WORDS[style]
    if background:
        words += f", {list(BACKGROUNDS)[background]} background"
    return words


def corpus(emoji: list[Emoji]) -> list[str]:
    """Every phrase that the vocabulary should write in few tokens."""
    lines = [_OTHER_WORDS] * 5 + list(_STYLE_WORDS) * 50
    for e in emoji:
        lines += [e.name] * 4 + list(e.keywords)
    return lines


def learn_merges(lines: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges in CLIP's form: lower case, the last piece of a word ends in `</w>`."""
    to_char = byte_characters()
    counts: Counter[tuple[str, ...]] = Counter()
    for line in lines:
        for word in re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]+", line.lower()):
            pieces = [to_char[b] for b in word.encode()]
            counts[(*pieces[:-1], pieces[-1] + "</w>")] += 1
    merges: list[tuple[str, str]] = []
    while len(merges) < MERGES:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, n in counts.items():
            for pair in pairwise(word):
                pairs[pair] += n
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        counts = Counter({_merge(w, best): n for w, n in counts.items()})
    return merges


def byte_characters() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte, in CLIP's order of ids."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(hidden)}


def vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    characters = list(byte_characters().values())
    tokens = characters + [c + "</w>" for c in characters] + ["".join(m) for m in merges]
    return {t: i for i, t in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}


def write_clip_tokenizer(merges: list[tuple[str, str]], folder: Path) -> None:
    """The four files that `transformers.CLIPTokenizer.from_pretrained(folder)` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    special["pad_token"] = "<|endoftext|>"
    (folder / "vocab.json").write_text(json.dumps(vocabulary(merges), ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(m) for m in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=1))
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": CONTEXT, "do_lower_case": True, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))


def write_open_clip_merges(merges: list[tuple[str, str]], file: Path) -> None:
    """The gzip file that open_clip's SimpleTokenizer(bpe_path=...) reads; the same ids as the folder above."""
    # no newline at the end: open_clip would count an empty merge
    text = "\n".join(["#version: 0.2", *(" ".join(m) for m in merges)])
    with open(file, "wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as zipped:
        zipped.write(text.encode())


def _merge(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for piece in word:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return tuple(merged)
