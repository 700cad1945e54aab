"""The drawing pad: a digit by hand, and what the network says of it, stroke by stroke."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_trainer.data.ink import as_digit, as_it_lies
from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.drawing import grey_picture, nonfinite_notice, probability_bars
from tui_trainer.lab.views.checkpoint_models import chosen, is_loaded, saved_model_of
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exhibit import Bars, Block, Exhibit, Pictures, Table, Words
from tui_trainer.protocol.strokes import Drawing, drawing_of
from tui_trainer.text.fmt import clip, count, percent, printable

DRAWING = "drawing"
"""The choice that holds what was drawn, as :meth:`Drawing.to_text` writes it."""

CENTRED = word_control("centred", ("yes", "no"))

MOST_CHECKPOINTS = 6
MOST_BARS = 10
LONGEST_FAULT = 34

NOW = "now"
"""What the weights of the moment are called beside the checkpoints."""

_HOW = (
    "Draw a digit, with the mouse or with the keys. What the network gets of it is shown here, and "
    "what it says, stroke by stroke; beside it, what saved weights say of the same."
)


@dataclass(frozen=True, slots=True)
class CheckpointPrediction:
    """What one network says of the drawing.

    Attributes:
        name: Whose weights.
        step: After how many batches they were so.
        probabilities: Of each class.
        fault: Why there are none; empty if there are.
    """

    name: str
    step: int
    probabilities: tuple[float, ...]
    fault: str = ""

    @property
    def ranked(self) -> tuple[int, ...]:
        """The classes, the most probable first; none if there are no numbers."""
        if not self.probabilities or not all(map(math.isfinite, self.probabilities)):
            return ()
        places = range(len(self.probabilities))
        return tuple(sorted(places, key=lambda place: -self.probabilities[place]))

    def predicted(self, place: int) -> str:
        """Return a class, by its rank from 0, with its probability; a dash if there is none."""
        if place >= len(self.ranked):
            return "—"
        best = self.ranked[place]
        return f"{best}, {percent(self.probabilities[best], 1)}"


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show the drawing as the network gets it, and what it says; then what checkpoints say."""
    is_centred = controls.word(CENTRED) == "yes"
    try:
        drawing = drawing_of(str(controls.choices.get(DRAWING) or "00"))
    except ValueError as error:
        words = Words(text=f"This is no drawing: {error}.", tone="error")
        yield Exhibit(blocks=(words,), figures={"fault": str(error)})
        return
    digit = _as_network_gets(drawing, context.data.image_size, is_centred=is_centred)
    if digit is None:
        yield Exhibit(blocks=(Words(text=_HOW),), figures={"blank": True})
        return
    probabilities = context.probabilities(digit[None].to(context.device))[0]
    predictions = [CheckpointPrediction(NOW, context.step, tuple(probabilities.tolist()))]
    names = chosen(context.checkpoints, MOST_CHECKPOINTS)
    for name in names:
        if not is_loaded(context.checkpoints[name], context.config.model):
            share = len(predictions) / (len(names) + 1)
            yield _exhibit(digit, predictions, progress=share, is_centred=is_centred)
        predictions.append(_predict(context, name, digit))
    yield _exhibit(digit, predictions, is_centred=is_centred)


def _as_network_gets(drawing: Drawing, side: int, *, is_centred: bool) -> Tensor | None:
    """Return the drawing as an image (side, side) of uint8; None without ink."""
    if drawing.is_blank:
        return None
    ink = torch.frombuffer(bytearray(drawing.ink), dtype=torch.uint8)
    ink = ink.view(drawing.height, drawing.width)
    return as_digit(ink, side) if is_centred else as_it_lies(ink, side)


def _predict(context: Context, name: str, digit: Tensor) -> CheckpointPrediction:
    """Return what a checkpoint says, or in few words why it says nothing."""
    path = context.checkpoints[name]
    try:
        saved_model = saved_model_of(path, context.config.model)
        if saved_model.image_size != len(digit):
            raise InputError(f"takes {saved_model.image_size}×{saved_model.image_size} pixels")
        return CheckpointPrediction(name, saved_model.step, saved_model.probabilities(digit))
    except InputError as error:
        return CheckpointPrediction(name, 0, (), str(error).removeprefix(f"{printable(path)}: "))


def _exhibit(
    digit: Tensor,
    predictions: Sequence[CheckpointPrediction],
    *,
    is_centred: bool,
    progress: float | None = None,
) -> Exhibit:
    now = predictions[0]
    picture = grey_picture(digit, "as it gets it")
    blocks: list[Block] = [_bars(now) if now.ranked else nonfinite_notice("its probabilities")]
    blocks.append(Pictures(caption="", items=(picture,)))
    if len(predictions) > 1:
        blocks.append(_table(predictions))
    second = f"; then {now.predicted(1)}" if len(now.ranked) > 1 else ""
    return Exhibit(
        blocks=tuple(blocks),
        result=f"It says {now.predicted(0)}{second}." if now.ranked else "",
        certainty=(
            "One drawing, brought to the size and place of the dataset's digits."
            if is_centred
            else "One drawing, as it lies on the pad. The dataset's digits are all of one size and "
            "in the middle; no others were trained on, but for the augmentation."
        ),
        progress=progress,
        figures=_figures(digit, predictions, is_centred=is_centred),
    )


def _bars(now: CheckpointPrediction) -> Bars:
    """Return the probabilities, class by class; of many classes the most probable ones."""
    classes = now.ranked[:MOST_BARS]
    if len(classes) == len(now.probabilities):
        return probability_bars("what it says", now.probabilities, sorted(classes), classes[0])
    caption = f"what it says: the {MOST_BARS} most probable"
    return probability_bars(caption, now.probabilities, classes, classes[0])


def _table(predictions: Sequence[CheckpointPrediction]) -> Table:
    return Table(
        caption="side by side",
        heads=("weights", "step", "says", "then"),
        rows=tuple(
            (each.name, "—", f"✗ {clip(each.fault, LONGEST_FAULT)}", "")
            if each.fault
            else (each.name, count(each.step), each.predicted(0), each.predicted(1))
            for each in predictions
        ),
        marked=0,
    )


def _figures(
    digit: Tensor, predictions: Sequence[CheckpointPrediction], *, is_centred: bool
) -> Mapping[str, object]:
    return {
        "blank": False,
        "centred": is_centred,
        "image": digit.tolist(),
        "opinions": [
            {"weights": each.name, "fault": each.fault}
            if each.fault
            else {
                "weights": each.name,
                "step": each.step,
                "class": each.ranked[0] if each.ranked else None,
                "probabilities": list(each.probabilities),
            }
            for each in predictions
        ],
    }
