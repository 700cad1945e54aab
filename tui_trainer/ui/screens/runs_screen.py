"""The Runs screen: the recorded runs, their curves over each other, and how they differ."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.events import Resize
from textual.geometry import Size
from textual.timer import Timer
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from tui_trainer.recording.folder import ListedRun, list_runs
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell, printable
from tui_trainer.ui.batch_lens import LensRun
from tui_trainer.ui.chart_view import ChartView, XName
from tui_trainer.ui.keys.keymap import LIST_KEYS, with_keys
from tui_trainer.ui.overlay import METRICS, overlay_chart
from tui_trainer.ui.run_curves import ACCURACY, LOSS, ChartContent
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.run_listing import Row, RunListing, key_of, members
from tui_trainer.ui.runs.run_reader import ReadRun, RunGrew, RunRead, RunReader
from tui_trainer.ui.runs.shown_curves import (
    ShownCurves,
    different_settings,
    noise_of,
    shown_curves,
    wanted_folders,
    without_diverged,
)
from tui_trainer.ui.screens.curves_screen import CurvesScreen
from tui_trainer.ui.screens.run_screen import CURVES_EVERY
from tui_trainer.ui.screens.runs_actions import RunsActions
from tui_trainer.ui.widgets.cell_line import ShownLine
from tui_trainer.ui.widgets.chart import Chart
from tui_trainer.ui.widgets.differences_panel import DifferencesPanel
from tui_trainer.ui.widgets.lens_panel import LensPanel
from tui_trainer.ui.widgets.prompt_line import PromptLine
from tui_trainer.ui.widgets.run_list import (
    ListLine,
    RunLine,
    list_cells,
    list_table,
    mark_cells,
)
from tui_trainer.ui.widgets.runs_table import GAP, RunsTable
from tui_trainer.ui.widgets.status_lines import TopLine, state_cells

REST = 0.15
"""Seconds that the cursor rests on a row before its run is read."""

REFRESH = 2.0
"""Seconds between two checks of the folder for changes …"""

REFRESH_SHARE = 0.02
"""… which take at most this share of the time: a training in this process needs the rest."""

LENSES: tuple[XName, ...] = ("step", "images", "seconds")
"""The x axes of the batch-size lens."""


class RunsScreen(RunsActions, CurvesScreen):
    """The recorded runs in a folder, latest first; the curves of the marked ones are compared."""

    CSS_PATH = ["views.tcss", "runs.tcss"]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [*LIST_KEYS]
    VIEWS: ClassVar[tuple[str, ...]] = ("list", "curves", "differences", "lens")
    PANELS: ClassVar = {"list": RunsTable, "curves": Chart, "differences": DifferencesPanel}
    IS_LIVE: ClassVar[bool] = False
    CURVES_EVERY = CURVES_EVERY
    ALLOW_IN_MAXIMIZED_VIEW = "TopLine, ListLine, KeyFooter"

    def __init__(self, root: Path, live_folder: Callable[[], str | None]) -> None:
        super().__init__()
        self.root = root
        self.listing = RunListing()
        self.reader = RunReader(self.post_message)
        self._live_folder = live_folder
        self._live: LiveRun | None = None
        self.curves = ShownCurves()
        self._rest: Timer | None = None
        self._is_reading = False
        self._asked_at = self._refresh_at = 0.0
        self._shown_size = Size()

    def compose(self) -> ComposeResult:
        """The list with details of the row under the cursor, the curves, the differences."""
        yield TopLine(id="top")
        yield ListLine(id="list-line")
        with Container(id="run-panels"):
            with Vertical(id="list"):
                yield RunsTable(id="runs")
                yield Static(id="no-runs", markup=False)
                yield RunLine(id="run-line")
            with Vertical(id="curves"):
                with Horizontal(id="charts"):
                    yield Chart("", ACCURACY, id="overlay", link="runs")
                    yield Chart("", LOSS, id="overlay-2", link="runs")
                yield ShownLine(id="curves-note")
            yield DifferencesPanel(id="differences")
            with Vertical(id="lens"):
                with Horizontal(id="lens-charts"):
                    for unit in LENSES:
                        yield Chart("", LOSS, id=f"lens-{unit}")
                yield LensPanel(id="lens-text")
        yield PromptLine(id="prompt")
        yield from self.compose_end()

    def on_mount(self) -> None:
        """Repaint when the theme changes, and check the folder regularly."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self.fill())
        self.query_one(RunsTable).focus()
        self._refreshing = self.set_interval(REFRESH, self._refresh_list)

    def on_unmount(self) -> None:
        """End the reading thread and the evaluation."""
        self.reader.close()
        self.pairing.close()

    def on_screen_resume(self) -> None:
        """Read the folder again."""
        self._refreshing.resume()
        self.action_reload()
        self._want()

    def on_screen_suspend(self) -> None:
        """Follow no run while another screen is active."""
        self._refreshing.pause()
        self.reader.want(())

    def on_resize(self, event: Resize) -> None:
        """Choose the columns that fit."""
        if event.size != self._shown_size:
            self._shown_size = event.size
            self.fill()

    def live_folder(self) -> str | None:
        """Return the folder of the live run; None if it is not recorded."""
        return self._live_folder()

    def show_live(self, run: LiveRun) -> None:
        """Show the live run's state, and its curve if it is one of those shown."""
        self._live = run
        self.query_one(TopLine).show(run, state_cells(run))
        if any(curve.history is run.history for curve in self.curves.runs):
            self.update_curves(is_step=True)

    # --- the list

    def action_reload(self) -> None:
        """Read the folder again; the cursor stays on its run."""
        self._read_list(())

    def _refresh_list(self) -> None:
        """Read what has changed in the folder."""
        if not self._is_reading and self._clock() >= self._refresh_at:
            self._read_list(self.listing.runs)

    def _read_list(self, known: Sequence[ListedRun]) -> None:
        self._is_reading = True
        self._asked_at = self._clock()
        read = partial(list_runs, self.root, known)
        self.run_worker(read, thread=True, group="list", exclusive=True)

    def _take_list(self, runs: Sequence[ListedRun]) -> None:
        now = self._clock()
        self._refresh_at = now + (now - self._asked_at) / REFRESH_SHARE
        before = self.listing.runs
        if runs and len(runs) == len(before) and all(map(operator.is_, runs, before)):
            self.query_one(ListLine).show(list_cells(self.listing, self._is_reading))
            return
        self.listing.set_runs(runs)
        self.fill()

    def fill(self) -> None:
        """Fill the list with the columns that fit, and the lines about it."""
        table = self.query_one(RunsTable)
        shown = list_table(
            self.listing,
            width=self.size.width - 1,
            gap=GAP,
            live_folder=self.live_folder(),
        )
        table.show(shown.heads, shown.rows)
        table.display = bool(self.listing.rows)
        empty = self.query_one("#no-runs", Static)
        empty.display = not self.listing.rows
        empty.update(self._emptiness())
        self.query_one(ListLine).show(list_cells(self.listing, self._is_reading))
        self.query_one(RunLine).show(self.chosen, shown.heads)
        self.show_marks()

    def _emptiness(self) -> str:
        """Return why the list is empty."""
        if self.listing.runs:
            return f"No run meets the filter {self.listing.filter_text}\n\n" + with_keys(
                "Press {runs.filter} to change it."
            )
        if self._is_reading:
            return f"reading {printable(self.root)} …"
        return (
            f"No runs in {printable(self.root)} yet.\n\n"
            "Each run of this window is recorded and listed here.\n"
            + with_keys("Press {screens.train} for the current run.")
        )

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor."""
        key = self.query_one(RunsTable).chosen
        return next((row for row in self.listing.rows if key_of(row) == key), None)

    def on_data_table_row_highlighted(self) -> None:
        """Show details of the row under the cursor, and soon its curve."""
        self.query_one(RunLine).show(self.chosen)
        self.show_marks()

    def show_marks(self) -> None:
        """Show which curves are drawn; read them once the cursor rests."""
        shown = self.listing.shown(self.chosen)
        self.query_one(RunsTable).show_marks(mark_cells(shown))
        self.query_one(ListLine).show(list_cells(self.listing, self._is_reading))
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST, self._want)

    # --- the curves

    def _want(self) -> None:
        """Read the runs whose curves are shown."""
        shown = self.listing.shown(self.chosen)
        live = self.live_folder()
        folders = (folder for folder in wanted_folders(shown) if str(folder.path) != live)
        if self.is_current:
            self.reader.want(folders)
        self.update_curves()
        self.compare_rows()

    def read(self, run: ListedRun) -> ReadRun | None:
        """Return what was read of a run; the live run need not be read."""
        if self._live is not None and str(run.folder.path) == self.live_folder():
            return ReadRun(self._live.history)
        return self.reader.get(run.folder)

    def on_run_read(self, message: RunRead) -> None:
        """Show a run that was read."""
        self.reader.take(message)
        # While others are being read, each of them need not be drawn at once.
        shown = self.listing.shown(self.chosen)
        is_last = all(self.read(run) is not None for row, _ in shown for run in members(row))
        self.update_curves(is_step=not is_last)

    def on_run_grew(self, message: RunGrew) -> None:
        """Show new events of a run that another process trains."""
        self.reader.take(message)
        self.update_curves(is_step=message.has_only_steps)

    def draw_curves(self) -> None:
        """Draw the curves of the marked runs, and the lens if it is shown."""
        shown = self.listing.shown(self.chosen)
        self.curves = shown_curves(shown, self.read)
        second = "loss" if self.metric != "loss" else "val_accuracy"
        for name, metric in (("overlay", self.metric), ("overlay-2", second)):
            self.query_one(f"#{name}", Chart).show(partial(_content, self.curves, metric))
        note = self.query_one("#curves-note", ShownLine)
        note.display = bool(self.curves.unread or self.curves.notes)
        note.show(_note_cells(self.curves))
        if self.view == "lens" or self.has_class("-lens"):
            self._show_lens(shown)

    def _show_lens(self, shown: Sequence[tuple[Row, int]]) -> None:
        curves = without_diverged(self.curves)
        for unit in LENSES:
            chart = self.query_one(f"#lens-{unit}", Chart)
            if chart.view.x != unit:
                chart.set_view(ChartView(x=unit))
            has_legend = unit == LENSES[0] and not self.has_class("-narrow")
            chart.show(partial(_lens_content, curves, has_legend))
        found = [(run, self.read(run)) for row, _ in shown for run in members(row)]
        read = [(run, each, each.history) for run, each in found if each and each.history]
        self.query_one(LensPanel).show(
            [LensRun(run.name, history, noise_of(each)) for run, each, history in read],
            different_settings([run for run, _, _ in read]),
        )

    def action_toggle_lens(self) -> None:
        """Show the batch-size lens in place of the curves, or the curves again."""
        if self.is_small:
            self.show_view("curves" if self.view == "lens" else "lens")
        else:
            self.toggle_class("-lens")
        self.update_curves()

    def next_view(self) -> None:
        """Show the next view of a small window."""
        super().next_view()
        self.update_curves()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Take the result of a worker thread."""
        if event.state in (WorkerState.PENDING, WorkerState.RUNNING):
            return
        result = event.worker.result if event.state == WorkerState.SUCCESS else None
        if event.worker.group != "list":
            self.take_result(event.worker.group, result)
            return
        if event.state == WorkerState.CANCELLED:
            return
        self._is_reading = False
        if isinstance(result, list):
            self._take_list(result)


def _content(curves: ShownCurves, metric: str, view: ChartView) -> ChartContent:
    """Return a chart of the shown curves, with its title in its legend."""
    content = overlay_chart(curves.runs, metric, view, bands=curves.bands)
    title = Cell(METRICS[metric].title, style="title")
    return replace(content, legend=(title, *content.legend))


def _lens_content(curves: ShownCurves, has_legend: bool, view: ChartView) -> ChartContent:
    """Return a chart of the lens; one legend is enough, except to read values at the cursor."""
    content = _content(curves, "loss", view)
    return content if has_legend or view.cursor is not None else replace(content, rows=())


def _note_cells(curves: ShownCurves) -> list[Cell]:
    """Return what limits the curves, in one line."""
    if curves.unread:
        return [Cell(f"reading {fmt.plural(curves.unread, 'run')} …", style="warning")]
    notes = " · ".join(curves.notes)
    return [Cell(f"▲ {notes}", style="warning")] if notes else []
