"""The findings panel: the result, the findings with their evidence, and the latest changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message

from tui_trainer.findings import evaluable_rules
from tui_trainer.history.history import History
from tui_trainer.protocol.events import RunFinished, SettingChanged
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell, fit
from tui_trainer.text.lines import Lines, paragraph
from tui_trainer.ui.keys.keymap import CHOICE_KEYS, with_keys
from tui_trainer.ui.runs.findings_selection import FindingsSelection
from tui_trainer.ui.runs.shown_run import ShownRun
from tui_trainer.ui.widgets.cell_line import ShownLine
from tui_trainer.ui.widgets.finding_lines import advice_cells, finding_list_lines, headline_cells
from tui_trainer.ui.widgets.panel import TextPanel

CHANGES_SHOWN = 5

NAMED = 3
"""Number of rules that are named: those with the shortest names."""


class FindingsPanel(TextPanel):
    """The findings of the run, most severe first; the chosen one in full."""

    DEFAULT_CSS = """
    FindingsPanel { scrollbar-gutter: stable; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*CHOICE_KEYS]

    class Chosen(Message):
        """The user has chosen another finding."""

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__("findings", id=id)
        self._run: ShownRun | None = None
        self._chosen = range(0)

    def show(self, run: ShownRun) -> None:
        """Show the current findings of a run."""
        self._run = run
        self.border_title = _title(run.selection)
        shown = len(run.selection.shown)
        choose = "{findings.previous}{findings.next} choose · " if shown > 1 else ""
        choose += "{findings.open} causes · "
        lesson = "{screens.lesson} lesson · " if run.is_live else ""
        keys = f"{choose}{lesson}{{findings.snooze}} snooze" if shown else ""
        self.border_subtitle = with_keys(keys)
        self.fill()

    def lines(self, width: int) -> Lines:
        """Return the result, the findings and the latest changes."""
        if self._run is None:
            return []
        lines, self._chosen = findings_lines(self._run, width - 1)
        return lines

    def action_move_finding(self, direction: int) -> None:
        """Choose the finding below (1) or above (-1); at the ends, scroll."""
        if self._run is None:
            return
        if self._run.selection.choose(direction):
            self.post_message(self.Chosen())
        else:
            self.scroll_relative(y=direction, animate=False)

    def show_chosen(self) -> None:
        """Scroll to the chosen finding."""
        self.show_rows(self._chosen)


class FindingLine(ShownLine):
    """The chosen finding, or its first cause, in one line: for a window without the panel."""

    DEFAULT_CSS = """
    FindingLine { padding: 0 1; }
    """

    def cells(self, width: int) -> list[Cell]:
        """Return the cells that fit; the last one is clipped if it alone is too long."""
        *kept, last = super().cells(width) or [Cell("")]
        room = width - sum(fmt.columns(cell.text) for cell in kept)
        return [*kept, replace(last, text=fmt.clip(last.text, room))]


def _title(selection: FindingsSelection) -> str:
    """Return the number of warnings and errors, of notes, and of snoozed findings."""
    parts = ["findings"]
    if selection.warnings:
        parts.append(fmt.count(selection.warnings))
    if selection.notes:
        parts.append(fmt.plural(selection.notes, "note"))
    if selection.snoozed:
        parts.append(f"{selection.snoozed} snoozed")
    return " · ".join(parts)


def headline(run: ShownRun) -> list[Cell]:
    """Return the most important fact in one line; a note only if there is nothing else."""
    history, found = run.history, run.selection.chosen
    if history.failure is not None:
        details = with_keys("  {window.error_details} details")
        return [Cell(f"✗ {history.failure.message}", style="error"), Cell(details, rank=1)]
    if found is not None and (found.severity != "note" or run.selection.is_picked):
        return headline_cells(run, found)
    if history.unsaved:
        path, reason = next(iter(history.unsaved.items()))
        return [
            Cell(f"▲ not saved: {PurePath(path).name}", style="warning bold"),
            Cell(f" · {reason}", rank=1),
        ]
    if history.tests:
        return [cell for line in _test_lines(history)[:1] for cell in line]
    if history.interventions:
        change = history.interventions[-1]
        where = f"  at step {fmt.count(change.step)}"
        return _change_cells(run, change, where)
    if found is not None:
        return headline_cells(run, found)
    return [Cell("✓ no findings", style="ok")]


