"""Who leads in a comparison, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tui_trainer.engine.experiments.comparison import Judged
from tui_trainer.engine.experiments.race import Arm, distinguishable
from tui_trainer.run.exhibit import Block, Exhibit

Seen = Callable[[Sequence[Arm], Judged], tuple[Block, ...]]


class Leader:
    """Puts before a comparison's result who leads.

    Hand :meth:`found` to ``compare`` and its exhibits through :meth:`told`.
    """

    def __init__(self, seen: Seen = lambda arms, scores: ()) -> None:
        self._seen = seen
        self._sentence = ""

    def found(self, arms: Sequence[Arm], scores: Judged) -> tuple[Block, ...]:
        """Take in how the arms were judged; return what else there is to see."""
        self._sentence = lead({a.name: scores[a.name] for a in arms if not a.is_lost})
        return self._seen(arms, scores)

    def told(self, exhibits: Iterator[Exhibit]) -> Iterator[Exhibit]:
        """Yield a comparison's exhibits, the last of them with its leader."""
        for exhibit in exhibits:
            if exhibit.result:
                result = f"{self._sentence} {exhibit.result}".strip()
                yield replace(exhibit, result=result)
            else:
                yield exhibit


def lead(scores: Judged) -> str:
    """Return which of several is ahead, and by how many points; empty for fewer than two."""
    ranked = sorted(scores, key=lambda name: scores[name].accuracy, reverse=True)
    if len(ranked) < 2:
        return ""
    first, second = ranked[:2]
    points = 100 * (scores[first].accuracy - scores[second].accuracy)
    if not points:
        return f"{first} and {second} are level."
    is_sure = (first, second) in distinguishable(scores)
    chance = "" if is_sure else ", which may be chance"
    return f"{first} leads {second} by {points:.2f} points{chance}."
