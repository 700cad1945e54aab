"""The receptive field: its formula layer by layer, and the effective receptive field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_trainer.anatomy.field import Reach
from tui_trainer.anatomy.measured import effective_field
from tui_trainer.lab.context import DIGIT, Context, Digit
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.drawing import digit_picture, map_picture
from tui_trainer.lab.layer_maps import Subject, middle_frame, subject
from tui_trainer.lab.lessons.receptive_field.arithmetic import fewest_pixels, sum_text
from tui_trainer.protocol.exhibit import Block, Exhibit, Pictures, Table, Words
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text.fmt import field, percent, plural

KERNEL = number_control("kernel", "add kernel", 1, (1, 2, 3, 5, 7), 1, 28)
STRIDE = number_control("stride", "its stride", 1, (1, 2, 3), 1, 28)


@dataclass(frozen=True, slots=True)
class Step:
    """A layer with a kernel, and the vertical receptive field before and after it.

    Attributes:
        place: Its index in the layer table.
        row: Its row there.
        before: The receptive field of its input.
        after: The receptive field of its output, by the recurrence.
    """

    place: int
    row: LayerRow
    before: Reach
    after: Reach

    @property
    def kernel(self) -> int:
        """The height of its kernel."""
        return (self.row.kernel_size or (1, 1))[0]

    @property
    def dilation(self) -> int:
        """Its vertical dilation."""
        return (self.row.dilation or (1, 1))[0]


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the formula of each layer, the field of a middle feature, and one more layer."""
    inspected = subject(
        context,
        lambda inspected: bool(_on_map(inspected)),
        lacks="layer that slides a kernel over a map",
    )
    steps = steps_of(inspected.layers)
    names = tuple(step.row.name for step in steps)
    last = _on_map(inspected)[-1]
    layer = word_control("layer", names, value=last.row.name)
    chosen = steps[names.index(controls.word(layer))]
    digit = context.digit(controls.whole(DIGIT))
    controls.add(DIGIT, digit.number)
    kernel, stride = controls.whole(KERNEL), controls.whole(STRIDE)
    effect = _effect(inspected, chosen, digit)
    yield Exhibit(
        blocks=(
            *inspected.note,
            *_pictures(chosen, digit, effect),
            _sum(chosen),
            _table(steps, chosen, last, kernel, stride),
        ),
        result=_result(chosen, effect, digit),
        evidence=(
            f"The receptive field is computed. The influence is measured on one image, as the mean "
            f"over the layer's channels, after step {context.step:,}."
        ),
    )


def steps_of(layers: Sequence[LayerRow]) -> list[Step]:
    """Return the layers with a kernel and a defined receptive field."""
    found = []
    for place, row in enumerate(layers):
        if not (row.kernel_size and row.stride and row.sources and row.receptive_field):
            continue
        before = layers[row.sources[0]]
        if before.receptive_field is None or before.jump is None:
            continue
        field_before = Reach(before.receptive_field[0], before.jump[0])
        dilation = (row.dilation or (1, 1))[0]
        after = field_before.through(row.kernel_size[0], row.stride[0], dilation=dilation)
        found.append(Step(place, row, field_before, after))
    return found


def _on_map(inspected: Subject) -> list[Step]:
    """Return the layers that output a map; another layer can be added after the last one."""
    return [step for step in steps_of(inspected.layers) if step.row.output_shape[:2] != (1, 1)]


def _effect(inspected: Subject, chosen: Step, digit: Digit) -> Tensor | None:
    """Return the influence of each pixel on the middle feature; None if it is not finite."""
    down, across, _ = chosen.row.output_shape
    image = digit.model_input.clone()
    effect = effective_field(inspected.model, image, chosen.place, down // 2, across // 2)
    return effect if bool(torch.isfinite(effect).all()) else None


def _pictures(chosen: Step, digit: Digit, effect: Tensor | None) -> tuple[Block, ...]:
    """Return the receptive field framed on the digit, and the influence of each pixel."""
    frame = middle_frame(chosen.row, digit.size)
    items = [digit_picture(digit, frame=frame)]
    message: tuple[Block, ...] = ()
    if effect is None:
        text = "The influence of the pixels is not finite: the run diverged."
        message = (Words(text=text, tone="error"),)
    else:
        items.append(map_picture(effect, "influence", low=0.0, frame=frame))
    caption = f"framed: the receptive field of the middle feature of {chosen.row.name}"
    return Pictures(caption=caption, items=tuple(items)), *message


def _sum(chosen: Step) -> Words:
    """Return the formulas of a layer's receptive field and jump."""
    stride = (chosen.row.stride or (1, 1))[0]
    return Words(
        text=(
            f"{chosen.row.name}: r = {sum_text(chosen.before, chosen.kernel, chosen.dilation)}, "
            f"j = {chosen.before.jump}·{stride} = {chosen.after.jump}"
        ),
        is_preformatted=True,
    )


def _table(steps: Sequence[Step], chosen: Step, last: Step, kernel: int, stride: int) -> Table:
    """Return the formulas of all layers; the last row is one more layer at the end."""
    rows = [
        (
            step.row.name,
            step.row.kernel,
            str(step.before.jump),
            f"{step.before.size} + {(step.kernel - 1) * step.dilation * step.before.jump}",
            field(step.row.receptive_field),
            str((step.row.jump or (0, 0))[0]),
        )
        for step in steps
    ]
    more = last.after.through(kernel, stride)
    rows.append(
        (
            f"{last.row.name} + yours",
            f"{kernel}×{kernel}" + (f" /{stride}" if stride > 1 else ""),
            str(last.after.jump),
            f"{last.after.size} + {(kernel - 1) * last.after.jump}",
            field((more.size, more.size)),
            str(more.jump),
        )
    )
    return Table(
        caption="r + (k − 1)·j, layer by layer",
        heads=("layer", "kernel", "j before", "r before + growth", "field", "j after"),
        rows=tuple(rows),
        marked=steps.index(chosen),
    )


def _result(chosen: Step, effect: Tensor | None, digit: Digit) -> str:
    """Return the size of the field, and how few of its pixels have half of the influence."""
    sees = f"The middle feature of {chosen.row.name} sees {field(chosen.row.receptive_field)}"
    frame = middle_frame(chosen.row, digit.size)
    if effect is None or frame is None:
        return f"{sees}."
    pixels = frame[2] * frame[3]
    pixels_needed = fewest_pixels(effect.flatten().tolist(), 0.5)
    if not pixels_needed:
        return f"{sees}, {plural(pixels, 'pixel')} of the image; none of them influences it."
    return (
        f"{sees}, {plural(pixels, 'pixel')} of the image; half of the influence comes from "
        f"{pixels_needed} of them, {percent(pixels_needed / pixels, 0)}."
    )
