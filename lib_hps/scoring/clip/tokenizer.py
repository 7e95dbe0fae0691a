"""CLIP's tokenizer: texts to ids (Radford et al. 2021), the same ids as OpenAI's and open_clip's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lib_hps.errors import InputError
from lib_hps.scoring.clip.bpe import OPENAI_MERGES, SPECIAL_TOKENS, BytePairEncoder, read_merges
from lib_hps.scoring.clip.cleaning import CLEANINGS, Cleaning, pattern

if TYPE_CHECKING:
    import torch


class Tokenizer:
    """Texts -> (N, context_length) int64: <start_of_text>, words, <end_of_text>, zeros.

    Args:
        merges_file: a merges file, plain or gzip; None is OpenAI's, which every published CLIP uses.
        context_length: tokens per text; a longer one is cut, its last token then being <end_of_text>.
        cleaning: "clip" for OpenAI's and open_clip's models; "transformers" for what was trained with its tokenizer
            (PickScore), which repairs nothing: ids differ where a prompt has curly quotes, HTML or full-width signs.

    Raises:
        InputError: the merges file cannot be used, or the context is too short for any word.
    """

    def __init__(
        self, merges_file: Path | None = None, context_length: int = 77, *, cleaning: Cleaning = "clip"
    ) -> None:
        if context_length < 2:
            raise InputError(f"context_length must be at least 2, for the start and the end, got {context_length}.")
        self.context_length = context_length
        self._encoder = BytePairEncoder(read_merges(Path(merges_file or OPENAI_MERGES)))
        self._clean = CLEANINGS[cleaning]
        self._pattern = pattern()
        self.start_id, self.end_id = (self._encoder.ids[token] for token in SPECIAL_TOKENS)

    @property
    def vocab_size(self) -> int:
        """How many ids there are; <end_of_text> has the highest."""
        return len(self._encoder.ids)

    def encode(self, text: str, limit: int | None = None) -> list[int]:
        """The ids of a text without start and end; stops early once more than `limit` are known."""
        ids: list[int] = []
        for match in self._pattern.finditer(self._clean(text)):
            ids += self._encoder.word_ids(match.group())
            if limit is not None and len(ids) > limit:
                break
        return ids

    def truncated(self, text: str) -> bool:
        """Whether a call cuts this text because it has more tokens than the context."""
        room = self.context_length - 2
        return len(self.encode(text, room)) > room

    def __call__(self, texts: str | Sequence[str]) -> torch.LongTensor:
        """Ids of the texts, (N, context_length) int64, padded with zeros; one text is a batch of one.

        Raises:
            InputError: something that is not a text.
        """
        import torch

        room = self.context_length - 2
        batch = [texts] if isinstance(texts, str) else list(texts)
        ids = torch.zeros(len(batch), self.context_length, dtype=torch.long)
        for row, text in enumerate(batch):
            if not isinstance(text, str):
                raise InputError(f"A prompt must be text, got {type(text).__name__} at position {row}.")
            tokens = [self.start_id, *self.encode(text, room)[:room], self.end_id]
            ids[row, : len(tokens)] = torch.tensor(tokens)
        return ids  # type: ignore[return-value]
