"""The receptive field: the sum that gives it, layer by layer, and what a feature really heeds."""

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
    """A layer that slides a kernel, and what is seen before and behind it, going down.

    Attributes:
        place: Its place in the layer table.
        row: Its row there.
        before: What the features see that it reads.
        after: What its own see, by the recurrence.
    """

    place: int
    row: LayerRow
    before: Reach
    after: Reach

    @property
    def kernel(self) -> int:
        """The side of its kernel, going down."""
        return (self.row.kernel_size or (1, 1))[0]

    @property
    def dilation(self) -> int:
        """From one of its weights to the next."""
        return (self.row.dilation or (1, 1))[0]


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the sum layer by layer, the field of a layer's middle feature, and a layer more."""
    seen = subject(
        context, lambda seen: bool(_on_map(seen)), lacks="layer that slides a kernel over a map"
    )
    steps = steps_of(seen.layers)
    names = tuple(step.row.name for step in steps)
    last = _on_map(seen)[-1]
    layer = word_control("layer", names, value=last.row.name)
    chosen = steps[names.index(controls.word(layer))]
    digit = context.digit(controls.whole(DIGIT))
    controls.add(DIGIT, digit.number)
    kernel, stride = controls.whole(KERNEL), controls.whole(STRIDE)
    effect = _effect(seen, chosen, digit)
    yield Exhibit(
        blocks=(
            *seen.note,
            *_pictures(chosen, digit, effect),
            _sum(chosen),
            _table(steps, chosen, last, kernel, stride),
        ),
        result=_result(chosen, effect, digit),
        certainty=(
            f"The field is arithmetic. The effect is measured on one image, as the mean over the "
            f"layer's channels, after step {context.step:,}."
        ),
    )


def steps_of(layers: Sequence[LayerRow]) -> list[Step]:
    """Return the layers that slide a kernel, as far as what they see is defined."""
    found = []
    for place, row in enumerate(layers):
        if not (row.kernel_size and row.stride and row.sources and row.receptive_field):
            continue
        before = layers[row.sources[0]]
        if before.receptive_field is None or before.jump is None:
            continue
        seen = Reach(before.receptive_field[0], before.jump[0])
        dilation = (row.dilation or (1, 1))[0]
        after = seen.through(row.kernel_size[0], row.stride[0], dilation=dilation)
        found.append(Step(place, row, seen, after))
    return found


def _on_map(seen: Subject) -> list[Step]:
    """Return the layers that leave a map, not one place: the last of them is the end to add to."""
    return [step for step in steps_of(seen.layers) if step.row.output_shape[:2] != (1, 1)]


def _effect(seen: Subject, chosen: Step, digit: Digit) -> Tensor | None:
    """Return how strongly each pixel moves the middle feature; None if these are no numbers."""
    down, across, _ = chosen.row.output_shape
    image = digit.model_input.clone()
    effect = effective_field(seen.model, image, chosen.place, down // 2, across // 2)
    return effect if bool(torch.isfinite(effect).all()) else None


def _pictures(chosen: Step, digit: Digit, effect: Tensor | None) -> tuple[Block, ...]:
    """Return the field as a frame on the digit, and beside it how strongly each pixel counts."""
    frame = middle_frame(chosen.row, digit.pixels.shape)
    items = [digit_picture(digit, frame=frame)]
    lost: tuple[Block, ...] = ()
    if effect is None:
        text = "What counts cannot be measured: the run diverged, and nothing is a number any more."
        lost = (Words(text=text, tone="error"),)
    else:
        items.append(map_picture(effect, "what counts", low=0.0, frame=frame))
    caption = f"framed: what the middle feature of {chosen.row.name} sees"
    return Pictures(caption=caption, items=tuple(items)), *lost


def _sum(chosen: Step) -> Words:
    """Return the sum that gives a layer's field and its jump."""
    stride = (chosen.row.stride or (1, 1))[0]
    return Words(
        text=(
            f"{chosen.row.name}: r = {sum_text(chosen.before, chosen.kernel, chosen.dilation)}, "
            f"j = {chosen.before.jump}·{stride} = {chosen.after.jump}"
        ),
        is_preformatted=True,
    )


def _table(steps: Sequence[Step], chosen: Step, last: Step, kernel: int, stride: int) -> Table:
    """Return the sums of all layers; the last row is what one more at the end would see."""
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
        heads=("layer", "kernel", "j before", "r before + more", "sees", "j"),
        rows=tuple(rows),
        marked=steps.index(chosen),
    )


def _result(chosen: Step, effect: Tensor | None, digit: Digit) -> str:
    """Say how large the field is, and on how few of its pixels half of the effect rests."""
    sees = f"The middle feature of {chosen.row.name} sees {field(chosen.row.receptive_field)}"
    frame = middle_frame(chosen.row, digit.pixels.shape)
    if effect is None or frame is None:
        return f"{sees}."
    pixels = frame[2] * frame[3]
    few = fewest_pixels(effect.flatten().tolist(), 0.5)
    if not few:
        return f"{sees}, {plural(pixels, 'pixel')} of the image; none of them moves it."
    return (
        f"{sees}, {plural(pixels, 'pixel')} of the image; half of what moves it lies in {few} of "
        f"them, {percent(few / pixels, 0)}."
    )
