"""The study of a sweep in Optuna's storage: opened, with its records and its budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as RecordState

from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.reference import absolute_path
from tui_trainer.recording.atomic import write_atomically
from tui_trainer.recording.lock import this_process
from tui_trainer.recording.recorder import not_writable
from tui_trainer.sweeps.errors import StorageError, TakenOverError
from tui_trainer.sweeps.liveness import Liveness
from tui_trainer.sweeps.patience import Announce
from tui_trainer.sweeps.spec import Budget, SweepSpec
from tui_trainer.sweeps.storage import JOURNAL, name_of, open_storage, storage_errors
from tui_trainer.sweeps.sweep_file import SWEEP_FILE, parse_sweep, read_sweep
from tui_trainer.text.fmt import printable

FORMAT = 1
"""The version of what a study contains."""


class RecordStore:
    """A study of Optuna with the records of trials.

    Args:
        spec: What it searches.
        folder: The folder of its runs on this machine.
        storage: Optuna's storage.
        key: The id of the study in the storage.
        place: The name of the storage in messages.
        clock: The time, in seconds.

    Attributes:
        liveness: Decides which workers are alive, by the records that were read.
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
        self.liveness = Liveness()
        self._clock = clock

    @classmethod
    def create(
        cls, spec: SweepSpec, folder: Path, url: str = "", announce: Announce = lambda line: None
    ) -> Self:
        """Create the study of a sweep in a folder, which need not exist.

        Args:
            spec: The sweep.
            folder: The folder of its runs.
            url: The URL of a database; empty for a journal file in the folder.
            announce: Gets a line when the storage goes away, and one when it is back.

        Raises:
            InputError: If the folder has a sweep or a run already, or one of them cannot be
                written.
        """
        storage, spec = None, replace(spec, started_in=absolute_path("."))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in (SWEEP_FILE, JOURNAL, "seeds.toml", "config.toml", "events.jsonl"):
                if (folder / name).exists():
                    raise InputError(_occupied(folder, name))
            if url:  # a database may not be reachable; then the folder stays as it is
                storage = open_storage(url, announce)
            write_atomically(folder / SWEEP_FILE, spec.text.encode())
        except OSError as error:
            remedy = "choose another folder with --out DIR"
            raise not_writable(printable(folder), error, remedy) from None
        storage = storage or open_storage(folder / JOURNAL, announce)
        name, place = folder.resolve().name, name_of(url or folder / JOURNAL)
        with storage_errors(place):
            try:
                key = storage.create_new_study([_direction(spec)], name)
            except optuna.exceptions.DuplicatedStudyError:
                raise StorageError(
                    f"{place}: already has a sweep named {name}; choose another folder with --out "
                    "DIR, or join that sweep"
                ) from None
            _describe(storage, key, spec)
        return cls(spec, folder, storage, key, place)

    @classmethod
    def open(
        cls,
        where: Path | str,
        folder: Path | None = None,
        name: str = "",
        announce: Announce = lambda line: None,
    ) -> Self:
        """Open the study of a sweep.

        Args:
            where: The sweep's folder, or the URL of a database.
            folder: With a URL, the folder of the runs on this machine.
            name: With a URL, the name of the sweep; needed if the database has several.
            announce: Gets a line when the storage goes away, and one when it is back.

        Raises:
            InputError: If there is none, it cannot be read, or is of another sweep file.
        """
        if isinstance(where, Path):
            folder, journal = where, where / JOURNAL
            if not journal.is_file():
                return cls.open(_database_of(where), where, where.resolve().name, announce)
            storage, place = open_storage(journal, announce), printable(journal)
        else:
            storage, place = open_storage(where, announce), name_of(where)
        with storage_errors(place):
            key, name = _study_in(storage, name, place)
            spec = _spec_of(storage, key, folder, place)
        opened = cls(spec, folder or Path(name), storage, key, place)
        opened.check_file()
        return opened

    @property
    def name(self) -> str:
        """The name of the sweep in its storage."""
        with storage_errors(self.place):
            return self.storage.get_study_name_from_id(self.key)

    def check_file(self) -> None:
        """Refuse a folder whose sweep file is another one than that of the study.

        Raises:
            InputError: If it is.
        """
        file = self.folder / SWEEP_FILE
        if file.is_file() and read_sweep(file).fingerprint != self.spec.fingerprint:
            raise InputError(
                f"{self.place}: belongs to another sweep file than {printable(file)}; restore "
                "that file, or start a new sweep"
            )

    def set_budget(self, **limits: Any) -> None:
        """Set other limits than those of the file, for all workers from now on.

        Args:
            limits: ``trials``, ``epochs``, ``minutes``; None changes nothing.
        """
        given = {name: value for name, value in limits.items() if value is not None}
        if given:
            changed = {**self._attribute("budget", {}), **given}
            with storage_errors(self.place):
                self.storage.set_study_user_attr(self.key, "budget", changed)

    @property
    def budget(self) -> Budget:
        """The limits now."""
        return replace(self.spec.budget, **self._attribute("budget", {}))

    @property
    def val_images(self) -> int:
        """The validation images of its runs; 0 before the first epoch."""
        return int(self._attribute("val_images", 0))

    def _attribute(self, name: str, default: Any) -> Any:
        with storage_errors(self.place):
            return self.storage.get_study_user_attrs(self.key).get(name, default)

    def records(self) -> list[FrozenTrial]:
        """Return the records in the order of their creation, without discarded ones."""
        with storage_errors(self.place):
            found = self.storage.get_all_trials(self.key, deepcopy=False)
        running = (each for each in found if each.state == RecordState.RUNNING)
        self.liveness.observe({each._trial_id: each.user_attrs.get("beat") for each in running})
        return [record for record in found if not record.user_attrs.get("discarded")]

    def is_alive(self, record: FrozenTrial) -> bool:
        """Return whether the worker of a running record is alive."""
        return self.liveness.is_alive(record._trial_id, record.user_attrs.get("process", {}))

    def _create(self, worker: str, **content: Any) -> int:
        """Create a record of this worker and return its id."""
        now = self._clock()
        presence = {"worker": worker, "process": this_process(), "began": now, "beat": now}
        attributes = {**content.pop("user_attrs", {}), **presence}
        template = optuna.trial.create_trial(
            state=RecordState.RUNNING, user_attrs=attributes, **content
        )
        return self.storage.create_new_trial(self.key, template_trial=template)

    def _discard(self, record: int) -> None:
        """Remove a record that is not needed: another worker was faster."""
        self._set(record, discarded=True)
        self._set_state(record, RecordState.FAIL)

    def _set(self, record: int, **attributes: Any) -> None:
        """Set attributes of a record.

        Raises:
            TakenOverError: If it has ended: another worker has taken the trial over.
        """
        with writing(self.place):
            for name, value in attributes.items():
                self.storage.set_trial_user_attr(record, name, value)

    def _set_state(self, record: int, state: RecordState, value: float | None = None) -> None:
        with writing(self.place):
            values = None if value is None else [value]
            self.storage.set_trial_state_values(record, state, values)


