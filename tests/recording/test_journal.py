"""Reading a recorded run back: what holds, and what came after a state it went back to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.protocol.facts import changed, epoch_done, finished, look, started, step
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, Rewound, RunResumed, to_json
from tui_trainer.recording.journal import from_json, read_recorded


def text(*events: Event) -> str:
    return "".join(to_json(event) + "\n" for event in events)


def resumed(lines: int | None) -> RunResumed:
    return RunResumed(step=1, epoch=1, images=100, threads=1, lines=lines)


def rewound(lines: int | None) -> Rewound:
    return Rewound(step=1, epoch=1, images=100, from_step=9, lines=lines)


def test_every_event_reads_back() -> None:
    run: list[Event] = [
        started(),
        step(1),
        changed("base_lr", 0.1, 0.05),
        epoch_done(),
        resumed(2),
        rewound(None),
        look(),
        finished(),
    ]
    for event in run:
        assert from_json(to_json(event)) == event


@pytest.mark.parametrize("back", [resumed, rewound])
def test_what_came_after_the_state_is_void(back: Callable[[int], Event]) -> None:
    events: list[Event] = [
        started(),
        step(1),
        step(2),
        step(3),
        back(2),
        step(2, loss=0.7),
        finished(),
    ]
    told = read_recorded(text(*events), "events.jsonl")
    assert told.events == (events[0], events[1], events[4], events[5], events[6])
    assert told.lines == 7


def test_a_run_can_go_back_more_than_once_and_behind_its_first_return() -> None:
    events: list[Event] = [started(), step(1), step(2), resumed(2), step(2), step(3)]
    events += [resumed(5), resumed(1)]
    told = read_recorded(text(*events), "events.jsonl")
    assert told.events == (events[0], events[7])


def test_looks_at_the_test_set_count_even_where_they_are_void() -> None:
    told = read_recorded(text(started(), look(), resumed(1), look()), "events.jsonl")
    assert told.test_evaluations == 2
    assert len(told.events) == 3


def test_a_torn_last_line_is_no_fault() -> None:
    whole = text(started(), step(1))
    for torn in ("{", '{"event": "StepDone", "st', "\0\0\0", "\ufffd"):
        told = read_recorded(whole + torn, "events.jsonl")
        assert (told.events, told.lines) == ((started(), step(1)), 2)


def test_a_damaged_line_is_named_unless_it_is_void() -> None:
    with pytest.raises(InputError, match=r"^events.jsonl, line 2: no event: "):
        read_recorded(text(started()) + "no\n" + text(step(1)), "events.jsonl")
    void = read_recorded(text(started()) + "no\n" + text(resumed(1)), "events.jsonl")
    assert void.events == (started(), resumed(1))


def test_the_events_before_a_line_leave_the_void_ones_out() -> None:
    events: list[Event] = [started(), step(1), step(2), resumed(2), step(2), step(3)]
    told = read_recorded(text(*events), "events.jsonl")
    assert told.before(5) == (started(), step(1), resumed(2), step(2))
    assert told.before(None) == told.events
    assert told.before(0) == ()


def test_nothing_is_no_fault() -> None:
    assert read_recorded("", "events.jsonl").events == ()


def test_a_field_that_came_later_may_be_missing() -> None:
    line = '{"event": "Diverged", "step": 3, "epoch": 1, "lr": 0.1}'
    assert from_json(line).step == 3  # type: ignore[union-attr]
    with pytest.raises(InputError):
        from_json('{"event": "Diverged", "step": 3, "epoch": 1}')
