"""The trials of a sweep in Optuna's storage: who trains which, and how far they are.

A trial has a *place* from 1 on, which it keeps: if its worker ends before the trial does, its
record in the storage fails, and another record with the same place and settings continues it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

import optuna
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as RecordState

from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock
from tui_trainer.sweeps import pruning
from tui_trainer.sweeps.errors import TakenOverError
from tui_trainer.sweeps.record_store import RecordStore, writing
from tui_trainer.sweeps.records import by_place, distribution_of, is_orphan, suggested
from tui_trainer.sweeps.sampling import seed_of, settings_at
from tui_trainer.sweeps.spec import SweepSpec
from tui_trainer.sweeps.state import SweepState
from tui_trainer.sweeps.storage import storage_errors
from tui_trainer.sweeps.study_state import most_trials, spent, state_of
from tui_trainer.sweeps.trial_run import run_folder

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
        copy: How many folders of the trial are left to workers that hang.
    """

    record: int
    number: int
    settings: Mapping[str, Any]
    worker: str
    curve: dict[int, float] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)
    copy: int = 0


class Study(RecordStore):
    """The trials of a sweep; see :class:`RecordStore` for how it is opened."""

    def state(self) -> SweepState:
        """Return the sweep as it is now, without the importance of its settings.

        Raises:
            InputError: If the storage cannot be read.
        """
        records = self.records()
        return state_of(self._current(), self.folder, records, self.val_images, self.is_alive)

    def _current(self) -> SweepSpec:
        """Return the sweep with the current limits."""
        return replace(self.spec, budget=self.budget)

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
                records = self.records()
                waiting = [found for found in by_place(records).values() if is_orphan(found)]
                if waiting:
                    before = waiting[0]
                    if claim := self._continue(before, worker):
                        return claim
                    continue
                if spent(self._current(), records):
                    return None
                return self._new(worker)

    def _continue(self, before: FrozenTrial, worker: str) -> Claim | None:
        """Create the record that continues another one; None if another worker was faster."""
        number = before.user_attrs["place"]
        kept = {"place": number, "values": before.user_attrs.get("values", [])}
        kept["copy"] = self._free_copy(before)
        content: dict[str, Any] = {"intermediate_values": before.intermediate_values}
        # Killed while its settings were chosen, it chooses them again: the same ones.
        is_sampled = set(before.params) == set(self.spec.space)
        if is_sampled:
            content |= {"params": before.params, "distributions": before.distributions}
        record = self._create(worker, user_attrs=kept, **content)
        if by_place(self.records())[number]._trial_id != record:
            self._discard(record)
            return None
        settings = dict(before.params) if is_sampled else self._sample(record, number)
        claim = self._claim(record, number, settings, worker, before)
        claim.copy = kept["copy"]
        return claim

    def _free_copy(self, before: FrozenTrial) -> int:
        """Return the first copy of the folders of a trial that no process holds.

        A worker that was suspended, or hangs, still holds the folder of its run.
        """
        copy, number = before.user_attrs.get("copy", 0), before.user_attrs["place"]
        while any(
            Lock.is_held(RunFolder(run_folder(self.folder, number, seed, self.spec, copy)).lock)
            for seed in range(self.spec.seeds)
        ):
            copy += 1
        return int(copy)

    def _new(self, worker: str) -> Claim | None:
        """Create a new trial; None if other workers have spent the budget meanwhile."""
        record = self._create(worker)
        number = self._free_place(record)
        limit = most_trials(self._current())
        if limit is not None and number > limit:
            self._discard(record)
            return None
        self._set(record, place=number)
        return self._claim(record, number, self._sample(record, number), worker)

    def _free_place(self, record: int) -> int:
        """Return the first place without a trial, after those of workers that were faster."""
        records = self.records()
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
        for record in self.records():
            if record.state != RecordState.RUNNING or self.is_alive(record):
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
            with writing(self.place):
                self.storage.set_trial_intermediate_value(claim.record, epoch, value)
                if val_images and not self.val_images:
                    self.storage.set_study_user_attr(self.key, "val_images", val_images)
        self.heartbeat(claim)

    def heartbeat(self, claim: Claim) -> None:
        """Record that the worker of a trial is alive.

        Raises:
            TakenOverError: If another worker has taken the trial over.
        """
        self._set(claim.record, beat=self._clock())

    def should_prune(self, claim: Claim) -> str:
        """Return why a trial should end after its last epoch; empty if it should go on."""
        if self.spec.pruning == "none":
            return ""
        epochs = self.spec.epochs_of(claim.settings)
        if len(claim.curve) >= epochs:
            return ""
        others, completed = [], []
        records = by_place(self.records())
        for number, record in sorted(records.items()):
            if number == claim.number:
                continue
            last = self.spec.epochs_of(record.params)
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
        self._set(claim.record, values=claim.values)
        if self.spec.pruning == "none" or len(claim.values) >= self.spec.seeds:
            return ""
        groups, best = [tuple(claim.values)], tuple[float, ...]()
        state = self.state()
        groups += [trial.values for trial in state.trials if trial.number != claim.number]
        if state.best is not None:
            best = state.best.values
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
        self.heartbeat(claim)
        self._set_state(claim.record, RecordState.FAIL)

    def _end(self, claim: Claim, outcome: str, state: RecordState, **attributes: Any) -> None:
        # With the outcome, set last, the trial has ended, even if this process is killed now.
        self._set(claim.record, **attributes, beat=self._clock(), outcome=outcome)
        self._set_state(claim.record, state, attributes.get("objective"))
