"""What the check of a run's first steps finds, item by item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Checked = Literal["fail", "look", "pass"]

CHECK_SIGNS: Mapping[Checked, str] = {"fail": "✗", "look": "▲", "pass": "✓"}
"""What stands before an item, the gravest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckItem:
    """One thing that was tried before a training, and what came of it.

    Attributes:
        name: The item's name, as in ``initial-loss``.
        verdict: ``pass``, ``look`` (a doubt, or not to be told) or ``fail`` (a training would).
        title: The judgement in a few words.
        evidence: The numbers behind it.
        advice: What to try; empty where all is well.
        lesson: The course topic it belongs to, 1 to 20.
        value: The number that was judged; None where there is none.
        figure: That number in a few words, as in ``loss 2.303``.
        seconds: How long it took.
    """

    name: str
    verdict: Checked
    title: str
    evidence: str
    lesson: int
    advice: str = ""
    value: float | None = None
    figure: str = ""
    seconds: float = 0.0


def counts(items: Iterable[CheckItem]) -> dict[Checked, int]:
    """Return how many items there are of each verdict, the gravest first."""
    counted = Counter(item.verdict for item in items)
    return {verdict: counted[verdict] for verdict in CHECK_SIGNS}
