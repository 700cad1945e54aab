"""The top line and the progress line of a replay."""

from __future__ import annotations

from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.ui.runs.recorded_run import RecordedRun
from tui_trainer.ui.widgets.status_lines import bar, epoch_cells, knob_cells


def replay_cells(run: RecordedRun) -> list[Cell]:
    """Return the state of the replay, the run, the speed and the epoch."""
    glyph, role = ("▶", "ok") if run.is_playing else ("‖", "warning")
    cells = [
        Cell(f"{glyph} replay", style=f"{role} bold"),
        Cell(f" {run.name}", rank=1),
        Cell(f" ×{run.speed:g}", style="title bold"),
        *epoch_cells(run),
    ]
    history = run.history
    if history.is_over:
        word = history.finished.reason if history.finished else "failed"
        cells.append(Cell(f" · {word}", rank=2, style="muted"))
    return cells


def replay_progress_cells(run: RecordedRun, wide: bool) -> list[Cell]:
    """Return the position in the run, and the settings at that position."""
    spare = "   " if wide else "  "
    total = fmt.duration(run.total)
    cells = [
        *bar(run.position / run.total if run.total else 1.0, 40 if wide else 20),
        Cell(f" {fmt.duration(run.position).rjust(len(total))} of {total}"),
    ]
    step = run.history.last_step
    if step is not None:
        cells.append(Cell(f"{spare}step {fmt.count(step.step):>6}", rank=3))
        speed = fmt.speed(run.history.images_per_second)
        cells.append(Cell(f"{spare}{speed:>11}", rank=4, style="muted"))
    for setting, value in run.history.shown_settings.items():
        cells += knob_cells(run, setting, value, spare)
    return cells
