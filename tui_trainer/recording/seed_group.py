"""A group of runs that differ in their seed alone: a folder with ``seeds.toml``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from tui_trainer.history.history import History
from tui_trainer.history.run_state import RunState
from tui_trainer.history.seed_results import SeedResults, result_of
from tui_trainer.history.target import Target
from tui_trainer.protocol.config import SETTINGS, RunConfig
from tui_trainer.protocol.config_file import Source, compose, to_toml
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.reference import model_name
from tui_trainer.protocol.settings import shown
from tui_trainer.protocol.toml_file import TomlError, line_of, parse_toml, read_text
from tui_trainer.recording.atomic import write_atomically
from tui_trainer.recording.folder import RUNS, RunFolder, new_folder, utc_now
from tui_trainer.recording.lock import Lock, LockedError
from tui_trainer.recording.recorder import not_writable, remove_unsaved
from tui_trainer.recording.summary import COMPLETED
from tui_trainer.text.fmt import plural, printable

SEEDS_FILE = "seeds.toml"
"""The file that makes a folder a group of seeds."""

MAX_SEEDS = 1_000
"""The most seeds of a group."""

FORMAT = 1

_RESULTS = (COMPLETED, "diverged")
"""The states of runs that are not trained again: the same seed would end the same way."""


@dataclass(frozen=True, slots=True)
class SeedGroup:
    """A group of runs that differ in their seed alone.

    Attributes:
        path: Its folder.
        config: The settings of the run of its first seed.
        seeds: The seeds, in the order of their training.
        created_at: The time of its creation, as ISO 8601 in UTC.
    """

    path: Path
    config: RunConfig
    seeds: tuple[int, ...]
    created_at: str = ""

    @property
    def name(self) -> str:
        """Its name for display."""
        return RunFolder(self.path).name

    def folder(self, seed: int) -> RunFolder:
        """Return the folder of the run of a seed; it need not exist."""
        return RunFolder(self.path / f"seed-{seed}")

    def config_of(self, seed: int) -> RunConfig:
        """Return the settings of the run of a seed."""
        return replace(self.config, seed=seed)

    def is_begun(self, seed: int) -> bool:
        """Return whether the run of a seed has a checkpoint to continue from."""
        return self.folder(seed).checkpoint("last").is_file()

    def is_done(self, seed: int) -> bool:
        """Return whether the run of a seed has its result: all epochs and the test evaluation.

        A diverged run has one, too.

        Raises:
            InputError: If the run cannot be read.
        """
        folder = self.folder(seed)
        if not folder.is_run or not folder.summary.exists():
            return False
        summary = folder.read_summary()
        # Killed between its test evaluation and its end, it has everything.
        is_tested = summary.test_accuracy is not None or not self.config.test
        is_tested = is_tested and summary.epochs_done >= summary.epochs
        return summary.state in _RESULTS or (is_tested and not Lock.is_held(folder.lock))

    @property
    def left(self) -> tuple[int, ...]:
        """The seeds whose runs do not have their result yet."""
        return tuple(seed for seed in self.seeds if not self.is_done(seed))

    @property
    def target(self) -> Target | None:
        """The accuracy that each run should reach; None for none."""
        return Target.of(self.config.as_dict())

    @property
    def results(self) -> SeedResults:
        """The results so far, read from the records of the runs.

        Raises:
            InputError: If a record cannot be read.
        """
        found = []
        for seed in self.seeds:
            folder = self.folder(seed)
            run = RunState.of(folder.read_events().events) if folder.is_run else None
            found.append(result_of(seed, run, self.target, is_done=self.is_done(seed)))
        return SeedResults(found, self.target)

    @property
    def resume_line(self) -> str:
        """What is left, and the command that continues."""
        return (
            f"{len(self.left)} of {plural(len(self.seeds), 'seed')} left; continue with: "
            f"mnist-tui seeds --resume {printable(self.path)}"
        )

    def clear(self, seed: int) -> None:
        """Remove the files of a run that was killed before it had a checkpoint or a step.

        Raises:
            InputError: If it has trained a step, another process trains it, or its files cannot be
                removed.
        """
        folder = self.folder(seed)

        def check() -> None:
            if folder.events.exists() and history_of(folder).step:
                raise InputError(
                    f"{printable(folder.path)}: has no checkpoint to continue from; delete this "
                    f"folder to train seed {seed} from its beginning"
                )

        remove_unsaved(folder, check)

    def more(self, count: int) -> SeedGroup:
        """Return the group with ``count`` seeds: further ones follow its last.

        Raises:
            InputError: If it has more than that already.
        """
        if count < len(self.seeds):
            raise InputError(
                f"--seeds {count}: {self.name} has {plural(len(self.seeds), 'seed')} already; "
                "choose as many or more"
            )
        return replace(self, seeds=seeds_from(self.config.seed, count))

    def write(self) -> None:
        """Write ``seeds.toml``.

        Raises:
            OSError: If it cannot be written.
        """
        head = f'format = {FORMAT}\ncreated_at = "{self.created_at}"\n'
        seeds = f"seeds = [{', '.join(map(str, self.seeds))}]\n"
        text = f"{head}{seeds}\n[settings]\n{to_toml(self.config)}"
        write_atomically(self.path / SEEDS_FILE, text.encode())

    def lock(self) -> Lock:
        """Lock the group: one process at a time trains its runs.

        Raises:
            InputError: If another process trains them, or the folder cannot be written.
        """
        name = printable(self.path)
        try:
            return Lock(RunFolder(self.path).lock)
        except LockedError as error:
            raise InputError(
                f"{name}: in use: {error.holder} trains these seeds; wait for it, or stop it"
            ) from None
        except OSError as error:
            raise not_writable(name, error, "fix its permissions") from None

    def remove_if_empty(self) -> None:
        """Remove the group if no run of it has begun; other files in its folder stay."""
        if any(self.folder(seed).path.exists() for seed in self.seeds):
            return
        with suppress(OSError):
            (self.path / SEEDS_FILE).unlink(missing_ok=True)
            RunFolder(self.path).lock.unlink(missing_ok=True)
            self.path.rmdir()


def seeds_from(first: int, count: int) -> tuple[int, ...]:
    """Return ``count`` consecutive seeds.

    Raises:
        InputError: If there are too few, too many, or one of them is too large.
    """
    if not 1 <= count <= MAX_SEEDS:
        raise InputError(f"--seeds {count}: choose from 1 to {MAX_SEEDS:,}")
    largest = SETTINGS["seed"].within
    assert largest is not None
    if first + count - 1 > largest[1]:
        raise InputError(f"--seed {first}: too large for {count} seeds; choose a smaller one")
    return tuple(range(first, first + count))


def create_group(config: RunConfig, count: int, out: Path | None, root: Path = RUNS) -> SeedGroup:
    """Create a group for ``count`` seeds from that of the settings on.

    Args:
        config: The settings.
        count: The number of seeds.
        out: Its folder; None for a new one in ``root``, named after the time and the model.
        root: The folder of runs.

    Raises:
        InputError: If the folder contains a run or a group, or cannot be written.
    """
    seeds = seeds_from(config.seed, count)
    option = printable(root) if out is None else f"--out {printable(out)}"
    try:
        if out is None:
            path = new_folder(root, f"{model_name(config.model)}-seeds", datetime.now())
        else:
            path = out
            path.mkdir(parents=True, exist_ok=True)
            for name in (SEEDS_FILE, "config.toml", "events.jsonl"):
                if (path / name).exists():
                    raise InputError(
                        f"{option}: already contains {name}; choose another folder, or go on "
                        f"with: mnist-tui seeds --resume {printable(out)}"
                    )
        now = utc_now().isoformat(timespec="milliseconds")
        group = SeedGroup(path, config.with_absolute_paths(), seeds, now)
        group.write()
    except OSError as error:
        raise not_writable(option, error, "choose another folder with --out DIR") from None
    return group


def read_group(path: Path) -> SeedGroup:
    """Return the group in a folder.

    Raises:
        InputError: If its ``seeds.toml`` cannot be read.
    """
    file = path / SEEDS_FILE
    name = printable(file)
    text = read_text(file, name)
    try:
        record = parse_toml(text)
    except TomlError as error:
        place = f"{name}, line {error.line}" if error.line else name
        raise InputError(f"{place}: invalid TOML: {error.problem}") from None
    if not isinstance(record.get("format"), int) or record["format"] > FORMAT:
        raise InputError(f"{name}: not written by this version of mnist-tui")
    seeds, settings = record.get("seeds"), record.get("settings")
    is_list = isinstance(seeds, list) and all(type(seed) is int for seed in seeds)
    if not is_list or not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise InputError(f"{_place(name, text, 'seeds')}: needs different seeds, as [0, 1, 2]")
    if not isinstance(settings, dict):
        raise InputError(f"{name}: needs a table [settings]")
    for key in settings:
        if key not in SETTINGS:
            raise InputError(f"{_place(name, text, key)}: unknown setting {shown(key)}")
    config = compose(Source(settings, text, name))
    return SeedGroup(path, config, tuple(seeds), str(record.get("created_at", "")))


def find_group(name: str | None, root: Path = RUNS) -> SeedGroup:
    """Return a group by its name in ``root`` or by its path; without a name, the latest one.

    Without a name, the latest group with unfinished runs comes first.

    Raises:
        InputError: If there is none.
    """
    if name is None:
        groups = sorted(_groups(root), key=lambda group: group.created_at, reverse=True)
        if not groups:
            raise InputError(
                f"{printable(root)}: contains no seeds to resume; train some with: mnist-tui seeds"
            )
        return next((group for group in groups if _is_unfinished(group)), groups[0])
    with suppress(OSError, RuntimeError, ValueError):
        for path in (root / name, Path(name).expanduser()):
            if name and (path / SEEDS_FILE).is_file():
                return read_group(path)
    raise InputError(f"{printable(name)}: no such group of seeds; `mnist-tui runs` lists all runs")


def _groups(root: Path) -> Iterator[SeedGroup]:
    with suppress(OSError):
        for path in root.iterdir():
            if (path / SEEDS_FILE).is_file():
                with suppress(InputError):
                    yield read_group(path)


def _is_unfinished(group: SeedGroup) -> bool:
    try:
        return bool(group.left)
    except InputError:
        return False


def history_of(folder: RunFolder) -> History:
    """Return the state of a recorded run with its curves, read from all its events.

    Raises:
        InputError: If its events cannot be read.
    """
    history = History()
    for event in folder.read_events().events:
        history.apply(event)
    return history


def _place(name: str, text: str, key: str) -> str:
    line = line_of(text, key)
    return f"{name}{f', line {line}' if line else ''}, {key}"
