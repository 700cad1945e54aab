from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from tests.ui.fakes import RunsFirst, recording, run_folder, until, wait_for_events, window
from tui_trainer.protocol.events import RecordingStarted, to_json
from tui_trainer.recording import manage_runs
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.run_table import COLUMNS
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.screens.dialogs import ConfirmScreen
from tui_trainer.ui.screens.replay_screen import ReplayScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.screens.runs_screen import RunsScreen
from tui_trainer.ui.screens.select_screen import NameList
from tui_trainer.ui.widgets.differences_panel import DifferencesPanel
from tui_trainer.ui.widgets.lens_panel import LensPanel
from tui_trainer.ui.widgets.run_list import ListLine, RunLine
from tui_trainer.ui.widgets.runs_table import RunsTable
from tui_trainer.ui.widgets.status_lines import TopLine

FINISHED = recording("finished")
PAUSED = recording("paused")
COMPLETED, KILLED, DAMAGED = (f"2026-11-22-{hour}15-small" for hour in (20, 21, 22))


def write_runs(root: Path) -> None:
    """Write a completed run, one killed, and a damaged one, in this order of time."""
    run_folder(root / "2026-11-22-2015-small", FINISHED)
    run_folder(root / "2026-11-22-2115-small", PAUSED)
    damaged = run_folder(root / "2026-11-22-2215-small", PAUSED)
    damaged.summary.write_text("{", encoding="utf-8")


def rows(app: MnistTui) -> list[list[str]]:
    """Return the cells of the list, without the marks."""
    table = app.screen.query_one(DataTable)
    cells = (table.get_row_at(row) for row in range(table.row_count))
    return [[str(cell).strip() for cell in row[1:]] for row in cells]


def marks(app: MnistTui) -> str:
    """Return the glyphs of the marks, a blank for each row without one."""
    table = app.screen.query_one(DataTable)
    return "".join(str(table.get_row_at(row)[0]) for row in range(table.row_count))


async def show_runs(pilot: Pilot[None], app: MnistTui) -> RunsScreen:
    """Open the screen, and wait until the folder and the run under the cursor have been read."""
    if not isinstance(app.screen, RunsScreen):
        await pilot.press("5")
    await read(pilot, app)
    screen = app.screen
    assert isinstance(screen, RunsScreen)
    return screen


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
        await show_runs(pilot, app)
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
        await show_runs(pilot, app)
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
    app, _ = window(PAUSED, kind=RunsFirst, runs=root)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await show_runs(pilot, app)
        await pilot.press("enter")
        await read(pilot, app)
        assert isinstance(app.screen, RunsScreen)
        assert ["events.jsonl, line 1" in n.message for n in app._notifications] == [True]


