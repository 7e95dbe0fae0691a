"""Captions to what the UNet is conditioned on: one chunk of 77 tokens, kept on disk unless the encoder is trained.

Shapes: B batch, T towers, D the towers' widths together.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from lib_hps.scoring.prompts import clean_prompt

if TYPE_CHECKING:
    from lib_hps.diffusion.loading import TextTower
    from lib_hps.training.feature_cache import FeatureCache

log = logging.getLogger(__name__)

_TOKENS = 75  # between start and end
_IN_MEMORY = 2048


class Text(NamedTuple):
    """What the UNet is conditioned on.

    Attributes:
        context: (B, 77, D).
        pooled: (B, P) for SDXL, (B, 0) otherwise.
    """

    context: torch.Tensor
    pooled: torch.Tensor


def embed(models: Sequence[torch.nn.Module], tokens: torch.Tensor) -> Text:
    """Encode (B, T, 77) tokens with T towers: the last layer of one, the penultimate ones of two.

    An empty caption of SDXL is all zeros, as in the WebUI and in the model's training; `Captions` sees to that.
    """
    contexts, pooled = [], tokens.new_zeros((len(tokens), 0), dtype=torch.float32)
    for number, model in enumerate(models):
        out = model(input_ids=tokens[:, number], output_hidden_states=len(models) > 1)
        contexts.append(out.hidden_states[-2] if len(models) > 1 else out.last_hidden_state)
        if getattr(out, "text_embeds", None) is not None:
            pooled = out.text_embeds
    return Text(torch.cat(contexts, dim=-1), pooled)


class Captions:
    """Tokens and embeddings of captions.

    Args:
        towers: of the base model, on its device.
        cache: where embeddings are kept; None computes them every time.
    """

    def __init__(self, towers: Sequence[TextTower], cache: FeatureCache | None) -> None:
        self._towers, self._cache = towers, cache
        self._recent: OrderedDict[str, Text] = OrderedDict()
        self._has_warned = False

    def tokens(self, caption: str) -> torch.Tensor:
        """(T, 77) of a caption without the WebUI's syntax; what is longer is cut, as the papers do."""
        text = clean_prompt(caption)
        rows = []
        for tower in self._towers:
            ids = tower.tokenizer.ids(text)
            if len(ids) > _TOKENS and not self._has_warned:
                self._has_warned = True
                log.warning("Captions are cut behind %d tokens, first %r.", _TOKENS, text[:60])
            ids = ids[:_TOKENS]
            padding = [tower.tokenizer.pad_id] * (_TOKENS - len(ids))
            rows.append([tower.tokenizer.start_id, *ids, tower.tokenizer.end_id, *padding])
        return torch.tensor(rows)

    def embedding(self, caption: str) -> Text:
        """(77, D) and (P,) of one caption, on the CPU, float32."""
        if caption not in self._recent:
            self._recent[caption] = self._found(caption)
            if len(self._recent) > _IN_MEMORY:
                self._recent.popitem(last=False)
        return self._recent[caption]

    def _found(self, caption: str) -> Text:
        name = hashlib.sha256(caption.encode()).hexdigest()
        kept = None if self._cache is None else self._cache.find(name)
        if kept is None:
            text = self._computed(caption)
            flat = torch.cat([text.context.flatten(), text.pooled.flatten()])
            kept = flat if self._cache is None else self._cache.keep(name, flat)
        width = self.width
        context, pooled = kept.float().split([77 * width, len(kept) - 77 * width])
        return Text(context.reshape(77, width), pooled)

    @property
    def width(self) -> int:
        """D."""
        return sum(int(tower.model.config.hidden_size) for tower in self._towers)

    def _computed(self, caption: str) -> Text:
        models = [tower.model for tower in self._towers]
        with torch.inference_mode():
            device = next(models[0].parameters()).device
            text = embed(models, self.tokens(caption)[None].to(device))
        context, pooled = text.context[0].float().cpu(), text.pooled[0].float().cpu()
        if not caption and len(self._towers) > 1:
            return Text(torch.zeros_like(context), torch.zeros_like(pooled))
        return Text(context, pooled)
