"""The window of a sweep, with made-up states and recorded runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.sweeps.made import MANY, sweep_of
from tests.ui.fakes import recording, run_folder, until
from tests.ui.sweep_window import States, opened, sweep_window
from tests.ui.test_snapshots import MEDIUM, SIZES, SMALL, TWO, SnapCompare
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import EpochDone, Event
from tui_trainer.recording.lock import Lock
from tui_trainer.sweeps.state import SweepState
from tui_trainer.text.fmt import Cell
from tui_trainer.ui.screens.base_screen import WindowRequested
from tui_trainer.ui.screens.dialogs import ChooseScreen, ConfirmScreen
from tui_trainer.ui.screens.replay_screen import ReplayScreen
from tui_trainer.ui.screens.sweep_screen import SweepScreen
from tui_trainer.ui.sweep_app import SweepApp
from tui_trainer.ui.sweep_curves import BEST, styles_of, wanted_folders, wanted_trials
from tui_trainer.ui.widgets.key_footer import KeyFooter
from tui_trainer.ui.widgets.sweep_lines import best_cells, budget_cells, phase_cells
from tui_trainer.ui.widgets.sweep_panels import TrialsTable

EVERY_SIZE = pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")


def text(cells: list[Cell]) -> str:
    return "".join(cell.text for cell in cells)


def screen(app: SweepApp) -> SweepScreen:
    found = app.screen_stack[0]
    assert isinstance(found, SweepScreen)
    return found


def worse(event: Event, factor: float) -> Event:
    """Return the end of an epoch with another validation error."""
    if not isinstance(event, EpochDone) or event.val_accuracy is None:
        return event
    return replace(event, val_accuracy=max(0.0, 1 - factor * (1 - event.val_accuracy)))


def with_runs(state: SweepState, folder: Path, numbers: tuple[int, ...]) -> SweepState:
    """Return a sweep, some of whose trials have recorded runs."""
    events = recording("finished")
    for trial in state.trials:
        if trial.number in numbers:
            gap = 1 - (trial.values or (0.9,))[0]
            for path in trial.runs:
                run_folder(folder / path, [worse(event, 60 * gap) for event in events])
    trials = [
        replace(trial, runs=tuple(folder / path for path in trial.runs)) for trial in state.trials
    ]
    return replace(state, trials=tuple(trials))


async def test_the_table_grows_with_the_sweep() -> None:
    states = States(sweep_of(26), sweep_of(27))
    app = sweep_window(states)
    async with app.run_test(size=MEDIUM) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda _: states.readings > 2, app)  # type: ignore[arg-type]
        assert app.state is not None
        assert len(app.state.trials) == 28
        table = app.screen.query_one(TrialsTable)
        assert table.row_count == 28
        assert app.state.best is not None
        assert table.number == app.state.best.number
        await pilot.press("s")
        assert str(table.get_row_at(0)[1]).strip() == "28"


async def test_choosing_a_trial_highlights_it_everywhere() -> None:
    app = sweep_window(States(sweep_of(34)))
    async with app.run_test(size=MEDIUM) as pilot:
        await opened(pilot, app)
        first = screen(app).chosen
        await pilot.press("down")
        second = screen(app).chosen
        assert first is not None
        assert second is not None
        assert first is not second
        await pilot.press("tab", "tab", "down")
        third = screen(app).chosen
        assert third is not None
        assert third is not second, "the keys act in the plot too"


async def test_stopping_asks_first_and_keeps_the_window() -> None:
    stops: list[int] = []
    app = sweep_window(States(sweep_of(26)), stop=lambda: stops.append(1))
    async with app.run_test(size=MEDIUM) as pilot:
        await opened(pilot, app)
        await pilot.press("x")
        assert isinstance(app.screen, ConfirmScreen)
        words = " ".join(str(static.content) for static in app.screen.query(Static))
        assert "mnist-tui sweep --resume lr-sweep" in words
        await pilot.press("n", "x", "y")
        assert stops == [1]
        assert app.is_running
        await pilot.press("x")
        assert not isinstance(app.screen, ConfirmScreen), "it is stopping already"
        await pilot.press("q")
        await pilot.pause()
    assert stops == [1]


async def test_quitting_asks_first_and_stops_the_workers() -> None:
    stops: list[int] = []
    app = sweep_window(States(sweep_of(26)), stop=lambda: stops.append(1))
    async with app.run_test(size=MEDIUM) as pilot:
        await opened(pilot, app)
        await pilot.press("q")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("y")
        await pilot.pause()
    assert stops == [1]


async def test_a_question_about_a_sweep_that_ends_meanwhile_is_closed() -> None:
    stops: list[int] = []
    over = replace(sweep_of(26, running=0), is_over=True, ended="26 trials")
    states = States(sweep_of(26))
    app = sweep_window(states, stop=lambda: stops.append(1))
    async with app.run_test(size=MEDIUM) as pilot:
        await opened(pilot, app)
        await pilot.press("q")
        assert isinstance(app.screen, ConfirmScreen)
        states.states = [over]
        await until(pilot, lambda app: not isinstance(app.screen, ConfirmScreen), app)  # type: ignore[arg-type]
        await pilot.press("q")
        await pilot.pause()
    assert stops == []


@pytest.mark.parametrize("changes", [{"is_over": True, "ended": "40 trials are done"}, None])
async def test_quitting_does_not_ask_where_nothing_is_trained(
    changes: dict[str, Any] | None,
) -> None:
    stops: list[int] = []
    state = replace(sweep_of(26), **(changes or {}))
    stop = (lambda: stops.append(1)) if changes else None
    app = sweep_window(States(state), stop=stop)
    async with app.run_test(size=MEDIUM) as pilot:
        await opened(pilot, app)
        footer = "".join(piece.text for piece in app.screen.query_one(KeyFooter).pieces)
        assert "stop" not in footer
        await pilot.press("x", "q")
        await pilot.pause()
    assert stops == []


async def test_a_storage_that_cannot_be_read_is_shown_and_read_again() -> None:
    class Failing(States):
        def __call__(self) -> SweepState:
            self.readings += 1
            if self.readings == 2:
                raise InputError("the database does not answer")
            return self.states[0]

    states = Failing(sweep_of(26))
    app = sweep_window(states)
    seen = []
    async with app.run_test(size=MEDIUM) as pilot:
        await opened(pilot, app)

        def is_read_again(_: object) -> bool:
            seen.append(app._problem)
            return states.readings > 3

        await until(pilot, is_read_again, app)  # type: ignore[arg-type]
        assert "the database does not answer" in seen
        assert app._problem == ""
        assert app.state is not None


async def test_enter_replays_the_run_of_a_trial(tmp_path: Path) -> None:
    state = sweep_of(26)
    assert state.best is not None
    app = sweep_window(States(with_runs(state, tmp_path, (state.best.number,))))
    async with app.run_test(size=MEDIUM) as pilot:
        await opened(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda app: isinstance(app.screen, ReplayScreen), app)  # type: ignore[arg-type]
        await pilot.press("escape")
        assert isinstance(app.screen, SweepScreen)


async def test_enter_asks_which_of_several_seeds(tmp_path: Path) -> None:
    state = sweep_of(26, seeds=2)
    assert state.best is not None
    app = sweep_window(States(with_runs(state, tmp_path, (state.best.number,))))
    async with app.run_test(size=MEDIUM) as pilot:
        await opened(pilot, app)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, ChooseScreen)
        await pilot.press("down", "enter")
        await until(pilot, lambda app: isinstance(app.screen, ReplayScreen), app)  # type: ignore[arg-type]


async def test_a_run_that_is_trained_now_is_watched_without_changing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = sweep_of(26)
    assert state.best is not None
    state = with_runs(state, tmp_path, (state.best.number,))
    assert state.best is not None
    requests: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        SweepApp, "on_window_requested", lambda self, m: requests.append(m.arguments)
    )
    app = sweep_window(States(state))
    lock = Lock(state.best.runs[0] / ".lock")
    async with app.run_test(size=MEDIUM) as pilot:
        await opened(pilot, app)
        await pilot.press("enter")
        await pilot.pause(0.1)
    lock.release()
    assert WindowRequested(*requests[0]).arguments == (
        "attach",
        str(state.best.runs[0]),
        "--read-only",
    )


async def test_a_run_that_is_gone_is_one_line(tmp_path: Path) -> None:
    app = sweep_window(States(sweep_of(26)))
    async with app.run_test(size=MEDIUM) as pilot:
        await opened(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda app: bool(app._notifications), app)  # type: ignore[arg-type]
        assert isinstance(app.screen, SweepScreen)


def test_the_best_and_the_chosen_trial_are_drawn_last() -> None:
    state = sweep_of(34)
    styles = styles_of(state, None)
    assert state.best is not None
    assert len(styles) == BEST
    assert [*styles][-1] == state.best.number
    worst = min(state.completed, key=lambda trial: trial.value or 0)
    assert [*styles_of(state, worst.number)][-1] == worst.number
    assert [*styles_of(state, state.best.number)][-1] == state.best.number


def test_the_runs_that_are_read_are_few_and_the_important_ones_first() -> None:
    state = sweep_of(400, seeds=3)
    wanted = wanted_trials(state, styles_of(state, 17))
    assert wanted[0].number == 17
    assert {*styles_of(state, 17)} <= {trial.number for trial in wanted}
    assert any(trial.phase == "running" for trial in wanted)
    assert len(wanted_folders(wanted)) <= 40


def test_the_lines_name_the_interval() -> None:
    assert "Wilson, 5,000 images, one seed" in text(best_cells(sweep_of(26)))
    assert "Student's t, 3 seeds" in text(best_cells(sweep_of(26, seeds=3)))
    assert "no completed trial yet" in text(best_cells(sweep_of(0, running=0)))
    assert "26 of 40 trials" in text(budget_cells(sweep_of(26), True))


def test_the_state_of_the_sweep() -> None:
    state = sweep_of(26, running=2)
    assert text(phase_cells(state, is_stopping=False)) == "● training · 2 workers"
    assert text(phase_cells(state, is_stopping=True)) == "◌ stopping · 2 workers"
    dead = replace(state, workers=tuple(replace(w, is_alive=False) for w in state.workers))
    assert text(phase_cells(dead, is_stopping=False)) == "✗ no worker"
    assert text(phase_cells(dead, is_stopping=True)).startswith("■ stopped")
    assert text(phase_cells(dead, is_starting=True)) == "◌ starting"
    over = replace(state, is_over=True, ended="40 trials are done")
    assert text(phase_cells(over, is_stopping=False)) == "✓ 40 trials are done"


def snapshot(
    snap_compare: SnapCompare, state: SweepState, size: tuple[int, int], *keys: str
) -> None:
    app = sweep_window(States(state), stop=lambda: None)

    async def before(pilot: Pilot[None]) -> None:
        await opened(pilot, app)

        def are_read(_: object) -> bool:
            folders = wanted_folders(screen(app)._wanted)
            return all(screen(app).reader.get(folder) for folder in folders)

        await until(pilot, are_read, app)  # type: ignore[arg-type]
        for key in keys:
            await pilot.press(key)
        await pilot.pause(0.2)
        screen(app).update_curves()
        await pilot.pause(0.1)

    assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.fixture(scope="module")
def with_some_runs(tmp_path_factory: pytest.TempPathFactory) -> SweepState:
    """A sweep, most of whose trials have recorded runs."""
    return with_runs(sweep_of(34), tmp_path_factory.mktemp("runs"), tuple(range(10, 36)))


@pytest.mark.parametrize("size", TWO, ids=lambda s: f"{s[0]}x{s[1]}")
def test_picture_of_a_sweep(
    snap_compare: SnapCompare, size: tuple[int, int], with_some_runs: SweepState
) -> None:
    snapshot(snap_compare, with_some_runs, size)


@pytest.mark.parametrize("view", ["parallel", "curves", "advice"])
@pytest.mark.sampled(2)
def test_small_pictures(snap_compare: SnapCompare, view: str, with_some_runs: SweepState) -> None:
    keys = ["v"] * ("parallel", "curves", "advice").index(view) + ["v"]
    snapshot(snap_compare, with_some_runs, SMALL, *keys)


@pytest.mark.slow
@EVERY_SIZE
def test_picture_of_ten_settings_and_a_thousand_trials(
    snap_compare: SnapCompare, size: tuple[int, int]
) -> None:
    state = sweep_of(1_000, MANY, seeds=3)
    state = replace(state, is_over=True, ended="1,000 trials are done")
    snapshot(
        snap_compare, state, size, *(["v"] if size == SMALL else []), "down", "down", "down", "down"
    )


@EVERY_SIZE
def test_picture_of_an_empty_sweep(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    snapshot(snap_compare, sweep_of(0, running=0), size)


def test_picture_of_a_sweep_without_a_completed_trial(snap_compare: SnapCompare) -> None:
    state = sweep_of(2, running=2)
    trials = tuple(
        replace(t, phase="pruned", values=(), reason="the loss is not finite", finding="diverged")
        if t.phase == "completed"
        else t
        for t in state.trials
    )
    snapshot(snap_compare, replace(state, trials=trials), MEDIUM)
