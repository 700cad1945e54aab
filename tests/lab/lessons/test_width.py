"""Every exhibit of a lesson fits into 80 columns, even late in a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from tests.lab.conftest import Contexts
from tui_trainer.course.lesson import SLUGS
from tui_trainer.lab.ask import experiment
from tui_trainer.protocol.exhibit import Pictures, Table
from tui_trainer.stats import envelope

WIDEST = 74
"""Maximum columns of a table, which is shown with a margin on each side."""

LARGEST = 28
"""Maximum pixels across of a picture."""


@pytest.mark.parametrize("slug", SLUGS)
@pytest.mark.sampled(2)
def test_tables_and_pictures_fit(
    context_of: Contexts, slug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelope, "alike", all_of_them)
    context = dataclasses.replace(context_of("tiny"), step=123_456)
    *_, exhibit = experiment(slug)(context, {}, False)
    for block in exhibit.blocks:
        if isinstance(block, Table):
            assert width(block) <= WIDEST, block.caption
        if isinstance(block, Pictures):
            assert max(picture.width for picture in block.items) <= LARGEST
        assert len(getattr(block, "caption", "")) <= WIDEST


def all_of_them(
    asked: envelope.Asked, runs: Sequence[envelope.HealthyRun]
) -> tuple[list[envelope.HealthyRun], str]:
    """Match every healthy run, which makes the table of signs widest."""
    return list(runs), ""


def width(table: Table) -> int:
    """Return the columns of a table: two between its cells, and two for the mark."""
    cells = [max(map(len, column)) for column in zip(table.heads, *table.rows, strict=True)]
    return sum(cells) + 2 * (len(cells) - 1) + (0 if table.marked is None else 2)
