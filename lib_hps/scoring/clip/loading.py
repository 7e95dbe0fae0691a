"""A CLIP from tensors already read: layout, architecture, a fit that names what is wrong, and one copy in memory."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from lib_hps.errors import InputError, WeightsError
from lib_hps.scoring.clip.config import ClipConfig, config_from_state_dict
from lib_hps.scoring.clip.layouts import to_open_clip_layout
from lib_hps.scoring.clip.model import Clip


def _misfit(model: Clip, tensors: Mapping[str, torch.Tensor]) -> str:
    """What keeps `tensors` from fitting `model`, a few names of each kind; empty where they fit."""
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    kinds = {
        "missing": [name for name in wanted if name not in given],
        "unexpected": [name for name in given if name not in wanted],
        "of another shape": [
            f"{name} {given[name]} instead of {shape}"
            for name, shape in wanted.items()
            if given.get(name, shape) != shape
        ],
    }
    texts = [
        f"{len(names)} {kind}: {', '.join(names[:3])}{', ...' if names[3:] else ''}"
        for kind, names in kinds.items()
        if names
    ]
    return "; ".join(texts)


def clip_from_tensors(
    tensors: Mapping[str, torch.Tensor],
    *,
    quick_gelu: bool,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    config: ClipConfig | None = None,
    source: str = "These weights",
) -> Clip:
    """A CLIP in evaluation mode that takes over `tensors` (any published layout) without copying what fits as it is.

    Args:
        tensors: a state dict; left as it is.
        quick_gelu: the activation, unless `config` says it.
        device: where the towers go.
        dtype: in which they compute; None is fp32. `logit_scale` stays fp32: its exponential needs the digits.
        config: the architecture; None infers it.
        source: what an error calls the weights, such as the file's path.

    Raises:
        WeightsError: the architecture does not fit; names keys and shapes.
    """
    named = to_open_clip_layout(tensors)
    try:
        config = config or config_from_state_dict(named, quick_gelu=quick_gelu)
    except InputError as error:
        some = ", ".join(list(tensors)[:3])
        raise WeightsError(f"{source} is not a CLIP that this project can load: {error} It has {some}, ...") from error
    with torch.device("meta"):
        model = Clip(config)
    for name in model.state_dict():  # some converters drop the counters of the batch norms, which scoring never reads
        if name.endswith("num_batches_tracked"):
            named.setdefault(name, torch.zeros((), dtype=torch.int64))
    misfit = _misfit(model, named)
    if misfit:
        raise WeightsError(f"{source} has another architecture than expected: {misfit}. Choose the matching scorer.")
    model.load_state_dict(named, assign=True)
    scale = named.pop("logit_scale").detach().to(device=device, dtype=torch.float32)
    named.clear()
    model.to(device=device, dtype=dtype or torch.float32)
    model.logit_scale.data = scale
    return model.eval()
