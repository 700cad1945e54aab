"""What a model does to its input before the first weights, and to hidden units by a softmax."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.calls import CONVOLUTIONS, RECURRENT
from tui_trainer.anatomy.trace import Step, trace_steps
from tui_trainer.models.tensors import tensors_in

WEIGHTED = frozenset(
    {*CONVOLUTIONS, *RECURRENT, "linear", "multi_head_attention_forward", "matmul", "mm", "addmm"}
)
"""Operations with weights."""

MIXING = frozenset({"mul", "matmul", "mm", "bmm", "einsum", "sum", "mean", "softmax"})
"""Operations by which a softmax is a weighting (attention, gating), and no layer of units."""


@torch.no_grad()
def first_input(model: nn.Module, images: Tensor) -> Tensor | None:
    """Return the input of the first operation with weights, in evaluation mode; None if unknown.

    Args:
        model: Maps (N, channels, H, W) to logits.
        images: Its input.
    """
    found: list[Tensor | None] = []

    def execute(
        name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        if name in WEIGHTED and not found:
            read = [*tensors_in((args, kwargs))]
            inputs = [t for t in read if not isinstance(t, nn.Parameter)]
            if inputs and inputs[0].ndim >= 2 and len(inputs[0]) == len(images):
                found.append(inputs[0].detach().clone())
            elif len(inputs) < len(read):
                found.append(None)
        return function(*args, **kwargs)

    trace_steps(model, images, execute)
    first = found[0] if found else None
    return first if first is not None and first.is_floating_point() else None


@torch.no_grad()
def hidden_softmax(model: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Return the modules with a softmax over hidden units, whose results go into other weights.

    A softmax whose result is multiplied with other features is attention or gating.
    """
    steps = trace_steps(model, images)
    return tuple(
        step.module or "softmax"
        for place, step in enumerate(steps, 1)
        if step.call.name in ("softmax", "log_softmax")
        and _is_over_units(step)
        and _feeds_weights(steps, place)
    )


def _is_over_units(step: Step) -> bool:
    """Return whether a softmax runs over the units of each image, not over positions."""
    count = len(step.call.result)
    dim = step.call.arguments.get("dim")
    if not isinstance(dim, int):  # torch's default
        return count in (2, 4)
    return dim % count == 1 or (count == 3 and dim % count == 2)


def _feeds_weights(steps: Sequence[Step], place: int) -> bool:
    reached = {place}
    for at, step in enumerate(steps[place:], place + 1):
        if reached.isdisjoint(step.sources):
            continue
        if step.call.name in WEIGHTED and step.parameters and len(step.sources) == 1:
            return True
        if step.call.name not in MIXING:
            reached.add(at)
    return False
