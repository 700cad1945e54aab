"""The layer table: shapes, receptive field, parameters and cost of each layer of a model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tui_trainer.anatomy import propagation
from tui_trainer.anatomy.calls import Call
from tui_trainer.anatomy.field import Field
from tui_trainer.anatomy.model_state import preserve_model_state
from tui_trainer.anatomy.multiply_adds import Counter, StepCounter
from tui_trainer.anatomy.operations import operation_of, unreached, window_of
from tui_trainer.anatomy.sliding import Window, reduced_window
from tui_trainer.anatomy.trace import Step, cached_folding, folded, trace_steps
from tui_trainer.models.input_spec import ImageShape, InputSpec
from tui_trainer.models.rng import noise
from tui_trainer.models.unused import used_in_training
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text.fmt import one_line

UNUSED = "not used in the forward pass"
"""The name of the row for parameters that no operation reads."""

TRAINING_ONLY = "used only in training mode"
"""The name of the row for parameters that operations read in training mode only."""

Shape = ImageShape


def layer_table(model: nn.Module, input_shape: Shape | InputSpec) -> tuple[LayerRow, ...]:
    """Run a model once on a noise image, and return every operation between image and logits.

    The model must be on the CPU. It runs in evaluation mode and is left unchanged: modes, running
    statistics, attributes, hooks and random state.

    Args:
        model: Maps (N, channels, height, width) to logits (N, classes).
        input_shape: Height, width and channels of the image, or an input of any shape.

    Returns:
        The input, then one row per operation in execution order; a loop that repeats many times has
        one row per operation of its body. The rows' parameters add up to the model's: shared
        parameters count in the first row that uses them, unused ones in a separate last row. After
        a gate computed from the whole map (squeeze-and-excitation), a field is an upper bound.

    Raises:
        Exception: An exception of the model's forward.
    """
    try:
        steps, work = _traced(model, input_shape, images=1)
    except Exception:  # some models cannot take a batch of one
        steps, work = _traced(model, input_shape, images=2)
    names = _names(steps, (path for path, _ in model.named_modules()))
    rows = [_input_row(input_shape)]
    counted: set[int] = set()
    for step, name, done in zip(steps, names, work, strict=True):
        row = _row(step, name, _count(step.parameters, counted), done)
        rows.append(replace(row, momentum=_momentum(model, step)))
    left = [p for p in model.parameters() if id(p) not in counted]
    if sum(p.numel() for p in left):
        trained = used_in_training(model, _noise(input_shape, images=2))
        rows += _unused_rows(left, trained, counted)
    return tuple(rows)


def multiply_adds_of(model: nn.Module, input_shape: Shape | InputSpec) -> int:
    """Return the multiply-adds of a model that cannot be traced, without biases; 0 if unknown."""
    counter = Counter()
    try:
        with torch.no_grad(), preserve_model_state(model, torch.device("cpu")), counter:
            model(_noise(input_shape, images=2))
    except Exception:  # it runs, but not under a dispatch mode
        return 0
    return counter.total // 2


def _noise(input_shape: Shape | InputSpec, images: int) -> Tensor:
    if isinstance(input_shape, InputSpec):
        return input_shape.noise(images)
    height, width, channels = input_shape
    return noise(images, channels, height, width)


def _traced(
    model: nn.Module, input_shape: Shape | InputSpec, images: int
) -> tuple[list[Step], list[int]]:
    """Return a model's rows as steps, and the multiply-adds of each row for one image."""
    image = _noise(input_shape, images)
    work = StepCounter()
    with torch.no_grad(), work.counter:
        steps = trace_steps(model, image, work.execute, work.reached)
    plan = cached_folding(model, image, steps)
    sums = [sum(work.of_steps[step] for step in members) for members in plan.rows]
    return folded(steps, plan), [total // images for total in sums]


def _row(step: Step, name: str, parameters: int, multiply_adds: int) -> LayerRow:
    """Return a step as a row; if it cannot be described completely, with what is known."""
    try:
        return _whole_row(step, name, parameters, multiply_adds)
    except Exception as error:  # a call signature that the operation does not know
        words = one_line(f"{type(error).__name__}: {error}")
        shape = step.call.result
        return LayerRow(
            name=name,
            kind=operation_of(step.call.name).kind,
            kernel="",
            output_shape=(1, 1, prod(shape[1:]) if len(shape) > 1 else prod(shape)),
            parameters=parameters,
            type=step.type or step.call.name,
            multiply_adds=multiply_adds,
            undefined=step.undefined or f"after {step.call.name}: unknown ({words})",
            sources=step.sources,
            repeats=step.repeats,
        )


def _whole_row(step: Step, name: str, parameters: int, multiply_adds: int) -> LayerRow:
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
        multiply_adds=multiply_adds,
        receptive_field=(reach[0].size, reach[1].size) if reach else None,
        jump=_jump(step.field, call.result) if step.field else None,
        start=(reach[0].start, reach[1].start) if reach else None,
        undefined=step.undefined,
        unused=unreached(call),
        sources=step.sources,
        repeats=step.repeats,
        over_batch=_is_over_batch(call),
    )


