"""The last line about a run: its folder, and the command that resumes it."""

from __future__ import annotations

from tui_trainer.history.run_state import RunState
from tui_trainer.text import fmt

DEFAULT_LR = 0.01
"""The learning rate to resume a diverged run with, if its finding names none."""


def recorded_line(run: RunState, *, is_resumable: bool) -> str:
    """Return where a run is recorded; for an unfinished one, the command that resumes it."""
    name, step, more = fmt.printable(run.folder or ""), run.step, ""
    if not is_resumable:
        return f"recorded in {name}"
    if run.started is not None and run.started.script:
        again = "the script continues it with run.resume() after its last complete epoch"
        return f"recorded in {name}; {again if run.epochs else 'no epoch is complete'}"
    if run.divergence is not None:
        found = run.findings.get("divergence")
        lr = found.fix_value if found is not None else None
        step, more = run.divergence.last_good_step, f" --lr {DEFAULT_LR if lr is None else lr:g}"
    return (
        f"recorded in {name}; resume from step {fmt.count(step)} with: "
        f"mnist-tui resume {name}{more}"
    )
