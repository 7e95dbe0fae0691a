"""The WebUI as the board wants it: what it offers at any time, and what it draws while Generate is pressed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from modules import paths, processing, sd_samplers, shared
from PIL import Image

from lib_hps.board.host import Arrived, FinalOrder, Item, Order, ScorerLine, Step
from lib_hps.errors import InputError
from lib_hps.noise import NoiseRecipe

from . import features, scorers
from .pictures import Picture
from .rank_draw import Wish, batch_size, draw_batch, drawn_over, with_second_pass, without_second_pass
from .rank_options import NOISE_KEY
from .rank_settings import model_name
from .scorers import ScorerHolder

_REAL_STRENGTH, _TINY_STRENGTH = 0.4, 0.2
_REAL_PX = 512


class WebUIHost:
    """What the board may ask at any time; pictures come with a press of the host's own Generate."""

    draws_itself = False
    finishes_itself = False

    def __init__(self, holder: ScorerHolder) -> None:
        self._holder = holder

    @property
    def final_strength(self) -> float:
        """How much hires fix may change: little where the model knows small pictures only."""
        return _TINY_STRENGTH if features.is_tiny_model() else _REAL_STRENGTH

    def defaults(self) -> dict[str, Any]:
        """Settings of a session that is begun without a press of Generate."""
        side = 8 * (features.native_cells() or _REAL_PX // 8)
        return {
            "negative": "",
            "sampler": self.samplers()[0],
            "model": model_name(),
            "steps": 20,
            "width": side,
            "height": side,
            "cfg": 7.0,
        }

    def samplers(self) -> list[str]:
        """As in the form."""
        return [sampler.name for sampler in sd_samplers.visible_samplers()]

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """The form decides what is drawn; nothing to refuse here."""

    def scorers(self) -> list[ScorerLine]:
        """The default first, then those that can score now, then the rest."""
        ready = {info.name: info.is_available for info in scorers.infos()}
        ready |= dict.fromkeys(scorers.trained_files(), True)
        first = scorers.default_scorer()
        names = sorted(ready, key=lambda name: (name != first or not ready[name], not ready[name]))
        return [ScorerLine(name, ready[name]) for name in names]

    def score(self, scorer: str, pictures: Sequence[Path], prompt: str) -> list[float]:
        """Scores by one scorer; Interrupt ends a download."""
        shared.state.textinfo = f"{scorer} looks at {len(pictures)} pictures"
        images = []
        for path in pictures:
            with Image.open(path) as opened:
                images.append(opened.convert("RGB"))
        return self._holder.score(scorer, images, [prompt] * len(images))

    def draw(self, order: Order) -> Generator[Step | Arrived, None, None]:
        """Never called: see `Press`."""
        raise InputError("In the WebUI pictures are drawn by Generate. Press that.")

    def finish(self, order: FinalOrder) -> Generator[Step | Arrived, None, None]:
        """Never called: see `Press`."""
        raise InputError("In the WebUI pictures are drawn by Generate. Press that.")

    def keep(self, picture: Path) -> Path | None:
        """The host saves by itself."""
        return None


class PressedHost(WebUIHost):
    """The same while Generate is pressed: draws with the form that was sent.

    Args:
        p: the host's processing object.

    Attributes:
        drawn: pictures of this press by recipe, as the host made them.
        final: the winner at its full size.
        additions: pictures that other extensions added.
    """

    draws_itself = True
    finishes_itself = True

    def __init__(self, holder: ScorerHolder, p: Any) -> None:
        super().__init__(holder)
        processing.fix_seed(p)
        self._p = p
        self.drawn: dict[str, Picture] = {}
        self.final: Picture | None = None
        self.additions: list[Image.Image] = []

    def jobs(self, pictures: int) -> int:
        """How many the host counts for so many pictures."""
        return math.ceil(pictures / batch_size(self._p))

    def _wish(self, item: Item, seed: int) -> Wish:
        said = {key: value for key, value in item.infotext.items() if key != NOISE_KEY}
        return Wish(NoiseRecipe.parse(item.recipe), seed, int(self._p.subseed), said)

    def draw(self, order: Order) -> Generator[Step | Arrived, None, None]:
        """Draw a round batch by batch, at the first pass's size; what Interrupt or Skip cut short does not arrive."""
        for number, items in enumerate(_batches(order.items, batch_size(self._p))):
            if features.should_stop():
                break
            wishes = [self._wish(item, order.seed) for item in items]
            made = draw_batch(self._p, wishes, change=without_second_pass)
            self.additions += made.additions
            for place, picture in made.pictures.items():
                item = items[place]
                self.drawn[item.recipe] = picture
                yield Arrived(item.index, picture.image, picture.infotext)
            yield Step(min(1.0, (number + 1) * batch_size(self._p) / len(order.items)))

    def finish(self, order: FinalOrder) -> Generator[Step | Arrived, None, None]:
        """The winner again from its recipe, through hires fix; in img2img a pass over the picture itself."""
        if hasattr(self._p, "init_images"):
            with Image.open(order.picture) as opened:
                change = drawn_over(opened.convert("RGB"), order.width, order.height, order.strength)
        else:
            change = with_second_pass(order.width, order.height, order.strength)
        made = draw_batch(self._p, [self._wish(order.item, order.seed)], change=change)
        self.additions += made.additions
        for picture in made.pictures.values():
            self.final = picture
            yield Arrived(order.item.index, picture.image, picture.infotext)
        yield Step(1.0)

    def keep(self, picture: Path) -> Path | None:
        """Where the host has saved the winner, below its data folder where it lies there."""
        saved = getattr(self.final.image, "already_saved_as", None) if self.final else None
        if not saved:
            return None
        full, data = Path(saved).absolute(), Path(paths.data_path).absolute()
        return full.relative_to(data) if full.is_relative_to(data) else full


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    stream = iter(items)
    while some := list(itertools.islice(stream, size)):
        yield some
