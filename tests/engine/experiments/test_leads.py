"""Who leads, and whether that may be chance."""

from __future__ import annotations

from tui_trainer.engine.experiments.leads import lead
from tui_trainer.engine.experiments.race import Score


def test_the_lead_is_in_points_and_says_whether_it_may_be_chance() -> None:
    scores = {"a": Score(700, 1_000, 1.0), "b": Score(900, 1_000, 0.3), "c": Score(910, 1_000, 0.3)}
    assert lead(scores) == "c leads b by 1.00 points, which may be chance."
    del scores["c"]
    assert lead(scores) == "b leads a by 20.00 points."
    assert lead({"a": scores["a"], "d": scores["a"]}) == "a and d are level."
    assert lead({"a": scores["a"]}) == ""
