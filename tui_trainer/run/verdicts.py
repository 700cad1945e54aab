"""What the design review says of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
    verdict: Literal["good", "look", "wrong"]
    title: str
    evidence: str
    advice: str
    lesson: int
    layers: tuple[str, ...] = ()
