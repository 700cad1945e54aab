"""The process of a worker of a sweep: what it prints into its log, and its exit code."""

from __future__ import annotations

from tui_trainer.headless.interrupts import ImmediateExit, interruptible
from tui_trainer.headless.streams import Console
from tui_trainer.headless.sweep_text import trial_line
from tui_trainer.protocol.events import RunFailed
from tui_trainer.protocol.exit_codes import CODES_BY_REASON, ExitCode
from tui_trainer.sweeps.figures import setting_text
from tui_trainer.sweeps.worker import (
    RunEvent,
    TrialEnded,
    TrialStarted,
    WorkEnded,
    Worker,
    WorkerEvent,
)
from tui_trainer.text.fmt import plural


def work(worker: Worker, console: Console) -> ExitCode:
    """Train trials to the end of the sweep or an interrupt; return the exit code.

    Raises:
        InputError: If the storage cannot be used.
    """
    ended = WorkEnded("spent", "")
    try:
        with interruptible(worker, lambda why: console.print(f"{why}: finishing this batch")):
            for event in worker.work():
                _print(event, console)
                if isinstance(event, WorkEnded):
                    ended = event
    except ImmediateExit as left:
        return left.code
    if ended.reason == "failing":
        console.print(f"mnist-tui: error: {ended.message}")
        return ExitCode.FAILED
    return CODES_BY_REASON.get(ended.reason, ExitCode.FINISHED)


def _print(event: WorkerEvent, console: Console) -> None:
    match event:
        case TrialStarted(number=number, settings=settings, epoch=epoch):
            chosen = " · ".join(f"{name} {setting_text(settings[name])}" for name in settings)
            after = f", after {plural(epoch, 'epoch')}" if epoch else ""
            console.print(f"trial {number} begins{after} · {chosen}")
        case RunEvent(number=number, event=RunFailed(traceback=trace)):
            console.print(f"trial {number} fails\n{trace.rstrip()}")
        case TrialEnded(trial=trial, state=state):
            console.print(trial_line(state, trial))
        case WorkEnded(message=message):
            console.print(f"the worker ends: {message}")
