"""The items of the preflight check."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding

from tui_trainer.course.topics import lesson_label
from tui_trainer.protocol.diagnosis import SIGNS, Diagnosis, Severity, by_severity, tally
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import Lines, paragraph
from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.runs.check_results import CheckResults
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.widgets.finding_lines import SEVERITY_ROLES, body_lines
from tui_trainer.ui.widgets.panel import TextPanel
from tui_trainer.ui.widgets.status_lines import bar

RESULTS: dict[Severity, str] = {
    "error": "training would fail",
    "warning": "training can start, but read the warnings",
    "ok": "ready for a long training run",
}
"""What the worst severity means for training."""

BAR_WIDTH = 24


class CheckPanel(TextPanel):
    """The items in the order of the check, one of them in full."""

    DEFAULT_CSS = """
    CheckPanel { scrollbar-gutter: stable; }
    """
    BINDINGS: ClassVar = [
        Binding("up", "move_item(-1)", "item up", show=False),
        Binding("down", "move_item(1)", "item down", show=False),
    ]

    def __init__(self, run: LiveRun, *, id: str) -> None:  # noqa: A002
        super().__init__("preflight check", id=id)
        self._run = run
        self._chosen = range(0)

    def show(self, run: LiveRun) -> None:
        """Show the items so far."""
        self._run = run
        is_done = not run.check.is_waiting
        again = with_keys("{run.again} again · ") if is_done else ""
        self.border_subtitle = f"↑↓ choose · {again}esc closes"
        self.fill()

    def lines(self, width: int) -> Lines:
        """Return the items and their summary."""
        lines, self._chosen = check_lines(self._run, width - 1)
        return lines

    def action_move_item(self, direction: int) -> None:
        """Choose the item below or above; at an end, scroll."""
        if not self._run.check.choose(direction):
            self.scroll_relative(y=direction, animate=False)
            return
        self.show(self._run)
        self.show_rows(self._chosen)


def check_lines(run: LiveRun, width: int) -> tuple[Lines, range]:
    """Return the items in ``width`` columns, and the range of the chosen item's lines."""
    check = run.check
    lines: Lines = []
    place = range(0)
    # Progress and result have the same place, so that nothing below moves.
    if check.is_waiting:
        lines += [*_progress_lines(run, width), []]
    elif check.rejection:
        lines += [*paragraph(f"▲ not checked: {check.rejection}", "warning bold", width), []]
    elif check.items:
        lines += [*_result_lines(check, width), []]
    digits = max((len(item.figure) for item in check.items), default=0)
    for number, item in enumerate(check.items):
        is_chosen = number == check.chosen
        block = [_item_line(item, width, digits, is_chosen=is_chosen)]
        if is_chosen:
            block += _detail_lines(item, width)
            place = range(len(lines), len(lines) + len(block))
        lines += block
    return lines, place


def _progress_lines(run: LiveRun, width: int) -> Lines:
    check, history = run.check, run.history
    waits = "" if history.is_over or run.is_paused else ", training waits"
    counted = f" {check.done} of {check.total}" if check.total else ""
    share = check.done / check.total if check.total else 0.0
    line = [Cell(f"checking …{counted}{waits}  ", style="title")]
    room = width - sum(fmt.columns(cell.text) for cell in line)
    return [[*line, *(bar(share, min(BAR_WIDTH, room)) if room > 0 else ())]]


def _item_line(item: Diagnosis, width: int, digits: int, *, is_chosen: bool) -> list[Cell]:
    """Return an item with its figure flush right."""
    room = width - 4 - digits - 2
    title = fmt.clip(item.title, room)
    return [
        Cell("▸ " if is_chosen else "  ", style="title"),
        Cell(f"{SIGNS[item.severity]} ", style=SEVERITY_ROLES[item.severity]),
        Cell(title, style="title bold" if is_chosen else ""),
        Cell(" " * (room - fmt.columns(title) + 2)),
        Cell(item.figure.rjust(digits), style="muted"),
    ]


def _detail_lines(item: Diagnosis, width: int) -> Lines:
    lines = body_lines(item, width, indent=4)
    return [*lines, *paragraph(lesson_label(item.lesson), "muted", width, indent=4)]


def _result_lines(check: CheckResults, width: int) -> Lines:
    worst = by_severity(check.items)[0].severity
    words = f"{SIGNS[worst]} {tally(check.items)}: {RESULTS[worst]}"
    return paragraph(words, SEVERITY_ROLES[worst], width)
