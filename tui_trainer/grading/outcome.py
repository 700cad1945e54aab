"""What became of a submission: its checks, or why it has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tui_trainer.grading.figures import ModelFigures
from tui_trainer.grading.requirements import Check
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.text.fmt import plural


class Status(Enum):
    """What became of a submission; the value is its name in JSON and CSV."""

    MET = "met"
    NOT_MET = "not met"
    ERROR = "error"
    TIME_LIMIT = "time limit"
    MEMORY_LIMIT = "memory limit"
    NOT_VERIFIED = "not verified"

    @property
    def is_failure(self) -> bool:
        """Whether it ended without all of its figures."""
        return self in (Status.ERROR, Status.TIME_LIMIT, Status.MEMORY_LIMIT)

    @property
    def mark(self) -> str:
        """A glyph for it."""
        return {"met": "✓", "not verified": "-"}.get(self.value, "✗")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a submission.

    Attributes:
        name: The name of the submission.
        model: The name of its class or function; empty if it was not found.
        status: What became of it.
        checks: The requirements that were checked.
        problem: Why not all of them were checked; empty if they were.
        figures: The figures of the model; None if it could not be built.
        folder: The folder of its runs; empty if it was not trained.
        training: The results of its training as JSON; None if it was not trained.
        seconds: How long it took.
    """

    name: str
    model: str = ""
    status: Status
    checks: Sequence[Check] = ()
    problem: str = ""
    figures: ModelFigures | None = None
    folder: str = ""
    training: Any = None
    seconds: float = 0.0

    @property
    def title(self) -> str:
        """Its name and that of its model: ``alice.py:Net``."""
        is_named = not self.model or self.name.endswith(f":{self.model}")
        return self.name if is_named else f"{self.name}:{self.model}"

    @property
    def met(self) -> int:
        """The number of requirements that are met."""
        return sum(check.is_met for check in self.checks)

    @property
    def missed(self) -> list[Check]:
        """The requirements that are not met."""
        return [check for check in self.checks if not check.is_met]

    def record(self) -> dict[str, Any]:
        """Return the outcome as JSON."""
        figures = self.figures
        return {
            "name": self.name,
            "model": self.model,
            "status": self.status.value,
            "problem": self.problem,
            "seconds": self.seconds,
            "parameters": figures and figures.parameters,
            "multiply_adds": figures and figures.multiply_adds,
            "receptive_field": figures and figures.receptive_field,
            "last_receptive_field": figures and figures.last_receptive_field,
            "components": figures and figures.components,
            "requirements": [check.record() for check in self.checks],
            "folder": self.folder or None,
            "training": self.training,
        }


def exit_code_of(outcomes: Sequence[Outcome]) -> ExitCode:
    """Return the exit code: a failed submission comes before a requirement that is not met."""
    if any(outcome.status.is_failure for outcome in outcomes):
        return ExitCode.SUBMISSION_FAILED
    if any(outcome.status is not Status.MET for outcome in outcomes):
        return ExitCode.REQUIREMENT_MISSED
    return ExitCode.FINISHED


def tally(outcomes: Sequence[Outcome]) -> str:
    """Return how many submissions ended how: ``12 submissions: 9 met, 2 not met, 1 error``."""
    counts = Counter(outcome.status for outcome in outcomes)
    parts = [f"{counts[status]} {status.value}" for status in Status if counts[status]]
    return f"{plural(len(outcomes), 'submission')}: {', '.join(parts)}"
