"""CLIP's byte-pair encoding: a merges file, and words to ids (Sennrich et al. 2016, over bytes as in GPT-2)."""

from __future__ import annotations

import gzip
import heapq
from pathlib import Path

from lib_hps.errors import InputError

WORD_END = "</w>"
SPECIAL_TOKENS = ("<start_of_text>", "<end_of_text>")
OPENAI_MERGES = Path(__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
_MAX_MERGES = 49152 - 256 - 2
_CACHED_WORDS = 1 << 16


def byte_alphabet() -> dict[int, str]:
    """Byte -> printable character, in the order of the vocabulary: printable Latin-1 stands for itself."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def read_merges(path: Path) -> list[tuple[str, str]]:
    """The merges of a file, best first: a header line, then "left right" per line; plain text or gzip.

    Raises:
        InputError: the file cannot be read, or a line is not a pair.
    """
    try:
        data = path.read_bytes()
        lines = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode("utf-8").split("\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the tokenizer merges {path}: {error}. Fetch the file again.") from error
    merges = []
    for number, line in enumerate(lines[1 : _MAX_MERGES + 1], start=2):
        pair = tuple(line.split())
        if len(pair) == 2:
            merges.append(pair)
        elif pair:
            raise InputError(f"{path} line {number}: {line[:80]!r} is not a pair of symbols. Is it a merges file?")
    return merges


class BytePairEncoder:
    """Words to ids. Vocabulary: 256 bytes, the same with the mark of a word's end, merges, two special tokens."""

    def __init__(self, merges: list[tuple[str, str]]) -> None:
        self._alphabet = byte_alphabet()
        letters = list(self._alphabet.values())
        symbols = [*letters, *(letter + WORD_END for letter in letters), *map("".join, merges), *SPECIAL_TOKENS]
        self.ids = {symbol: i for i, symbol in enumerate(symbols)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._cache: dict[str, list[int]] = {token: [self.ids[token]] for token in SPECIAL_TOKENS}

    def word_ids(self, word: str) -> list[int]:
        """The ids of one word of the split text (not to be changed by the caller: it is cached)."""
        found = self._cache.get(word)
        if found is None:
            if len(self._cache) >= _CACHED_WORDS:
                self._cache = {token: [self.ids[token]] for token in SPECIAL_TOKENS}
            found = self._cache[word] = [self.ids[symbol] for symbol in self._merge(word)]
        return found

    def _merge(self, word: str) -> list[str]:
        """Join the pair of lowest rank everywhere, left to right, until no known pair is left.

        A linked list and a heap of ranks instead of a rescan per merge: n log n, so that a pasted page without a
        space cannot hang the host.
        """
        symbols: list[str] = [self._alphabet[byte] for byte in word.encode("utf-8")]
        symbols[-1] += WORD_END
        count = len(symbols)
        right = list(range(1, count + 1))
        left = list(range(-1, count - 1))
        waiting: dict[int, list[int]] = {}  # rank -> where that pair begins
        ranks: list[int] = []

        def note(i: int) -> None:
            rank = self._ranks.get((symbols[i], symbols[right[i]])) if i >= 0 and right[i] < count else None
            if rank is not None:
                if rank not in waiting:
                    waiting[rank] = []
                    heapq.heappush(ranks, rank)
                waiting[rank].append(i)

        for i in range(count - 1):
            note(i)
        while ranks:
            rank = heapq.heappop(ranks)
            joined = []
            for i in sorted(waiting.pop(rank)):
                j = right[i]
                # a place noted earlier may have been joined to a neighbour since; "" marks a symbol that is gone
                if not symbols[i] or j >= count or self._ranks.get((symbols[i], symbols[j])) != rank:
                    continue
                symbols[i] += symbols[j]
                symbols[j] = ""
                right[i] = right[j]
                if right[i] < count:
                    left[right[i]] = i
                joined.append(i)
            for i in joined:
                note(left[i])
                note(i)
        return [symbol for symbol in symbols if symbol]
