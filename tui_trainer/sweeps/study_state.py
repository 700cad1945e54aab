"""The state of a sweep, read from the records of its trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial
from optuna.trial import TrialState as RecordState

from tui_trainer.recording.folder import RunFolder
from tui_trainer.sweeps.records import by_place, covered, phase_of
from tui_trainer.sweeps.spec import SweepSpec, grid_size
from tui_trainer.sweeps.state import SweepState, TrialState, WorkerState
from tui_trainer.sweeps.trial_run import last_folder
from tui_trainer.text.fmt import plural, printable


def state_of(
    spec: SweepSpec,
    folder: Path,
    records: Sequence[FrozenTrial],
    val_images: int,
    is_alive: Callable[[FrozenTrial], bool],
) -> SweepState:
    """Return the state of a sweep.

    Args:
        spec: What it searches, with the current limits.
        folder: The folder of its runs.
        records: The records of its trials.
        val_images: The validation images of its runs.
        is_alive: Returns whether the worker of a running record is alive.
    """
    found = by_place(records)
    alive = {record._trial_id: is_running(record) and is_alive(record) for record in records}
    spans = dict[int, list[tuple[float, float]]]()
    for record in records:
        if (place := record.user_attrs.get("place")) is not None:
            spans.setdefault(place, []).append(span_of(record))
    trials = tuple(
        _trial(spec, folder, record, covered(spans[number]), is_alive=alive[record._trial_id])
        for number, record in found.items()
    )
    ended = spent(spec, records)
    is_over = bool(ended) and not any(t.phase in ("running", "waiting") for t in trials)
    return SweepState(
        name=printable(folder.resolve().name),
        folder=folder,
        spec=spec,
        trials=trials,
        workers=_workers(records, trials, alive),
        seconds=covered([span for group in spans.values() for span in group]),
        val_images=val_images,
        is_over=is_over,
        ended=ended if is_over else "",
    )


def spent(spec: SweepSpec, records: Sequence[FrozenTrial]) -> str:
    """Return which limit of a sweep is reached, in one line; empty if none is."""
    budget, found = spec.budget, by_place(records)
    if budget.trials is not None and len(found) >= budget.trials:
        return plural(budget.trials, "trial")
    if spec.sampler == "grid" and len(found) >= grid_size(spec.space):
        return "all combinations of the grid"
    if budget.epochs is not None:
        epochs = sum(max(each.intermediate_values, default=0) for each in found.values())
        if epochs >= budget.epochs:
            return f"{plural(budget.epochs, 'epoch')} trained"
    seconds = covered([span_of(each) for each in records])
    if budget.minutes is not None and seconds >= 60 * budget.minutes:
        return f"{budget.minutes:g} minute{'s' if budget.minutes != 1 else ''} of training"
    return ""


def most_trials(spec: SweepSpec) -> int | None:
    """Return the largest number of trials of a sweep; None if it has no such limit."""
    limits = [spec.budget.trials]
    if spec.sampler == "grid":
        limits.append(grid_size(spec.space))
    return min((limit for limit in limits if limit is not None), default=None)


def is_running(record: FrozenTrial) -> bool:
    """Return whether a record is that of a trial that a worker trains, or trained until it died."""
    return record.state == RecordState.RUNNING


def span_of(record: FrozenTrial) -> tuple[float, float]:
    """Return when the work on a record began, and when it ended or was last seen."""
    attributes = record.user_attrs
    return attributes.get("began", 0.0), attributes.get("beat", 0.0)


def _trial(
    spec: SweepSpec, folder: Path, record: FrozenTrial, seconds: float, *, is_alive: bool
) -> TrialState:
    attributes, curve = record.user_attrs, record.intermediate_values
    phase = phase_of(record)
    settings = {name: record.params[name] for name in spec.space if name in record.params}
    seeds = range(spec.seeds)
    copies, number = attributes.get("copy", 0), attributes["place"]
    folders = (last_folder(folder, number, seed, spec, copies) for seed in seeds)
    return TrialState(
        number=number,
        phase="waiting" if phase == "running" and not is_alive else phase,
        settings=settings,
        runs=tuple(path for path in folders if RunFolder(path).is_run),
        values=tuple(attributes.get("values", ())),
        reason=attributes.get("reason", ""),
        finding=attributes.get("finding", ""),
        epoch=max(curve, default=0),
        epochs=spec.epochs_of(settings) * spec.seeds,
        last=curve[max(curve)] if curve else None,
        seconds=seconds,
        worker=attributes.get("worker", ""),
    )


def _workers(
    records: Sequence[FrozenTrial], trials: Sequence[TrialState], alive: Mapping[int, bool]
) -> tuple[WorkerState, ...]:
    running = {trial.worker: trial.number for trial in trials if trial.phase == "running"}
    names = {record.user_attrs.get("worker", ""): alive[record._trial_id] for record in records}
    return tuple(
        WorkerState(name=name, trial=running.get(name), is_alive=is_alive)
        for name, is_alive in names.items()
        if name
    )
