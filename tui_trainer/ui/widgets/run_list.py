"""The cells of the list of runs, and the line about one of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tui_trainer.recording.folder import ListedRun
from tui_trainer.recording.run_table import HEAD, RIGHT, cells
from tui_trainer.recording.summary import KILLED, RUNNING
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell, fit
from tui_trainer.text.lines import aligned
from tui_trainer.ui.widgets.cell_line import CellLine

RUN, MODEL, PARAMETERS, EPOCHS, BEST, TEST, TIME, STATE = range(len(HEAD))

DROPPED_FIRST = (MODEL, PARAMETERS, TIME, TEST, EPOCHS)
"""The columns in the order in which they are dropped; the name of a run contains its model."""

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

DAMAGED = "damaged"


def run_rows(
    runs: Sequence[ListedRun], live_folder: str | None
) -> tuple[list[Cell], list[list[Cell]]]:
    """Return the head and the rows of the table, with columns of constant width.

    Args:
        runs: The runs.
        live_folder: The folder of the live run.
    """
    rows = [_row(run, live_folder) for run in runs]
    head, *texts = aligned([HEAD, *([cell.text for cell in row] for row in rows)], RIGHT)
    return [Cell(title) for title in head], [
        [Cell(text, style=cell.style) for text, cell in zip(line, row, strict=True)]
        for line, row in zip(texts, rows, strict=True)
    ]


def _row(run: ListedRun, live_folder: str | None) -> list[Cell]:
    *texts, state = cells(run)
    if run.summary is None:
        glyph, role, state = "✗", "error", DAMAGED
    else:
        glyph, role = STATES.get(state, LEFT)
        if state == RUNNING and live_folder is not None and str(run.folder.path) == live_folder:
            state = "this run"
    roles = {RUN: "title", BEST: "validation", TEST: "test", MODEL: "muted", PARAMETERS: "muted"}
    return [
        *(Cell(words, style=roles.get(place, "")) for place, words in enumerate(texts)),
        Cell(f"{glyph} {state}", style=role),
    ]


def columns_that_fit(rows: Sequence[Sequence[Cell]], width: int, gap: int) -> list[int]:
    """Return the indices of the columns that fit into ``width``."""
    kept = list(range(len(HEAD)))
    for place in DROPPED_FIRST:
        if sum(fmt.columns(rows[0][column].text) + gap for column in kept) <= width:
            break
        kept.remove(place)
    return kept


class RunLine(CellLine):
    """Details of the run under the cursor, including columns that the table dropped."""

    DEFAULT_CSS = """
    RunLine { height: 1; background: $surface; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._run: ListedRun | None = None
        self._hidden: Collection[int] = ()
        self._note = ""

    def show(self, run: ListedRun | None, hidden: Collection[int] | None = None) -> None:
        """Show a run; ``hidden`` are the dropped columns of the table, if they changed."""
        self._run = run
        self._hidden = self._hidden if hidden is None else hidden
        self.update()

    def note(self, words: str) -> None:
        """Show a note in place of the run; an empty note shows the run again."""
        self._note = words
        self.update()

    def cells(self, width: int) -> list[Cell]:
        """Return the cells that fit."""
        if self._note:
            return [Cell(fmt.clip(self._note, width), style="warning")]
        if self._run is None:
            return []
        if self._run.summary is None:
            return [Cell(fmt.clip(f"✗ {self._run.error}", width), style="error")]
        return fit(_about(self._run, self._hidden), width)


def _about(run: ListedRun, hidden: Collection[int]) -> list[Cell]:
    """Return the hidden columns, then details that the table never shows."""
    summary, texts = run.summary, cells(run)
    if summary is None:
        return []
    about: list[Cell] = []
    for rank, place in enumerate((TEST, TIME, EPOCHS, PARAMETERS, MODEL), 1):
        if place in hidden and texts[place] not in ("", "-"):
            gap = "   " if about else ""
            about += [
                Cell(f"{gap}{HEAD[place]} ", rank=rank, style="muted"),
                Cell(texts[place], rank=rank, style="test" if place == TEST else ""),
            ]
    images = fmt.count(summary.train_size)
    images += f"+{fmt.count(summary.val_size)}" if summary.val_size else ""
    gap = "   " if about else ""
    return [
        *about,
        Cell(f"{gap}{summary.dataset} {images}", rank=6, style="muted"),
        Cell(f" · seed {summary.seed}", rank=7, style="muted"),
        Cell(f" · {summary.device} ×{summary.threads}", rank=8, style="muted"),
        Cell(f" · started {summary.started_at[:16].replace('T', ' ')}", rank=9, style="muted"),
        Cell(f" · mnist-tui inspect {run.folder.name}", rank=10, style="muted"),
    ]