def _momentum(model: nn.Module, step: Step) -> float | None:
    """Return the momentum of a batch norm; torch passes 0 on in evaluation mode if it has none."""
    module = dict(model.named_modules()).get(step.module)
    if isinstance(module, _BatchNorm) and module.track_running_stats:
        return module.momentum
    return None


def _jump(field: Field, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the distance between neighboring fields; 0 where all features have the same field."""
    down, across = (
        0 if axis.features == 1 and len(shape) == 4 and shape[axis.dim] > 1 else axis.reach.jump
        for axis in field.axes
    )
    return down, across


def _is_over_batch(call: Call) -> bool:
    """Return whether a softmax or a normalization runs over the batch dimension."""
    if operation_of(call.name).propagate is not propagation.along or len(call.shapes[0]) < 2:
        return False
    dims = propagation.dims_along(call)
    return -len(call.shapes[0]) in dims


def _input_row(given: Shape | InputSpec) -> LayerRow:
    shape = given.image_shape if isinstance(given, InputSpec) else given
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


def _unused_rows(
    left: Sequence[nn.Parameter], trained: Collection[int], counted: set[int]
) -> Iterator[LayerRow]:
    """Yield a row for the parameters read only in training mode, and one for unused ones."""
    for name, is_trained in ((TRAINING_ONLY, True), (UNUSED, False)):
        if parameters := _count([p for p in left if (id(p) in trained) is is_trained], counted):
            yield LayerRow(
                name=name,
                kind="training only" if is_trained else "unused",
                kernel="",
                output_shape=(0, 0, 0),
                parameters=parameters,
                undefined="it is not on the path to the logits",
            )


def _names(steps: Iterable[Step], modules: Iterable[str]) -> list[str]:
    """Return a unique name per step: its module's, or that and the function's, with a number."""
    taken = {"input", *modules}
    used: set[str] = set()
    last: dict[str, int] = {}
    names: list[str] = []
    for step in steps:
        name = step.module if step.type else f"{step.module}.{step.call.name}".lstrip(".")
        number = last.get(name, 0) + 1
        free = name if number == 1 else f"{name}_{number}"
        while free in used or (free in taken and not (step.type and number == 1)):
            number += 1
            free = f"{name}_{number}"
        last[name] = number
        used.add(free)
        names.append(free)
    return names


def _count(parameters: Iterable[nn.Parameter], counted: set[int]) -> int:
    """Return the number of parameters not counted before, and mark them as counted."""
    new = {id(p): p.numel() for p in parameters if id(p) not in counted}
    counted.update(new)
    return sum(new.values())


def _kind(call: Call, module: str, window: Window | None) -> str:
    operation, name = operation_of(call.name), call.name
    if name == "conv2d" and call.arguments.get("groups", 1) == call.shapes[0][-3] > 1:
        return "depthwise"
    if name == "identity":  # in evaluation mode, dropout does nothing
        return "dropout" if "drop" in module.lower() or "stochastic" in module.lower() else name
    if operation.window is reduced_window and window is None:
        return name
    if operation.kind == "flatten" and name != "flatten" and len(call.result) > 2:
        return name
    return operation.kind


def _kernel(name: str, window: Window | None) -> str:
    """Return kernel, stride and dilation as text, without the default stride."""
    if window is None:
        return ""
    text = _pair(window.kernel, always=True)
    if window.stride != ((1, 1) if name == "conv2d" else window.kernel):
        text += f" /{_pair(window.stride)}"
    return text + (f" ·{_pair(window.dilation)}" if window.dilation != (1, 1) else "")


def _pair(pair: tuple[int, int], *, always: bool = False) -> str:
    return f"{pair[0]}×{pair[1]}" if always or pair[0] != pair[1] else str(pair[0])


def _shape(shape: tuple[int, ...], field: Field | None) -> Shape:
    """Return height, width and channels; (1, 1, n) for a flat output."""
    if len(shape) != 4:
        return 1, 1, prod(shape[1:]) if len(shape) > 1 else prod(shape)
    down, across = (field.down.dim, field.across.dim) if field else (-2, -1)
    if down == across or min(down, across) < -3:
        down, across = -2, -1
    return shape[down], shape[across], prod(shape[1:]) // (shape[down] * shape[across])
