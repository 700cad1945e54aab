"""Answers to questions about the network: events that tell nothing of the run."""

from __future__ import annotations

from dataclasses import dataclass

from tui_trainer.protocol.commands import Inspect
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.exhibit import Exhibit
from tui_trainer.protocol.layers import LayerRow


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMeasured:
    """What one feature of the network sees of a digit, with the weights as they are now.

    The pictures are ``image_size`` rows of as many pixels, row after row.

    Attributes:
        place: The layer, by its place in the layer table.
        row: The feature's row in the layer's map, from 0.
        column: Its column.
        digit: Which image of the validation split it is drawn on, from 0; of the training split
            where there is no other.
        label: That image's class.
        image: Its greys, 0 to 255.
        measured: 1 where the feature's gradient would not be zero if no weight were: batch norm as
            in evaluation, pooling as an average, activations left out.
        effective: The mean size of the gradient over the layer's channels for this image and these
            weights, 0 to 255, 255 being its largest; all 0 where there is none.
        step: After how many batches.
    """

    place: int
    row: int
    column: int
    digit: int
    label: int
    image: tuple[int, ...]
    measured: tuple[int, ...]
    effective: tuple[int, ...]
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDescribed:
    """What a network other than the one in training is, for images and classes like this run's.

    The fields are those of ``RunStarted``.
    """

    model: str
    about: str
    layers: tuple[LayerRow, ...]
    review: tuple[Diagnosis, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemChecked:
    """One item of the check of a run's first steps is done; the last has ``done`` == ``total``.

    Attributes:
        item: What was tried and what came of it.
        done: How many items are done, this one included.
        total: How many there are.
        seconds: How long it took.
    """

    item: Diagnosis
    done: int
    total: int
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonTried:
    """What the experiment of a lesson shows; one that takes long is told again and again.

    Attributes:
        lesson: The lesson's name.
        exhibit: What there is to see.
        step: After how many batches of the run.
    """

    lesson: str
    exhibit: Exhibit
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What a view of the network shows; one that takes long is told again and again.

    Attributes:
        wish: What was asked.
        exhibit: What there is to see.
        step: After how many batches of the run the weights were as they are shown.
    """

    wish: Inspect
    exhibit: Exhibit
    step: int


Answer = FieldMeasured | NetworkDescribed | ItemChecked | LessonTried | Inspected
"""What is passed on with the events, and not recorded."""
