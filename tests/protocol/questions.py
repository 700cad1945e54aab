"""Questions about the model, and their answers in the events of a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tui_trainer.protocol.answers import Answered, Content
from tui_trainer.protocol.commands import Ask, Mode
from tui_trainer.protocol.events import Event
from tui_trainer.protocol.exhibit import Exhibit, Value

T = TypeVar("T", bound=Content)
CHECK = Ask("check")


def ask_view(
    name: str, choices: tuple[tuple[str, Value], ...] = (), mode: Mode = "interactive"
) -> Ask:
    return Ask(f"view/{name}", choices, mode)


def ask_lesson(
    slug: str, choices: tuple[tuple[str, Value], ...] = (), mode: Mode = "interactive"
) -> Ask:
    return Ask(f"lesson/{slug}", choices, mode)


def ask_field(place: int, row: int, column: int, digit: int = 0) -> Ask:
    choices = {"place": place, "row": row, "column": column, "digit": digit}
    return Ask("field", tuple(choices.items()))


def ask_model(model: str) -> Ask:
    return Ask("model", (("model", model),))


def answers(events: Iterable[Event], kind: str = "") -> list[Answered]:
    """Return the answers to questions of a kind, or to all questions."""
    found = (event for event in events if isinstance(event, Answered))
    return [event for event in found if kind in ("", event.question.kind)]


def contents(kind: type[T], events: Iterable[Event]) -> list[T]:
    """Return the contents of a type from all answers."""
    return [event.content for event in answers(events) if isinstance(event.content, kind)]


def exhibit_of(event: Answered) -> Exhibit:
    assert isinstance(event.content, Exhibit)
    return event.content
