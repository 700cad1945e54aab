"""What goes well or wrong: the result, the findings with their evidence, and what was changed."""

from __future__ import annotations

import textwrap
from pathlib import PurePath

from textual.content import Content

from tui_trainer.run import text
from tui_trainer.run.events import FindingRaised, RunFinished
from tui_trainer.run.history import History
from tui_trainer.run.text import Cell, fit
from tui_trainer.run.verdicts import FINDING_SIGNS
from tui_trainer.ui.pictures import knob_change
from tui_trainer.ui.widgets.cell_line import CellLine
from tui_trainer.ui.widgets.painting import content_of
from tui_trainer.ui.widgets.panel import TextPanel

CHANGES_SHOWN = 5

Lines = list[list[Cell]]


class FindingsPanel(TextPanel):
    """The findings of the run, gravest first."""

    def __init__(self, *, id: str, is_live: bool = True) -> None:  # noqa: A002
        super().__init__("findings", id=id)
        self._is_live = is_live
        self._history: History | None = None

    def show(self, history: History) -> None:
        """Show what the history says now."""
        self._history = history
        count = len(history.findings)
        self.border_title = f"findings · {count}" if count else "findings"
        self.fill()

    def text(self, width: int) -> Content:
        """Return the result, the findings and the latest changes."""
        if self._history is None:
            return Content("")
        lines = findings_lines(self._history, width, is_live=self._is_live)
        return Content("\n").join(content_of(line) for line in lines)


class FindingLine(CellLine):
    """The gravest finding in one line, for windows too small for the panel."""

    DEFAULT_CSS = """
    FindingLine { height: 1; padding: 0 1; }
    """

    def __init__(self, *, id: str, is_live: bool = True) -> None:  # noqa: A002
        super().__init__(id=id)
        self._is_live = is_live
        self._history: History | None = None

    def show(self, history: History) -> None:
        """Show the gravest finding, the result, or that there is nothing to report."""
        self._history = history
        self.update()

    def cells(self, width: int) -> list[Cell]:
        """Return what fits."""
        if self._history is None:
            return []
        return fit(headline(self._history, is_live=self._is_live), width)


def headline(history: History, *, is_live: bool = True) -> list[Cell]:
    """Return what matters most now, in one line; keys that act on the run only if it is live."""
    if history.failure is not None:
        return [Cell(f"✗ {history.failure.message}", style="wrong"), Cell("  i details", rank=1)]
    if history.findings:
        found = max(history.findings.values(), key=lambda f: f.severity == "wrong")
        more = f"  (+{len(history.findings) - 1})" if len(history.findings) > 1 else ""
        cells = [
            Cell(
                f"{FINDING_SIGNS[found.severity]} {found.title}{more}",
                style=f"{found.severity} bold",
            )
        ]
        cells.append(Cell(f" · {found.advice}", rank=1))
        if is_live and found.fix_setting is not None:
            cells.append(Cell(" · press f", rank=2, style="muted"))
        return cells
    if history.unsaved:
        path, reason = next(iter(history.unsaved.items()))
        return [
            Cell(f"▲ not being saved: {PurePath(path).name}", style="look bold"),
            Cell(f" · {reason}", rank=1),
        ]
    if history.tests:
        return [cell for line in _test_lines(history)[:1] for cell in line]
    if history.interventions:
        change = history.interventions[-1]
        return [
            Cell(f"▼ {knob_change(change)}", style="intervention"),
            Cell(f"  at step {text.count(change.step)}", rank=1, style="muted"),
        ]
    return [Cell("✓ no findings", style="good")]


