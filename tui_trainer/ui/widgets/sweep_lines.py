"""The lines of a sweep's window: what it searches, its budget, its best and its chosen trial."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.sweeps.figures import (
    GLYPHS,
    NAMES,
    ROLES,
    interval_of,
    objective_text,
    settings_of,
    value_with_interval,
)
from tui_trainer.sweeps.progress import limits_of, seconds_left
from tui_trainer.sweeps.state import SweepState, TrialState
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.ui.widgets.cell_line import CellLine
from tui_trainer.ui.widgets.status_lines import bar, flush


class SweepLine(CellLine):
    """What is searched on the left, the state of the sweep on the right."""

    DEFAULT_CSS = """
    SweepLine { height: 1; background: $panel; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._left: Sequence[Cell] = ()
        self._right: Sequence[Cell] = ()

    def show(self, left: Sequence[Cell], right: Sequence[Cell]) -> None:
        """Show these cells."""
        self._left, self._right = left, right
        self.update()

    def cells(self, width: int) -> list[Cell]:
        """Return the line, its right part flush right."""
        return flush(self._left, self._right, width)


def searched_cells(state: SweepState | None) -> list[Cell]:
    """Return what a sweep searches; a narrow line drops the least important parts."""
    if state is None:
        return [Cell("mnist-tui  ", rank=5, style="muted"), Cell("reading the sweep …")]
    spec = state.spec
    pruning = "no pruning" if spec.pruning == "none" else spec.pruning
    return [
        Cell("mnist-tui  ", rank=6, style="muted"),
        Cell(fmt.clip(state.name, 40), style="title bold"),
        Cell(f" · {fmt.plural(len(spec.space), 'setting')}", rank=2),
        Cell(f" · {NAMES[spec.objective]}", rank=3),
        Cell(f" · {spec.sampler}, {pruning}", rank=4, style="muted"),
        Cell(f" · {fmt.plural(spec.seeds, 'seed')} a trial", rank=5, style="muted"),
    ]


def phase_cells(
    state: SweepState | None,
    *,
    is_starting: bool = False,
    is_stopping: bool = False,
    problem: str = "",
) -> list[Cell]:
    """Return the state of a sweep with its glyph, and its workers.

    Args:
        state: The sweep.
        is_starting: Whether a worker is to begin.
        is_stopping: Whether the user has stopped the sweep.
        problem: Why the sweep cannot be read now; empty if it can.
    """
    if problem:
        return [Cell(f"▲ {fmt.clip(problem, 60)}", style="warning bold")]
    if state is None:
        return []
    alive = [worker for worker in state.workers if worker.is_alive]
    if state.is_over:
        return [Cell(f"✓ {state.ended or 'finished'}", style="ok bold")]
    workers = Cell(f" · {fmt.plural(len(alive), 'worker')}", rank=1)
    if is_stopping:
        return [Cell("◌ stopping" if alive else "■ stopped", style="warning bold"), workers]
    if alive:
        return [Cell("● training", style="ok bold"), workers]
    if is_starting:
        return [Cell("◌ starting", style="muted bold")]
    return [Cell("✗ no worker", style="error bold")]


def budget_cells(state: SweepState | None, is_wide: bool) -> list[Cell]:
    """Return the used and the left budget, and how the trials ended."""
    if state is None:
        return bar(0.0, 24 if is_wide else 10)
    limits = limits_of(state)
    spare = "   " if is_wide else "  "
    cells = bar(limits[0].share if limits else 0.0, 24 if is_wide else 10)
    cells += [
        Cell(f"{' ' if place == 0 else spare}{limit.text}", rank=0 if place == 0 else 3)
        for place, limit in enumerate(limits)
    ]
    left = seconds_left(state)
    if not state.is_over:
        shown = "-:--" if left is None else fmt.duration(left)
        cells.append(Cell(f"{spare}ETA {shown}", rank=1))
    for phase in ("completed", "running", "waiting", "pruned", "failed"):
        count = sum(trial.phase == phase for trial in state.trials)
        if count or phase == "completed":
            text = f"{spare}{GLYPHS[phase]} {fmt.count(count)}"
            cells.append(Cell(text, rank=2, style=ROLES[phase]))
            cells.append(Cell(f" {phase}", rank=4, style=ROLES[phase]))
    return [*cells, Cell(f"{spare}{fmt.duration(state.seconds)}", rank=5, style="muted")]


def best_cells(state: SweepState | None) -> list[Cell]:
    """Return the best trial so far, with its interval and what that is."""
    best = state.best if state is not None else None
    if state is None or best is None:
        return [Cell(" no completed trial yet", style="muted")]
    cells = [
        Cell(f" best: trial {best.number} ", style="title"),
        Cell(value_with_interval(state, best), style="ok bold"),
    ]
    if interval_of(state, best) is None:
        cells.append(Cell(" no interval: one seed", rank=1, style="muted"))
    elif state.spec.seeds > 1:
        cells.append(Cell(f" Student's t, {state.spec.seeds} seeds", rank=1, style="muted"))
    else:
        images = fmt.count(state.val_images)
        cells.append(Cell(f" Wilson, {images} images", rank=1, style="muted"))
        cells.append(Cell(", one seed", rank=4, style="muted"))
    return [*cells, Cell("  ", rank=1), *_settings_cells(state, best)]


def _settings_cells(state: SweepState, trial: TrialState) -> list[Cell]:
    """Return the settings of a trial; a narrow line drops the last ones first."""
    settings = settings_of(state, trial)
    return [
        Cell(f"{' · ' if place else ' '}{text}", rank=10 + place)
        for place, text in enumerate(settings)
    ]


def chosen_cells(state: SweepState, trial: TrialState | None, glyph: str, role: str) -> list[Cell]:
    """Return the chosen trial in one line: how it ended, and its settings in full."""
    if trial is None:
        return []
    value = value_with_interval(state, trial)
    if trial.value is None:
        value = f"({objective_text(state.spec, trial.last)})" if trial.last is not None else ""
    return [
        Cell(f"{glyph} trial {trial.number} ", style=f"{role} bold"),
        Cell(f"{GLYPHS[trial.phase]} {trial.phase} ", style=ROLES[trial.phase]),
        Cell(value, rank=30),
        *_settings_cells(state, trial),
        Cell(f"   {fmt.one_line(trial.reason)}" if trial.reason else "", rank=1, style="warning"),
    ]
