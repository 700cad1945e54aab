from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from tests.ui.fakes import recording, run_folder
from tui_trainer.history.history import History
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import EpochDone, Event, RunStarted, StepDone
from tui_trainer.recording.folder import RunFolder
from tui_trainer.ui.runs.recorded_run import SPEEDS, RecordedRun, open_run, time_axis

FINISHED = recording("finished")
STEPS = [event for event in FINISHED if isinstance(event, StepDone)]
ENDS = [event for event in FINISHED if isinstance(event, EpochDone)]


def player(events: list[Event] | None = None, *, speed: float = 1.0) -> RecordedRun:
    return RecordedRun("a run", RunConfig(), FINISHED if events is None else events, speed=speed)


def state_of(history: History) -> tuple[object, ...]:
    """Return the state of a history, for comparison."""
    plain = (history.state, history.last_step, history.epochs, history.tests, history.settings)
    curves = (history.train_loss, history.train_accuracy, history.lr)
    return (*plain, history.findings, [(list(c.x), list(c.trend), list(c.low)) for c in curves])


def replayed(events: list[Event]) -> History:
    return History.of(events)


def test_it_starts_with_the_model_and_no_step() -> None:
    run = player()
    assert run.position == 0.0
    assert run.history.started is not None
    assert run.history.last_step is None
    assert run.total == STEPS[-1].seconds


def test_time_passes_at_the_speed_and_brings_the_events_of_that_time() -> None:
    run = player(speed=2.0)
    events = run.advance(0.5)
    steps = [event for event in events if isinstance(event, StepDone)]
    assert steps == [step for step in STEPS if step.seconds <= 1.0]
    assert run.history.last_step == steps[-1]
    assert run.position == 1.0


def test_it_does_not_move_while_paused_and_at_the_end() -> None:
    run = player()
    run.toggle()
    assert not run.advance(1.0)
    assert run.position == 0.0
    run.toggle()
    run.advance(1e9)
    assert run.is_at_end
    assert run.position == run.total
    assert not run.advance(1.0)
    assert state_of(run.history) == state_of(replayed(FINISHED))


def test_play_at_the_end_starts_again() -> None:
    run = player()
    run.seek(run.total)
    run.toggle()
    assert run.position == 0.0
    assert run.is_playing
    assert run.history.last_step is None


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_a_position_has_the_same_state_from_both_directions(share: float) -> None:
    before, behind = player(), player()
    before.seek(share * before.total)
    behind.seek(behind.total)
    behind.seek(share * behind.total)
    assert state_of(before.history) == state_of(behind.history)
    assert before.position == behind.position


def test_seeking_beyond_an_end_is_clamped() -> None:
    run = player()
    run.seek(math.inf)
    assert run.position == run.total
    run.seek(-1.0)
    assert run.position == 0.0


def test_twenty_jumps_cover_the_run() -> None:
    run = player()
    for _ in range(20):
        run.jump(1)
    assert run.position == pytest.approx(run.total)
    run.jump(-1)
    assert run.position == pytest.approx(run.total * 19 / 20)


def test_epochs_can_be_stepped_forwards_and_backwards() -> None:
    run = player()
    run.toggle()
    seen = []
    for _ in range(3):
        run.next_epoch()
        seen.append(len(run.history.epochs))
    assert seen == [1, 2, 2]
    assert run.is_at_end
    run.previous_epoch()
    assert len(run.history.epochs) == 1
    run.previous_epoch()
    assert run.position == 0.0


def test_back_shortly_after_an_epoch_while_playing_skips_to_the_previous_one() -> None:
    run = player()
    run.next_epoch()
    run.advance(0.1)
    run.previous_epoch()
    assert run.position == 0.0


def test_speeds_move_up_and_down_the_list_from_any_speed() -> None:
    run = player(speed=3.0)
    run.change_speed(1)
    assert run.speed == 5
    run.change_speed(-1)
    assert run.speed == 2
    for _ in SPEEDS:
        run.change_speed(1)
    assert run.speed == 1_000
    for _ in SPEEDS:
        run.change_speed(-1)
    assert run.speed == 1


def test_the_axis_never_decreases_for_any_steps() -> None:
    step = STEPS[0]
    seconds = [1.0, 2.0, 0.5, 0.75, math.nan, 1.75]
    steps = [dataclasses.replace(step, seconds=second) for second in seconds]
    assert time_axis(steps) == [1.0, 2.0, 2.0, 2.25, 2.25, 3.25]


def test_no_key_fixes_a_recorded_run() -> None:
    run = player(recording("diverged"))
    run.seek(run.total)
    assert run.history.findings
    assert run.fixable() is None


def test_a_run_is_read_from_its_folder(tmp_path: Path) -> None:
    run = open_run(run_folder(tmp_path / "one", FINISHED), speed=5.0)
    assert run.name == "one"
    assert run.config.model == "small"
    run.seek(run.total)
    assert run.history.last_step == STEPS[-1]


def test_a_run_without_a_step_is_rejected_in_one_line(tmp_path: Path) -> None:
    start = [event for event in FINISHED if isinstance(event, RunStarted)]
    with pytest.raises(InputError, match="one: the run has no training step"):
        open_run(run_folder(tmp_path / "one", start))


def test_a_missing_folder_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        open_run(RunFolder(tmp_path / "nowhere"))
