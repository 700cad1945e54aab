"""The layer table: what each layer of a network makes of an image, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import torch
from torch import nn

from tui_trainer.anatomy.field import Field
from tui_trainer.anatomy.operations import Call, operation_of, unreached, window_of
from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.anatomy.windows import Window, reduced
from tui_trainer.run.layers import LayerRow

UNUSED = "not used in the forward pass"
"""The name of the row of parameters that no operation reads."""

Shape = tuple[int, int, int]


def layer_table(network: nn.Module, input_shape: Shape) -> tuple[LayerRow, ...]:
    """Run a network once on an empty image and tell of every operation on its way to the scores.

    The network must lie on the CPU. It is run in evaluation mode and left as it was: modes,
    running statistics, hooks and random generators.

    Args:
        network: Maps (1, channels, height, width) to scores (1, classes).
        input_shape: Height, width and channels of the image.

    Returns:
        The input, then a row an operation, in the order in which they are run. The rows'
        parameters add up to those of the network: parameters that are used several times belong to
        the first row that uses them, those that are never used to a last row of their own. After a
        gate that is made of the whole map (squeeze and excite), a field is an upper bound.
    """
    height, width, channels = input_shape
    with torch.no_grad():
        steps = trace(network, torch.zeros(1, channels, height, width))
    names = _names(steps, (path for path, _ in network.named_modules()))
    rows = [_input_row(input_shape)]
    counted: set[int] = set()
    for step, name in zip(steps, names, strict=True):
        rows.append(_row(step, name, _count(step.parameters, counted)))
    if left := _count(network.parameters(), counted):
        rows.append(_unused_row(left))
    return tuple(rows)


def _row(step: Step, name: str, parameters: int) -> LayerRow:
    call, window = step.call, window_of(step.call)
    reach = step.field.reaches if step.field else None
    seen = call.fields or (None,) * len(call.shapes)
    largest, shown = max(zip(call.shapes, seen, strict=True), key=lambda pair: prod(pair[0]))
    return LayerRow(
        name=name,
        kind=_kind(call, step.type, window),
        kernel=_kernel(call.name, window),
        output_shape=_shape(call.result, step.field),
        parameters=parameters,
        type=step.type or call.name,
        input_shape=_shape(largest, shown),
        kernel_size=window.kernel if window else None,
        stride=window.stride if window else None,
        padding=window.padding if window else None,
        dilation=window.dilation if window else None,
        groups=call.arguments.get("groups", 1) if call.is_convolution else 1,
        bias=call.mixes_channels and call.arguments.get("bias") is not None,
        multiply_adds=_multiply_adds(step),
        receptive_field=(reach[0].size, reach[1].size) if reach else None,
        jump=(reach[0].jump, reach[1].jump) if reach else None,
        start=(reach[0].start, reach[1].start) if reach else None,
        undefined=step.undefined,
        unused=unreached(call),
        sources=step.sources,
    )


def _input_row(shape: Shape) -> LayerRow:
    return LayerRow(
        name="input",
        kind="input",
        kernel="",
        output_shape=shape,
        parameters=0,
        receptive_field=(1, 1),
        jump=(1, 1),
        start=(0.0, 0.0),
    )


def _unused_row(parameters: int) -> LayerRow:
    return LayerRow(
        name=UNUSED,
        kind="unused",
        kernel="",
        output_shape=(0, 0, 0),
        parameters=parameters,
        undefined="it is not on the way to the scores",
    )


def _names(steps: Iterable[Step], modules: Iterable[str]) -> list[str]:
    """Return a name for each step: its module's, or that and the function's; numbered if needed."""
    taken = {"input", *modules}
    names: list[str] = []
    for step in steps:
        name = step.module if step.type else f"{step.module}.{step.call.name}".lstrip(".")
        free, number = name, 1
        while free in names or (free in taken and not (step.type and number == 1)):
            number += 1
            free = f"{name}_{number}"
        names.append(free)
    return names


def _count(parameters: Iterable[nn.Parameter], counted: set[int]) -> int:
    """Return how many numbers there are in those not yet counted, and count them."""
    new = {id(p): p.numel() for p in parameters if id(p) not in counted}
    counted.update(new)
    return sum(new.values())


def _multiply_adds(step: Step) -> int:
    call = step.call
    return _count(step.parameters, set()) * (call.places if call.is_convolution else 1)


def _kind(call: Call, module: str, window: Window | None) -> str:
    operation, name = operation_of(call.name), call.name
    if name == "conv2d" and call.arguments.get("groups", 1) == call.shapes[0][-3] > 1:
        return "depthwise"
    if name == "identity":  # in evaluation, what hides features does nothing
        return "dropout" if "drop" in module.lower() or "stochastic" in module.lower() else name
    if operation.window is reduced and window is None:
        return name
    if operation.kind == "flatten" and name != "flatten" and len(call.result) > 2:
        return name
    return operation.kind


def _kernel(name: str, window: Window | None) -> str:
    """Return kernel, stride and dilation as text; a pool's stride is its kernel unless told."""
    if window is None:
        return ""
    text = _pair(window.kernel, always=True)
    if window.stride != ((1, 1) if name == "conv2d" else window.kernel):
        text += f" /{_pair(window.stride)}"
    return text + (f" ·{_pair(window.dilation)}" if window.dilation != (1, 1) else "")


def _pair(pair: tuple[int, int], *, always: bool = False) -> str:
    return f"{pair[0]}×{pair[1]}" if always or pair[0] != pair[1] else str(pair[0])


def _shape(shape: tuple[int, ...], field: Field | None) -> Shape:
    """Return height, width and channels; 1, 1, n where they are not apart."""
    if len(shape) != 4:
        return 1, 1, prod(shape[1:]) if len(shape) > 1 else prod(shape)
    down, across = (field.down.dim, field.across.dim) if field else (-2, -1)
    if down == across or min(down, across) < -3:
        down, across = -2, -1
    return shape[down], shape[across], prod(shape[1:]) // (shape[down] * shape[across])
