"""A model in the layouts of torchsummary and torchinfo, with the right numbers.

Where the packages count otherwise, one line below the table says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tui_trainer.protocol.module_calls import ModuleCall, ModuleSummary, Shape

MAX_DEPTH = 3
"""Deeper modules are summed up in the row of the module that contains them, as in torchinfo."""

FLOAT_BYTES = 4
GRADIENTS_TOO = 2
"""Both packages count an output twice: once for its gradient."""

_MEBIBYTE, _MEGABYTE = 1024**2, 10**6
"""What torchsummary and torchinfo call MB."""

_NARROW, _NAME = 64, 40
"""The width of torchsummary's table, and of the first column of torchinfo's."""

_COLUMN = 25


# --- torchsummary


def torchsummary_lines(model: ModuleSummary) -> list[str]:
    """Return the table as torchsummary prints it: one row per call, in the order they end."""
    rule, double = "-" * _NARROW, "=" * _NARROW
    listed = sorted((call for call in model.calls if call.number), key=lambda call: call.number)
    images = model.input_shape[0]
    passed, with_blocks = (
        GRADIENTS_TOO * FLOAT_BYTES * sum(call.numbers for call in calls) // images
        for calls in ([call for call in listed if not call.is_container], listed)
    )
    sizes = (FLOAT_BYTES * math.prod(model.input_shape[1:]), passed, model.parameter_bytes)
    return [
        rule,
        _narrow_row("Layer (type)", "Output Shape", "Param #"),
        double,
        *(
            _narrow_row(
                f"{call.name}-{call.number}{_times(call)}",
                _any_batch(call.shapes, images),
                f"{call.parameters:,}",
            )
            for call in listed
        ),
        double,
        *_parameter_lines(model),
        rule,
        *_size_lines(sizes, _MEBIBYTE),
        rule,
        *_torchsummary_note(model, passed / _MEBIBYTE, with_blocks / _MEBIBYTE),
    ]


def _narrow_row(name: str, shape: str, parameters: str) -> str:
    return f"{name:>20}  {shape:>25} {parameters:>15}"


def _any_batch(shapes: tuple[Shape, ...], images: int) -> str:
    """Return output shapes with -1 for the batch, where it comes first."""
    texts = [str([-1, *shape[1:]] if shape[:1] == (images,) else [*shape]) for shape in shapes]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _torchsummary_note(model: ModuleSummary, megabytes: float, with_blocks: float) -> list[str]:
    theirs = model.torchsummary.parameters
    if theirs is None:
        return ["Note: torchsummary itself fails here: a layer returns a nested tuple."]
    reasons = []
    if theirs != model.parameters:
        reasons.append(
            f"{theirs:,} parameters (a layer counts again at each call, a shared tensor in every "
            "layer, and only tensors called weight or bias count)"
        )
    if f"{with_blocks:.2f}" != f"{megabytes:.2f}":
        reasons.append(
            f"{with_blocks:.2f} MB for the forward/backward pass (blocks count on top of layers)"
        )
    return [f"Note: torchsummary itself prints {' and '.join(reasons)}."] if reasons else []


# --- torchinfo


def torchinfo_lines(model: ModuleSummary) -> list[str]:
    """Return the table as torchinfo prints it: one row per module, indented by depth."""
    rows = [*_wide_rows(model.calls)]
    title = "Layer (type:depth-idx)"
    # torchinfo's own rule: five columns for each level, rounded up to five.
    needed = max(len(_label(call)) + 5 * call.depth + 1 for call in model.calls)
    width = _NAME if needed < _NAME else 5 * math.ceil(needed / 5)
    double = "=" * (width + 2 * _COLUMN)
    outputs = sum(
        math.prod(call.shapes[0]) * call.repeats
        for call in model.calls
        if call.shapes and call.has_parameters and not call.is_container
    )
    sizes = (
        FLOAT_BYTES * math.prod(model.input_shape),
        GRADIENTS_TOO * FLOAT_BYTES * outputs,
        model.parameter_bytes,
    )
    return [
        double,
        _wide_row(title, "Output Shape", "Param #", width),
        double,
        *(
            _wide_row(
                f"{_branch(call.depth)}{_label(call)}",
                str([*call.shapes[0]]) if call.shapes else "--",
                parameters,
                width,
            )
            for call, parameters in rows
        ),
        double,
        *_parameter_lines(model),
        f"Total mult-adds{_in_units(model.multiply_adds)}",
        double,
        *_size_lines(sizes, _MEGABYTE),
        double,
        *_torchinfo_note(model),
    ]


def _wide_row(name: str, shape: str, parameters: str, width: int) -> str:
    return f"{name:<{width}} {shape:<{_COLUMN}} {parameters:<{_COLUMN}}".rstrip()


def _wide_rows(calls: tuple[ModuleCall, ...]) -> Iterator[tuple[ModuleCall, str]]:
    """Yield the calls down to the maximum depth, with their parameters as text."""
    for place, call in enumerate(calls):
        if call.depth > MAX_DEPTH:
            continue
        parameters, trainable = call.parameters, call.trainable
        has_parameters = call.has_parameters
        if call.depth == MAX_DEPTH:
            for inside in calls[place + 1 :]:
                if inside.depth <= MAX_DEPTH:
                    break
                parameters += inside.parameters
                trainable += inside.trainable
                has_parameters |= inside.has_parameters
        text = f"{parameters:,}" if trainable or not parameters else f"({parameters:,})"
        if not parameters:
            text = "(recursive)" if has_parameters else "--"
        yield call, text


def _label(call: ModuleCall) -> str:
    return f"{call.name}{f': {call.depth}-{call.index}' if call.depth else ''}{_times(call)}"


def _branch(depth: int) -> str:
    if depth < 2:
        return "├─" * depth
    return "│    " * (depth - 1) + "└─"


def _in_units(number: int) -> str:
    unit, power = next(
        (each for each in (("T", 10**12), ("G", 10**9)) if number >= each[1]), ("M", 10**6)
    )
    scaled = number / power
    return f" ({unit}): {scaled:,.0f}" if scaled.is_integer() else f" ({unit}): {scaled:,.2f}"


def _torchinfo_note(model: ModuleSummary) -> list[str]:
    reasons = []
    if (theirs := model.torchinfo.parameters) not in (None, model.parameters):
        reasons.append(f"{theirs:,} parameters (shared tensors count in every layer)")
    if (work := model.torchinfo.multiply_adds) not in (None, model.multiply_adds):
        reasons.append(
            f"{work:,} mult-adds instead of {model.multiply_adds:,} (a layer over tokens counts "
            "once, a product without weights not at all)"
        )
    return [f"Note: torchinfo itself prints {' and '.join(reasons)}."] if reasons else []


# --- both


def _times(call: ModuleCall) -> str:
    return f" × {call.repeats:,}" if call.repeats > 1 else ""


def _parameter_lines(model: ModuleSummary) -> list[str]:
    return [
        f"Total params: {model.parameters:,}",
        f"Trainable params: {model.trainable:,}",
        f"Non-trainable params: {model.parameters - model.trainable:,}",
    ]


def _size_lines(sizes: tuple[int, int, int], unit: int) -> list[str]:
    given, passed, parameters = (size / unit for size in sizes)
    return [
        f"Input size (MB): {given:.2f}",
        f"Forward/backward pass size (MB): {passed:.2f}",
        f"Params size (MB): {parameters:.2f}",
        f"Estimated Total Size (MB): {given + passed + parameters:.2f}",
    ]
