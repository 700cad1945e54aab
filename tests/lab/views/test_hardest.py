"""The hardest digits: in order, paged, each a way into its cell."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.lab.views.conftest import Scenes, Seen
from tests.lab.views.judgements import chronicled, drawn_scene, figures, only, other
from tui_trainer.protocol.exhibit import Pictures, Table


def test_they_are_those_of_the_highest_cross_entropy(scene_of: Scenes, seen: Seen) -> None:
    """As torch computes it from scores; untrained, whose losses are close to each other."""
    scene = scene_of("tiny")
    shown = figures(seen(scene, "hardest"))
    split = scene.digits
    with torch.no_grad():
        scores = scene.network(scene.data.prepare(split.images))
    losses = functional.cross_entropy(scores, split.labels, reduction="none").double()
    told = [each["loss"] for each in shown["hardest"]]
    assert told == pytest.approx(losses.sort(descending=True).values.tolist(), abs=1e-5)
    assert shown["mean_loss"] == pytest.approx(float(losses.mean()), abs=1e-5)
    for each in shown["hardest"][:20]:
        assert each["loss"] == pytest.approx(float(losses[each["image"]]), abs=1e-5)


def test_pages_follow_each_other(scene_of: Scenes, seen: Seen) -> None:
    scene = drawn_scene(scene_of("tiny"))
    first, second = (seen(scene, "hardest", page=page) for page in (1, 2))
    order = [f"#{each['image']}" for each in figures(first)["hardest"]]
    assert [row[1] for row in only(Table, first).rows] == order[:12]
    assert [row[1] for row in only(Table, second).rows] == order[12:24]
    last = seen(scene, "hardest", page=99)
    assert only(Table, last).rows[-1][0] == "200"


def test_enter_opens_the_chosen_one_in_its_cell(scene_of: Scenes, seen: Seen) -> None:
    scene = drawn_scene(scene_of("tiny"))
    shown = seen(scene, "hardest", page=2, digit=5)
    number = figures(shown)["hardest"][16]["image"]
    framed = [item for item in only(Pictures, shown).items if item.frame]
    assert [item.caption.split()[0] for item in framed] == [f"#{number}"]
    assert only(Table, shown).marked == 4
    assert shown.opens is not None
    opened = seen(scene, shown.opens.view, **dict(shown.opens.choices))
    assert figures(opened)["chosen"] == number


def test_it_tells_since_when_an_image_is_wrong(scene_of: Scenes, seen: Seen) -> None:
    plain = drawn_scene(scene_of("tiny"))
    assert only(Table, seen(plain, "hardest")).heads[-1] == "said"
    number = figures(seen(plain, "hardest"))["hardest"][0]["image"]
    scene = chronicled(plain, {}, {}, {number: other(plain, number)})
    table = only(Table, seen(scene, "hardest"))
    assert table.heads[-1] == "wrong since"
    assert [row[-1] for row in table.rows] == ["epoch 3", *["–"] * 11]


def test_the_sentence_counts_the_loss_of_the_hardest(scene_of: Scenes, seen: Seen) -> None:
    shown = seen(drawn_scene(scene_of("tiny")), "hardest")
    losses = [each["loss"] for each in figures(shown)["hardest"]]
    share = 100 * sum(losses[:2]) / (200 * figures(shown)["mean_loss"])
    assert shown.result == f"The hardest 2 images of 200: {share:.0f} % of the loss, and 2 wrong."
