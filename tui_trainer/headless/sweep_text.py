"""A sweep as plain text, and as one JSON object."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tui_trainer.headless.streams import DataOut
from tui_trainer.protocol.events import plain as plain_json
from tui_trainer.sweeps.advice import advice_on, commands_of, importance_gap, matters, optimism_of
from tui_trainer.sweeps.best_settings import best_path, write_best
from tui_trainer.sweeps.figures import interval_of, interval_words, objective_text, settings_text
from tui_trainer.sweeps.progress import limits_of, seconds_left
from tui_trainer.sweeps.state import SweepState, TrialState
from tui_trainer.sweeps.sweep_table import conclusion_lines, head_text, table_lines
from tui_trainer.text.fmt import plural
from tui_trainer.text.lines import UNWRAPPED, plain

DONE = "SweepShown"
"""The name of the JSON object, next to those of events."""


def print_sweep(state: SweepState, data: DataOut, *, json_lines: bool = False) -> None:
    """Print a sweep, and write its best settings for the commands that it advises.

    Args:
        state: The sweep.
        data: The stream.
        json_lines: Whether to print one line of JSON.

    Raises:
        OutputError: If stdout cannot be written to.
    """
    write_best(state)
    if json_lines:
        data.json_line(sweep_record(state))
        return
    data.line(head_text(state))
    data.line("")
    for row in plain(table_lines(state)):
        data.row(row)  # clipped by a narrow terminal, never wrapped
    for line in plain(conclusion_lines(state, UNWRAPPED)):
        data.line(line)


def trial_line(state: SweepState, trial: TrialState) -> str:
    """Return an ended or running trial in one line, as it is reported during a sweep."""
    if trial.value is not None:
        value = objective_text(state.spec, trial.value)
        is_best = state.best is not None and state.best.number == trial.number
        outcome = f"{state.spec.objective} {value}" + (" (the best so far)" if is_best else "")
    else:
        outcome = f"{trial.phase}: {trial.reason}" if trial.reason else trial.phase
    epochs = plural(trial.epoch, "epoch")
    return f"trial {trial.number} · {settings_text(state, trial)} · {epochs} · {outcome}"


def sweep_record(state: SweepState) -> dict[str, Any]:
    """Return a sweep for JSON; what does not exist is null."""
    best, spec, optimism = state.best, state.spec, optimism_of(state)
    record: dict[str, Any] = plain_json(
        {
            "event": DONE,
            "name": state.name,
            "folder": str(state.folder),
            "objective": spec.objective,
            "sampler": spec.sampler,
            "pruning": spec.pruning,
            "seeds": spec.seeds,
            "is_over": state.is_over,
            "ended": state.ended,
            "seconds": state.seconds,
            "val_images": state.val_images,
            "budget": [
                {"limit": limit.name, "used": limit.used, "total": limit.total}
                for limit in limits_of(state)
            ],
            "seconds_left": seconds_left(state),
            "workers": [asdict(worker) for worker in state.workers],
            "trials": [trial_record(state, trial) for trial in state.trials],
            "interval": interval_words(state),
            "best": None if best is None else trial_record(state, best),
            "best_config": None if best is None else str(best_path(state)),
            "importance": [
                {**asdict(each), "is_shown_to_matter": matters(each)} for each in state.importance
            ],
            "importance_missing": importance_gap(state),
            "optimism": None if optimism is None else asdict(optimism),
            "advice": [sentence.text for sentence in advice_on(state)],
            "commands": [asdict(command) for command in commands_of(state)],
        }
    )
    return record


def trial_record(state: SweepState, trial: TrialState) -> dict[str, Any]:
    """Return a trial for JSON."""
    return {
        "trial": trial.number,
        "state": trial.phase,
        "settings": dict(trial.settings),
        "objective": trial.value,
        "interval": interval_of(state, trial) if trial.value is not None else None,
        "values": trial.values,
        "last": trial.last,
        "epochs_done": trial.epoch,
        "epochs": trial.epochs,
        "seconds": trial.seconds,
        "reason": trial.reason,
        "finding": trial.finding,
        "worker": trial.worker,
        "runs": [str(path) for path in trial.runs],
    }
