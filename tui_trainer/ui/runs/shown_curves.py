"""The curves of the marked rows and of the row under the cursor, and what to know about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tui_trainer.findings.learning_rates import noise_scale
from tui_trainer.history.history import History
from tui_trainer.recording.folder import ListedRun, RunFolder
from tui_trainer.recording.run_fields import RECIPE
from tui_trainer.text import fmt
from tui_trainer.ui.overlay import OverlaidGroup, OverlaidRun, run_style
from tui_trainer.ui.runs.run_listing import ListedGroup, Row, members
from tui_trainer.ui.runs.run_reader import MOST_WANTED, ReadRun

Read = Callable[[ListedRun], ReadRun | None]
"""Returns what was read of a run; None if it has not been read yet."""


@dataclass(frozen=True, slots=True)
class ShownCurves:
    """The curves of some rows.

    Attributes:
        runs: The runs, the one under the cursor last.
        bands: The groups.
        unread: The number of runs that have not been read yet.
        notes: What limits the chart: errors, missing validation, other datasets.
    """

    runs: tuple[OverlaidRun, ...] = ()
    bands: tuple[OverlaidGroup, ...] = ()
    unread: int = 0
    notes: tuple[str, ...] = ()


def wanted_folders(shown: Sequence[tuple[Row, int]]) -> list[RunFolder]:
    """Return the folders of the shown rows, those under the cursor first."""
    runs = [run for row, _ in reversed(shown) for run in members(row)]
    return [run.folder for run in runs]


def shown_curves(shown: Sequence[tuple[Row, int]], read: Read) -> ShownCurves:
    """Return the curves of rows, each with the place of its color and glyph."""
    runs, bands, notes, unread = [], [], [], 0
    known: list[tuple[str, History]] = []
    for row, place in shown:
        found = [(run, read(run)) for run in members(row)]
        unread += sum(each is None for _, each in found)
        notes += [f"{run.name}: {each.error}" for run, each in found if each and each.error]
        named = [(run.name, each.history) for run, each in found if each and each.history]
        known += named
        histories = [history for _, history in named]
        if isinstance(row, ListedGroup):
            alike = _of_one_dataset(histories)
            if alike:
                bands.append(OverlaidGroup(row.name, alike, run_style(place)))
            notes += _about_group(row.name, alike)
        elif histories:
            runs.append(OverlaidRun(row.name, histories[0], run_style(place)))
    total = len({folder.path for folder in wanted_folders(shown)})
    if total > MOST_WANTED:
        notes.append(f"only the first {MOST_WANTED} of {fmt.plural(total, 'run')} are drawn")
        unread = max(0, unread - (total - MOST_WANTED))
    notes += _about_runs(known)
    return ShownCurves(tuple(runs), tuple(bands), unread, tuple(dict.fromkeys(notes)))


def _of_one_dataset(histories: Sequence[History]) -> list[History]:
    """Return the histories on the dataset of the first one: others have no common mean with it."""
    first = next((each.started.dataset for each in histories if each.started), None)
    return [each for each in histories if each.started and each.started.dataset == first]


def _about_group(name: str, histories: Sequence[History]) -> Iterator[str]:
    lengths = sorted({len(history.epochs) for history in histories})
    if len(lengths) > 1:
        yield (
            f"{name}: {lengths[0]} to {lengths[-1]} epochs are done, so the end of the mean is "
            "over fewer runs"
        )


def _about_runs(runs: Sequence[tuple[str, History]]) -> Iterator[str]:
    """Yield what makes runs hard to compare."""
    datasets = {history.started.dataset for _, history in runs if history.started}
    if len(datasets) > 1:
        yield f"different datasets ({', '.join(sorted(datasets))}): do not compare these values"
    blank = [name for name, run in runs if run.started and not run.started.val_size]
    if blank:
        yield f"no validation split: {fmt.listed(blank, 2)}"
    diverged = [name for name, run in runs if has_diverged(run)]
    if diverged:
        yield f"diverged: {fmt.listed(diverged, 2)}"


def has_diverged(history: History) -> bool:
    """Return whether a run has diverged and was not rewound."""
    reason = history.finished.reason if history.finished else ""
    return history.divergence is not None or reason == "diverged"


def noise_of(run: ReadRun) -> float | None:
    """Return the gradient noise scale of a run in images; None where it is unknown."""
    now = noise_scale(run.history) if run.history is not None and run.history.updates else None
    return now if now is not None else run.noise


def without_diverged(curves: ShownCurves) -> ShownCurves:
    """Return the curves of the runs that have not diverged: an infinite loss hides all others."""
    bands = []
    for group in curves.bands:
        members = [history for history in group.members if not has_diverged(history)]
        bands += [replace(group, members=members)] if members else []
    runs = tuple(run for run in curves.runs if not has_diverged(run.history))
    return replace(curves, runs=runs, bands=tuple(bands))


def different_settings(runs: Sequence[ListedRun]) -> list[str]:
    """Return the settings apart from batch size, learning rate and seed in which runs differ."""
    names = ["model", *(name for name in RECIPE if name not in ("batch_size", "lr"))]
    return [name for name in names if len({repr(run.fields[name]) for run in runs}) > 1]
