"""Questions for views: which are asked, in which order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.headless.fakes import started
from tui_trainer.headless.evaluation_text import Evaluation, as_record, evaluate
from tui_trainer.headless.view_questions import ViewQuestions
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, StateChanged
from tui_trainer.protocol.exhibit import Control, Exhibit, Value, Words
from tui_trainer.protocol.inspection import find_view

IMAGES = ("validation", "test")
STEPS: dict[str, dict[str, tuple[Value, ...]]] = {
    "confusion": {"images": IMAGES, "numbers": ("counts", "shares")},
    "kernels": {"layer": ("conv1", "conv2", "conv3"), "shows": ("now", "change")},
    "maps": {"images": IMAGES, "layer": ("all", "conv1"), "digit": (0.0, 1.0)},
    "activation": {"layer": ("classes", "conv1"), "digit": (0.0, 1.0)},
}
"""The controls of each view of the fake engine; ``change`` adds one to the kernels."""


def events(sequence: ViewQuestions, asked: list[Ask]) -> Iterator[Event]:
    yield StateChanged(state="preparing", step=0, detail="reading")
    yield started()
    for question in sequence.questions():
        asked.append(question)
        chosen = dict(question.choices)
        steps = STEPS[question.name]
        if chosen.get("shows") == "change":
            steps = {**steps, "since": ("start", "best")}
        controls = tuple(
            Control(name=name, label=name, value=chosen.get(name, each[0]), steps=each)
            for name, each in steps.items()
        )
        figures = {"images": 50, "correct": 45, "chosen": chosen, "lost": (float("nan"), 1.0)}
        for progress in (0.5, None):
            exhibit = Exhibit(
                blocks=(Words(text=question.name),),
                controls=controls,
                progress=progress,
                figures=figures if progress is None else {},
            )
            yield Answered(question=question, content=exhibit, step=7)


def seen(
    *names: str, on_test: bool = False, all_layers: bool = False, **chosen: str
) -> tuple[Evaluation, list[Ask]]:
    """Return the evaluation and the questions."""
    views = [find_view(name) for name in names]
    sequence = ViewQuestions(
        views, chosen, on_test=on_test, all_layers=all_layers, test_evaluations=1
    )
    asked: list[Ask] = []
    found = evaluate(events(sequence, asked), sequence, run="r", checkpoint="last", epoch=1)
    return found, asked


def test_the_overview_comes_first_and_nothing_is_asked_twice() -> None:
    found, asked = seen("kernels", "confusion")
    assert [question.name for question in asked] == ["confusion", "kernels"]
    assert [shown.view.name for shown in found.views] == ["kernels", "confusion"]
    assert (found.total, found.correct, found.images, found.step) == (50, 45, "validation", 7)


def test_the_test_set_is_opened_once_and_then_judged_by_all() -> None:
    found, asked = seen("maps", "confusion", on_test=True)
    assert [(question.name, question.mode) for question in asked] == [
        ("confusion", "confirmed"),
        ("maps", "interactive"),
    ]
    assert all(dict(question.choices) == {"images": "test"} for question in asked)
    assert found.is_on_test


def test_choices_are_made_on_other_images_before_the_test_set_is_opened() -> None:
    _, asked = seen("confusion", on_test=True, numbers="shares")
    assert [dict(question.choices) for question in asked] == [
        *({}, {"images": "test"}),
        {"images": "test", "numbers": "shares"},
    ]
    assert [question.mode for question in asked] == ["interactive", "confirmed", "interactive"]


def test_a_choice_applies_to_the_views_that_have_its_control() -> None:
    found, _ = seen("confusion", "maps", "activation", digit="1")
    assert [shown.exhibit.figures["chosen"] for shown in found.views] == [
        *({}, {"digit": 1.0}, {"digit": 1.0})
    ]


def test_a_control_that_another_choice_brings_can_be_turned() -> None:
    found, _ = seen("kernels", shows="change", since="best")
    assert found.views[0].exhibit.figures["chosen"] == {"shows": "change", "since": "best"}


@pytest.mark.parametrize("on_test", [False, True])
def test_a_choice_that_no_view_has_is_refused(on_test: bool) -> None:
    with pytest.raises(InputError, match="--set unit=1: maps has no such control; it has images"):
        seen("maps", on_test=on_test, unit="1")
    with pytest.raises(
        InputError, match=r"evaluate has no such control; it has images, numbers, layer, digit$"
    ):
        seen("confusion", "maps", on_test=on_test, unit="1", digit="1")


def test_every_layer_is_asked_for_where_one_is_shown_at_a_time() -> None:
    found, asked = seen("kernels", "maps", "activation", all_layers=True)
    layers = [
        dict(question.choices).get("layer") for question in asked if question.name == "kernels"
    ]
    assert layers == [None, "conv2", "conv3"]
    assert [len(shown.others) for shown in found.views] == [2, 0, 0]
    assert [len(shown.others) for shown in seen("kernels")[0].views] == [0]
    chosen, _ = seen("kernels", all_layers=True, layer="conv2")
    assert chosen.views[0].others == ()


def test_what_is_no_number_is_null_in_json() -> None:
    record = as_record(seen("maps")[0], "runs/r")
    assert record["views"]["maps"]["lost"] == [None, 1.0]
    assert record["accuracy"] == 0.9