@contextmanager
def writing(place: str) -> Iterator[None]:
    """Turn the errors of a write into one line.

    Raises:
        TakenOverError: If the record has ended.
        InputError: If the storage cannot be used.
    """
    try:
        with storage_errors(place):
            yield
    except UpdateFinishedTrialError:
        raise TakenOverError from None


def _direction(spec: SweepSpec) -> optuna.study.StudyDirection:
    directions = optuna.study.StudyDirection
    return directions.MINIMIZE if spec.is_minimized else directions.MAXIMIZE


def _describe(storage: BaseStorage, key: int, spec: SweepSpec) -> None:
    """Write the sweep into its study, the format last: with it, it is complete."""
    attributes = {
        "file": spec.name,
        "text": spec.text,
        "fingerprint": spec.fingerprint,
        "started_in": spec.started_in,
    }
    for name, value in (*attributes.items(), ("format", FORMAT)):
        storage.set_study_user_attr(key, name, value)


def _database_of(folder: Path) -> str:
    """Return the URL in the file of a sweep without a journal.

    Raises:
        InputError: If there is none.
    """
    file = folder / SWEEP_FILE
    url = read_sweep(file).storage if file.is_file() else ""
    if not url:
        raise InputError(
            f"{printable(folder)}: contains no {JOURNAL}; it is no sweep, or a sweep in a "
            "database, which is continued with --join URL"
        )
    return url


def _study_in(storage: BaseStorage, name: str, place: str) -> tuple[int, str]:
    """Return the id and the name of a study; without a name, of the only one."""
    found = {each.study_name: each._study_id for each in storage.get_all_studies()}
    if not name and len(found) > 1:
        raise StorageError(f"{place}: has several sweeps: {', '.join(sorted(found))}")
    name = name or next(iter(found), "")
    if name not in found:
        raise StorageError(f"{place}: has no sweep{f' named {name}' if name else ''}")
    return found[name], name


def _spec_of(storage: BaseStorage, key: int, folder: Path | None, place: str) -> SweepSpec:
    """Return the sweep of a study.

    Raises:
        InputError: If the study is of another program or version.
    """
    attributes: Mapping[str, Any] = storage.get_study_user_attrs(key)
    file = None if folder is None else folder / SWEEP_FILE
    if "format" not in attributes and file is not None and file.is_file():
        # Its first process was killed before it had described the study.
        spec = read_sweep(file)
        _describe(storage, key, spec)
        return spec
    if attributes.get("format") != FORMAT or not isinstance(attributes.get("text"), str):
        raise StorageError(f"{place}: is no sweep of this version of mnist-tui")
    spec = parse_sweep(attributes["text"], str(attributes.get("file", SWEEP_FILE)))
    if spec.fingerprint != attributes.get("fingerprint"):
        raise StorageError(f"{place}: its sweep file has another meaning in this version")
    return replace(spec, started_in=str(attributes.get("started_in", "")))


def _occupied(folder: Path, name: str) -> str:
    named = printable(folder)
    return (
        f"--out {named}: already contains {name}; choose another folder, or continue a sweep with: "
        f"mnist-tui sweep --resume {named}"
    )
