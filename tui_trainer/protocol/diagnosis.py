"""One diagnosis: what a rule, the design review or the preflight check has to say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from tui_trainer.text.fmt import plural

Severity = Literal["error", "warning", "note", "ok"]

SIGNS: Mapping[Severity, str] = {"error": "✗", "warning": "▲", "note": "·", "ok": "✓"}
"""The glyph before a diagnosis, the most severe first."""

Verdict = tuple[Severity, str, str]
"""Severity, title and advice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What one rule has found, with the numbers it rests on.

    Attributes:
        code: The rule's name, as in ``final-receptive-field``.
        severity: ``error``, ``warning``, ``note`` (worth knowing, and no fault) or ``ok``.
        title: The diagnosis in a few words.
        evidence: The numbers behind it.
        lesson: The course topic it belongs to, 1 to 20.
        advice: What to try; empty where there is nothing to mend.
        layers: The names of the layers that it speaks of.
        value: The number that was judged; None where there is none.
        figure: That number in a few words, as in ``loss 2.303``.
    """

    code: str
    severity: Severity
    title: str
    evidence: str
    lesson: int
    advice: str = ""
    layers: tuple[str, ...] = ()
    value: float | None = None
    figure: str = ""

    @property
    def heading(self) -> str:
        """The title behind the sign of its severity."""
        return f"{SIGNS[self.severity]} {self.title}"

    @property
    def rank(self) -> int:
        """The place of its severity among all, 0 being the most severe."""
        return _RANKS[self.severity]


_RANKS = {severity: rank for rank, severity in enumerate(SIGNS)}


def by_severity(found: Iterable[Diagnosis]) -> list[Diagnosis]:
    """Return diagnoses with the most severe first, else in their own order."""
    return sorted(found, key=lambda one: one.rank)


def counts(found: Iterable[Diagnosis]) -> dict[Severity, int]:
    """Return how many there are of each severity, the most severe first."""
    counted = Counter(one.severity for one in found)
    return {severity: counted[severity] for severity in SIGNS}


def tally(found: Iterable[Diagnosis]) -> str:
    """Return the counts as text: ``0 errors, 2 warnings, 9 ok``; notes only where there are any."""
    number = counts(found)
    notes = [plural(number["note"], "note")] if number["note"] else []
    words = [plural(number["error"], "error"), plural(number["warning"], "warning"), *notes]
    return ", ".join([*words, f"{number['ok']} ok"])