async def test_an_empty_list_shows_a_hint_and_fills_when_shown_again(tmp_path: Path) -> None:
    app, _ = window(PAUSED, kind=RunsFirst, runs=tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await show_runs(pilot, app)
        assert "No runs in" in str(app.screen.query_one("#no-runs", Static).content)
        await pilot.press("enter")  # nothing to choose: nothing happens
        run_folder(tmp_path / "runs" / "one", FINISHED)
        await pilot.press("1")
        await show_runs(pilot, app)
        assert [row[0] for row in rows(app)] == ["one"]
        run_folder(tmp_path / "runs" / "two", FINISHED)
        await pilot.press("r")
        await read(pilot, app)
        assert {row[0] for row in rows(app)} == {"one", "two"}


async def test_the_run_of_this_window_is_marked(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "runs" / "mine", PAUSED, state="running")
    folder.lock.touch()
    events = [RecordingStarted(folder=str(folder.path)), *PAUSED]
    app, _ = window(events, runs=tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, events)
        await show_runs(pilot, app)
        assert rows(app)[0][-1] in ("● this run", "▲ killed")  # as the system has locks or not


async def test_a_narrow_list_drops_columns_and_clips_none(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs")
    app, _ = window(PAUSED, kind=RunsFirst, runs=tmp_path / "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await show_runs(pilot, app)
        table = app.screen.query_one(DataTable)
        titles = [str(column.label).strip() for column in table.ordered_columns]
        assert titles == ["", "run", "epochs", "best validation", "state"]
        assert table.virtual_size.width <= 80
        await pilot.resize_terminal(200, 40)
        await pilot.pause()
        assert len(table.ordered_columns) == 9
        await pilot.resize_terminal(20, 5)
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert app.is_running


async def test_keys_of_the_run_do_nothing_on_the_list(tmp_path: Path) -> None:
    app, engine = window(PAUSED, kind=RunsFirst, runs=tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("5")
        await pilot.press("space", "x", "T", "a", "f", "e", "n", "plus", "comma")
        await pilot.pause(0.1)
        assert engine.received == []
        assert isinstance(app.screen, RunsScreen)


def curves(screen: RunsScreen) -> list[str]:
    """Return the names of the runs whose curves are shown."""
    return [curve.name for curve in screen.curves.runs]


async def drawn(pilot: Pilot[None], app: MnistTui, screen: RunsScreen, *names: str) -> None:
    """Wait until the curves of these runs are shown, the last one for the cursor."""
    await until(pilot, lambda _: curves(screen) == [*names], app)
    assert curves(screen) == [*names]


async def test_marked_runs_and_the_one_under_the_cursor_are_overlaid(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs")
    app, _ = window(PAUSED, kind=RunsFirst, runs=tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        screen = await show_runs(pilot, app)
        await drawn(pilot, app, screen, DAMAGED)
        await pilot.press("down", "space")
        assert marks(app) == " ●■"
        await drawn(pilot, app, screen, KILLED, COMPLETED)
        await pilot.press("space")
        await drawn(pilot, app, screen, KILLED, COMPLETED)
        panel = screen.query_one(DifferencesPanel)
        await until(pilot, lambda _: "no validation accuracy" in str(panel._shown), app)
        assert "2 marked" in screen.query_one(ListLine).render_line(0).text
        await pilot.press("a")
        assert marks(app) == "  ●"
        await drawn(pilot, app, screen, COMPLETED)


async def test_a_run_of_another_process_grows_on_the_screen(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "runs" / "growing", PAUSED[:-40], state="running")
    app, _ = window(PAUSED, kind=RunsFirst, runs=tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        screen = await show_runs(pilot, app)
        await drawn(pilot, app, screen, "growing")
        before = screen.curves.runs[0].history.step
        with folder.events.open("a", encoding="utf-8") as lines:
            lines.writelines(to_json(event) + "\n" for event in PAUSED[-40:])
        await until(pilot, lambda _: screen.curves.runs[0].history.step > before, app)
        assert screen.curves.runs[0].history.step == app.live_run.history.step


async def test_the_live_run_is_drawn_without_reading(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "runs" / "mine", PAUSED, state="running")
    events = [RecordingStarted(folder=str(folder.path)), *PAUSED]
    app, _ = window(events, runs=tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, events)
        screen = await show_runs(pilot, app)
        await drawn(pilot, app, screen, "mine")
        assert screen.curves.runs[0].history is app.live_run.history


async def test_the_list_is_filtered_while_a_filter_is_typed(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs")
    app, _ = window(PAUSED, kind=RunsFirst, runs=tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        screen = await show_runs(pilot, app)
        await pilot.press("/", *"state")
        assert rows(app) == []  # no name, note or tag contains the word
        await pilot.press("=")
        assert "needs a value" in note(screen) or "▲" in note(screen)
        await pilot.press(*"killed", "enter")
        assert [row[0] for row in rows(app)] == [KILLED]
        assert isinstance(app.focused, RunsTable)
        await pilot.press("/", *"and", "escape")
        assert [row[0] for row in rows(app)] == [KILLED]


async def test_sorting_grouping_and_columns(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs")
    app, _ = window(PAUSED, kind=RunsFirst, runs=tmp_path / "runs")
    async with app.run_test(size=(200, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        screen = await show_runs(pilot, app)
        screen.sort_by("name")
        assert [row[0] for row in rows(app)] == [COMPLETED, KILLED, DAMAGED]
        screen.sort_by("name")
        assert [row[0] for row in rows(app)] == [DAMAGED, KILLED, COMPLETED]
        await pilot.press("s", "enter")  # the latest first
        assert screen.listing.sort_text == ""
        await pilot.press("c", "space", "enter")
        assert len(screen.listing.columns) == len(COLUMNS) - 1
        screen.listing.set_group("state")
        screen.fill()
        names = [row[0] for row in rows(app)]
        assert names == ["▸ completed (1)", "▸ damaged (1)", "▸ killed (1)"]
        screen.query_one(RunsTable).move_cursor(row=0)
        await pilot.press("enter")
        assert [row[0] for row in rows(app)][:2] == ["▾ completed (1)", COMPLETED]


async def test_a_run_is_renamed_noted_tagged_and_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "runs"
    write_runs(root)
    deleted: list[str] = []
    monkeypatch.setattr(manage_runs, "delete", lambda path: deleted.append(path.name))
    app, _ = window(PAUSED, kind=RunsFirst, runs=root)
    async with app.run_test(size=(160, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        screen = await show_runs(pilot, app)
        await pilot.press("down", "space", "up", "e", *"-x", "enter")
        await until(pilot, lambda _: (root / f"{KILLED}-x").is_dir(), app)
        await until(pilot, lambda _: rows(app)[1][0] == f"{KILLED}-x", app)
        assert marks(app)[1] == "●"  # it keeps its mark
        await pilot.press("n", *"a note", "enter")
        await until(pilot, lambda _: "a note" in (root / f"{KILLED}-x/about.json").read_text(), app)
        await pilot.press("#", *"good fast", "enter")
        await until(pilot, lambda _: "fast" in (root / f"{KILLED}-x/about.json").read_text(), app)
        line = screen.query_one(RunLine)
        await until(pilot, lambda _: "good, fast" in line.render_line(0).text, app)
        await pilot.press("D")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("n")
        assert deleted == []
        await pilot.press("D", "y")
        await until(pilot, lambda _: bool(deleted), app)
        assert deleted == [f"{KILLED}-x"]


async def test_a_run_opens_in_a_separate_window(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs")
    folder = RunFolder(tmp_path / "runs" / COMPLETED)
    app, _ = window(PAUSED, kind=RunsFirst, runs=tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        screen = await show_runs(pilot, app)
        await pilot.press("down", "down", "o", "down", "enter")
        await pilot.pause()
        assert "no checkpoint" in [*app._notifications][-1].message
        folder.checkpoints.mkdir()
        folder.checkpoint("last").touch()
        await pilot.press("o", "down", "enter")
        await pilot.pause()
        # A test has no terminal to give away.
        assert [*app._notifications][-1].message.endswith(f"{COMPLETED} --screen model")
        assert app.screen is screen


async def test_the_lens_replaces_the_curves(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs")
    app, _ = window(PAUSED, kind=RunsFirst, runs=tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        screen = await show_runs(pilot, app)
        await pilot.press("down", "b")
        await drawn(pilot, app, screen, KILLED)
        assert screen.query_one("#lens").display
        await until(pilot, lambda _: "batch" in str(screen.query_one(LensPanel)._shown), app)
        await pilot.press("b")
        assert not screen.has_class("-lens")


async def test_a_small_window_shows_one_panel_at_a_time(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs")
    app, _ = window(PAUSED, kind=RunsFirst, runs=tmp_path / "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        screen = await show_runs(pilot, app)
        for view in (*RunsScreen.VIEWS[1:], RunsScreen.VIEWS[0]):
            await pilot.press("v")
            await pilot.pause()
            panels = ("list", "curves", "differences", "lens")
            shown = [name for name in panels if screen.query_one(f"#{name}").display]
            assert shown == [view]


def note(screen: RunsScreen) -> str:
    return str(screen.query_one("#prompt-note", Static).content)


async def test_only_selected_names_have_a_mark(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs")
    app, _ = window(PAUSED, kind=RunsFirst, runs=tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await show_runs(pilot, app)
        await pilot.press("g")
        names = app.screen.query_one(NameList)
        await pilot.press("space")
        lines = [names.render_line(y).text for y in range(names.option_count)]
        assert ["X" in line[:4] for line in lines] == [True, *[False] * (len(lines) - 1)]
