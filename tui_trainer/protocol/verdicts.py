"""What the design review says of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["wrong", "look", "good"]

SIGNS: Mapping[Severity, str] = {"wrong": "✗", "look": "▲", "good": "✓"}
"""What stands before a verdict, the gravest first."""

Gravity = Literal["wrong", "look", "note"]

FINDING_SIGNS: Mapping[Gravity, str] = {"wrong": "✗", "look": "▲", "note": "·"}
"""What stands before a finding, the gravest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One rule of the review, applied to one network.

    Attributes:
        rule: The rule's name, as in ``final-receptive-field``.
        verdict: ``good``, ``look`` (a doubt, or a matter of taste) or ``wrong``.
        title: The judgement in a few words.
        evidence: The numbers behind it.
        advice: What to try; empty where all is well.
        lesson: The course topic it belongs to, 1 to 20.
        layers: The names of the layers that it speaks of.
    """

    rule: str
    verdict: Severity
    title: str
    evidence: str
    advice: str
    lesson: int
    layers: tuple[str, ...] = ()


def by_severity(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts, wrong before look before good, else in their own order."""
    order = list(SIGNS)
    return sorted(verdicts, key=lambda verdict: order.index(verdict.verdict))


def counts(verdicts: Sequence[Verdict]) -> dict[Severity, int]:
    """Return how many verdicts there are of each severity, the gravest first."""
    counted = Counter(verdict.verdict for verdict in verdicts)
    return {severity: counted[severity] for severity in SIGNS}
