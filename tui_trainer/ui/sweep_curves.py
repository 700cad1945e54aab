"""The curves of the runs of a sweep over each other: the best ones strong, the others faint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tui_trainer.history.history import History
from tui_trainer.recording.folder import RunFolder
from tui_trainer.sweeps.figures import best_first
from tui_trainer.sweeps.state import SweepState, TrialState
from tui_trainer.text.fmt import Cell
from tui_trainer.ui.chart_view import ChartView
from tui_trainer.ui.overlay import (
    METRICS,
    OverlaidGroup,
    OverlaidRun,
    RunStyle,
    overlay_chart,
    run_style,
)
from tui_trainer.ui.run_curves import ChartContent
from tui_trainer.ui.runs.run_reader import MOST_WANTED

BEST = 3
"""The number of the best trials that have their own color and glyph."""

CHOSEN = RunStyle("title", "◆")
"""The style of the chosen trial, unless it is one of the best."""

FAINT = RunStyle("dim:validation", "")
"""The style of the other trials."""

Read = Callable[[Path], History | None]
"""Returns the history of a run; None if it has not been read, or cannot be."""


def styles_of(state: SweepState, chosen: int | None) -> dict[int, RunStyle]:
    """Return the styles of the best and the chosen trial by number; the one on top is last."""
    best = [trial.number for trial in best_first(state) if trial.value is not None][:BEST]
    styles = {number: run_style(place) for place, number in enumerate(best)}
    ordered = {number: styles[number] for number in reversed(best)}
    if chosen is not None:
        ordered[chosen] = ordered.pop(chosen, CHOSEN)
    return ordered


def wanted_trials(state: SweepState, styles: Mapping[int, RunStyle]) -> list[TrialState]:
    """Return the trials whose curves are drawn, the most important first.

    The chosen one and the best ones, those that are trained now, then the latest others, as many
    as are read at once.
    """
    trials = {trial.number: trial for trial in state.trials if trial.runs}
    strong = [trials[number] for number in reversed([*styles]) if number in trials]
    running = [each for each in trials.values() if each.phase == "running"]
    latest = sorted(trials.values(), key=lambda trial: -trial.number)
    found, runs = list[TrialState](), 0
    for number in dict.fromkeys(each.number for each in [*strong, *running, *latest]):
        runs += len(trials[number].runs)
        if runs > MOST_WANTED:
            break
        found.append(trials[number])
    return found


def wanted_folders(trials: Sequence[TrialState]) -> list[RunFolder]:
    """Return the folders of the runs of trials, in their order."""
    return [RunFolder(path) for trial in trials for path in trial.runs]


def sweep_chart(
    trials: Sequence[TrialState],
    styles: Mapping[int, RunStyle],
    read: Read,
    metric: str,
    view: ChartView,
) -> ChartContent:
    """Return the chart of a metric; its legend has the best and the chosen trial alone.

    Args:
        trials: The trials, the most important first.
        styles: The styles of those that are drawn over the others.
        read: Returns the history of a run.
        metric: A name in :data:`tui_trainer.ui.overlay.METRICS`.
        view: The axes, smoothing, zoom and cursor.
    """
    runs: list[OverlaidRun] = []
    bands: list[OverlaidGroup] = []
    by_number = {trial.number: trial for trial in trials}
    faint = [trial for trial in trials if trial.number not in styles]
    strong = [by_number[number] for number in styles if number in by_number]
    for trial in [*reversed(faint), *strong]:
        style = styles.get(trial.number, FAINT)
        histories = [found for path in trial.runs if (found := read(path)) is not None]
        name = f"trial {trial.number}"
        if trial.number in styles and len(histories) > 1:
            bands.append(OverlaidGroup(name, histories, style))
        else:
            runs += [OverlaidRun(name, history, style) for history in histories]
    content = overlay_chart(runs, metric, view, bands=bands)
    names = {f"trial {number}" for number in styles}
    title = Cell(METRICS[metric].title, style="title")
    return replace(
        content,
        rows=tuple(row for row in content.rows if row.name in names)[::-1],
        marks=(),
        legend=(title, *content.legend),
    )
