"""The digits of a cell: which they are, their probabilities, and what became of each."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from tests.lab.views.conftest import Scenes, Seen
from tests.lab.views.judgements import (
    chronicled,
    drawn_scene,
    figures,
    judged_as,
    only,
    other,
    words,
)
from tui_trainer.lab.context import Context
from tui_trainer.lab.predictions import TEST, Predictions
from tui_trainer.lab.views import gallery
from tui_trainer.protocol.exhibit import Bars, Pictures


def test_it_shows_all_images_of_the_cell_the_hardest_first(scene_of: Scenes, seen: Seen) -> None:
    scene = drawn_scene(scene_of("tiny"))
    judged = scene.predictions.judged["validation"]
    shown = figures(seen(scene, "digits", true=9, said=9))
    inside = (judged.labels == 9) & (judged.given == 9)
    assert sorted(each["image"] for each in shown["digits"]) == inside.nonzero().flatten().tolist()
    losses = [each["loss"] for each in shown["digits"]]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == pytest.approx(
        -float(judged.probabilities[shown["digits"][0]["image"], 9].log()), abs=1e-6
    )


def test_without_a_choice_it_is_the_cell_of_the_most_frequent_error(
    scene_of: Scenes, seen: Seen
) -> None:
    scene = drawn_scene(scene_of("tiny"))
    worst = figures(seen(scene, "confusion"))["worst_pairs"][0]
    shown = figures(seen(scene, "digits"))
    assert (shown["true"], shown["said"], shown["count"]) == (
        worst["true"],
        worst["said"],
        worst["count"],
    )


def test_the_chosen_digit_is_shown_whole_with_all_its_probabilities(
    scene_of: Scenes, seen: Seen
) -> None:
    scene = drawn_scene(scene_of("tiny"))
    shown = seen(scene, "digits", digit=2)
    facts = figures(shown)["digits"][1]
    number = facts["image"]
    assert figures(shown)["chosen"] == number
    picture = only(Pictures, shown).items[0]
    pixels = scene.digits.images[number].float()
    assert picture.values == tuple(pixels.flatten().tolist())
    bars = only(Bars, shown).bars
    probabilities = scene.predictions.judged["validation"].probabilities[number].tolist()
    assert [bar.share for bar in bars] == probabilities == facts["probabilities"]
    assert [bar.label for bar in bars if bar.is_marked] == [f"{facts['true']} true"]
    assert [bar.label for bar in bars if "said" in bar.label] == [f"{facts['said']} said"]
    assert shown.opens is not None
    assert ("digit", float(number)) in shown.opens.choices


def test_the_gallery_turns_with_the_digit_and_frames_it(scene_of: Scenes, seen: Seen) -> None:
    scene = drawn_scene(scene_of("tiny"))
    shown = seen(scene, "digits", true=1, said=1, digit=10)
    thumbs = [block for block in shown.blocks if isinstance(block, Pictures)][1].items
    numbers = [each["image"] for each in figures(shown)["digits"]]
    assert [int(each.caption.split()[0][1:]) for each in thumbs] == numbers[8:16]
    assert [each.frame is not None for each in thumbs].index(True) == 1


def test_an_empty_cell_says_so_and_keeps_its_controls(scene_of: Scenes, seen: Seen) -> None:
    scene = scene_of("tiny")
    right = judged_as(scene, torch.eye(10)[scene.digits.labels.cpu()])
    shown = seen(right, "digits", true=3, said=5)
    assert words(shown) == "No validation image of class 3 is taken for a 5."
    assert [control.value for control in shown.controls] == ["validation", 3.0, 5.0, 1.0]
    assert figures(shown)["digits"] == []


def test_of_many_classes_the_most_probable_and_the_true_one_are_drawn(
    scene_of: Scenes, seen: Seen
) -> None:
    scene = scene_of("tiny")
    labels = scene.digits.labels.cpu()
    probabilities = torch.full((200, 62), 0.01)
    probabilities[:, 40:52] += 0.02
    probabilities[:, 61] = 0.0
    probabilities[torch.arange(200), labels] = 0.001
    probabilities[:, 45] += 0.5
    data = replace(scene.data, classes=62)
    scene = judged_as(replace(scene, data=data), probabilities)
    bars = only(Bars, seen(scene, "digits")).bars
    label = figures(seen(scene, "digits"))["true"]
    assert [bar.label.split()[0] for bar in bars] == [str(label), *map(str, range(40, 51))]


HISTORIES: tuple[tuple[tuple[dict[int, int], ...], str], ...] = (
    (({}, {}, {}), "right at the end of all 3 epochs"),
    (({5: 1}, {5: 1}, {5: 1}), "wrong at the end of all 3 epochs"),
    (({}, {}, {5: 1}), "right until epoch 2, wrong since epoch 3, forgotten once"),
    (({}, {5: 1}, {5: 1}), "right until epoch 1, wrong since epoch 2, forgotten once"),
    (({5: 1}, {}, {}), "right since epoch 2, wrong before"),
    (({}, {5: 1}, {}), "right again at the end of epoch 3, forgotten once"),
    (({}, {5: 1}, {}, {5: 1}), "right until epoch 3, wrong since epoch 4, forgotten 2 times"),
)


def said_of(scene: Context, number: int, *, is_right: bool) -> Predictions:
    """A judgement of step 7, older or newer than the scene: one image right or not."""
    labels = scene.digits.labels.cpu()
    given = labels.clone()
    given[number] = labels[number] if is_right else other(scene, number)
    probabilities = one_hot(given, scene.data.classes).float()
    return Predictions("validation", 7, probabilities, labels)


@pytest.mark.parametrize(("epochs", "told"), HISTORIES)
def test_it_tells_what_became_of_an_image(
    scene_of: Scenes, epochs: tuple[dict[int, int], ...], told: str
) -> None:
    plain = scene_of("tiny")
    wrong = [dict.fromkeys(epoch, other(plain, 5)) for epoch in epochs]
    scene = chronicled(plain, *wrong)
    is_right = not wrong[-1]
    assert gallery.past(scene, said_of(scene, 5, is_right=is_right), 5) == told
    after = f"{told}; {'wrong' if is_right else 'right'} now, after step 7"
    assert gallery.past(scene, said_of(scene, 5, is_right=not is_right), 5) == after


def test_a_record_that_began_late_says_since_when(scene_of: Scenes) -> None:
    scene = chronicled(scene_of("tiny"), {}, {}, since=4)
    told = gallery.past(scene, said_of(scene, 0, is_right=True), 0)
    assert told == "right at the end of each epoch since 4, the first that is recorded"


def test_what_is_not_recorded_is_not_made_up(scene_of: Scenes, seen: Seen) -> None:
    scene = drawn_scene(scene_of("tiny"))
    assert "is not known" in words(seen(scene, "digits"))
    assert figures(seen(scene, "digits"))["digits"][0]["history"] is None
    test = drawn_scene(chronicled(scene_of("tiny"), {}), TEST)
    assert "recorded of validation images alone" in words(seen(test, "digits", images=TEST))
    assert figures(seen(test, "digits", images=TEST))["digits"][0]["history"] is None


def test_the_history_is_among_the_figures(scene_of: Scenes, seen: Seen) -> None:
    plain = drawn_scene(scene_of("tiny"))
    number = figures(seen(plain, "digits"))["chosen"]
    scene = chronicled(plain, {}, {number: other(plain, number)})
    shown = seen(scene, "digits")
    assert figures(shown)["digits"][0]["history"] == {
        "wrong_since": 2,
        "first_right": 1,
        "forgotten": 1,
        "times_wrong": 1,
        "epochs": 2,
        "first_epoch": 1,
    }
    assert "wrong since epoch 2" in words(shown)
    thumbs = [block for block in shown.blocks if isinstance(block, Pictures)][1].items
    assert thumbs[0].caption.endswith("since epoch 2")


def test_a_thumbnail_shows_what_is_drawn_without_its_margin() -> None:
    pixels = torch.zeros((28, 28), dtype=torch.uint8)
    pixels[2:18, 20:26] = 200
    shown = torch.tensor(gallery.thumbnail(pixels, "one").values).view(16, 16)
    # All 16 rows of it; it is not in the middle, because the image ends there.
    assert shown[:, 8:14].min() == 200
    assert (shown > 0).sum() == 16 * 6


@pytest.mark.parametrize("level", [0, 255])
def test_an_empty_image_is_a_thumbnail_too(level: int) -> None:
    pixels = torch.full((8, 8), level, dtype=torch.uint8)
    assert set(gallery.thumbnail(pixels, "").values) == {float(level)}


def test_a_share_that_is_not_the_whole_is_not_100_percent() -> None:
    told = [gallery.share(each) for each in (1.0, 0.99996, 0.995, 0.934, 0.0001)]
    assert told == ["100 %", "99.9 %", "99.5 %", "93 %", "0.0 %"]
