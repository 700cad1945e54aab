"""Answers to questions about the model: events that say nothing of the run."""

from __future__ import annotations

from dataclasses import dataclass

from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.exhibit import Exhibit
from tui_trainer.protocol.layers import LayerRow


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredField:
    """What one feature of the network sees of a digit.

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
    """Another model than the one in training, for images and classes like this run's.

    The fields are those of ``RunStarted``.
    """

    model: str
    about: str
    layers: tuple[LayerRow, ...]
    review: tuple[Diagnosis, ...]


Content = Exhibit | MeasuredField | ModelDescription | Diagnosis


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer to a question, or a part of it; it is passed on with the events, not recorded.

    Of an exhibit each part replaces the one before; the items of a check add up.

    Attributes:
        question: What was asked: the very object that was sent, so that two equal questions can be
            told apart.
        content: The answer.
        step: After how many batches of the run.
        done: How many parts of a check are done, this one included.
        total: How many there are.
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
        """Whether nothing more comes."""
        if isinstance(self.content, Exhibit):
            return self.content.progress is None
        return self.done == self.total
