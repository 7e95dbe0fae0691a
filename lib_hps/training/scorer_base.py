"""What a classifier starts from: a CLIP, and everything that is needed to write and score with what becomes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_hps.errors import InputError
from lib_hps.scoring.classifier_file import MERGES_KEY, ScorerCard, make_tokenizer, read_card, write_classifier
from lib_hps.scoring.images import Preprocess, open_image

if TYPE_CHECKING:
    import torch

    from lib_hps.scoring.clip.model import Clip


@dataclass(frozen=True)
class Base:
    """A start model.

    Attributes:
        name: as the user gave it.
        path: its weights.
        digest: of the file.
        clip: on the CPU, fp32.
        card: how it scores.
    """

    name: str
    path: Path
    digest: str
    clip: Clip
    card: ScorerCard
    metadata: Mapping[str, str]

    @property
    def preprocess(self) -> Preprocess:
        """How its pictures become square."""
        return Preprocess(self.clip.config.vision.image_size, self.card.preprocess, self.card.mean, self.card.std)

    def pixels(self, path: Path) -> torch.Tensor:
        """A picture as the image tower takes it: (3, S, S) float32, normalised.

        Raises:
            InputError: it cannot be read.
        """
        import torch

        from lib_hps.scoring.preprocess import normalise

        return normalise(self.square(path)[None], self.preprocess, dtype=torch.float32)[0]

    def square(self, path: Path) -> torch.Tensor:
        """A picture as `describe` takes it: (3, S, S), uint8 or float32 in 0..1.

        Raises:
            InputError: it cannot be read.
        """
        import torch

        preprocess = self.preprocess
        return torch.from_numpy(preprocess(open_image(path, wanted_px=preprocess.size_px)))

    def tokens(self) -> Any:
        """prompt -> (L,) tokens, cut behind <end_of_text>."""
        tokenizer = make_tokenizer(self.path, self.card, self.metadata, self.clip.config.text.context_length)

        def cut(prompt: str) -> torch.Tensor:
            whole = tokenizer([prompt])[0]
            return whole[: int(whole.argmax()) + 1]

        return cut

    def write(self, path: Path, tensors: Mapping[str, torch.Tensor], *, name: str, extra: Mapping[str, Any]) -> Path:
        """Write what became of it, with its tokenizer inside, so that the file is all that scoring needs.

        Raises:
            StorageError: the file cannot be written.
        """
        import tempfile

        tokenizer = "openai" if self.card.tokenizer == "openai" else "embedded"
        kept = {key: value for key, value in self.card.extra.items() if key == "licence"}
        scale = "logit" if "head" in extra else self.card.scale
        card = replace(self.card, name=name, version="1", tokenizer=tokenizer, scale=scale, extra={**kept, **extra})
        with tempfile.TemporaryDirectory(prefix="hps-") as folder:
            merges: Path | None = None
            if self.card.tokenizer == "embedded":
                merges = Path(folder) / "merges.txt"
                merges.write_text(self.metadata[MERGES_KEY], encoding="utf-8")
            elif tokenizer == "embedded":
                merges = self.path.parent / self.card.tokenizer
            return write_classifier(path, tensors, config=self.clip.config, card=card, merges_file=merges)


def load_base(name: str, weights: Path | None = None) -> Base:
    """A start model by the name of a scorer, or by its file.

    Args:
        weights: the file of a scorer, or of `clip:<architecture>/<training>`.

    Raises:
        InputError: not a CLIP scorer, or a classifier that has a head already.
        WeightsError, DownloadError: see `load_scorer`.
    """
    from lib_hps.scoring.checkpoints import load_clip, read_header
    from lib_hps.scoring.clip_family import entry_of_architecture
    from lib_hps.scoring.registry import REGISTRY, Entry, entry_for, entry_for_file
    from lib_hps.scoring.weights import find_trained, obtain_weights

    entry: Entry | None = None
    path = Path(name).expanduser()
    if weights is not None:
        entry = entry_of_architecture(name, weights) if name.startswith("clip:") else entry_for(name)
        path = obtain_weights(entry, weights) if entry else weights
    elif name in REGISTRY or not path.is_file():
        trained = find_trained(name) if name not in REGISTRY else None
        entry = None if trained else entry_for(name)
        path = trained or obtain_weights(entry_for(name))
    metadata = read_header(path).metadata if path.suffix == ".safetensors" else {}
    card = read_card(path, metadata)
    if card is None:
        entry = entry or entry_for_file(path)
        if entry is None or entry.family != "clip":
            raise InputError(
                f"{name} is no CLIP that can be trained. Take tiny-hps, hps-v2.1, pickscore, or a clip:... with a ViT "
                "or OpenAI's ResNet, its file under --weights."
            )
        card = ScorerCard(name=entry.name, preprocess=entry.preprocess, scale=entry.scale)
    if "head" in card.extra:
        raise InputError(f"{name} has a head already. Train from what it was trained from: {card.extra.get('base')}.")
    clip = load_clip(path, quick_gelu=bool(entry and entry.quick_gelu))
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256") if hasattr(hashlib, "file_digest") else None
        hexdigest = digest.hexdigest() if digest else hashlib.sha256(stream.read()).hexdigest()
    return Base(name, path, hexdigest, clip, card, metadata)
