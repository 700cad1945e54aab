"""``mnist-tui sweep``: search settings, each trial an ordinary run."""

from __future__ import annotations

from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui_trainer.cli import options as opt
from tui_trainer.cli.options import option
from tui_trainer.cli.train import expanded
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.settings import RECORD
from tui_trainer.recording.folder import RUNS, RunFolder, new_folder
from tui_trainer.recording.lock import Lock, LockedError
from tui_trainer.recording.recorder import not_writable
from tui_trainer.sweeps.sweep_file import MAX_TRIALS, read_sweep
from tui_trainer.text.fmt import printable

if TYPE_CHECKING:
    from tui_trainer.sweeps.study import Study

SWEEP_FILE, JOURNAL = "sweep.toml", "study.log"


def sweep(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Sweep file; with --resume the sweep (the last one)",
            metavar="FILE | NAME",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int | None, option("Number of trials, in place of the file's", "--trials", section=opt.HOW)
    ] = None,
    resume: Annotated[
        bool,
        option("Go on with a sweep: nothing is trained twice", "--resume", section=opt.HOW),
    ] = False,
    no_ui: opt.NoUi = False,
    json_lines: opt.JsonLines = False,
    out: Annotated[
        Path | None, option("Folder for the sweep (runs/TIME-NAME)", section=RECORD)
    ] = None,
    notify: opt.Notify = None,
    debug: opt.Debug = False,
) -> None:
    """Search settings with Optuna: a TOML file names them, each trial is an ordinary run.

    The file has the settings of all runs at its top, the searched ones in [space], and sampler,
    objective, pruning and budget in [sweep]. Only validation results are compared; the test set
    stays sealed.
    """
    if trials is not None and not 1 <= trials <= MAX_TRIALS:
        raise InputError(f"--trials {trials}: choose from 1 to {MAX_TRIALS:,}")
    check_optuna()
    study, lock = _opened(name, expanded(out), resume=resume)
    try:
        study.set_budget(trials=trials)
        code = _train(study, no_ui=no_ui, json_lines=json_lines, notify=notify)
    finally:
        lock.release()
    raise typer.Exit(code)


def check_optuna() -> None:
    """Check that Optuna is installed: it is an extra.

    Raises:
        InputError: If it is not; it names the extra.
    """
    if not all(map(find_spec, ("optuna", "scipy"))):
        raise InputError(
            'sweep: needs Optuna, which is not installed; run: pip install "mnist-tui[sweep]"'
        )


def _opened(name: str | None, out: Path | None, *, resume: bool) -> tuple[Study, Lock]:
    """Return a new study, or that of a sweep to resume, and the lock of its folder."""
    from tui_trainer.sweeps.study import Study

    if resume:
        folder = find_sweep(name)
        lock = _locked(folder)
        return Study.open(folder), lock
    if name is None:
        raise InputError("sweep: needs a sweep file; see docs/sweeps.md, or add --resume")
    spec = read_sweep(Path(name))
    try:
        folder = out or new_folder(RUNS, Path(name).stem, datetime.now())
        folder.mkdir(parents=True, exist_ok=True)
        lock = _locked(folder)
    except OSError as error:
        place = printable(out or RUNS)
        raise not_writable(place, error, "choose another folder with --out DIR") from None
    return Study.create(spec, folder, spec.storage), lock


def _locked(folder: Path) -> Lock:
    name = printable(folder)
    try:
        return Lock(RunFolder(folder).lock)
    except LockedError as error:
        raise InputError(f"{name}: in use: {error.holder} trains this sweep") from None
    except OSError as error:
        raise not_writable(name, error, "fix its permissions") from None


def find_sweep(name: str | None, root: Path = RUNS) -> Path:
    """Return the folder of a sweep by its name in ``root`` or its path; the last one without.

    Raises:
        InputError: If there is none.
    """
    if name is None:
        found = [path for path in root.glob("*") if (path / SWEEP_FILE).is_file()]
        if not found:
            raise InputError(f"{printable(root)}: contains no sweeps; train one first")
        return max(found, key=lambda path: path.name)
    for path in (root / name, Path(name).expanduser()):
        if (path / SWEEP_FILE).is_file():
            return path
    raise InputError(f"{printable(name)}: no such sweep; `mnist-tui runs` lists all runs")


def _train(study: Study, *, no_ui: bool, json_lines: bool, notify: str | None) -> int:
    from tui_trainer.cli.group_starts import GroupStarts
    from tui_trainer.headless.hooks import Hooks
    from tui_trainer.headless.sweep_runner import run_sweep
    from tui_trainer.sweeps.importance import with_importance
    from tui_trainer.sweeps.worker import Worker

    starts = GroupStarts(Hooks(), interactive=False)
    try:
        worker = Worker(study, starts.start)
        return run_sweep(worker, with_importance, json_lines=json_lines, notify=notify or "auto")
    finally:
        starts.leave()