def advice(run: ShownRun) -> list[Cell]:
    """Return the line below the headline: what causes the chosen finding, and what to try."""
    found = run.selection.chosen
    if found is None or run.history.failure is not None:
        return []
    return advice_cells(run, found)


def findings_lines(run: ShownRun, width: int) -> tuple[Lines, range]:
    """Return all lines of the panel in ``width`` columns, and the chosen finding's range."""
    history = run.history
    lines: Lines = []
    if history.failure is not None:
        lines += paragraph("✗ training failed", "error bold", width)
        lines += paragraph(history.failure.message, "", width, indent=2)
        again = ", {run.again} to run again" if run.is_live else ""
        keys = with_keys(f"press {{window.error_details}} for the traceback{again}")
        lines += paragraph(keys, "muted", width, indent=2)
        lines.append([])
    lines += _result_lines(history.finished, history, width)
    findings, chosen = finding_list_lines(run, width)
    place = range(len(lines) + chosen.start, len(lines) + chosen.stop)
    lines += findings
    lines += _unsaved_lines(run, width)
    is_quiet = not (findings or history.finished or history.failure or history.unsaved)
    if not lines or is_quiet:
        lines += _quiet_lines(run, width)
    return lines + _change_lines(run, width), place


def _result_lines(finished: RunFinished | None, history: History, width: int) -> Lines:
    lines = _test_lines(history)
    if finished is not None:
        spent = fmt.duration(finished.seconds)
        words = (
            f"{finished.reason} after {fmt.plural(finished.epochs, 'epoch')}, {spent} of training"
        )
        lines += paragraph(f"{words}", "muted", width)
    return [*lines, []] if lines else lines


def _test_lines(history: History) -> Lines:
    """Return the latest test evaluation, with its number."""
    if not history.tests:
        return []
    test = history.tests[-1]
    again = ", no longer unbiased" if test.evaluation > 1 else ""
    count = f"evaluations: {test.evaluation}{again}"
    return [
        [
            Cell(f"◆ test {fmt.percent(test.test_accuracy)}", style="test bold"),
            Cell(f" {fmt.interval(test.test_interval)}", style="test"),
            Cell(f"  {count}", rank=1, style="muted"),
        ]
    ]


def _quiet_lines(run: ShownRun, width: int) -> Lines:
    history = run.history
    if history.started is None:
        return paragraph(history.detail or "starting", "muted", width)
    lines = [[Cell("✓ nothing to report", style="ok")]]
    lines += paragraph(_watch(run), "muted", width, indent=2)
    if history.folder is not None:
        step = f", saved after step {fmt.count(history.saved.step)}" if history.saved else ""
        words = f"recorded in {fmt.printable(history.folder)}{step}"
        lines += paragraph(words, "muted", width, indent=2)
    return [*lines, []]


def _watch(run: ShownRun) -> str:
    """Return the names of rules that can be evaluated on this run."""
    names = fmt.listed(sorted(evaluable_rules(run.history), key=len), NAMED)
    blind = "" if run.is_probed else "; probes are off" if run.is_live else "; without probes"
    return f"rules evaluated: {names}{blind}"


def _unsaved_lines(run: ShownRun, width: int) -> Lines:
    """Return what cannot be saved, and why."""
    if not run.history.unsaved:
        return []
    lines = paragraph("▲ not saved", "warning bold", width)
    for path, reason in run.history.unsaved.items():
        lines += paragraph(f"{PurePath(path).name}: {reason}", "", width, indent=2)
    if not run.is_live:
        return [*lines, []]
    words = "training continues; saving will be retried"
    return [*lines, *paragraph(words, "muted", width, indent=2), []]


def _change_lines(run: ShownRun, width: int) -> Lines:
    """Return the latest changes, newest first."""
    lines: Lines = []
    for change in reversed(run.history.interventions[-CHANGES_SHOWN:]):
        where = f"  epoch {change.epoch}, step {fmt.count(change.step)}"
        lines.append(fit(_change_cells(run, change, where), width))
    return lines


def _change_cells(run: ShownRun, change: SettingChanged, where: str) -> list[Cell]:
    """Return a change, where it was made, and who made it, unless it was this user."""
    cells = [
        Cell(f"▼ {change.words}", style="intervention"),
        Cell(where, rank=1, style="muted"),
    ]
    if change.by not in ("", run.by):
        cells.append(Cell(f"  {change.by}", rank=2))
    return cells
