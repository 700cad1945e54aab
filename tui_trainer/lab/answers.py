"""Answers to questions about the network: they change nothing of the run."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.description import layers_of, review_of
from tui_trainer.anatomy.measured import effective_field, measured_field
from tui_trainer.engine.session import Session
from tui_trainer.lab.lesson_answers import try_lesson
from tui_trainer.lab.preflight import check
from tui_trainer.lab.view_answers import begin_view, go_on
from tui_trainer.models.build import about, build_network, fault_of_own
from tui_trainer.models.copies import copy_model
from tui_trainer.models.outside import preserve_globals
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.protocol import commands
from tui_trainer.protocol.answers import Answer, FieldMeasured, NetworkDescribed
from tui_trainer.protocol.commands import (
    CheckNetwork,
    Command,
    DescribeNetwork,
    Inspect,
    LookAtField,
    Question,
    StopTrying,
    TryLesson,
)
from tui_trainer.protocol.events import CommandRejected, Event
from tui_trainer.protocol.reference import model_name
from tui_trainer.text.fmt import clip, one_line

LONGEST_REASON = 300
"""The characters of an error that are reported; torch's can be pages long."""


def answer(session: Session, question: Question) -> Iterator[Event]:
    """Answer a question, in one event or several, or say why there is no answer.

    Whatever a network of one's own does when it is looked at, the run goes on.
    """
    try:
        match question:
            case LookAtField():
                yield _field(session, question)
            case DescribeNetwork():
                yield _network(session, question)
            case CheckNetwork():
                yield from _checked(session, question)
            case TryLesson():
                yield from try_lesson(session, question)
            case StopTrying():
                pass  # what was under way has ended by its arrival
            case Inspect():
                yield from begin_view(session, question)
    except Exception as error:
        yield _fault(session, question, error)


def go_on_looking(session: Session, *, waits: bool = False) -> Iterator[Event]:
    """Work on the view that was asked for, as far as there is time for it.

    Args:
        session: The session.
        waits: Whether nothing else is to be done: it is worked on until a wish arrives.
    """
    try:
        yield from go_on(session, waits=waits)
    except Exception as error:
        wish = session.desk.wish
        session.desk.clear()
        if wish is not None:
            yield _fault(session, wish, error)


def next_wishes(session: Session) -> Generator[Event, None, list[Command]]:
    """Return the next wishes, one at least; what is asked for is worked on meanwhile."""
    while True:
        yield from go_on_looking(session, waits=True)
        if wishes := session.inbox.take(session.step, wait=not session.desk.is_busy):
            return wishes


def _fault(session: Session, question: Question, error: Exception) -> CommandRejected:
    told = fault_of_own(error, session.config.model) or error
    words = clip(one_line(str(told) or type(told).__name__), LONGEST_REASON)
    return reject(session, question, words)


def answer_until_stopped(session: Session) -> Iterator[Event]:
    """Answer questions about the network of a run that is over, until there are no more."""
    while True:
        for wish in (yield from next_wishes(session)):
            match wish:
                case commands.Stop():
                    return
                case _ if isinstance(wish, Question):
                    yield from answer(session, wish)
                case _:
                    yield reject(session, wish, "the run is over")


def reject(session: Session, wish: Command, reason: str) -> CommandRejected:
    """Return that a wish cannot be granted, and why."""
    return CommandRejected(command=type(wish).__name__, reason=reason, step=session.step)


def _checked(session: Session, question: CheckNetwork) -> Iterator[Answer | CommandRejected]:
    """Check the first steps, item by item; a wish to stop the run need not wait for the last."""
    for item in check(session):
        yield item
        if item.done < item.total and session.inbox.awaits(commands.Stop):
            yield reject(session, question, "the run is being stopped")
            return


def _field(session: Session, question: LookAtField) -> FieldMeasured:
    """Measure what one feature sees.

    Raises:
        ValueError: If there is no such layer or feature, or it cannot be measured.
    """
    data, layers = session.data, session.layers
    place, row, column = question.place, question.row, question.column
    if not 0 <= place < len(layers):
        raise ValueError(f"there is no layer {place}; the last is {len(layers) - 1}")
    height, width, _ = layers[place].output_shape
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"{layers[place].name} has no feature at {row}, {column}")
    split = data.val if len(data.val) else data.train
    digit = question.digit % len(split)
    image = split.images[digit]
    inputs = data.prepare(image.unsqueeze(0))
    try:
        with preserve_rng_state(session.device), preserve_globals(session.network):
            measured = measured_field(_copy(session), data.shape, place, row, column)
            effective = effective_field(_copy(session), inputs, place, row, column)
    except Exception as error:  # it was run with other weights and types than its author meant
        words = one_line(f"{type(error).__name__}: {error}")
        name = layers[place].name
        raise ValueError(f"what {name} sees cannot be measured in this model: {words}") from None
    return FieldMeasured(
        place=place,
        row=row,
        column=column,
        digit=digit,
        label=int(split.labels[digit]),
        image=_numbers(image),
        measured=_numbers(measured),
        effective=_numbers(_brightness(effective)),
        step=session.step,
    )


def _copy(session: Session) -> nn.Module:
    """Return a copy of the network: measuring changes what a forward keeps."""
    return copy_model(session.network)


def _brightness(field: Tensor) -> Tensor:
    """Return sizes of gradients (H, W) as 0 to 255; of weights that are lost, all 0."""
    field = torch.nan_to_num(field.detach().float(), nan=0.0, posinf=0.0, neginf=0.0)
    most = float(field.max())
    return (field * (255 / most)).round() if most > 0 else torch.zeros_like(field)


def _numbers(picture: Tensor) -> tuple[int, ...]:
    return tuple(picture.to(torch.int64).flatten().tolist())


def _network(session: Session, question: DescribeNetwork) -> NetworkDescribed:
    """Build another network, for images and classes like this run's, and look at it.

    Raises:
        InputError: If it cannot be built.
    """
    data = session.data
    with preserve_rng_state():
        network = build_network(question.model, image_size=data.image_size, classes=data.classes)
    layers = layers_of(network, data.shape, data.classes)
    return NetworkDescribed(
        model=model_name(question.model),
        about=about(question.model),
        layers=layers,
        review=review_of(layers, session.config.budget),
    )
