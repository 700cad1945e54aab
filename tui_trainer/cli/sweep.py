"""``mnist-tui sweep``: search settings, each trial an ordinary run."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from tui_trainer.cli import options as opt
from tui_trainer.cli.options import option
from tui_trainer.cli.sweep_places import (
    OpenedSweep,
    continue_sweep,
    create_sweep,
    find_sweep,
    join_sweep,
)
from tui_trainer.cli.train import expanded
from tui_trainer.headless.streams import Console
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.settings import RECORD
from tui_trainer.sweeps.sweep_file import MAX_TRIALS

MAX_WORKERS = 256
"""The most workers that one command starts."""


def sweep(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Sweep file; with --resume or --show the sweep (the last one)",
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
    show: Annotated[
        bool,
        option(
            "Print the trials, importance and advice of a sweep (the last one), now or later; "
            "trains nothing",
            "--show",
            section=opt.HOW,
        ),
    ] = False,
    join: Annotated[
        str | None,
        option(
            "Join a sweep of this or another machine: its folder, or the URL of its database",
            "--join",
            metavar="DIR|URL",
            section=opt.HOW,
        ),
    ] = None,
    workers: Annotated[
        int,
        option("Processes that train at the same time; they share the cores", section=opt.HOW),
    ] = 1,
    worker: Annotated[Path | None, typer.Option("--worker", hidden=True)] = None,
    no_ui: opt.NoUi = False,
    json_lines: opt.JsonLines = False,
    out: Annotated[
        Path | None, option("Folder for the sweep (runs/TIME-NAME)", section=RECORD)
    ] = None,
    notify: opt.Notify = None,
    theme: opt.Theme = None,
    debug: opt.Debug = False,
) -> None:
    """Search settings with Optuna: a TOML file names them, each trial is an ordinary run.

    The file has the settings of all runs at its top, the searched ones in [space], and sampler,
    objective, pruning and budget in [sweep]. Only validation results are compared; the test set
    stays sealed.
    """
    from tui_trainer.cli.front_ends import check_window

    if worker is not None:
        from tui_trainer.cli.sweep_front_ends import run_worker

        check_optuna()
        raise typer.Exit(run_worker(worker, name or ""))
    if trials is not None and not 1 <= trials <= MAX_TRIALS:
        raise InputError(f"--trials {trials}: choose from 1 to {MAX_TRIALS:,}")
    if not 1 <= workers <= MAX_WORKERS:
        raise InputError(f"--workers {workers}: choose from 1 to {MAX_WORKERS}")
    check_optuna()
    if show:
        _check_shown(resume=resume, join=join, out=out, trials=trials)
        _show(name, json_lines=json_lines)
        return
    check_window(theme, no_ui=no_ui, json_lines=json_lines, paused=False)
    from tui_trainer.cli.sweep_front_ends import train_sweep

    opened = _opened(name, expanded(out), resume=resume, join=join)
    try:
        opened.study.set_budget(trials=trials)
        code = train_sweep(
            *(opened, workers),
            no_ui=no_ui,
            json_lines=json_lines,
            theme=theme,
            notify=notify,
        )
    finally:
        opened.release()
    raise typer.Exit(code)


def _check_shown(**others: object) -> None:
    """Refuse what has no meaning for a sweep that is only shown.

    Raises:
        InputError: Naming the first of them.
    """
    for key, value in others.items():
        if value not in (None, False):
            raise InputError(f"--{key}: cannot be used with --show, which trains nothing")


def _show(name: str | None, *, json_lines: bool) -> None:
    """Print a sweep that others may train meanwhile.

    Raises:
        InputError: If there is none, or it cannot be read.
    """
    from tui_trainer.headless.streams import DataOut, data_stream
    from tui_trainer.headless.sweep_text import print_sweep
    from tui_trainer.sweeps.importance import with_importance
    from tui_trainer.sweeps.study import Study

    console = Console(sys.stderr, time.monotonic)
    study = Study.open(find_sweep(name), announce=console.print)
    data = DataOut(data_stream(), console)
    print_sweep(with_importance(study.state()), data, json_lines=json_lines)


def check_optuna() -> None:
    """Check that Optuna is installed: it is an extra.

    Raises:
        InputError: If it is not; it names the extra.
    """
    if not all(map(find_spec, ("optuna", "scipy"))):
        raise InputError(
            'sweep: needs Optuna, which is not installed; run: pip install "mnist-tui[sweep]"'
        )


def _opened(name: str | None, out: Path | None, *, resume: bool, join: str | None) -> OpenedSweep:
    """Return a new sweep, one to resume, or one to join."""
    announce = Console(sys.stderr, time.monotonic).print
    if join is not None:
        if resume:
            raise InputError("--join: cannot be used with --resume")
        return join_sweep(join, name or "", out, announce)
    if resume:
        if out is not None:
            raise InputError("--out: cannot be used with --resume; the sweep stays in its folder")
        return continue_sweep(find_sweep(name), announce)
    if name is None:
        raise InputError("sweep: needs a sweep file; see docs/sweeps.md, or add --resume")
    return create_sweep(Path(name), out, announce)
