"""torch.compile of a UNet in regions: each transformer and residual block by itself.

Equal blocks share their code, so a UNet is ready several times sooner than when it is compiled whole, and what differs
between steps (shapes of buckets, the adapter switched off for dpo's reference) compiles a block anew, not all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from lib_hps.errors import InputError

if TYPE_CHECKING:
    from lib_hps.training.lora.adapter import Adapter
    from lib_hps.training.lora.base_task import Example, LoraTask

_BLOCKS = ("BasicTransformerBlock", "ResnetBlock2D")
_VARIANTS = 512
_ROUNDING = {torch.float32: 0.05, torch.bfloat16: 0.2, torch.float16: 0.2}
"""Of a weight's gradient, by the UNet's type: on tiny-sd 2e-5 were seen in fp32 and 0.06 in bf16."""


class CompiledBlocks:
    """The blocks of a UNet, compiled in place when they first run.

    Args:
        unet: with the adapter in it; None: nothing is compiled.
    """

    def __init__(self, unet: torch.nn.Module | None) -> None:
        modules = unet.modules() if unet is not None else ()
        self._blocks = [module for module in modules if type(module).__name__ in _BLOCKS]
        if self._blocks:
            _allow_variants()
        for block in self._blocks:
            block._compiled_call_impl = _of_contiguous(torch.compile(block._call_impl))

    @contextmanager
    def off(self) -> Iterator[None]:
        """The blocks as they were: for pictures, which are few and of other shapes than what is trained on."""
        kept = [block._compiled_call_impl for block in self._blocks]
        for block in self._blocks:
            block._compiled_call_impl = None
        try:
            yield
        finally:
            for block, compiled in zip(self._blocks, kept, strict=True):
                block._compiled_call_impl = compiled

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def check(self, task: LoraTask, adapter: Adapter, batch: Example, autocast: Callable[[], object]) -> None:
        """Compare the gradients of a batch with those of the blocks as they were; they are thrown away.

        Meanwhile the adapter's weights are random: at its beginning half of the gradients are zero, wrong or not.

        Raises:
            InputError: they differ by more than rounding.
        """
        with _random_weights(adapter):
            with self.off():
                wanted = _gradients(task, adapter, batch, autocast)
            found = _gradients(task, adapter, batch, autocast)
        largest = _ROUNDING[task.model.unet.dtype]
        least = 1e-3 * max(float(gradient.norm()) for gradient in wanted)
        wrong = sum(
            not float((one - other).norm()) <= largest * float(one.norm()) + least
            for one, other in zip(wanted, found, strict=True)
        )
        if wrong:
            raise InputError(
                f"torch.compile gives other gradients than the UNet itself in {wrong} of {len(wanted)} weights of the "
                "adapter. Train without compile, or with another version of torch."
            )


@contextmanager
def explained() -> Iterator[None]:
    """Says in one sentence that torch could not compile, as where a compiler is missing.

    Raises:
        InputError: in its place.
    """
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        first = str(error).strip().splitlines()[:1]
        raise InputError(
            f"torch.compile does not work here ({', '.join(first) or type(error).__name__}). It needs a C++ compiler "
            "on a CPU and Triton on a GPU; without them train without compile."
        ) from error


def _allow_variants() -> None:
    """torch runs a function as it is once it has compiled it eight times, and all blocks of a class are one function.

    SD1.5's residual blocks have twelve shapes by themselves. The trainer is a process of its own.
    """
    import torch._dynamo.config as limits

    for name in ("cache_size_limit", "accumulated_cache_size_limit"):
        if hasattr(limits, name):  # torch 2.1 has only the first
            setattr(limits, name, max(_VARIANTS, getattr(limits, name)))


def _of_contiguous(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """Tokens in one piece: with those of one example, permuted from an image, torch 2.13 (CPU) gets gradients wrong."""

    def call(hidden: torch.Tensor, *more: Any, **named: Any) -> Any:
        return compiled(hidden.contiguous() if hidden.ndim == 3 else hidden, *more, **named)

    return call


@contextmanager
def _random_weights(adapter: Adapter) -> Iterator[None]:
    """Seeded; what was there comes back to the bit."""
    generator = torch.Generator().manual_seed(0)
    kept = [parameter.detach().clone() for parameter in adapter.parameters()]
    try:
        for parameter in adapter.parameters():
            parameter.data.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
        yield
    finally:
        for parameter, value in zip(adapter.parameters(), kept, strict=True):
            parameter.data.copy_(value)


def _gradients(task: LoraTask, adapter: Adapter, batch: Example, autocast: Callable[[], object]) -> list[torch.Tensor]:
    parameters = list(adapter.parameters())
    task.model.train()
    with autocast():  # type: ignore[attr-defined]
        loss, _ = task.loss(task.model, batch, parameters[0].device)
    loss.backward()
    found = [torch.zeros_like(p) if p.grad is None else p.grad.detach().clone() for p in parameters]
    task.model.zero_grad(set_to_none=True)
    return found
