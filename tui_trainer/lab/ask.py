"""Questions about a model: the topics, their answers, and the time that they may take."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module

import torch
from torch import Tensor

from tui_trainer.anatomy.description import layers_of, review_of
from tui_trainer.anatomy.measured import effective_field, measured_field
from tui_trainer.course.lesson import SLUGS, folder_of
from tui_trainer.course.subject import data_words, is_like_lessons, shows_digits
from tui_trainer.data.recorded_inputs import RecordedInputs
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Show, with_controls
from tui_trainer.lab.lr_finder import find_lr
from tui_trainer.lab.preflight import TOTAL, check
from tui_trainer.lab.recorded_views import check_recorded, with_notes
from tui_trainer.models.build import build_model, summary_of
from tui_trainer.protocol.answers import Content, MeasuredField, ModelDescription
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.exhibit import Choices, Exhibit, Pictures
from tui_trainer.protocol.inspection import NAMES
from tui_trainer.protocol.reference import model_name
from tui_trainer.text.fmt import one_line

BACKGROUND_SHARE = 0.01
"""The share of the time for an answer in the background."""

INTERACTIVE_SHARE = 0.5
"""The share of the time for an answer in slices while somebody waits for it."""

CREDIT = 0.3
"""Seconds of work that an answer in slices can save up while it is idle."""

VIEW_TOPICS = tuple(f"view/{name}" for name in NAMES)

Parts = Iterator[Content | None]
"""An answer in progress: a content or None after each slice."""

View = Callable[[Context, Choices, bool], Iterator[Exhibit | None]]
Experiment = Callable[[Context, Choices, bool], Iterator[Exhibit]]
"""The ``show`` of a view or a lesson; the last argument is whether enter was pressed."""


@dataclass(frozen=True, slots=True)
class Topic:
    """How a kind of question is answered.

    Attributes:
        begin: Starts the answer.
        in_slices: Whether it runs between batches, on a copy of the model, in slices of 30 to 50
            ms. Otherwise the run waits, and checks for a command that ends it after each part.
        total: The number of parts of a check.
        ended: The reason to report when a command ends it early; empty if none is reported.
    """

    begin: Callable[[Context, Ask], Parts]
    in_slices: bool = False
    total: int = 1
    ended: str = ""


def topic_of(question: Ask) -> Topic:
    """Return the topic of a question.

    Raises:
        ValueError: If there is no such topic.
    """
    if question.kind not in TOPICS:
        raise ValueError(f"there is no topic {question.kind}")
    return TOPICS[question.kind]


def view_named(name: str) -> View:
    """Return the ``show`` of a view.

    Raises:
        ValueError: If there is no such view.
    """
    return _show("view", name, NAMES, f"views.{name}")


def experiment(slug: str) -> Experiment:
    """Return the experiment of a lesson.

    Raises:
        ValueError: If there is no such lesson.
    """
    return _show("lesson", slug, SLUGS, f"lessons.{folder_of(slug)}.experiment")


def _show(kind: str, name: str, names: Collection[str], module: str) -> Experiment:
    if name not in names:
        raise ValueError(f"there is no {kind} {name}")
    show: Show = import_module(f"tui_trainer.lab.{module}").show
    return with_controls(show)


def _exhibits(context: Context, question: Ask) -> Parts:
    choices, is_confirmed = dict(question.choices), question.mode == "confirmed"
    is_view = question.kind == "view"
    show: View = view_named(question.name) if is_view else experiment(question.name)
    if isinstance(context.data, RecordedInputs):
        check_recorded(context.data, question)
        return with_notes(context, question, show(context, choices, is_confirmed))
    return _about_data(question, show)(context, choices, is_confirmed)


IMAGE_LABELS = {"digit": "image", "digits": "images"}
"""The labels of controls that choose images, where they are not of digits."""


def _about_data(question: Ask, show: View) -> View:
    """Return a view or an experiment that says on which data it ran, if not on MNIST's digits.

    Of lesson 0 only the part with pictures has images; the rest is arithmetic.
    """

    def shown(context: Context, choices: Choices, confirmed: bool) -> Iterator[Exhibit | None]:
        data = context.data
        is_usual = is_like_lessons(data.name, max(data.shape[:2]), data.shape[2])
        for exhibit in show(context, choices, confirmed):
            if exhibit is None or is_usual:
                yield exhibit
                continue
            controls = exhibit.controls
            if not shows_digits(data.name):
                controls = tuple(
                    replace(each, label=IMAGE_LABELS.get(each.label, each.label))
                    for each in controls
                )
            evidence = exhibit.evidence
            draws = any(isinstance(block, Pictures) for block in exhibit.blocks)
            if question.kind == "lesson" and (question.name != SLUGS[0] or draws):
                words = data_words(data.name, data.shape[:2], data.shape[2], data.classes)
                evidence = f"{evidence} Data: {words}.".strip()
            yield replace(exhibit, controls=controls, evidence=evidence)

    return shown


def _race(context: Context, question: Ask) -> Parts:
    if isinstance(context.data, RecordedInputs):
        check_recorded(context.data, question)
    begin = import_module("tui_trainer.lab.race.show").begin
    parts: Parts = begin(context, dict(question.choices), question.mode == "confirmed")
    return parts


def _check(context: Context, question: Ask) -> Parts:
    if isinstance(context.data, RecordedInputs):
        check_recorded(context.data, question)
    return check(context)


def _find_lr(context: Context, question: Ask) -> Parts:
    if isinstance(context.data, RecordedInputs):
        check_recorded(context.data, question)
    return with_controls(find_lr)(context, dict(question.choices), question.mode == "confirmed")


def _field(context: Context, question: Ask) -> Parts:
    """Measure the theoretical and the effective receptive field of one feature.

    Raises:
        ValueError: If there is no such layer or feature, or it cannot be measured.
    """
    data, layers, choices = context.data, context.layers, dict(question.choices)
    if isinstance(data, RecordedInputs):
        check_recorded(data, question)
    place, row, column = (int(choices[name]) for name in ("place", "row", "column"))
    if not 0 <= place < len(layers):
        raise ValueError(f"there is no layer {place}; the last is {len(layers) - 1}")
    height, width, _ = layers[place].output_shape
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"{layers[place].name} has no feature at {row}, {column}")
    digit = context.digit(int(choices.get("digit", 0)))
    try:
        measured = measured_field(context.copy(), data.shape, place, row, column)
        effective = effective_field(context.copy(), digit.model_input, place, row, column)
    except Exception as error:  # a custom model may not support the weights and dtypes used here
        words = one_line(f"{type(error).__name__}: {error}")
        name = layers[place].name
        raise ValueError(f"the receptive field of {name} cannot be measured: {words}") from None
    yield MeasuredField(
        place=place,
        row=row,
        column=column,
        digit=digit.number,
        label=digit.label,
        image=_numbers(digit.pixels),
        measured=_numbers(measured),
        effective=_numbers(_brightness(effective)),
    )


def _brightness(field: Tensor) -> Tensor:
    """Return gradient magnitudes (H, W) scaled to 0 to 255; all 0 if they are not finite."""
    field = torch.nan_to_num(field.detach().float(), nan=0.0, posinf=0.0, neginf=0.0)
    most = float(field.max())
    return (field * (255 / most)).round() if most > 0 else torch.zeros_like(field)


def _numbers(picture: Tensor) -> tuple[int, ...]:
    return tuple(picture.to(torch.int64).flatten().tolist())


def _model(context: Context, question: Ask) -> Parts:
    """Build another model for the images and classes of this run, and describe it.

    Raises:
        InputError: If it cannot be built.
    """
    data, reference = context.data, str(dict(question.choices)["model"])
    model = build_model(reference, image_size=data.input_size, classes=data.classes)
    layers = layers_of(model, data.example, data.classes)
    yield ModelDescription(
        model=model_name(reference),
        about=summary_of(reference),
        layers=layers,
        review=review_of(layers, context.config.budget),
    )


TOPICS: Mapping[str, Topic] = {
    "view": Topic(_exhibits, in_slices=True),
    "lesson": Topic(_exhibits),
    "race": Topic(_race),
    "find-lr": Topic(_find_lr),
    "check": Topic(_check, total=TOTAL, ended="the run is being stopped"),
    "field": Topic(_field),
    "model": Topic(_model),
}


@dataclass
class Job:
    """An answer in progress.

    Attributes:
        question: The question.
        context: The context of the answer.
        parts: The answer.
        turn: The number of finished slices.
        is_done: Whether the answer is complete.
    """

    question: Ask
    context: Context
    parts: Parts
    turn: int = 0
    is_done: bool = False


@dataclass
class Scheduler:
    """Runs at most one answer in slices, within its share of the time.

    Attributes:
        job: The answer in progress; None if there is none.
    """

    job: Job | None = None
    _credit: float = CREDIT
    _at: float | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an answer is in progress."""
        return self.job is not None

    def may_work(self, now: float) -> bool:
        """Whether the time budget allows another slice; ``now`` is a clock in seconds."""
        is_interactive = self.job is not None and self.job.question.mode != "background"
        share = INTERACTIVE_SHARE if is_interactive else BACKGROUND_SHARE
        if self._at is not None:
            self._credit = min(CREDIT, self._credit + share * (now - self._at))
        self._at = now
        return self._credit > 0

    def spend(self, seconds: float) -> None:
        """Subtract the time of a slice from the budget."""
        self._credit -= seconds


@contextmanager
def single_thread() -> Iterator[None]:
    """Use one torch thread: for one image, synchronizing threads takes longer than the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
