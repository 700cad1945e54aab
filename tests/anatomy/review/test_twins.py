from __future__ import annotations

import pytest

from tests.anatomy.review.networks import assert_short_with_numbers, problems, sound, verdicts_of
from tests.anatomy.review.twins import TWINS, Twins
from tui_trainer.anatomy.review import RULES

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")  # of an even kernel

each = pytest.mark.parametrize("twins", TWINS, ids=lambda twins: f"{twins.rule}: {twins.what}")


def test_every_rule_has_twins() -> None:
    assert {twins.rule for twins in TWINS} == set(RULES)


def test_no_rule_finds_a_problem_in_a_sound_model() -> None:
    found = verdicts_of(sound)

    assert problems(found) == {}
    assert len(found) >= len(RULES) - 4  # no dropout, no hidden softmax, nothing fully connected


@each
def test_the_rule_accepts_one_and_rejects_the_other_and_no_other_rule_does(twins: Twins) -> None:
    """One test per pair, because the two reviews take most of the time."""
    found = [verdicts_of(build) for build in (twins.good, twins.bad)]

    good, bad = (one[twins.rule] for one in found)
    assert (good.severity, bad.severity) == ("ok", twins.verdict)
    assert bad.layers == twins.layers
    assert good.title != bad.title
    assert good.evidence != bad.evidence

    content, discontent = map(problems, found)
    assert content.keys() <= twins.also
    assert discontent.keys() - {twins.rule} - content.keys() <= twins.also

    for one in found:
        assert_short_with_numbers(one)