def findings_lines(history: History, width: int, *, is_live: bool = True) -> Lines:
    """Return everything the panel says, wrapped to ``width`` columns."""
    lines: Lines = []
    if history.failure is not None:
        lines += paragraph("✗ training failed", "wrong bold", width)
        lines += paragraph(history.failure.message, "", width, indent=2)
        keys = "press i for the traceback" + (", r to run again" if is_live else "")
        lines += paragraph(keys, "muted", width, indent=2)
        lines.append([])
    lines += _result_lines(history.finished, history, width)
    gravest_first = sorted(history.findings.values(), key=lambda f: f.severity != "wrong")
    for finding in gravest_first:
        lines += _finding_lines(finding, width, is_live=is_live)
    lines += _unsaved_lines(history, width, is_live=is_live)
    is_quiet = not (history.findings or history.finished or history.failure or history.unsaved)
    if not lines or is_quiet:
        lines += _quiet_lines(history, width)
    return lines + _change_lines(history, width)


def _result_lines(finished: RunFinished | None, history: History, width: int) -> Lines:
    lines = _test_lines(history)
    if finished is not None:
        spent = text.duration(finished.seconds)
        words = (
            f"{finished.reason} after {text.plural(finished.epochs, 'epoch')}, {spent} of training"
        )
        lines += paragraph(f"{words}", "muted", width)
    return [*lines, []] if lines else lines


def _test_lines(history: History) -> Lines:
    """Return the latest reading of the test set, with how often it was read."""
    if not history.tests:
        return []
    test = history.tests[-1]
    looks = "look 1" if test.look == 1 else f"look {test.look}: no longer quite blind"
    return [
        [
            Cell(f"◆ test {text.percent(test.test_accuracy)}", style="test bold"),
            Cell(f" {text.interval(test.test_interval)}", style="test"),
            Cell(f"  {looks}", rank=1, style="muted"),
        ]
    ]


def _finding_lines(finding: FindingRaised, width: int, *, is_live: bool) -> Lines:
    title = f"{FINDING_SIGNS[finding.severity]} {finding.title}"
    topic = f"topic {finding.lesson}"
    gap = width - text.columns(title) - len(topic)
    head = [Cell(title, style=f"{finding.severity} bold")]
    if gap >= 2:
        head += [Cell(" " * gap), Cell(topic, style="muted")]
    lines: Lines = [head, *paragraph(finding.evidence, "", width, indent=2)]
    key = " — press f to apply" if is_live and finding.fix_setting is not None else ""
    return [*lines, *paragraph(f"try: {finding.advice}{key}", "title", width, indent=2), []]


def _quiet_lines(history: History, width: int) -> Lines:
    if history.started is None:
        return paragraph(history.detail or "starting", "muted", width)
    lines = [[Cell("✓ nothing to report", style="good")]]
    watched = "divergence" if not history.started.val_size else "overfitting and divergence"
    lines += paragraph(f"watching for {watched}", "muted", width, indent=2)
    if history.folder is not None:
        step = f", saved after step {text.count(history.saved.step)}" if history.saved else ""
        words = f"recorded in {text.printable(history.folder)}{step}"
        lines += paragraph(words, "muted", width, indent=2)
    return [*lines, []]


def _unsaved_lines(history: History, width: int, *, is_live: bool) -> Lines:
    """Return what is not being saved, and why."""
    if not history.unsaved:
        return []
    lines = paragraph("▲ not being saved", "look bold", width)
    for path, reason in history.unsaved.items():
        lines += paragraph(f"{PurePath(path).name}: {reason}", "", width, indent=2)
    if not is_live:
        return [*lines, []]
    words = "training goes on; it is tried again"
    return [*lines, *paragraph(words, "muted", width, indent=2), []]


def _change_lines(history: History, width: int) -> Lines:
    """Return the latest changes, newest first."""
    lines: Lines = []
    for change in reversed(history.interventions[-CHANGES_SHOWN:]):
        cells = [
            Cell(f"▼ {knob_change(change)}", style="intervention"),
            Cell(f"  epoch {change.epoch}, step {text.count(change.step)}", rank=1, style="muted"),
        ]
        lines.append(fit(cells, width))
    return lines


def paragraph(words: str, role: str, width: int, *, indent: int = 0) -> Lines:
    """Return a text wrapped to ``width`` columns, in the colour of a role."""
    margin = " " * indent
    wrapped = textwrap.wrap(words, max(10, width), initial_indent=margin, subsequent_indent=margin)
    return [[Cell(line, style=role)] for line in wrapped]
