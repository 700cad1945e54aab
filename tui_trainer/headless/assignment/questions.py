"""The questions for an assignment: the confusion matrix, and the misclassified images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tui_trainer.headless.questions import Choices
from tui_trainer.headless.view_questions import ViewQuestions
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.exhibit import Exhibit, Picture, Pictures
from tui_trainer.protocol.inspection import find_view

MOST = 10
"""Misclassified images in the document."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A misclassified image.

    Attributes:
        record: Its figures, as ``evaluate --json --view hardest`` has them: ``image``, ``true``,
            ``predicted``, ``loss``, ``probabilities``.
        picture: The image; None if it is no picture.
    """

    record: Mapping[str, Any]
    picture: Picture | None


class AssignmentQuestions(ViewQuestions):
    """The questions for an assignment; keeps the answers.

    Attributes:
        mistakes: The misclassified images with the highest loss.
    """

    def __init__(self, *, test_evaluations: int) -> None:
        super().__init__(
            (find_view("confusion"), find_view("hardest")), {}, test_evaluations=test_evaluations
        )
        self.mistakes: list[Mistake] = []

    def questions(self) -> Iterator[Ask]:
        """Yield the questions, each once."""
        yield from super().questions()
        records = _misclassified(self.shown[-1].exhibit)
        cells = Counter[tuple[int, int]]()
        for place, record in enumerate(records, start=1):
            self.activity = f"misclassified images: {place} of {len(records)}"
            cell = (record["true"], record["predicted"])
            # The images of a cell are in the order of their loss, as all images are.
            cells[cell] += 1
            choices: Choices = (
                ("true", float(cell[0])),
                ("predicted", float(cell[1])),
                ("digit", float(cells[cell])),
            )
            exhibit = yield from self.ask("view/misclassified", choices)
            self.mistakes.append(Mistake(record, _picture(exhibit, record["image"])))


def _misclassified(hardest: Exhibit) -> list[Mapping[str, Any]]:
    """Return the records of the first misclassified images of the hardest ones."""
    records = hardest.figures.get("hardest", ())
    assert isinstance(records, list | tuple)
    wrong = [record for record in records if record["true"] != record["predicted"]]
    return wrong[:MOST]


def _picture(exhibit: Exhibit, image: int) -> Picture | None:
    """Return the picture of an image in its view."""
    for block in exhibit.blocks:
        if isinstance(block, Pictures):
            return next((each for each in block.items if each.caption == f"#{image}"), None)
    return None
