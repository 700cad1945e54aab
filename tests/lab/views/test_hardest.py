"""The highest losses: in order, in pages, each with a link to its cell."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.lab.views.conftest import Contexts, Seen
from tests.lab.views.predictions import figures, only, other, random_context, with_history
from tui_trainer.protocol.exhibit import Pictures, Table


def test_they_have_the_highest_cross_entropy(context_of: Contexts, seen: Seen) -> None:
    """As torch computes it from logits of an untrained model, whose losses are close."""
    context = context_of("tiny")
    shown = figures(seen(context, "hardest"))
    split = context.digits
    with torch.no_grad():
        logits = context.model(context.data.prepare(split.images))
    losses = functional.cross_entropy(logits, split.labels, reduction="none").double()
    reported = [each["loss"] for each in shown["hardest"]]
    assert reported == pytest.approx(losses.sort(descending=True).values.tolist(), abs=1e-5)
    assert shown["mean_loss"] == pytest.approx(float(losses.mean()), abs=1e-5)
    for each in shown["hardest"][:20]:
        assert each["loss"] == pytest.approx(float(losses[each["image"]]), abs=1e-5)


def test_pages_follow_each_other(context_of: Contexts, seen: Seen) -> None:
    context = random_context(context_of("tiny"))
    first, second = (seen(context, "hardest", page=page) for page in (1, 2))
    order = [f"#{each['image']}" for each in figures(first)["hardest"]]
    assert [row[1] for row in only(Table, first).rows] == order[:12]
    assert [row[1] for row in only(Table, second).rows] == order[12:24]
    last = seen(context, "hardest", page=99)
    assert only(Table, last).rows[-1][0] == "200"


def test_enter_opens_the_chosen_one_in_its_cell(context_of: Contexts, seen: Seen) -> None:
    context = random_context(context_of("tiny"))
    shown = seen(context, "hardest", page=2, digit=5)
    number = figures(shown)["hardest"][16]["image"]
    framed = [item for item in only(Pictures, shown).items if item.frame]
    assert [item.caption.split()[0] for item in framed] == [f"#{number}"]
    assert only(Table, shown).marked == 4
    assert shown.opens is not None
    opened = seen(context, shown.opens.view, **dict(shown.opens.choices))
    assert figures(opened)["chosen"] == number


def test_it_shows_since_when_an_image_is_misclassified(context_of: Contexts, seen: Seen) -> None:
    plain = random_context(context_of("tiny"))
    assert only(Table, seen(plain, "hardest")).heads[-1] == "predicted"
    number = figures(seen(plain, "hardest"))["hardest"][0]["image"]
    context = with_history(plain, {}, {}, {number: other(plain, number)})
    table = only(Table, seen(context, "hardest"))
    assert table.heads[-1] == "wrong since"
    assert [row[-1] for row in table.rows] == ["epoch 3", *["–"] * 11]


def test_the_sentence_counts_the_loss_of_the_hardest(context_of: Contexts, seen: Seen) -> None:
    shown = seen(random_context(context_of("tiny")), "hardest")
    losses = [each["loss"] for each in figures(shown)["hardest"]]
    share = 100 * sum(losses[:2]) / (200 * figures(shown)["mean_loss"])
    assert (
        shown.result == f"The hardest 2 images of 200: {share:.0f} % of the loss, 2 misclassified."
    )
