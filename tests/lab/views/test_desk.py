"""What a view may take of the time: account is kept by a clock that the tests hold."""

from __future__ import annotations

import pytest
import torch

from tui_trainer.lab.views.desk import CREDIT, NO_CLASS, SHARE, WAITED_FOR, Desk, Judgement
from tui_trainer.protocol.commands import Inspect

PART = 0.05
"""Seconds that a part takes."""

BATCH = 0.2


def spent(desk: Desk, batches: int) -> float:
    """Return the seconds that parts took, as many as there was time for between batches."""
    now = total = 0.0
    for _ in range(batches):
        now += BATCH
        while desk.may_work(now):
            now += PART
            total += PART
            desk.spend(PART)
    return total


def at_work(*, follows: bool) -> Desk:
    desk = Desk()
    desk.begin(Inspect("confusion", follows=follows), iter(()), 3)
    return desk


@pytest.mark.parametrize(("follows", "share"), [(True, SHARE), (False, WAITED_FOR)])
def test_a_view_gets_its_share_of_the_time_and_no_more(follows: bool, share: float) -> None:
    batches = 2_000
    total = spent(at_work(follows=follows), batches)
    elapsed = batches * BATCH + total
    assert total <= CREDIT + share * elapsed + PART
    assert total >= share * elapsed - PART


def test_what_was_not_used_is_kept_for_one_credit_only() -> None:
    desk = at_work(follows=True)
    assert desk.may_work(0.0)
    assert desk.may_work(10_000.0)
    desk.spend(CREDIT)
    assert not desk.may_work(10_000.0)
    # A debt is worked off before there is time for another part.
    desk.spend(1.0)
    assert not desk.may_work(10_000.0 + 0.9 / SHARE)
    assert desk.may_work(10_000.0 + 1.1 / SHARE)


def test_what_a_part_cost_is_owed_by_the_next_view_too() -> None:
    desk = at_work(follows=True)
    desk.may_work(0.0)
    desk.spend(CREDIT + 1.0)
    desk.begin(Inspect("digits", follows=True), iter(()), 4)
    assert not desk.may_work(1.0)


def test_one_view_lies_on_it_at_a_time() -> None:
    desk = at_work(follows=False)
    desk.turn = 7
    assert desk.is_busy
    desk.begin(Inspect("digits"), iter(()), 4)
    assert desk.wish == Inspect("digits")
    assert (desk.step, desk.turn) == (4, 0)
    desk.clear()
    assert not desk.is_busy


def test_the_newest_judgement_of_each_split_is_kept() -> None:
    desk = Desk()
    probabilities, labels = torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([0, 0])
    for images, step in (("validation", 1), ("test", 1), ("validation", 2)):
        desk.keep(Judgement(images, step, probabilities, labels))
    assert {name: found.step for name, found in desk.judged.items()} == {"validation": 2, "test": 1}
    found = desk.judged["test"]
    assert found.given.tolist() == [1, 0]
    assert found.sureness.tolist() == pytest.approx([0.9, 0.8])
    assert found.right_probability.tolist() == pytest.approx([0.1, 0.8])


def test_an_image_without_numbers_is_given_no_class() -> None:
    """Were it class 0, a network that is lost would have every 0 right."""
    lost = float("nan")
    probabilities = torch.tensor([[0.9, 0.1], [lost, lost], [0.2, lost]])
    judged = Judgement("validation", 1, probabilities, torch.tensor([0, 0, 1]))
    assert judged.given.tolist() == [0, NO_CLASS, NO_CLASS]
