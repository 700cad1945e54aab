"""The questions for an assignment: the confusion matrix, and the misclassified images."""

from __future__ import annotations

from collections.abc import Iterator

from tui_trainer.headless.view_questions import ViewQuestions
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.exhibit import Exhibit
from tui_trainer.protocol.inspection import find_view

MOST = 10
"""Misclassified images in the document."""


class AssignmentQuestions(ViewQuestions):
    """The questions for an assignment; keeps the answers.

    Attributes:
        mistakes: The misclassified images with the highest loss; None before.
    """

    def __init__(self, *, test_evaluations: int) -> None:
        super().__init__((find_view("confusion"),), {}, test_evaluations=test_evaluations)
        self.mistakes: Exhibit | None = None

    def questions(self) -> Iterator[Ask]:
        """Yield the questions, each once."""
        yield from super().questions()
        self.activity = "misclassified images"
        choices = (("true", "all"), ("count", float(MOST)))
        self.mistakes = yield from self.ask("view/misclassified", choices)
