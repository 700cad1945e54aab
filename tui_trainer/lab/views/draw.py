"""The drawing pad: predictions of the current model and of checkpoints for a drawn digit.

A pad draws one channel; a model for images in color gets a picture from a file instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tui_trainer.data.ink import as_digit, as_it_lies
from tui_trainer.data.picture_fitting import Form, picture_bytes
from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.drawing import WIDEST, image_picture, nonfinite_notice, probability_bars
from tui_trainer.lab.views.checkpoint_models import chosen, is_loaded, saved_model_of
from tui_trainer.protocol.class_names import class_name, full_name
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exhibit import Bars, Block, Exhibit, Pictures, Table, Words
from tui_trainer.protocol.strokes import Drawing, drawing_of
from tui_trainer.text.fmt import clip, count, one_line, percent, plural, printable

DRAWING = "drawing"
"""The choice that holds the drawing, as :meth:`Drawing.to_text` writes it."""

PICTURE = "picture"
"""The choice that holds the path of a picture, for images in color."""

CENTERED = word_control("centered", ("yes", "no"))

MOST_CHECKPOINTS = 6
MOST_BARS = 10
LONGEST_ERROR = 34
LONGEST_PATH = 60

NOW = "now"
"""The name of the current weights in the table of checkpoints."""

_HOW = (
    "Draw a digit with the mouse or the keys. After each stroke you see the input of the network, "
    "its class probabilities, and the predictions of saved checkpoints for the same drawing."
)


_NO_PAD = (
    "The drawing pad is for images with one channel; these have three, in color. Open a picture "
    "instead."
)


@dataclass(frozen=True, slots=True)
class CheckpointPrediction:
    """The prediction of one checkpoint for the drawing.

    Attributes:
        name: The checkpoint, or :data:`NOW`.
        step: The training step of its weights.
        probabilities: The probability of each class.
        error: Why there are none; empty if there are.
        class_names: The names of all classes, if they have any.
    """

    name: str
    step: int
    probabilities: tuple[float, ...]
    error: str = ""
    class_names: tuple[str, ...] = ()

    @property
    def ranked(self) -> tuple[int, ...]:
        """The classes, the most probable first; empty if a probability is not finite."""
        if not self.probabilities or not all(map(math.isfinite, self.probabilities)):
            return ()
        places = range(len(self.probabilities))
        return tuple(sorted(places, key=lambda place: -self.probabilities[place]))

    @property
    def name_of_class(self) -> dict[str, str | None]:
        """The name of the predicted class for JSON; empty if classes have only numbers."""
        if not self.class_names or not self.ranked:
            return {}
        return {"class_name": full_name(self.class_names, self.ranked[0])}

    def text(self, place: int) -> str:
        """Return a class by its rank from 0 with its probability; a dash if there is none."""
        if place >= len(self.ranked):
            return "—"
        best = self.ranked[place]
        return f"{class_name(self.class_names, best)}, {percent(self.probabilities[best], 1)}"


@dataclass(frozen=True, slots=True)
class Subject:
    """The image that is classified.

    Attributes:
        image: Its grays (H, H) or colors (3, H, H), as uint8.
        evidence: Where it comes from.
        figures: The same for scripts.
    """

    image: Tensor
    evidence: str
    figures: Mapping[str, object]


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show the image as model input and its prediction; then the predictions of checkpoints."""
    is_drawn = context.data.channels == 1
    found = _drawn(context, controls) if is_drawn else _opened(context, controls)
    if isinstance(found, Words):
        figures = {"error": found.text} if found.tone == "error" else {"blank": True}
        yield Exhibit(blocks=(found,), figures=figures)
        return
    probabilities = context.probabilities(found.image[None].to(context.device))[0]
    names_of_classes = context.data.class_names
    predictions = [
        CheckpointPrediction(
            NOW, context.step, tuple(probabilities.tolist()), class_names=names_of_classes
        )
    ]
    names = chosen(context.checkpoints, MOST_CHECKPOINTS)
    for name in names:
        if not is_loaded(context.checkpoints[name], context.config.model):
            share = len(predictions) / (len(names) + 1)
            yield _exhibit(found, predictions, share)
        predictions.append(_predict(context, name, found.image))
    yield _exhibit(found, predictions)


