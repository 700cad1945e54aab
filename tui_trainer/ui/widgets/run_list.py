"""The cells of the list of runs, and the lines about the list and about one of its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tui_trainer.recording.folder import ListedRun
from tui_trainer.recording.run_fields import DAMAGED, FIELDS, Field, Kind
from tui_trainer.recording.run_groups import mean_text
from tui_trainer.recording.run_table import (
    COLUMNS,
    cell,
    heading,
    is_right_aligned,
)
from tui_trainer.recording.summary import KILLED, RUNNING
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell, fit
from tui_trainer.text.lines import aligned
from tui_trainer.ui.overlay import run_style
from tui_trainer.ui.runs.run_listing import Key, ListedGroup, Row, RunListing, key_of
from tui_trainer.ui.widgets.cell_line import CellLine, ShownLine

DROPPED_FIRST = ("model", "params", "time", "test_acc", "epochs")
"""The default columns in the order in which a narrow window drops them.

The name of a run contains its model.
"""

LONGEST_NAME = 40
"""Columns for the name of a run or of a group; more only if there is room next to the others."""

LONGEST_TEXT, LONGEST_RESULT = 32, 48
"""The most columns for another text, and for a result with its interval."""

# Each state has its own glyph and color, so that either of them is enough to recognize it.
STATES = {
    RUNNING: ("●", "ok"),
    "completed": ("✓", "ok"),
    "diverged": ("✗", "error"),
    "failed": ("✗", "error"),
    KILLED: ("▲", "warning"),
}
LEFT = ("‖", "warning")
"""The state of a run that ended early."""

ROLES = {
    **{"model": "muted", "params": "muted"},
    **{"best": "validation", "val_acc": "validation", "test_acc": "test"},
}
"""The roles of columns; settings are muted."""


@dataclass(frozen=True)
class ListTable:
    """The cells of the list, with columns of constant width."""

    heads: dict[str, str]
    rows: list[tuple[Key, list[Cell]]]


def list_table(
    listing: RunListing,
    *,
    width: int,
    gap: int,
    live_folder: str | None,
) -> ListTable:
    """Return the cells of the list.

    Args:
        listing: The rows and their columns; the usual columns are dropped where there is no room.
        width: Columns of text.
        gap: Spaces between two columns.
        live_folder: The folder of the live run.
    """
    columns = listing.columns
    fields = [FIELDS[name] for name in columns]
    indent = "    " if listing.group_text else ""
    cells = [
        [_group_cell(row, field) for field in fields]
        if isinstance(row, ListedGroup)
        else [_run_cell(row, field, live_folder) for field in fields]
        for row in listing.rows
    ]
    place = columns.index("name")
    for row, styled in zip(listing.rows, cells, strict=True):
        styled[place] = _name_cell(row, LONGEST_NAME, indent)
    arrows = _arrows(listing.sort_text)
    heads = [heading(field) + arrows.get(field.name, "") for field in fields]
    right = {place for place, field in enumerate(fields) if is_right_aligned(field)}
    head, *texts = aligned([heads, *([cell.text for cell in row] for row in cells)], right)
    kept = list(range(len(columns)))
    if columns == COLUMNS:
        for name in DROPPED_FIRST:
            if sum(fmt.columns(head[place]) + gap for place in kept) <= width - 1 - gap:
                break
            kept.remove(columns.index(name))
    # The names get the room that is left.
    used = sum(fmt.columns(head[each]) + gap for each in kept if each != place)
    longest = max(LONGEST_NAME, width - 1 - 2 * gap - used)
    names = [_name_cell(row, longest, indent) for row in listing.rows]
    head[place], *name_texts = (
        line for (line,) in aligned([[heads[place]], *([cell.text] for cell in names)])
    )
    rows = []
    for row, name_text, line, styled in zip(listing.rows, name_texts, texts, cells, strict=True):
        line[place] = name_text
        shown = [Cell(line[each], style=styled[each].style) for each in kept]
        rows.append((key_of(row), shown))
    return ListTable({columns[each]: head[each] for each in kept}, rows)


def _name_cell(row: Row, longest: int, indent: str) -> Cell:
    """Return the name of a run, or of a group with the number of its runs."""
    if isinstance(row, ListedRun):
        return Cell(fmt.clip(indent + row.name, longest), style="title")
    head, count = "▾" if row.is_open else "▸", f" ({len(row.means.group.runs)})"
    name = fmt.clip(f"{head} {row.name}", longest - len(count))
    return Cell(name + count, style="title bold")


def _arrows(sort_text: str) -> dict[str, str]:
    """Return the sign of each field that the list is sorted by."""
    keys = [key.strip() for key in sort_text.split(",") if key.strip()]
    return {key.lstrip("-+"): " ▼" if key.startswith("-") else " ▲" for key in keys}


def mark_cells(shown: Iterable[tuple[Row, int]]) -> dict[Key, Cell]:
    """Return the glyph of each row whose curve is shown."""
    styles = ((key_of(row), run_style(place)) for row, place in shown)
    return {key: Cell(glyph, style=role) for key, (role, glyph) in styles}


def _run_cell(run: ListedRun, field: Field, live_folder: str | None) -> Cell:
    role = ROLES.get(field.name, "muted" if field.is_setting else "")
    if field.name == "state":
        return state_cell(run, live_folder)
    if run.summary is None:
        return Cell("")
    width = LONGEST_RESULT if field.name in ("best", "test_acc") else LONGEST_TEXT
    return Cell(fmt.clip(cell(run, field), width), style=role)


def state_cell(run: ListedRun, live_folder: str | None) -> Cell:
    """Return the state of a run with its glyph."""
    if run.summary is None:
        return Cell(f"✗ {DAMAGED}", style="error")
    state = run.summary.state
    glyph, role = STATES.get(state, LEFT)
    if state == RUNNING and live_folder is not None and str(run.folder.path) == live_folder:
        state = "this run"
    return Cell(f"{glyph} {state}", style=role)


def _group_cell(row: ListedGroup, field: Field) -> Cell:
    """Return what the runs of a group have in common, or the mean with its 95 % interval."""
    runs, role = row.means.group.runs, ROLES.get(field.name, "muted")
    if field.name == "state":
        return _states(runs)
    values = {run.fields[field.name] for run in runs}
    if len(values) == 1 and field.kind is not Kind.FRACTION:
        return Cell(fmt.clip(cell(runs[0], field), LONGEST_TEXT), style="muted")
    if field.kind.is_numeric:
        mean = row.means.means.get(field.name)
        has_interval = field.kind is Kind.FRACTION  # there is no room for others
        text = mean_text(field, mean, len(runs), has_interval=has_interval)
        return Cell(text, style=role if mean else "muted")
    return Cell(f"{len(values)} values", style="muted")


def _states(runs: Sequence[ListedRun]) -> Cell:
    """Return the states of several runs: the role of the most serious one."""
    states = Counter(run.summary.state if run.summary else DAMAGED for run in runs)
    signs = {state: STATES.get(state, LEFT) for state in states} | {DAMAGED: ("✗", "error")}
    texts = [f"{signs[state][0]} {number}" for state, number in states.most_common()]
    roles = [signs[state][1] for state in states]
    role = next((role for role in ("error", "warning") if role in roles), "ok")
    return Cell(" ".join(texts), style=role)


class ListLine(ShownLine):
    """How many runs are listed, and how: filter, order, groups, marks."""

    DEFAULT_CSS = """
    ListLine { height: 1; padding: 0 1; }
    """


def list_cells(listing: RunListing, is_reading: bool) -> list[Cell]:
    """Return the cells of the :class:`ListLine`."""
    total = fmt.plural(len(listing.runs), "run")
    if listing.filter_text:
        total = f"{fmt.count(listing.found)} of {total}"
    cells = [Cell("reading …" if is_reading and not listing.runs else total, style="title")]
    if listing.filter_text:
        cells += [Cell(" · filter ", rank=1, style="muted")]
        cells += [Cell(fmt.clip(listing.filter_text, 48), rank=1, style="intervention")]
    if listing.group_text:
        groups = sum(isinstance(row, ListedGroup) for row in listing.rows)
        cells += [Cell(f" · {fmt.plural(groups, 'group')} by ", rank=2, style="muted")]
        cells += [Cell(listing.group_text, rank=2, style="intervention")]
        cells += [Cell(" · mean [95 % interval]", rank=4, style="muted")]
    if listing.sort_text:
        cells += [Cell(" · sorted by ", rank=3, style="muted")]
        cells += [Cell(listing.sort_text, rank=3, style="intervention")]
    if listing.marks:
        cells += [Cell(f" · {len(listing.marks)} marked", style="validation")]
    return cells


class RunLine(CellLine):
    """Details of the run under the cursor, including columns that the table dropped."""

    DEFAULT_CSS = """
    RunLine { height: 1; background: $surface; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._row: Row | None = None
        self._columns: Collection[str] = ()
        self._note = ""

    def show(self, row: Row | None, columns: Collection[str] | None = None) -> None:
        """Show a row; ``columns`` are those of the table, if they changed."""
        self._row = row
        self._columns = self._columns if columns is None else columns
        self.update()

    def note(self, words: str) -> None:
        """Show a note in place of the run; an empty note shows the run again."""
        self._note = words
        self.update()

    def cells(self, width: int) -> list[Cell]:
        """Return the cells that fit."""
        if self._note:
            return [Cell(fmt.clip(self._note, width), style="warning")]
        if self._row is None:
            return []
        if isinstance(self._row, ListedGroup):
            names = fmt.listed([run.name for run in self._row.means.group.runs], 3)
            return [Cell(fmt.clip(names, width), style="muted")]
        if self._row.summary is None:
            return [Cell(fmt.clip(f"✗ {self._row.error}", width), style="error")]
        return fit(_about(self._row, self._columns), width)


def _about(run: ListedRun, columns: Collection[str]) -> list[Cell]:
    """Return the note and tags, the hidden columns, then details that the table never shows."""
    summary = run.summary
    if summary is None:
        return []
    about: list[Cell] = []

    def add(label: str, text: str, rank: int, role: str) -> None:
        gap = "   " if about else ""
        about.append(Cell(f"{gap}{label} ", rank=rank, style="muted"))
        about.append(Cell(text, rank=rank, style=role))

    for rank, name in enumerate(("note", "tag", *reversed(DROPPED_FIRST)), 1):
        text = _run_cell(run, FIELDS[name], None).text
        if name not in columns and text not in ("", "-"):
            add(heading(FIELDS[name]), text, rank, "test" if name == "test_acc" else "")
    images = fmt.count(summary.train_size)
    images += f"+{fmt.count(summary.val_size)}" if summary.val_size else ""
    gap = "   " if about else ""
    return [
        *about,
        Cell(f"{gap}{summary.dataset} {images}", rank=8, style="muted"),
        Cell(f" · seed {summary.seed}", rank=9, style="muted"),
        Cell(f" · {summary.device} ×{summary.threads}", rank=10, style="muted"),
        Cell(f" · started {summary.started_at[:16].replace('T', ' ')}", rank=11, style="muted"),
        Cell(f" · mnist-tui inspect {run.name}", rank=12, style="muted"),
    ]
