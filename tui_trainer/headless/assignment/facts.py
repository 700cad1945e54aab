"""What is known of the runs of an assignment, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tui_trainer.headless.evaluation_text import Evaluation
from tui_trainer.history.history import History
from tui_trainer.history.target import Target
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.document import Code
from tui_trainer.protocol.events import RunStarted, TestEvaluated
from tui_trainer.protocol.exhibit import Exhibit
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.recording.about import About
from tui_trainer.recording.comparison import RunComparison
from tui_trainer.recording.summary import Summary

HELD = 5
"""The last epochs in which the course asks for the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of the assignment: a run and what was measured of its last checkpoint.

    Attributes:
        number: Its number, from 1.
        name: The name of the run.
        about: Its note and tags.
        started: Its first event.
        summary: Its summary.
        history: Its whole history, with the findings of the current rules.
        settings: Its settings at the start, by name, with the default of each.
        evaluation: The evaluation of its last checkpoint on validation images; on training images
            if it has none.
        mistakes: The misclassified images of that evaluation with the highest loss, as the view has
            them.
        layers: The layer table of the model.
        measured: The measured receptive field of each layer, ``5×5``; ``—`` where it cannot be.
        review: The review of the design.
        target: The target in words; empty for none.
        goal: The accuracy that is the target; None if there is none, or only words.
        comparison: The comparison with the step before; None for the first one.
        commands: The commands that train and evaluate it again.
        changes: What changed while it trained: settings, rewinds, resumes, in order.
        program: The model in PyTorch with its weights, for a notebook; empty for other formats.
    """

    number: int
    name: str
    about: About
    started: RunStarted
    summary: Summary
    history: History
    settings: Mapping[str, tuple[Any, Any]]
    evaluation: Evaluation
    mistakes: Exhibit
    layers: tuple[LayerRow, ...]
    measured: tuple[str, ...]
    review: tuple[Diagnosis, ...]
    target: str = ""
    goal: Target | None = None
    comparison: RunComparison | None = None
    commands: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    program: tuple[Code | str, ...] = ()

    @property
    def has_validation(self) -> bool:
        """Whether it keeps images for validation, so that its result can be judged by them."""
        return self.evaluation.images == "validation"

    @property
    def test(self) -> TestEvaluated | None:
        """The last test evaluation of the last checkpoint; None while that is sealed."""
        at = [test for test in self.history.tests if test.step == self.evaluation.step]
        return at[-1] if at else None
