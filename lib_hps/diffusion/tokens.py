"""CLIP tokens the way the WebUI cuts a prompt: emphasis weights, BREAK, chunks of 75."""

from __future__ import annotations

import gzip
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib_hps.errors import WeightsError

CHUNK = 75  # tokens between start and end
_COMMA_BACKTRACK = 20  # A1111's "comma_padding_backtrack": do not cut a phrase that began this near to the chunk's end
_UP, _DOWN = 1.1, 1 / 1.1
_EMPHASIS = re.compile(
    r"\\\(|\\\)|\\\[|\\\]|\\\\|\\|\(|\[|:\s*([+-]?[.\d]+)\s*\)|\)|\]|[^\\()\[\]:]+|:",
)
_BREAK = re.compile(r"\s*\bBREAK\b\s*")


@dataclass
class Chunk:
    """Up to 75 tokens with a weight for each."""

    ids: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)


class Tokenizer:
    """transformers' CLIP tokenizer with the ids that the WebUI needs."""

    def __init__(self, backend: Any, *, pad_id: int | None = None) -> None:
        self._backend = backend
        self.start_id: int = backend.bos_token_id
        self.end_id: int = backend.eos_token_id
        self.pad_id: int = self.end_id if pad_id is None else pad_id
        self._comma_id = self.ids(",")[:1]

    @classmethod
    def from_folder(cls, folder: Path) -> Tokenizer:
        """Read `vocab.json` and `merges.txt`.

        Raises:
            WeightsError: they are missing or damaged.
        """
        from transformers import CLIPTokenizer

        try:
            backend = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{folder} holds no CLIP tokenizer ({error}). vocab.json and merges.txt are needed."
            ) from error
        return cls(backend, pad_id=backend.pad_token_id)

    @classmethod
    def standard(cls, *, pad_id: int) -> Tokenizer:
        """OpenAI's 49,408 tokens, rebuilt from the bundled merges."""
        return cls(_standard_backend(), pad_id=pad_id)

    def ids(self, text: str) -> list[int]:
        """Tokens of one text, without start and end."""
        return list(self._backend(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])

    def chunks(self, prompt: str) -> list[Chunk]:
        """Cut a prompt (WebUI syntax: `(a:1.2)`, `[a]`, BREAK) into at least one chunk."""
        done: list[Chunk] = []
        now, last_comma = Chunk(), -1
        for text, weight in parse_emphasis(prompt):
            if text == "BREAK" and weight == -1:
                done, now, last_comma = [*done, now], Chunk(), -1
                continue
            for token in self.ids(text):
                if [token] == self._comma_id:
                    last_comma = len(now.ids)
                elif len(now.ids) == CHUNK and last_comma != -1 and CHUNK - last_comma <= _COMMA_BACKTRACK:
                    cut = last_comma + 1
                    moved = Chunk(now.ids[cut:], now.weights[cut:])
                    done, now, last_comma = [*done, Chunk(now.ids[:cut], now.weights[:cut])], moved, -1
                if len(now.ids) == CHUNK:
                    done, now, last_comma = [*done, now], Chunk(), -1
                now.ids.append(token)
                now.weights.append(weight)
        return [*done, now] if now.ids or not done else done

    def framed(self, chunk: Chunk) -> tuple[list[int], list[float]]:
        """77 ids and weights: start, the chunk, end, padding."""
        spare = CHUNK - len(chunk.ids)
        ids = [self.start_id, *chunk.ids, self.end_id, *[self.pad_id] * spare]
        return ids, [1.0, *chunk.weights, *[1.0] * (spare + 1)]


def parse_emphasis(prompt: str) -> list[tuple[str, float]]:
    r"""Split a prompt into (text, weight): `(a)` x1.1, `[a]` /1.1, `(a:1.3)` x1.3, `\(` is a bracket.

    ("BREAK", -1) stands between chunks.
    """
    parts: list[list[Any]] = []
    rounds: list[int] = []
    squares: list[int] = []

    def multiply(start: int, factor: float) -> None:
        for part in parts[start:]:
            part[1] *= factor

    for match in _EMPHASIS.finditer(prompt):
        text, weight = match.group(0), match.group(1)
        if text.startswith("\\"):
            parts.append([text[1:], 1.0])
        elif text == "(":
            rounds.append(len(parts))
        elif text == "[":
            squares.append(len(parts))
        elif weight is not None and rounds and _number(weight) is not None:
            multiply(rounds.pop(), _number(weight) or 0.0)
        elif text == ")" and rounds:
            multiply(rounds.pop(), _UP)
        elif text == "]" and squares:
            multiply(squares.pop(), _DOWN)
        else:
            for index, piece in enumerate(_BREAK.split(text)):
                parts.extend([["BREAK", -1.0]] if index else [])
                parts.append([piece, 1.0])
    for start in rounds:  # brackets that were never closed count as closed at the end
        multiply(start, _UP)
    for start in squares:
        multiply(start, _DOWN)
    return _merged(parts)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _merged(parts: list[list[Any]]) -> list[tuple[str, float]]:
    merged: list[tuple[str, float]] = []
    for text, weight in parts:
        if text == "BREAK" and weight < 0:
            merged.append(("BREAK", -1.0))
        elif merged and merged[-1][1] == weight and merged[-1][0] != "BREAK":
            merged[-1] = (merged[-1][0] + text, weight)
        else:
            merged.append((text, weight))
    return merged or [("", 1.0)]


def _standard_backend() -> Any:
    """CLIPTokenizer from OpenAI's merges: 256 bytes, the same with `</w>`, 48,894 merges, start and end."""
    import json

    from transformers import CLIPTokenizer

    source = Path(__file__).parents[1] / "scoring" / "clip" / "bpe_simple_vocab_16e6.txt.gz"
    if not source.is_file():
        raise WeightsError(f"{source} is missing: the installation is incomplete. Install sd-webui-hps again.")
    with gzip.open(source, "rt", encoding="utf-8") as stream:
        merges = stream.read().split("\n")[1 : 49152 - 256 - 2 + 1]
    letters = _byte_letters()
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair.split()) for pair in merges)]
    vocabulary = {word: index for index, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
        (Path(folder) / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")
        return CLIPTokenizer.from_pretrained(folder, model_max_length=77)


def _byte_letters() -> list[str]:
    """A visible character for each byte, in the order of CLIP's vocabulary: the printable ones first."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [*map(chr, visible), *(chr(256 + index) for index in range(256 - len(visible)))]
