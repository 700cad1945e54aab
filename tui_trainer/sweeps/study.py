"""The trials of a sweep in Optuna's storage: who trains which, and how far they are.

A trial has a *place* from 1 on, which it keeps: if its worker ends before the trial does, its
record in the storage fails, and another record with the same place and settings continues it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as RecordState

from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.atomic import write_atomically
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import lives, this_process
from tui_trainer.recording.recorder import not_writable
from tui_trainer.sweeps import pruning
from tui_trainer.sweeps.errors import TakenOverError
from tui_trainer.sweeps.patience import Announce
from tui_trainer.sweeps.records import (
    by_place,
    covered,
    distribution_of,
    is_orphan,
    phase_of,
    suggested,
)
from tui_trainer.sweeps.sampling import seed_of, settings_at
from tui_trainer.sweeps.spec import Budget, SweepSpec, grid_size
from tui_trainer.sweeps.state import SweepState, TrialState, WorkerState
from tui_trainer.sweeps.storage import JOURNAL, name_of, open_storage, storage_errors
from tui_trainer.sweeps.sweep_file import parse_sweep
from tui_trainer.sweeps.trial_run import run_folder
from tui_trainer.text.fmt import plural, printable

SWEEP_FILE = "sweep.toml"
"""The file that makes a folder a sweep: a copy of the sweep's file."""

FORMAT = 1
"""The version of what a study contains."""

STARTUP_TRIALS = 10
"""The random trials before the first that TPE chooses."""


@dataclass(slots=True)
class Claim:
    """A trial that this worker trains.

    Attributes:
        record: The id of its record in the storage.
        number: Its place in the sweep, from 1.
        settings: The values of the searched settings.
        worker: The worker.
        curve: The objective by epoch, counted through all its runs.
        values: The objectives of its finished runs.
    """

    record: int
    number: int
    settings: Mapping[str, Any]
    worker: str
    curve: dict[int, float] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)