def _drawn(context: Context, controls: Controls) -> Subject | Words:
    """Return the drawing as an image, or what is shown without one."""
    is_centered = controls.word(CENTERED) == "yes"
    try:
        drawing = drawing_of(str(controls.choices.get(DRAWING) or "00"))
    except ValueError as error:
        return Words(text=f"The drawing cannot be read: {error}.", tone="error")
    digit = _as_model_input(drawing, context.data.image_size, is_centered=is_centered)
    if digit is None:
        return Words(text=_HOW)
    evidence = (
        "One drawing, scaled and centered like the digits of the dataset."
        if is_centered
        else "One drawing, not centered. The digits of the dataset all have the same size and "
        "are centered; only augmentation varies them during training."
    )
    return Subject(digit, evidence, {"centered": is_centered})


def _opened(context: Context, controls: Controls) -> Subject | Words:
    """Return a picture in a file, brought to the form of the dataset, or what is shown instead."""
    path = str(controls.choices.get(PICTURE) or "")
    if not path:
        return Words(text=_NO_PAD)
    data, fit = context.data, context.config.fit
    side = data.image_size
    try:
        content = picture_bytes(Path(path), Form(side, data.channels, fit))
    except InputError as error:
        return Words(text=f"{one_line(str(error))}.", tone="error")
    image = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(data.channels, side, side)
    evidence = (
        f"One picture, {clip(printable(path), LONGEST_PATH)}, brought to {side}×{side} pixels "
        f"(--fit {fit})."
    )
    return Subject(image, evidence, {"picture": path, "fit": fit})


def _as_model_input(drawing: Drawing, side: int, *, is_centered: bool) -> Tensor | None:
    """Return the drawing as an image (side, side) of uint8; None without ink."""
    if drawing.is_blank:
        return None
    ink = torch.frombuffer(bytearray(drawing.ink), dtype=torch.uint8)
    ink = ink.view(drawing.height, drawing.width)
    return as_digit(ink, side) if is_centered else as_it_lies(ink, side)


def _predict(context: Context, name: str, image: Tensor) -> CheckpointPrediction:
    """Return the prediction of a checkpoint, or a short reason why there is none."""
    path = context.checkpoints[name]
    try:
        saved_model = saved_model_of(path, context.config.model)
        if saved_model.image_size != image.shape[-1]:
            raise InputError(f"needs {saved_model.image_size}×{saved_model.image_size} pixels")
        if saved_model.channels != context.data.channels:
            raise InputError(f"needs {plural(saved_model.channels, 'channel')}")
        probabilities = saved_model.probabilities(image)
        return CheckpointPrediction(
            name, saved_model.step, probabilities, class_names=context.data.class_names
        )
    except InputError as error:
        return CheckpointPrediction(name, 0, (), str(error).removeprefix(f"{printable(path)}: "))


def _exhibit(
    found: Subject, predictions: Sequence[CheckpointPrediction], progress: float | None = None
) -> Exhibit:
    now = predictions[0]
    picture = image_picture(found.image, "model input", most=WIDEST)
    blocks: list[Block] = [
        _bars(now) if now.ranked else nonfinite_notice("the class probabilities")
    ]
    blocks.append(Pictures(caption="", items=(picture,)))
    if len(predictions) > 1:
        blocks.append(_table(predictions))
    second = f", second {now.text(1)}" if len(now.ranked) > 1 else ""
    return Exhibit(
        blocks=tuple(blocks),
        result=f"Predicted: {now.text(0)}{second}." if now.ranked else "",
        evidence=found.evidence,
        progress=progress,
        figures=_figures(found, predictions),
    )


def _bars(now: CheckpointPrediction) -> Bars:
    """Return the probabilities by class; with many classes only the most probable ones."""
    classes = now.ranked[:MOST_BARS]
    if len(classes) == len(now.probabilities):
        return probability_bars(
            "class probabilities", now.probabilities, sorted(classes), classes[0], now.class_names
        )
    caption = f"class probabilities: the {MOST_BARS} highest"
    return probability_bars(caption, now.probabilities, classes, classes[0], now.class_names)


def _table(predictions: Sequence[CheckpointPrediction]) -> Table:
    return Table(
        caption="current weights and checkpoints",
        heads=("weights", "step", "predicted", "second"),
        rows=tuple(
            (each.name, "—", f"✗ {clip(each.error, LONGEST_ERROR)}", "")
            if each.error
            else (each.name, count(each.step), each.text(0), each.text(1))
            for each in predictions
        ),
        marked=0,
    )


def _figures(found: Subject, predictions: Sequence[CheckpointPrediction]) -> Mapping[str, object]:
    return {
        "blank": False,
        **found.figures,
        "image": found.image.tolist(),
        "predictions": [
            {"weights": each.name, "error": each.error}
            if each.error
            else {
                "weights": each.name,
                "step": each.step,
                "class": each.ranked[0] if each.ranked else None,
                **each.name_of_class,
                "probabilities": list(each.probabilities),
            }
            for each in predictions
        ],
    }
