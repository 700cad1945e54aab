"""The parts of the Inspect benchmark that need no measuring."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks.inspecting import made_parser, noted
from tests.benchmarks.meter import Meter
from tests.protocol.questions import ask_view
from tests.ui.fakes import recording
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.events import Event, RunStarted
from tui_trainer.protocol.exhibit import Exhibit


def test_whole_answers_are_noted_and_every_event_passes() -> None:
    whole = Answered(question=ask_view("confusion"), content=Exhibit(blocks=()), step=3)
    partial = replace(whole, content=Exhibit(blocks=(), progress=0.5))
    started = next(event for event in recording("network") if isinstance(event, RunStarted))
    events: list[Event] = [started, partial, whole]
    answered: list[float] = []
    meter = Meter(1.0)

    passed = noted(iter(events), answered, meter)
    assert [next(passed), next(passed)] == events[:2]
    assert answered == []
    assert list(passed) == events[2:]
    assert len(answered) == 1
    assert meter.threads == started.threads


@pytest.mark.parametrize("arguments", [["era"], ["era-s6", "--views", "nothing"]])
def test_what_is_unknown_is_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        made_parser().parse_args(arguments)
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