class Study:
    """The trials of a sweep.

    Args:
        spec: What it searches.
        folder: The folder of its runs on this machine.
        storage: Optuna's storage.
        key: The id of the study in the storage.
        place: The name of the storage in messages.
        clock: The time, in seconds.
    """

    def __init__(
        self,
        spec: SweepSpec,
        folder: Path,
        storage: BaseStorage,
        key: int,
        place: str,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.spec = spec
        self.folder = folder
        self.place = place
        self.storage = storage
        self.key = key
        self._clock = clock

    # Opening

    @classmethod
    def create(
        cls, spec: SweepSpec, folder: Path, url: str = "", announce: Announce = lambda line: None
    ) -> Study:
        """Create the study of a sweep in a folder, which need not exist.

        Args:
            spec: The sweep.
            folder: The folder of its runs.
            url: The URL of a database; empty for a journal file in the folder.
            announce: Gets a line when a database goes away, and one when it is back.

        Raises:
            InputError: If the folder has a sweep or a run already, or one of them cannot be
                written.
        """
        named = printable(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in (SWEEP_FILE, JOURNAL, "seeds.toml", "config.toml", "events.jsonl"):
                if (folder / name).exists():
                    raise InputError(_occupied(folder, name))
            write_atomically(folder / SWEEP_FILE, spec.text.encode())
        except OSError as error:
            raise not_writable(named, error, "choose another folder with --out DIR") from None
        storage = open_storage(url or folder / JOURNAL, announce)
        place = name_of(url or folder / JOURNAL)
        direction = optuna.study.StudyDirection.MINIMIZE
        if not spec.is_minimized:
            direction = optuna.study.StudyDirection.MAXIMIZE
        with storage_errors(place):
            try:
                key = storage.create_new_study([direction], folder.resolve().name)
            except optuna.exceptions.DuplicatedStudyError:
                raise InputError(
                    f"{place}: already has a sweep named {folder.resolve().name}; choose another "
                    "folder, or join it"
                ) from None
            attributes = {"file": spec.name, "text": spec.text, "fingerprint": spec.fingerprint}
            for name, value in (*attributes.items(), ("format", FORMAT)):
                storage.set_study_user_attr(key, name, value)
        return cls(spec, folder, storage, key, place)

    @classmethod
    def open(
        cls,
        where: Path | str,
        folder: Path | None = None,
        name: str = "",
        announce: Announce = lambda line: None,
    ) -> Study:
        """Open the study of a sweep.

        Args:
            where: The sweep's folder, or the URL of a database.
            folder: With a URL, the folder of the runs on this machine.
            name: With a URL, the name of the sweep; needed if the database has several.
            announce: Gets a line when a database goes away, and one when it is back.

        Raises:
            InputError: If there is none, it cannot be read, or is of another sweep file.
        """
        if isinstance(where, Path):
            folder = where
            journal = where / JOURNAL
            if not journal.is_file():
                raise InputError(
                    f"{printable(where)}: contains no {JOURNAL}; it is no sweep, or a sweep in a "
                    "database, which is continued with --join URL"
                )
            storage, place = open_storage(journal), printable(journal)
        else:
            storage, place = open_storage(where, announce), name_of(where)
        with storage_errors(place):
            found = {each.study_name: each for each in storage.get_all_studies()}
            if not name and len(found) > 1:
                raise InputError(f"{place}: has several sweeps: {', '.join(sorted(found))}")
            study = found.get(name) if name else next(iter(found.values()), None)
            if study is None:
                raise InputError(f"{place}: has no sweep{f' named {name}' if name else ''}")
            attributes = storage.get_study_user_attrs(study._study_id)
        spec = _spec_in(attributes, place)
        folder = folder or Path(study.study_name)
        opened = cls(spec, folder, storage, study._study_id, place)
        opened._check_file()
        return opened

    def _check_file(self) -> None:
        """Refuse a folder whose sweep file is another one than that of the study."""
        file = self.folder / SWEEP_FILE
        if not file.is_file():
            return
        from tui_trainer.sweeps.sweep_file import read_sweep

        if read_sweep(file).fingerprint != self.spec.fingerprint:
            raise InputError(
                f"{self.place}: belongs to another sweep file than {printable(file)}; restore "
                "that file, or start a new sweep"
            )

    def set_budget(self, **limits: Any) -> None:
        """Set other limits than those of the file, for all workers from now on.

        Args:
            limits: ``trials``, ``epochs``, ``minutes``.
        """
        given = {name: value for name, value in limits.items() if value is not None}
        if not given:
            return
        with storage_errors(self.place):
            before = self.storage.get_study_user_attrs(self.key).get("budget", {})
            self.storage.set_study_user_attr(self.key, "budget", {**before, **given})

    @property
    def budget(self) -> Budget:
        """The limits now."""
        with storage_errors(self.place):
            changed = self.storage.get_study_user_attrs(self.key).get("budget", {})
        return replace(self.spec.budget, **changed)

    @property
    def _val_images(self) -> int:
        return int(self.storage.get_study_user_attrs(self.key).get("val_images", 0))

    # Claims

    def next_trial(self, worker: str) -> Claim | None:
        """Take the next trial: first one whose worker has ended, then a new one.

        Returns:
            The trial; None if the budget is spent.

        Raises:
            InputError: If the storage cannot be used.
        """
        with storage_errors(self.place):
            self.take_over()
            while True:
                records = self._records()
                waiting = [found for found in by_place(records).values() if is_orphan(found)]
                if waiting:
                    before = waiting[0]
                    if claim := self._continue(before, worker):
                        return claim
                    continue
                if self._spent(records):
                    return None
                return self._new(worker)

    def _continue(self, before: FrozenTrial, worker: str) -> Claim | None:
        """Create the record that continues another one; None if another worker was faster."""
        number = before.user_attrs["place"]
        is_sampled = set(before.params) == set(self.spec.space)
        template = optuna.trial.create_trial(
            state=RecordState.RUNNING,
            params=before.params if is_sampled else {},
            distributions=before.distributions if is_sampled else {},
            intermediate_values=before.intermediate_values,
            user_attrs={
                "place": number,
                "values": before.user_attrs.get("values", []),
                **self._presence(worker),
            },
        )
        record = self.storage.create_new_trial(self.key, template_trial=template)
        first = by_place(self._records())[number]
        if first._trial_id != record:
            self._discard(record)
            return None
        settings = dict(before.params) if is_sampled else self._sample(record, number)
        return self._claim(record, number, settings, worker, before)

    def _new(self, worker: str) -> Claim | None:
        """Create a new trial; None if other workers have spent the budget meanwhile."""
        template = optuna.trial.create_trial(
            state=RecordState.RUNNING, user_attrs=self._presence(worker)
        )
        record = self.storage.create_new_trial(self.key, template_trial=template)
        number = self._free_place(record)
        limit = self._most_trials()
        if limit is not None and number > limit:
            self._discard(record)
            return None
        self.storage.set_trial_user_attr(record, "place", number)
        return self._claim(record, number, self._sample(record, number), worker)

    def _free_place(self, record: int) -> int:
        """Return the first place without a trial, after those of workers that were faster."""
        records = self._records()
        current = next(each for each in records if each._trial_id == record)
        faster = sum(
            each.number < current.number
            and each.state == RecordState.RUNNING
            and "place" not in each.user_attrs
            for each in records
        )
        taken = set(by_place(records))
        place = 0
        while True:
            place += 1
            if place not in taken:
                if faster == 0:
                    return place
                faster -= 1

    def _claim(
        self,
        record: int,
        number: int,
        settings: Mapping[str, Any],
        worker: str,
        before: FrozenTrial | None = None,
    ) -> Claim:
        curve = dict(before.intermediate_values) if before else {}
        values = list(before.user_attrs.get("values", [])) if before else []
        ordered = {name: settings[name] for name in self.spec.space}
        return Claim(record, number, ordered, worker, curve, values)

    def _sample(self, record: int, place: int) -> Mapping[str, Any]:
        """Choose the settings of a trial, and write them.

        The sampler is a new one for each trial, with another seed: what it chooses depends on
        the finished trials and the place, not on the process.
        """
        if self.spec.sampler == "tpe":
            sampler = optuna.samplers.TPESampler(
                seed=seed_of(self.spec, place), n_startup_trials=STARTUP_TRIALS
            )
            name = self.storage.get_study_name_from_id(self.key)
            study = optuna.study.Study(name, self.storage, sampler=sampler)
            trial = optuna.trial.Trial(study, record)
            return {
                name: suggested(trial, name, dimension)
                for name, dimension in self.spec.space.items()
            }
        settings = settings_at(self.spec, place)
        for name, value in settings.items():
            distribution = distribution_of(self.spec.space[name])
            internal = distribution.to_internal_repr(value)
            self.storage.set_trial_param(record, name, internal, distribution)
        return settings

    def take_over(self) -> int:
        """Release the trials whose workers have ended; return how many.

        Of several processes that try, one releases a trial.
        """
        released = 0
        for record in self._records():
            if record.state != RecordState.RUNNING or self._lives(record):
                continue
            attrs = record.user_attrs
            outcome = attrs.get("outcome", "")
            try:
                if outcome == "completed":
                    self._set_state(record._trial_id, RecordState.COMPLETE, attrs["objective"])
                elif outcome == "pruned":
                    self._set_state(record._trial_id, RecordState.PRUNED)
                else:
                    self._set_state(record._trial_id, RecordState.FAIL)
                    released += not outcome
            except TakenOverError:
                continue
        return released

    # What the worker reports

    def report(self, claim: Claim, epoch: int, value: float, val_images: int = 0) -> None:
        """Record the objective after an epoch.

        Args:
            claim: The trial.
            epoch: The epoch, counted from 1 through all runs of the trial.
            value: The objective after it.
            val_images: The validation images that it was measured on.

        Raises:
            TakenOverError: If another worker has taken the trial over.
        """
        if epoch not in claim.curve:
            claim.curve[epoch] = value
            with self._writing():
                self.storage.set_trial_intermediate_value(claim.record, epoch, value)
                if val_images and not self._val_images:
                    self.storage.set_study_user_attr(self.key, "val_images", val_images)
        self.heartbeat(claim)

    def heartbeat(self, claim: Claim) -> None:
        """Record that the worker of a trial is alive.

        Raises:
            TakenOverError: If another worker has taken the trial over.
        """
        with self._writing():
            self.storage.set_trial_user_attr(claim.record, "beat", self._clock())

    def should_prune(self, claim: Claim) -> str:
        """Return why a trial should end after its last epoch; empty if it should go on."""
        if self.spec.pruning == "none":
            return ""
        epochs = self.epochs_of(claim.settings)
        if len(claim.curve) >= epochs:
            return ""
        others, completed = [], []
        with storage_errors(self.place):
            records = by_place(self._records())
        for number, record in sorted(records.items()):
            if number == claim.number:
                continue
            last = self.epochs_of(record.params)
            curve = {e: v for e, v in record.intermediate_values.items() if e <= last}
            others.append(curve)
            if record.state == RecordState.COMPLETE:
                completed.append(curve)
        return pruning.falls_behind(self.spec, claim.curve, others, completed)

    def finish_seed(self, claim: Claim, value: float) -> str:
        """Record the objective of a finished run; return why its further seeds are left out.

        Raises:
            TakenOverError: If another worker has taken the trial over.
        """
        claim.values.append(value)
        with self._writing():
            self.storage.set_trial_user_attr(claim.record, "values", claim.values)
        if self.spec.pruning == "none" or len(claim.values) >= self.spec.seeds:
            return ""
        groups, best = [tuple(claim.values)], tuple[float, ...]()
        trials = [trial for trial in self.state().trials if trial.number != claim.number]
        groups += [trial.values for trial in trials]
        if (first := self.state().best) is not None:
            best = first.values
        return pruning.clearly_worse(claim.values, best, groups, self.spec)

    def complete(self, claim: Claim) -> None:
        """Record a trial whose runs are all trained; its objective is their mean.

        Raises:
            TakenOverError: If another worker has taken the trial over.
        """
        attributes = {"values": claim.values, "objective": fmean(claim.values)}
        self._end(claim, "completed", RecordState.COMPLETE, **attributes)

    def prune(self, claim: Claim, reason: str, finding: str = "") -> None:
        """Record a trial that has ended early, with the reason in one line.

        Args:
            claim: The trial.
            reason: Why.
            finding: The code of the finding that ended it; empty if it fell behind.

        Raises:
            TakenOverError: If another worker has taken the trial over.
        """
        self._end(claim, "pruned", RecordState.PRUNED, reason=reason, finding=finding)

    def fail(self, claim: Claim, reason: str) -> None:
        """Record a trial that could not be trained, with the reason in one line.

        Raises:
            TakenOverError: If another worker has taken the trial over.
        """
        self._end(claim, "failed", RecordState.FAIL, reason=reason)

    def release(self, claim: Claim) -> None:
        """Give a trial back that another worker, or this one later, is to continue."""
        with self._writing():
            self.heartbeat(claim)
            self._set_state(claim.record, RecordState.FAIL)

    def _end(self, claim: Claim, outcome: str, state: RecordState, **attributes: Any) -> None:
        with self._writing():
            for name, value in attributes.items():
                self.storage.set_trial_user_attr(claim.record, name, value)
            self.heartbeat(claim)
            # With the outcome the trial has ended, even if this process is killed now.
            self.storage.set_trial_user_attr(claim.record, "outcome", outcome)
        self._set_state(claim.record, state, attributes.get("objective"))

    # Reading

    def state(self) -> SweepState:
        """Return the sweep as it is now.

        Raises:
            InputError: If the storage cannot be read.
        """
        with storage_errors(self.place):
            records = self._records()
            spent, val_images = self._spent(records), self._val_images
        found = by_place(records)
        spans = dict[int, list[tuple[float, float]]]()
        for record in records:
            if (place := record.user_attrs.get("place")) is not None:
                spans.setdefault(place, []).append(self._span(record))
        trials = tuple(
            self._trial(number, found[number], covered(spans[number])) for number in sorted(found)
        )
        is_over = bool(spent) and not any(t.phase in ("running", "waiting") for t in trials)
        return SweepState(
            name=printable(self.folder.resolve().name),
            folder=self.folder,
            spec=replace(self.spec, budget=self.budget),
            trials=trials,
            workers=self._workers(records, trials),
            seconds=covered([span for group in spans.values() for span in group]),
            val_images=val_images,
            is_over=is_over,
            ended=spent if is_over else "",
        )

    def _trial(self, number: int, record: FrozenTrial, seconds: float) -> TrialState:
        attrs, curve = record.user_attrs, record.intermediate_values
        settings = {name: record.params[name] for name in self.spec.space if name in record.params}
        seeds = range(self.spec.seeds)
        folders = (run_folder(self.folder, number, seed, self.spec) for seed in seeds)
        return TrialState(
            number=number,
            phase=phase_of(record),
            settings=settings,
            runs=tuple(folder for folder in folders if RunFolder(folder).is_run),
            values=tuple(attrs.get("values", ())),
            reason=attrs.get("reason", ""),
            finding=attrs.get("finding", ""),
            epoch=max(curve, default=0),
            epochs=self.epochs_of(settings) * self.spec.seeds,
            last=curve[max(curve)] if curve else None,
            seconds=seconds,
            worker=attrs.get("worker", ""),
        )

    def _workers(
        self, records: Sequence[FrozenTrial], trials: Sequence[TrialState]
    ) -> tuple[WorkerState, ...]:
        running = {trial.worker: trial.number for trial in trials if trial.phase == "running"}
        alive = dict[str, bool]()
        for record in records:
            alive[record.user_attrs.get("worker", "")] = self._lives(record)
        return tuple(
            WorkerState(name=name, trial=running.get(name), is_alive=is_alive)
            for name, is_alive in alive.items()
            if name
        )

    def epochs_of(self, settings: Mapping[str, Any]) -> int:
        """Return the epochs of one run of a trial."""
        return int(settings.get("epochs", self.spec.base.epochs))

    def _spent(self, records: Sequence[FrozenTrial]) -> str:
        """Return which limit is reached, in one line; empty if none is."""
        budget, found = self.budget, by_place(records)
        if self.spec.sampler == "grid" and len(found) >= grid_size(self.spec.space):
            return "every combination of the grid has been tried"
        if budget.trials is not None and len(found) >= budget.trials:
            return plural(budget.trials, "trial")
        if budget.epochs is not None:
            epochs = sum(max(each.intermediate_values, default=0) for each in found.values())
            if epochs >= budget.epochs:
                return f"{plural(budget.epochs, 'epoch')} trained"
        if budget.minutes is not None:
            seconds = covered([self._span(each) for each in records])
            if seconds >= 60 * budget.minutes:
                return f"{budget.minutes:g} minutes of training"
        return ""

    def _most_trials(self) -> int | None:
        limits = [self.budget.trials]
        if self.spec.sampler == "grid":
            limits.append(grid_size(self.spec.space))
        return min((limit for limit in limits if limit is not None), default=None)

    # Records

    def _records(self) -> list[FrozenTrial]:
        """Return the records in the order of their creation, without discarded ones."""
        found = self.storage.get_all_trials(self.key, deepcopy=False)
        return [record for record in found if not record.user_attrs.get("discarded")]

    def _presence(self, worker: str) -> dict[str, Any]:
        now = self._clock()
        return {"worker": worker, "process": this_process(), "began": now, "beat": now}

    def _lives(self, record: FrozenTrial) -> bool:
        attrs = record.user_attrs
        return lives({**attrs.get("process", {}), "beat": attrs.get("beat")})

    def _span(self, record: FrozenTrial) -> tuple[float, float]:
        """Return when the work on a record began and ended, or was last seen."""
        attrs = record.user_attrs
        return attrs.get("began", 0.0), attrs.get("beat", 0.0)

    def _discard(self, record: int) -> None:
        """Remove a record that is not needed: another worker was faster."""
        self.storage.set_trial_user_attr(record, "discarded", True)
        self._set_state(record, RecordState.FAIL)

    def _set_state(self, record: int, state: RecordState, value: float | None = None) -> None:
        with self._writing():
            values = None if value is None else [value]
            self.storage.set_trial_state_values(record, state, values)

    def _writing(self) -> _Writing:
        return _Writing(self.place)


class _Writing:
    """Turns errors of a write into one line, and those of a taken trial into ``TakenOverError``."""

    def __init__(self, place: str) -> None:
        self._errors = storage_errors(place)

    def __enter__(self) -> None:
        self._errors.__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, UpdateFinishedTrialError):
            raise TakenOverError from None
        self._errors.__exit__(kind, error, trace)


def _spec_in(attributes: Mapping[str, Any], place: str) -> SweepSpec:
    """Return the sweep of a study.

    Raises:
        InputError: If the study is of another program or version.
    """
    if attributes.get("format") != FORMAT or not isinstance(attributes.get("text"), str):
        raise InputError(f"{place}: is no sweep of this version of mnist-tui")
    spec = parse_sweep(attributes["text"], str(attributes.get("file", SWEEP_FILE)))
    if spec.fingerprint != attributes.get("fingerprint"):
        raise InputError(f"{place}: its sweep file has another meaning in this version")
    return spec


def _occupied(folder: Path, name: str) -> str:
    resume = f"mnist-tui sweep --resume {printable(folder)}"
    return (
        f"--out {printable(folder)}: already contains {name}; choose another folder, or continue "
        f"a sweep with: {resume}"
    )
