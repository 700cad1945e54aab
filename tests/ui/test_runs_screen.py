from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from tests.ui.fakes import recording, run_folder, wait_for_events, window
from tui_trainer.protocol.events import RecordingStarted
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.screens.replay_screen import ReplayScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.screens.runs_screen import RunsScreen
from tui_trainer.ui.widgets.status_lines import TopLine

FINISHED = recording("finished")
PAUSED = recording("paused")


def write_runs(root: Path) -> None:
    """Write a completed run, one killed, and a damaged one, in this order of time."""
    run_folder(root / "2026-11-22-2015-small", FINISHED)
    run_folder(root / "2026-11-22-2115-small", PAUSED)
    damaged = run_folder(root / "2026-11-22-2215-small", PAUSED)
    damaged.summary.write_text("{", encoding="utf-8")


def rows(app: MnistTui) -> list[list[str]]:
    table = app.screen.query_one(DataTable)
    return [[str(cell).strip() for cell in table.get_row_at(row)] for row in range(table.row_count)]


async def read(pilot: Pilot[None], app: MnistTui) -> None:
    """Wait until a chosen run has been read."""
    await pilot.pause()
    await app.workers.wait_for_complete()
    await pilot.pause()


async def test_5_shows_the_runs_latest_first_and_1_returns(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs")
    app, _ = window(PAUSED, runs=tmp_path / "runs")
    async with app.run_test(size=(160, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("5")
        await pilot.pause()
        assert isinstance(app.screen, RunsScreen)
        damaged, cut_off, completed = rows(app)
        assert (damaged[0], damaged[-1]) == ("2026-11-22-2215-small", "✗ damaged")
        assert cut_off[-1] == "▲ killed"
        assert completed[1:4] == ["small", "19,810", "2/2"]
        assert completed[-1] == "✓ completed"
        assert "paused" in app.screen.query_one(TopLine).render_line(0).text
        await pilot.press("1")
        assert isinstance(app.screen, TrainScreen)


async def test_enter_replays_the_chosen_run_while_the_live_one_trains(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs")
    app, engine = window(PAUSED, runs=tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("5")
        await pilot.pause()
        await pilot.press("down", "down", "enter")
        await read(pilot, app)
        assert isinstance(app.screen, ReplayScreen)
        assert app.screen.run.name == "2026-11-22-2015-small"
        await pilot.press("1")
        assert isinstance(app.screen, TrainScreen)
        assert app.live_run.is_running
        await pilot.press("5")
        assert isinstance(app.screen, ReplayScreen)
        await pilot.press("escape")
        assert isinstance(app.screen, RunsScreen)
        assert engine.received == []


async def test_enter_on_a_damaged_run_shows_the_error(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run_folder(root / "bad", FINISHED).events.write_text("{}\n", encoding="utf-8")
    app, _ = window(PAUSED, runs=root)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("5")
        await pilot.pause()
        await pilot.press("enter")
        await read(pilot, app)
        assert isinstance(app.screen, RunsScreen)
        assert ["events.jsonl, line 1" in n.message for n in app._notifications] == [True]


async def test_an_empty_list_shows_a_hint_and_fills_when_shown_again(tmp_path: Path) -> None:
    app, _ = window(PAUSED, runs=tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("5")
        await pilot.pause()
        assert "No runs in" in str(app.screen.query_one("#no-runs", Static).content)
        await pilot.press("enter")  # nothing to choose: nothing happens
        run_folder(tmp_path / "runs" / "one", FINISHED)
        await pilot.press("1")
        await pilot.press("5")
        await pilot.pause()
        assert [row[0] for row in rows(app)] == ["one"]
        run_folder(tmp_path / "runs" / "two", FINISHED)
        await pilot.press("r")
        assert {row[0] for row in rows(app)} == {"one", "two"}


async def test_the_run_of_this_window_is_marked(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "runs" / "mine", PAUSED, state="running")
    folder.lock.touch()
    events = [RecordingStarted(folder=str(folder.path)), *PAUSED]
    app, _ = window(events, runs=tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, events)
        await pilot.press("5")
        await pilot.pause()
        assert rows(app)[0][-1] in ("● this run", "▲ killed")  # as the system has locks or not


async def test_a_narrow_list_drops_columns_and_clips_none(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs")
    app, _ = window(PAUSED, runs=tmp_path / "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("5")
        await pilot.pause()
        table = app.screen.query_one(DataTable)
        titles = [str(column.label).strip() for column in table.ordered_columns]
        assert titles == ["run", "epochs", "best validation", "state"]
        assert table.virtual_size.width <= 80
        await pilot.resize_terminal(200, 40)
        await pilot.pause()
        assert len(table.ordered_columns) == 8
        await pilot.resize_terminal(20, 5)
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert app.is_running


async def test_keys_of_the_run_do_nothing_on_the_list(tmp_path: Path) -> None:
    app, engine = window(PAUSED, runs=tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("5")
        await pilot.press("space", "x", "T", "a", "f", "e", "s", "plus", "comma")
        await pilot.pause(0.1)
        assert engine.received == []
        assert isinstance(app.screen, RunsScreen)
