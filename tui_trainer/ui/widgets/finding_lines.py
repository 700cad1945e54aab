"""Findings as lines: in full, with their evidence, or only the title."""

from __future__ import annotations

from tui_trainer.course.topics import lesson_label
from tui_trainer.protocol.diagnosis import SIGNS, Diagnosis, Severity
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.render.block_lines import ROLES
from tui_trainer.render.cause_lines import cause_lines, is_named
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import Lines, paragraph
from tui_trainer.text.sparkline import caption, sparkline
from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.runs.shown_run import ShownRun

SEVERITY_ROLES: dict[Severity, str] = {
    severity: ROLES[severity] + ("" if severity == "note" else " bold") for severity in SIGNS
}
"""The role of a diagnosis's title."""

CAPTION_NEXT_TO = 60
"""Minimum columns for a plot with its caption next to it."""


def finding_list_lines(run: ShownRun, width: int) -> tuple[Lines, range]:
    """Return the shown findings, and the range of the chosen one's lines.

    The chosen one is shown in full; other warnings with their evidence, and other notes only with
    their title, so that several fit into one panel.
    """
    selection = run.selection
    shown, chosen = selection.shown, selection.chosen
    lines: Lines = []
    place = range(0)
    # A single finding needs no mark: there is nothing to choose.
    gutter = 2 if len(shown) > 1 else 0
    for found in shown:
        is_chosen = found is chosen
        block = _finding_lines(found, width - gutter, run, is_full=is_chosen)
        if gutter:
            block = [
                [Cell("▸ " if is_chosen and number == 0 else "  ", style="title"), *line]
                for number, line in enumerate(block)
            ]
        if is_chosen:
            place = range(len(lines), len(lines) + len(block))
        lines += [*block, *([[]] if is_chosen or found.severity != "note" else [])]
    if lines and lines[-1]:
        lines.append([])
    if selection.snoozed:
        words = with_keys(f"{selection.snoozed} snoozed: {{findings.unsnooze}} to show")
        lines += [*paragraph(words, "muted", width), []]
    return lines, place


def headline_cells(run: ShownRun, found: FindingRaised) -> list[Cell]:
    """Return the chosen finding with the number of others, in one line; a note with its advice."""
    selection = run.selection
    others = len(selection.shown) - 1
    more = f" (+{others})" if others else ""
    cells = [Cell(f"{found.heading}{more}", style=SEVERITY_ROLES[found.severity])]
    if found.severity == "note" and found.advice:
        cells.append(Cell(f" · {found.advice}", rank=2))
        cells += _fix_cells(run, found, rank=3)
    return [*cells, Cell(with_keys(" · {findings.open} more"), rank=1, style="muted")]


def advice_cells(run: ShownRun, found: FindingRaised) -> list[Cell]:
    """Return the first cause of a warning or an error and what to try, in one line."""
    if found.severity == "note" or not found.ranked_causes:
        return []
    first = found.ranked_causes[0]
    label = f"  {first.label}: {first.title}"
    if not first.advice:
        return [Cell(label)] if is_named(first, found) else []
    cause = [Cell(label, rank=2)] if is_named(first, found) else []
    return [*cause, Cell(f"  try: {first.advice}", style="title"), *_fix_cells(run, found, rank=1)]


def _fix_cells(run: ShownRun, found: FindingRaised, *, rank: int) -> list[Cell]:
    """Return the key that applies the advice, if one does."""
    words = with_keys(" · {findings.apply_fix} to apply")
    return [Cell(words, rank=rank, style="muted")] if run.fixable() is found else []


def _finding_lines(found: FindingRaised, width: int, run: ShownRun, *, is_full: bool) -> Lines:
    lines = headed(found, width, is_named=is_full)
    if not is_full:
        quiet = "" if found.severity == "note" else found.evidence
        return [*lines, *paragraph(quiet, "muted", width, indent=2)]
    key = apply_key(run.fixable(), found)
    return [*lines, *body_lines(found, width, key=key, is_full=False)]


def apply_key(fixable: FindingRaised | None, found: FindingRaised) -> str:
    """Return the hint to apply a finding's advice by key; empty if no key does."""
    return with_keys(" — press {findings.apply_fix} to apply") if fixable is found else ""


def body_lines(
    found: Diagnosis, width: int, *, indent: int = 2, key: str = "", is_full: bool = True
) -> Lines:
    """Return the lines below the title of a diagnosis; see :func:`cause_lines`."""
    lines = paragraph(found.evidence, "", width, indent=indent)
    if isinstance(found, FindingRaised):
        lines += _plot_lines(found, width) if found.plot else []
        return [*lines, *cause_lines(found, width, indent=indent, key=key, is_full=is_full)]
    if found.advice:
        lines += paragraph(f"try: {found.advice}", "title", width, indent=indent)
    return lines


def headed(
    found: Diagnosis, width: int, *, is_named: bool = True, is_linked: bool = False
) -> Lines:
    """Return a title with its lesson flush right, by name if that fits, or below the title.

    ``is_linked`` adds the key that opens the lesson.
    """
    title, role = found.heading, SEVERITY_ROLES[found.severity]
    key, link = (with_keys("{screens.lesson} ▸ "), "intervention") if is_linked else ("", "muted")
    words, named = f"{key}lesson {found.lesson}", f"{key}{lesson_label(found.lesson)}"
    if is_named and fmt.columns(title) + fmt.columns(named) + 2 <= width:
        words = named
    gap = width - fmt.columns(title) - fmt.columns(words)
    if gap >= 2:
        return [[Cell(title, style=role), Cell(" " * gap), Cell(words, style=link)]]
    return [*paragraph(title, role, width), *paragraph(words, link, width, indent=2)]


def _plot_lines(found: FindingRaised, width: int) -> Lines:
    """Return the plot with its caption: next to it if there is room, else below."""
    words = caption(found.plot, found.plot_label)
    room = width - 2
    bars = sparkline(found.plot, room - fmt.columns(words) - 2)
    if width >= CAPTION_NEXT_TO and bars and len(bars) >= min(2 * len(found.plot), room // 3):
        return [[Cell(f"  {bars}", style="train"), Cell(f"  {words}", style="muted")]]
    bars = sparkline(found.plot, room)
    return [[Cell(f"  {bars}", style="train")], *paragraph(words, "muted", width, indent=2)]
