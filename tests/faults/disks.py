"""A run without the window on a disk that fills up, and its messages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.faults.runs import COMMANDS, CommandInbox, begin
from tui_trainer.headless.runner import run_headless
from tui_trainer.protocol.config import RunConfig

FULL_AT = 9
"""The step before which the disk fills up, in the second epoch."""

FREE_AT = 14
"""The step before which there is room again, in the third."""


def headless(path: Path, config: RunConfig, at_step: Callable[[int], object]) -> int:
    """Train without the window, as the command line does; return the exit code."""
    inbox = CommandInbox(COMMANDS, at_step=at_step)
    return run_headless(begin(path, config, inbox), inbox)


def unsaved(err: str) -> list[str]:
    """Return the names of the files that were reported as refused, one for each report."""
    lines = [line for line in err.splitlines() if "will be retried" in line]
    return sorted(Path(line.split(": ")[1]).name for line in lines)
