"""What the review's rules use to report a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui_trainer.protocol.diagnosis import Diagnosis, Severity
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text.fmt import listed


@dataclass(frozen=True, slots=True)
class Reporter:
    """Makes the verdicts of one rule, which share its code and lesson."""

    rule: str
    lesson: int

    def ok(self, title: str, evidence: str, rows: Sequence[LayerRow] = ()) -> Diagnosis:
        """Return a diagnosis without a problem."""
        return self._verdict("ok", title, evidence, "", rows)

    def warning(
        self, title: str, evidence: str, advice: str, rows: Sequence[LayerRow]
    ) -> Diagnosis:
        """Return a diagnosis of a design that costs more accuracy than noise does."""
        return self._verdict("warning", title, evidence, advice, rows)

    def note(self, title: str, evidence: str, advice: str, rows: Sequence[LayerRow]) -> Diagnosis:
        """Return a diagnosis of what is worth knowing: a matter of size, speed or taste."""
        return self._verdict("note", title, evidence, advice, rows)

    def error(self, title: str, evidence: str, advice: str, rows: Sequence[LayerRow]) -> Diagnosis:
        """Return a diagnosis of a design that loses the run or makes its numbers wrong."""
        return self._verdict("error", title, evidence, advice, rows)

    def _verdict(
        self, severity: Severity, title: str, evidence: str, advice: str, rows: Sequence[LayerRow]
    ) -> Diagnosis:
        return Diagnosis(
            code=self.rule,
            severity=severity,
            title=title,
            evidence=evidence,
            advice=advice,
            lesson=self.lesson,
            layers=tuple(row.name for row in rows),
        )


def names(rows: Sequence[LayerRow]) -> str:
    """Return the names of rows as text."""
    return listed([row.name for row in rows])


def share(part: int, whole: int) -> str:
    """Return a share in percent without decimals; below 1 %, ``under 1 %``."""
    percent = 100 * part / whole if whole else 0.0
    return "under 1 %" if 0 < percent < 1 else f"{percent:.0f} %"
