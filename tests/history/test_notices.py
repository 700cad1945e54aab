from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.protocol.facts import changed, epoch_done, evaluated, finding, finished, started
from tui_trainer.history.notices import notice_of
from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.events import (
    Diverged,
    Event,
    FindingCleared,
    Rewound,
    RunFailed,
    RunFinished,
    StateChanged,
)

ERROR = finding(code="dead_units", severity="error", title="dead ReLUs in conv2")
DIVERGED = Diverged(step=1_312, epoch=2, lr=1.0)
DIVERGENCE = finding(code="divergence", severity="error", title="the loss is not finite")
KILLED = StateChanged(state="killed", step=3)
REWOUND = Rewound(step=1_000, epoch=2, images=1, from_step=1_312, lines=None)


def unread(reason: str) -> RunFinished:
    return finished(reason=reason, test_accuracy=None, test_interval=None)


def notices(events: Iterable[Event]) -> list[str]:
    run, found = RunState(), []
    for event in events:
        if (text := notice_of(event, run)) is not None:
            found.append(text)
        run.apply(event)
    return found


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (finished(epochs=20), "era-s6 finished: test 99.00 % [96.00, 99.80], 20 epochs"),
        (finished(reason="stopped"), "era-s6 stopped: test 99.00 % [96.00, 99.80], 2 epochs"),
        (unread("completed"), "era-s6 finished: test not evaluated, 2 epochs"),
        (unread("terminated"), "era-s6 terminated: test not evaluated, 2 epochs"),
        (RunFailed(message="a\nb", traceback=""), "era-s6 failed: a b"),
        (KILLED, "era-s6: no process trains it, and it has not ended"),
        (DIVERGED, "era-s6 diverged at step 1,312"),
        (ERROR, "era-s6: error: dead ReLUs in conv2"),
    ],
)
def test_what_is_worth_a_notification(event: Event, expected: str) -> None:
    assert notices([started(), event]) == [expected]


@pytest.mark.parametrize(
    "event",
    [
        unread("interrupted"),  # Ctrl+C at this terminal
        unread("disconnected"),  # the terminal is gone
        unread("detached"),  # another process continues the run
        unread("stopped"),  # the window was closed
        finding(severity="warning"),
        FindingCleared(code="dead_units", step=1),
        evaluated(),
        epoch_done(),
        changed("base_lr", 0.1, 0.2),
    ],
)
def test_what_is_not(event: Event) -> None:
    assert notices([started(), event]) == []


def test_a_run_that_fails_before_its_start_has_no_model() -> None:
    assert notices([RunFailed(message="no data", traceback="")]) == ["the run failed: no data"]


def test_a_finding_is_reported_again_only_after_it_has_cleared() -> None:
    cleared = FindingCleared(code=ERROR.code, step=9)
    assert len(notices([started(), ERROR, ERROR])) == 1
    assert len(notices([started(), ERROR, cleared, ERROR])) == 2


def test_a_warning_that_becomes_an_error_is_reported() -> None:
    warning = finding(code=ERROR.code, severity="warning")
    assert len(notices([started(), warning, ERROR])) == 1


def test_a_divergence_is_reported_once() -> None:
    ended = unread("diverged")
    assert notices([started(), DIVERGED, DIVERGENCE, ended]) == ["era-s6 diverged at step 1,312"]
    again = notices([started(), DIVERGED, DIVERGENCE, REWOUND, DIVERGED, ended])
    assert again == 2 * ["era-s6 diverged at step 1,312"]
