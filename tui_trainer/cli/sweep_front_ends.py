"""The front ends of a sweep: the window, or lines on the terminal; and the process of a worker."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tui_trainer.cli.front_ends import naming_textual_variables
from tui_trainer.cli.sweep_places import OpenedSweep, open_as_worker
from tui_trainer.cli.sweep_workers import Workers, follow_supervisor
from tui_trainer.headless.streams import Console, OutputError
from tui_trainer.protocol.commands import Stop
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exit_codes import CODES_BY_REASON, ExitCode
from tui_trainer.sweeps.state import SweepState
from tui_trainer.text.fmt import printable


def train_sweep(
    sweep: OpenedSweep,
    count: int,
    *,
    no_ui: bool,
    json_lines: bool,
    theme: str | None,
    notify: str | None,
) -> int:
    """Start the workers of a sweep, follow it to their end, and return the exit code.

    Args:
        sweep: The sweep.
        count: The number of workers.
        no_ui: Whether to print lines in place of the window.
        json_lines: Whether stdout gets JSON lines.
        theme: The theme of the window.
        notify: How to notify the user of the end.

    Raises:
        InputError: If the workers cannot be started, or the sweep cannot be read any more.
    """
    from tui_trainer.headless.sweep_follower import SweepFollower
    from tui_trainer.sweeps.importance import with_importance

    study = sweep.study
    is_over = study.state().is_over
    folder = study.folder.absolute()
    workers = Workers(
        ["sweep", study.name, "--worker", str(folder), "--debug"],
        0 if is_over else count,
        folder,
        sweep.worker_variables,
        threads=study.spec.base.threads,
    )
    resume = f"mnist-tui sweep --resume {printable(study.folder)}"
    has_window = not no_ui and not is_over
    follower = SweepFollower(
        study.state, workers, resume=resume, json_lines=json_lines, has_window=has_window
    )
    try:
        reason = None
        if has_window:
            reason = _run_window(study.state, workers, resume, theme=theme, notify=notify)
        code = CODES_BY_REASON.get(reason or "")
        # The terminal may be gone after a signal.
        with suppress(*[OutputError] if code else []):
            ended = follower.run(with_importance, notify or "auto")
            code = code or ended
        return code or ExitCode.FINISHED
    finally:
        workers.close()


def _run_window(
    read: Callable[[], SweepState],
    workers: Workers,
    resume: str,
    *,
    theme: str | None,
    notify: str | None,
) -> str | None:
    """Show a sweep in the window until the user closes it; return the reason of a signal."""
    from tui_trainer.ui.terminal.graphics_protocol import detect_graphics

    with detect_graphics(), naming_textual_variables():
        from tui_trainer.sweeps.importance import with_importance
        from tui_trainer.ui.sweep_app import SweepApp
        from tui_trainer.ui.terminal.output_log import OutputLog

    def state() -> SweepState:
        workers.poll()
        if not workers.running and workers.problems:
            raise InputError(f"no worker is left: {workers.problems[-1].problem}")
        return with_importance(read())

    with OutputLog() as outputs:
        with naming_textual_variables():
            window = SweepApp(
                state,
                stop=lambda: workers.stop("interrupted"),
                resume=resume,
                theme=theme,
                notify=notify or "auto",
            )
        window.draw_on(outputs)
        try:
            window.run()
        finally:
            # A disconnected terminal can end the window by itself.
            workers.stop(window.exit_reason or "interrupted")
    return window.exit_reason


def run_worker(folder: Path, name: str) -> int:
    """Train trials of a sweep until its budget is spent, and return the exit code.

    Raises:
        InputError: If the sweep cannot be opened, or its storage is away for too long.
    """
    from tui_trainer.cli.group_starts import GroupStarts
    from tui_trainer.headless.hooks import Hooks
    from tui_trainer.headless.sweep_worker import work
    from tui_trainer.sweeps.worker import Worker

    console = Console(sys.stderr, time.monotonic)
    study = open_as_worker(folder, name, console.print)
    starts = GroupStarts(Hooks(), interactive=False)
    worker = Worker(study, starts.start)
    follow_supervisor(lambda why: worker.send(Stop(reason=why, test=False)))
    try:
        return work(worker, console)
    finally:
        starts.leave()
