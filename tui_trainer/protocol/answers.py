"""Answers to questions about the model: events that are not part of the run."""

from __future__ import annotations

from dataclasses import dataclass

from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.exhibit import Exhibit
from tui_trainer.protocol.layers import LayerRow


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredField:
    """The receptive field of one feature of the model, on one image.

    The three pictures have ``image_size`` rows of ``image_size`` pixels, row by row.

    Attributes:
        place: The layer's row in the layer table.
        row: The feature's row in the layer's feature map, from 0.
        column: Its column.
        digit: The index of the image in the validation split, or in the training split without one.
        label: That image's class.
        image: Its pixels, 0 to 255; of an image in color three pictures: red, green, blue.
        measured: The theoretical receptive field: 1 where the gradient of the feature is non-zero
            if no weight is zero, with batch norm in evaluation mode, average instead of max pooling
            and no activations.
        effective: The effective receptive field: the mean absolute gradient over the layer's
            channels for this image and these weights, scaled to a maximum of 255; 0 without any.
    """

    place: int
    row: int
    column: int
    digit: int
    label: int
    image: tuple[int, ...]
    measured: tuple[int, ...]
    effective: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """Another model, built for the images and classes of this run.

    The fields are those of ``RunStarted``.
    """

    model: str
    about: str
    layers: tuple[LayerRow, ...]
    review: tuple[Diagnosis, ...]


Content = Exhibit | MeasuredField | ModelDescription | Diagnosis


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer to a question, or a part of it; emitted with the events, but not recorded.

    Each exhibit replaces the one before; the items of a check add up.

    Attributes:
        question: The question: the same object that was sent, so that two equal questions differ.
        content: The answer.
        step: The number of trained batches.
        done: How many items of a check are done, this one included.
        total: The number of items.
        seconds: How long it took.
    """

    question: Ask
    content: Content
    step: int
    done: int = 1
    total: int = 1
    seconds: float = 0.0

    @property
    def is_last(self) -> bool:
        """Whether this is the last part."""
        if isinstance(self.content, Exhibit):
            return self.content.progress is None
        return self.done == self.total
