"""The two status lines: model and state at the top, progress and knobs at the bottom."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tui_trainer.course.subject import unusual_shape
from tui_trainer.history.target import Target, verdict_on
from tui_trainer.protocol.reference import model_name
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell, columns, fit
from tui_trainer.ui.runs.shown_run import ShownRun
from tui_trainer.ui.widgets.cell_line import CellLine

WIDE = 100
"""Minimum columns for wider spacing."""

# Each state has its own glyph and color, so that either of them is enough to recognize it.
STATES = {
    "preparing": ("◌", "muted"),
    "training": ("●", "ok"),
    "paused": ("‖", "warning"),
    "validating": ("◐", "validation"),
    "testing": ("◆", "test"),
    "finished": ("✓", "ok"),
    "diverged": ("✗", "error"),
    "failed": ("✗", "error"),
    "viewing": ("◇", "title"),
    "killed": ("✗", "error"),
}


class TopLine(CellLine):
    """The model, the dataset, and the state of the run."""

    DEFAULT_CSS = """
    TopLine { height: 1; background: $panel; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._run: ShownRun | None = None
        self._state: Sequence[Cell] = ()

    def show(self, run: ShownRun, state: Sequence[Cell]) -> None:
        """Show a run, with ``state`` on the right."""
        self._run, self._state = run, state
        self.update()

    def cells(self, width: int) -> list[Cell]:
        """Return the line, its right part flush right."""
        if self._run is None:
            return []
        return flush(what_cells(self._run), self._state, width)


def flush(left: Sequence[Cell], right: Sequence[Cell], width: int) -> list[Cell]:
    """Return a line of cells whose right part, which has precedence, is flush right."""
    right = fit(right, width)
    left = fit(left, width - sum(columns(cell.text) for cell in right) - 2)
    used = sum(columns(cell.text) for cell in [*left, *right])
    return [*left, Cell(" " * max(1, width - used)), *right]


def what_cells(run: ShownRun) -> list[Cell]:
    """Return model and dataset; a narrow line drops the least important parts."""
    started, config = run.history.started, run.config
    # The settings of a script's run name the file that rebuilds its model.
    name = model_name(config.model)
    if started is not None and started.script:
        name = f"{started.script}:{started.model}"
    cells = [Cell("mnist-tui  ", rank=5, style="muted"), Cell(name, style="title bold")]
    if run.role:
        cells.append(Cell(f" · {run.role}", rank=1, style="intervention"))
    if started is None:
        return cells
    split = fmt.count(started.train_size)
    if started.val_size:
        split += f"+{fmt.count(started.val_size)}"
    shape = unusual_shape(started)
    many = f" in {started.processes} processes" if started.processes > 1 else ""
    return [
        *cells,
        Cell(f" · {fmt.count(started.parameters)}", rank=2),
        Cell(" parameters", rank=4),
        Cell(f" · {started.dataset}", rank=3),
        *([Cell(f" {shape}", rank=5, style="muted")] if shape else []),
        Cell(f" {split}", rank=4, style="muted"),
        Cell(f" · {started.device} ×{started.threads}{many}", rank=6, style="muted"),
        Cell(f" · seed {started.seed}", rank=7, style="muted"),
    ]


def state_cells(run: ShownRun) -> list[Cell]:
    """Return the state with its glyph, and the epoch."""
    history = run.history
    glyph, role = STATES[history.state]
    cells = [Cell(f"{glyph} {history.state}", style=f"{role} bold")]
    if history.state == "preparing" and history.download is not None:
        got = history.download
        share = f" {100 * got.done_bytes // got.total_bytes} %" if got.total_bytes else ""
        cells.append(Cell(f" · {got.file}{share} {fmt.megabytes(got.done_bytes)}", rank=1))
    elif history.state == "preparing" and history.decoding is not None:
        cells.append(Cell(f" · {history.decoding.words}", rank=1))
    elif history.state in ("preparing", "viewing") and history.detail:
        cells.append(Cell(f" · {history.detail}", rank=1))
    return [*cells, *epoch_cells(run), *target_cells(run)]


def target_cells(run: ShownRun) -> list[Cell]:
    """Return whether the run has reached its target; during training, how often so far."""
    target = Target.of(run.config.as_dict())
    if target is None or run.history.started is None or run.history.is_viewing:
        return []
    verdict = verdict_on(run.history, target)
    if run.history.is_over:
        glyph, word, role = (
            ("✓", "reached", "ok") if verdict.is_reached else ("✗", "missed", "error")
        )
        return [Cell(f" · {glyph} target {word}", rank=1, style=role)]
    if target.last is None:
        return []
    role = "ok" if verdict.is_reached else "muted"
    return [Cell(f" · {verdict.short}", rank=2, style=role)]


def epoch_cells(run: ShownRun) -> list[Cell]:
    """Return the epoch, the number of epochs and its requested value; nothing before the start."""
    started = run.history.started
    if started is None:
        return []
    total = fmt.count(started.epochs)
    epoch = fmt.count(max(1, run.history.epoch)).rjust(len(total))
    return [
        Cell(f" · epoch {epoch} of {total}"),
        *requested_cells(run, "epochs", started.epochs, rank=0),
    ]


class ProgressLine(CellLine):
    """Progress of the epoch, speed, and the value of every knob."""

    DEFAULT_CSS = """
    ProgressLine { height: 1; background: $surface; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._content: Callable[[bool], Sequence[Cell]] = lambda is_wide: ()

    def show(self, content: Callable[[bool], Sequence[Cell]]) -> None:
        """Show this content: a function from whether the line is wide to its cells."""
        self._content = content
        self.update()

    def cells(self, width: int) -> list[Cell]:
        """Return the cells that fit."""
        return fit(self._content(width >= WIDE), width)


def progress_cells(run: ShownRun, cost: float, wide: bool) -> list[Cell]:
    """Return the progress line; ``cost`` is the window's share of one core."""
    history = run.history
    step, started = history.last_step, history.started
    if started is None:
        return bar(0.0, 24 if wide else 10)
    share = step.epoch_images / started.train_size if step else 0.0
    done = history.batches_in_epoch
    total = done + history.batches_left if step else 0
    left = history.seconds_left
    spare = "   " if wide else "  "
    batches = f" {fmt.count(done)}/{fmt.count(total)}" if step else ""
    cells = [
        *bar(share, 24 if wide else 10),
        Cell(batches.rjust(len(fmt.count(total)) * 2 + 2), rank=3),
        Cell(f"{spare}{fmt.speed(history.images_per_second).rjust(11 if wide else 10)}", rank=4),
    ]
    if not history.is_over:
        cells.append(
            Cell(f"{spare}ETA {fmt.duration(left) if left is not None else '-:--'}", rank=2)
        )
    for setting, value in history.shown_settings.items():
        cells += knob_cells(run, setting, value, spare)
    cells.append(Cell(f"{spare}window {100 * cost:.1f} %", rank=6, style="muted"))
    return cells


def bar(share: float, width: int) -> list[Cell]:
    """Return a progress bar of ``width`` columns, in half-column steps."""
    halves = min(2 * width, int(share * 2 * width))
    done = "━" * (halves // 2) + ("╸" if halves % 2 else "")
    return [Cell(done, style="train"), Cell("─" * (width - len(done)), style="border")]


def knob_cells(run: ShownRun, setting: str, value: float, spare: str) -> list[Cell]:
    """Return the value of a knob, and its requested value."""
    rank = {"base_lr": 0, "batch_size": 1}.get(setting, 5)
    cells = [
        Cell(f"{spare}{fmt.KNOB_NAMES[setting]} ", rank=rank, style="muted"),
        Cell(fmt.knob(setting, value), rank=rank, style="intervention"),
    ]
    step = run.history.last_step
    if setting == "base_lr" and step is not None and not run.history.is_over:
        share = step.lr / value if value else 0.0
        if run.config.schedule != "constant":
            cells.append(Cell(f" ×{share:4.2f}", rank=max(rank, 1), style="muted"))
    return [*cells, *requested_cells(run, setting, value, rank)]


def requested_cells(run: ShownRun, setting: str, value: float, rank: int) -> list[Cell]:
    """Return the requested value of a knob, until an event confirms it."""
    requested = run.requested.get(setting)
    if requested is None or requested == value:
        return []
    return [Cell(f" → {fmt.knob(setting, requested)}", rank=rank, style="intervention bold")]
