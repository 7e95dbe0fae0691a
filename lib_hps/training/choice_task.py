"""Training a classifier on choices, as a task of the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lib_hps.ranking import Ranking
from lib_hps.training.choice_model import ChoiceModel
from lib_hps.training.engine_task import Task
from lib_hps.training.feature_reader import FeatureReader
from lib_hps.training.losses import PreferenceLoss, preference_loss

if TYPE_CHECKING:
    from lib_hps.training.feature_cache import FeatureCache


@dataclass(frozen=True)
class TrainingChoice:
    """A prompt, its pictures, and how they rank."""

    prompt: str
    images: tuple[Path, ...]
    ranking: Ranking


@dataclass(frozen=True)
class Example:
    """A choice as the model takes it: (n, ...) of `ChoiceModel.image_below`, (L, ...) of `text_below`."""

    images: torch.Tensor
    text: torch.Tensor
    end: int
    ranking: Ranking


class ChoiceInputs:
    """Turns files and prompts into what the trained part takes; the frozen part's results are kept.

    Args:
        model: gives the frozen part, on its device.
        pixels: picture file -> normalised pixels (3, S, S).
        tokens: prompt -> (L,) tokens, cut behind <end_of_text>, which is the largest.
        cache: where results are kept; None computes them every time.
    """

    def __init__(
        self,
        model: ChoiceModel,
        pixels: Callable[[Path], torch.Tensor],
        tokens: Callable[[str], torch.Tensor],
        cache: FeatureCache | None,
    ) -> None:
        self._model, self._tokens = model, tokens
        self._reader = FeatureReader(pixels, self._below, cache)
        self.image = self._reader.read
        self.fill = self._reader.fill

    def text(self, prompt: str) -> tuple[torch.Tensor, int]:
        """(L, D) of the frozen part (or (L,) tokens), and the position of its end."""
        tokens = self._tokens(prompt)
        with torch.inference_mode():
            below = self._model.text_below(tokens[None].to(self._model.clip.device))[0]
        return below.cpu(), int(tokens.argmax())

    def _below(self, pixels: torch.Tensor) -> torch.Tensor:
        clip = self._model.clip
        return self._model.image_below(pixels.to(clip.device, clip.dtype)).detach().cpu()


class ChoiceTask(Task):
    """Teaches a `ChoiceModel` the choices of a data set.

    Args:
        model: on the device where it will be trained.
        inputs: of that model.
        choices: to learn from; each has a candidate that is preferred.
        validation: to decide which weights are best; may be empty.
        loss: see `preference_loss`.
    """

    def __init__(
        self,
        model: ChoiceModel,
        inputs: ChoiceInputs,
        choices: Sequence[TrainingChoice],
        validation: Sequence[TrainingChoice],
        *,
        loss: PreferenceLoss,
    ) -> None:
        self.model: ChoiceModel = model
        self._inputs, self._choices, self._validation, self._loss = inputs, choices, validation, loss

    @property
    def count(self) -> int:
        """See `Task.count`."""
        return len(self._choices)

    def load(self, index: int, generator: torch.Generator) -> Example:
        """See `Task.load`; the candidates come in a random order, so that places teach nothing."""
        choice = self._choices[index]
        order = torch.randperm(len(choice.images), generator=generator).tolist()
        return self._example(choice, order)

    def collate(self, examples: Sequence[Example]) -> Any:
        """See `Task.collate`."""
        length = max(len(example.text) for example in examples)
        texts = [_padded(example.text, length) for example in examples]
        prompt_of = [row for row, example in enumerate(examples) for _ in range(len(example.images))]
        return (
            torch.cat([example.images for example in examples]),
            torch.stack(texts),
            torch.tensor([example.end for example in examples]),
            torch.tensor(prompt_of),
            [example.ranking for example in examples],
        )

    def loss(self, model: torch.nn.Module, batch: Any, device: torch.device) -> tuple[torch.Tensor, dict[str, float]]:
        """See `Task.loss`."""
        *tensors, rankings = batch
        scores = model(*_placed(tensors, self.model, device))
        return preference_loss(scores.float(), rankings, self._loss), {"pairwise": pairwise_accuracy(scores, rankings)}

    def evaluate(self) -> dict[str, float]:
        """Loss, top-1 and pairwise accuracy on the validation choices; "value" is minus the loss."""
        if not self._validation:
            return {}
        device = self.model.clip.device
        scores, rankings = [], []
        with torch.inference_mode():
            for choice in self._validation:
                *tensors, ranking = self.collate([self._example(choice, list(range(len(choice.images))))])
                scores.append(self.model(*_placed(tensors, self.model, device)).float().cpu())
                rankings += ranking
            flat = torch.cat(scores)
            loss = float(preference_loss(flat, rankings, self._loss))
        return {
            "value": -loss,
            "loss": loss,
            "top-1": top_1_accuracy(flat, rankings),
            "pairwise": pairwise_accuracy(flat, rankings),
        }

    def _example(self, choice: TrainingChoice, order: list[int]) -> Example:
        place = {old: new for new, old in enumerate(order)}
        ranking = choice.ranking.shown_as([place[i] for i in range(len(order))])
        images = torch.stack([self._inputs.image(choice.images[old]) for old in order])
        text, end = self._inputs.text(choice.prompt)
        return Example(images, text, end, ranking)


def pairwise_accuracy(scores: torch.Tensor, rankings: Sequence[Ranking]) -> float:
    """Share of the edges of all choices that the scores agree with; equal scores count half."""
    right = total = 0.0
    for part, ranking in zip(scores.detach().cpu().split([r.count for r in rankings]), rankings, strict=True):
        values = part.tolist()
        for better, worse in ranking.edges:
            right += 0.5 * ((values[better] > values[worse]) + (values[better] >= values[worse]))
            total += 1
    return right / total if total else float("nan")


def top_1_accuracy(scores: torch.Tensor, rankings: Sequence[Ranking]) -> float:
    """Share of the choices whose highest score is a candidate that nobody beats."""
    parts = scores.detach().cpu().split([ranking.count for ranking in rankings])
    right = [int(part.argmax()) in ranking.best() for part, ranking in zip(parts, rankings, strict=True)]
    return sum(right) / len(right) if right else float("nan")


def _padded(text: torch.Tensor, length: int) -> torch.Tensor:
    """Zeros behind the end: the tower is causal, they cannot reach it."""
    return torch.cat([text, text.new_zeros((length - len(text), *text.shape[1:]))])


def _placed(tensors: Sequence[torch.Tensor], model: ChoiceModel, device: torch.device) -> list[torch.Tensor]:
    """On the device, kept features in the model's own precision again."""
    return [t.to(device, model.clip.dtype) if t.is_floating_point() else t.to(device) for t in tensors]
