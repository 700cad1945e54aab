"""A diagnosis: the result of a rule, of the design review or of the preflight check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from tui_trainer.text.fmt import plural

Severity = Literal["error", "warning", "note", "ok"]

SIGNS: Mapping[Severity, str] = {"error": "✗", "warning": "▲", "note": "·", "ok": "✓"}
"""The glyph of each severity, the most severe first."""

Likelihood = Literal["shown", "likely", "possible"]
"""The likelihood of a cause: a measurement shows it, points to it, or does not exclude it."""

Verdict = tuple[Severity, str, str]
"""Severity, title and advice of a diagnosis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The result of one rule, with its evidence.

    Attributes:
        code: The name of the rule, as in ``final-receptive-field``.
        severity: ``error``, ``warning``, ``note`` (worth knowing, not a problem) or ``ok``.
        title: The diagnosis in a few words.
        evidence: The numbers behind it.
        lesson: The number of its lesson.
        advice: How to fix it; empty if there is nothing to fix.
        layers: The names of the layers concerned.
        value: The number that was checked; None if there is none.
        figure: That number as text, as in ``loss 2.303``.
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
        """The sign of the severity and the title."""
        return f"{SIGNS[self.severity]} {self.title}"

    @property
    def rank(self) -> int:
        """The rank of its severity, from 0, the most severe."""
        return _RANKS[self.severity]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One possible cause of a diagnosis, with the measurement that separates it from the others.

    Attributes:
        code: Its name, as in ``learning_rate_high``; the same in every diagnosis.
        title: The cause in a few words.
        likelihood: Whether a measurement shows it, points to it, or does not exclude it.
        evidence: The measurement and its result; empty if nothing was measured.
        advice: What to try.
        fix_setting: The knob that ``advice`` sets; None if no knob fixes it.
        fix_value: The value to set it to.
    """

    code: str
    title: str
    likelihood: Likelihood = "possible"
    evidence: str = ""
    advice: str = ""
    fix_setting: str | None = None
    fix_value: float | None = None

    @property
    def label(self) -> str:
        """Its name with its likelihood: ``cause`` if it is shown, otherwise ``likely cause``."""
        return "cause" if self.likelihood == "shown" else f"{self.likelihood} cause"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckItem(Diagnosis):
    """An item of the preflight check.

    Attributes:
        causes: The possible causes, the most likely first; empty for an item that is ok.
    """

    causes: tuple[Cause, ...] = ()


_RANKS = {severity: rank for rank, severity in enumerate(SIGNS)}


def by_severity(found: Iterable[Diagnosis]) -> list[Diagnosis]:
    """Return diagnoses sorted by severity, the most severe first; the sort is stable."""
    return sorted(found, key=lambda one: one.rank)


def counts(found: Iterable[Diagnosis]) -> dict[Severity, int]:
    """Return the number of diagnoses of each severity, the most severe first."""
    counted = Counter(one.severity for one in found)
    return {severity: counted[severity] for severity in SIGNS}


def tally(found: Iterable[Diagnosis]) -> str:
    """Return the counts as text: ``0 errors, 2 warnings, 9 ok``; notes only if there are any."""
    number = counts(found)
    notes = [plural(number["note"], "note")] if number["note"] else []
    words = [plural(number["error"], "error"), plural(number["warning"], "warning"), *notes]
    return ", ".join([*words, f"{number['ok']} ok"])
