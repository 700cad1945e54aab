"""How the rules of the review speak: their verdicts, and numbers and names as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.verdicts import Verdict

_NAMED = 4
"""How many layers are named in a sentence before the others are only counted."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A rule's name and topic, which all its verdicts have in common."""

    rule: str
    lesson: int

    def good(self, title: str, evidence: str, rows: Sequence[LayerRow] = ()) -> Verdict:
        """Return the verdict that all is well."""
        return self._say("good", title, evidence, "", rows)

    def look(self, title: str, evidence: str, advice: str, rows: Sequence[LayerRow]) -> Verdict:
        """Return the verdict that there is a doubt."""
        return self._say("look", title, evidence, advice, rows)

    def wrong(self, title: str, evidence: str, advice: str, rows: Sequence[LayerRow]) -> Verdict:
        """Return the verdict that there is a fault."""
        return self._say("wrong", title, evidence, advice, rows)

    def _say(
        self,
        verdict: Literal["good", "look", "wrong"],
        title: str,
        evidence: str,
        advice: str,
        rows: Sequence[LayerRow],
    ) -> Verdict:
        return Verdict(
            rule=self.rule,
            verdict=verdict,
            title=title,
            evidence=evidence,
            advice=advice,
            lesson=self.lesson,
            layers=tuple(row.name for row in rows),
        )


def listed(items: Sequence[str]) -> str:
    """Return items as one text, the first four of them named: ``a, b, c, d and 3 more``."""
    shown = ", ".join(items[:_NAMED])
    more = len(items) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def names(rows: Sequence[LayerRow]) -> str:
    """Return the names of rows as one text."""
    return listed([row.name for row in rows])


def size(pair: tuple[int, int]) -> str:
    """Return a height and a width: ``28×28``."""
    return f"{pair[0]}×{pair[1]}"


def share(part: int, whole: int) -> str:
    """Return a part of a whole in percent without decimals, ``under 1 %`` where it is little."""
    percent = 100 * part / whole if whole else 0.0
    return "under 1 %" if 0 < percent < 1 else f"{percent:.0f} %"
