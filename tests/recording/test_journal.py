"""Reading a recorded run: valid events, and events made void by a rewind or resume."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.protocol.facts import changed, epoch_done, evaluated, finished, sample, started, step
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, Rewound, RunResumed, to_json
from tui_trainer.recording import journal
from tui_trainer.recording.journal import from_json, read_parts, read_recorded


def text(*events: Event) -> str:
    return "".join(to_json(event) + "\n" for event in events)


def resumed(lines: int | None) -> RunResumed:
    return RunResumed(step=1, epoch=1, images=100, threads=1, lines=lines)


def rewound(lines: int | None) -> Rewound:
    return Rewound(step=1, epoch=1, images=100, from_step=9, lines=lines)


def test_event_round_trip() -> None:
    run: list[Event] = [
        started(),
        step(1),
        changed("base_lr", 0.1, 0.05),
        epoch_done(),
        resumed(2),
        rewound(None),
        evaluated(),
        finished(),
    ]
    for event in run:
        assert from_json(to_json(event)) == event


@pytest.mark.parametrize("back", [resumed, rewound])
def test_events_after_the_checkpoint_are_void(back: Callable[[int], Event]) -> None:
    events: list[Event] = [
        started(),
        step(1),
        step(2),
        step(3),
        back(2),
        step(2, loss=0.7),
        finished(),
    ]
    recorded = read_recorded(text(*events), "events.jsonl")
    assert recorded.events == (events[0], events[1], events[4], events[5], events[6])
    assert recorded.lines == 7


def test_a_run_can_be_rewound_repeatedly() -> None:
    events: list[Event] = [started(), step(1), step(2), resumed(2), step(2), step(3)]
    events += [resumed(5), resumed(1)]
    recorded = read_recorded(text(*events), "events.jsonl")
    assert recorded.events == (events[0], events[7])


def test_void_test_evaluations_are_counted() -> None:
    recorded = read_recorded(text(started(), evaluated(), resumed(1), evaluated()), "events.jsonl")
    assert recorded.test_evaluations == 2
    assert len(recorded.events) == 3


def test_an_incomplete_last_line_is_ignored() -> None:
    whole = text(started(), step(1))
    for torn in ("{", '{"event": "StepDone", "st', "\0\0\0", "\ufffd"):
        recorded = read_recorded(whole + torn, "events.jsonl")
        assert (recorded.events, recorded.lines) == ((started(), step(1)), 2)


@pytest.mark.parametrize(
    "event",
    [
        sample(sample_size=0),
        sample(correct=385, sample_size=384),
        epoch_done(val_correct=1, val_total=0),
        epoch_done(val_correct=-1),
    ],
)
def test_more_correct_predictions_than_images_are_not_an_event(event: Event) -> None:
    with pytest.raises(InputError, match=r"not an event: .* of \d+ images\)$"):
        read_recorded(text(started(), event), "events.jsonl")


def test_a_damaged_line_is_an_error_unless_it_is_void() -> None:
    with pytest.raises(InputError, match=r"^events.jsonl, line 2: not an event: "):
        read_recorded(text(started()) + "no\n" + text(step(1)), "events.jsonl")
    void = read_recorded(text(started()) + "no\n" + text(resumed(1)), "events.jsonl")
    assert void.events == (started(), resumed(1))


def test_events_before_a_line_exclude_void_ones() -> None:
    events: list[Event] = [started(), step(1), step(2), resumed(2), step(2), step(3)]
    recorded = read_recorded(text(*events), "events.jsonl")
    assert recorded.before(5) == (started(), step(1), resumed(2), step(2))
    assert recorded.before(None) == recorded.events
    assert recorded.before(0) == ()


@pytest.mark.parametrize("part", [1, 100, 1_000, 100_000])
def test_parts_have_the_events_of_the_whole(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PART", part)
    events: list[Event] = [started(), step(1), step(2), resumed(2), step(2), step(3), epoch_done()]
    events += [rewound(6), step(4), resumed(9), *map(step, range(5, 40)), rewound(12), finished()]
    raw = text(*events).encode()
    torn = raw + b'{"event": "St'
    parts = [*read_parts(lambda length, at: torn[at : at + length], len(torn), "events.jsonl")]
    assert b"".join(content for _, content in parts) == raw
    whole = read_recorded(raw.decode(), "events.jsonl")
    assert [event for events, _ in parts for event in events] == [*whole.events]
    assert len(parts) > 1 or part > len(raw)


def test_an_empty_file_is_valid() -> None:
    assert read_recorded("", "events.jsonl").events == ()


def test_a_field_added_later_may_be_missing() -> None:
    line = '{"event": "Diverged", "step": 3, "epoch": 1, "lr": 0.1}'
    assert from_json(line).step == 3  # type: ignore[union-attr]
    with pytest.raises(InputError):
        from_json('{"event": "Diverged", "step": 3, "epoch": 1}')
