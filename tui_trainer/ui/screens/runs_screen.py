"""The Runs screen: the recorded runs, to be replayed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import DataTable, Static
from textual.worker import Worker, WorkerState

from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.folder import ListedRun, RunFolder, list_runs
from tui_trainer.text.fmt import printable
from tui_trainer.ui.keys.keymap import LIST_KEYS, TABLE_KEYS, with_keys
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.recorded_run import RecordedRun, open_run
from tui_trainer.ui.screens.replay_screen import ReplayScreen
from tui_trainer.ui.widgets.key_footer import KeyFooter
from tui_trainer.ui.widgets.painting import text_of
from tui_trainer.ui.widgets.run_list import RunLine, columns_that_fit, run_rows
from tui_trainer.ui.widgets.status_lines import TopLine, state_cells

GAP = 2
"""Spaces between two columns."""


class RunsTable(DataTable[Text]):
    """The table of runs."""

    BINDINGS: ClassVar[list[BindingType]] = [*TABLE_KEYS]


class RunsScreen(Screen[None]):
    """The recorded runs in a folder, latest first."""

    CSS_PATH = "runs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*LIST_KEYS]

    def __init__(self, root: Path, live_folder: Callable[[], str | None]) -> None:
        super().__init__()
        self._root = root
        self._live_folder = live_folder
        self._runs: list[ListedRun] = []
        self._shown_width = 0

    def compose(self) -> ComposeResult:
        """The live run's top line, the table, and details of the run under the cursor."""
        yield TopLine(id="top")
        yield RunsTable(id="runs", cursor_type="row", cell_padding=GAP // 2)
        yield Static(id="no-runs", markup=False)
        yield RunLine(id="run-line")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Repaint when the theme changes."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self.fill())

    def on_screen_resume(self) -> None:
        """Read the folder again."""
        self.action_reload()

    def on_resize(self) -> None:
        """Choose the columns that fit."""
        if self.size.width != self._shown_width:
            self.fill()

    def show_live(self, run: LiveRun) -> None:
        """Show the live run's state."""
        self.query_one(TopLine).show(run, state_cells(run))

    def action_reload(self) -> None:
        """Read the folder again; the cursor stays on its run."""
        self._runs = list_runs(self._root)
        self.fill()

    def fill(self) -> None:
        """Fill the table with the columns that fit."""
        self._shown_width = self.size.width
        table = self.query_one(RunsTable)
        chosen = self._chosen
        name = chosen.folder.name if chosen else None
        is_here = self._live_folder()
        head, rows = run_rows(self._runs, is_here)
        kept = columns_that_fit([head, *rows], self.size.width - 1, GAP)
        table.clear(columns=True)
        variables = self.app.theme_variables
        for place in kept:
            table.add_column(head[place].text)
        for run, row in zip(self._runs, rows, strict=True):
            texts = (text_of([row[place]], variables) for place in kept)
            table.add_row(*texts, key=str(run.folder.path))
        names = [run.folder.name for run in self._runs]
        if name in names:
            table.move_cursor(row=names.index(name))
        table.display = bool(self._runs)
        empty = self.query_one("#no-runs", Static)
        empty.display = not self._runs
        empty.update(
            f"No runs in {printable(self._root)} yet.\n\n"
            "Each run of this window is recorded and listed here.\n"
            + with_keys("Press {screens.train} for the current run.")
        )
        self.query_one(RunLine).show(self._chosen, hidden={*range(len(head))} - {*kept})

    @property
    def _chosen(self) -> ListedRun | None:
        """The run under the cursor."""
        table = self.query_one(RunsTable)
        place = table.cursor_row
        return self._runs[place] if table.row_count and place < len(self._runs) else None

    def on_data_table_row_highlighted(self) -> None:
        """Show details of the run under the cursor."""
        self.query_one(RunLine).show(self._chosen)

    def on_data_table_row_selected(self) -> None:
        """Open the run under the cursor; a worker thread reads it."""
        run = self._chosen
        if run is None:
            return
        self.query_one(RunLine).note(f"reading {run.folder.name} …")
        self.run_worker(partial(_open, run.folder), thread=True, exclusive=True, group="open")

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Replay the run that was read, if this screen is still active."""
        if event.state in (WorkerState.PENDING, WorkerState.RUNNING):
            return
        self.query_one(RunLine).note("")
        result = event.worker.result if event.state == WorkerState.SUCCESS else None
        if not self.is_current:
            return
        if isinstance(result, RecordedRun):
            self.app.push_screen(ReplayScreen(result))
        elif isinstance(result, str):
            self.notify(result, title="cannot replay the run", severity="warning")


def _open(folder: RunFolder) -> RecordedRun | str:
    """Return a run, or an error message."""
    try:
        return open_run(folder)
    except InputError as error:
        return str(error)
