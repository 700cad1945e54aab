"""The images of a cell: their order, probabilities and history."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from tests.lab.views.conftest import Contexts, Seen
from tests.lab.views.predictions import (
    figures,
    only,
    other,
    random_context,
    with_history,
    with_predictions,
    words,
)
from tui_trainer.lab.context import Context
from tui_trainer.lab.predictions import TEST, Predictions
from tui_trainer.lab.views import gallery
from tui_trainer.protocol.exhibit import Bars, Pictures


def test_it_shows_the_images_of_the_cell_by_falling_loss(context_of: Contexts, seen: Seen) -> None:
    context = random_context(context_of("tiny"))
    judged = context.prediction_store.by_split["validation"]
    shown = figures(seen(context, "misclassified", true=9, predicted=9))
    inside = (judged.labels == 9) & (judged.predicted == 9)
    assert sorted(each["image"] for each in shown["digits"]) == inside.nonzero().flatten().tolist()
    losses = [each["loss"] for each in shown["digits"]]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == pytest.approx(
        -float(judged.probabilities[shown["digits"][0]["image"], 9].log()), abs=1e-6
    )


def test_the_default_cell_is_the_most_frequent_confusion(context_of: Contexts, seen: Seen) -> None:
    context = random_context(context_of("tiny"))
    worst = figures(seen(context, "confusion"))["worst_pairs"][0]
    shown = figures(seen(context, "misclassified"))
    assert (shown["true"], shown["predicted"], shown["count"]) == (
        worst["true"],
        worst["predicted"],
        worst["count"],
    )


def test_the_selected_image_is_shown_whole_with_its_probabilities(
    context_of: Contexts, seen: Seen
) -> None:
    context = random_context(context_of("tiny"))
    shown = seen(context, "misclassified", digit=2)
    record = figures(shown)["digits"][1]
    number = record["image"]
    assert figures(shown)["chosen"] == number
    picture = only(Pictures, shown).items[0]
    pixels = context.digits.images[number].float()
    assert picture.values == tuple(pixels.flatten().tolist())
    bars = only(Bars, shown).bars
    probabilities = context.prediction_store.by_split["validation"].probabilities[number].tolist()
    assert [bar.share for bar in bars] == probabilities == record["probabilities"]
    assert [bar.label for bar in bars if bar.is_marked] == [f"{record['true']} true"]
    assert [bar.label for bar in bars if "predicted" in bar.label] == [
        f"{record['predicted']} predicted"
    ]
    assert shown.opens is not None
    assert ("digit", float(number)) in shown.opens.choices


def test_the_gallery_pages_to_the_selected_image_and_frames_it(
    context_of: Contexts, seen: Seen
) -> None:
    context = random_context(context_of("tiny"))
    shown = seen(context, "misclassified", true=1, predicted=1, digit=10)
    thumbs = [block for block in shown.blocks if isinstance(block, Pictures)][1].items
    numbers = [each["image"] for each in figures(shown)["digits"]]
    assert [int(each.caption.split()[0][1:]) for each in thumbs] == numbers[8:16]
    assert [each.frame is not None for each in thumbs].index(True) == 1


def test_an_empty_cell_keeps_its_controls(context_of: Contexts, seen: Seen) -> None:
    context = context_of("tiny")
    right = with_predictions(context, torch.eye(10)[context.digits.labels.cpu()])
    shown = seen(right, "misclassified", true=3, predicted=5)
    assert words(shown) == "No validation image of class 3 is predicted as 5."
    assert [control.value for control in shown.controls] == ["validation", 3.0, 5.0, 1.0]
    assert figures(shown)["digits"] == []


def test_with_many_classes_the_most_probable_and_the_true_one_have_bars(
    context_of: Contexts, seen: Seen
) -> None:
    context = context_of("tiny")
    labels = context.digits.labels.cpu()
    probabilities = torch.full((200, 62), 0.01)
    probabilities[:, 40:52] += 0.02
    probabilities[:, 61] = 0.0
    probabilities[torch.arange(200), labels] = 0.001
    probabilities[:, 45] += 0.5
    data = replace(context.data, classes=62)
    context = with_predictions(replace(context, data=data), probabilities)
    bars = only(Bars, seen(context, "misclassified")).bars
    label = figures(seen(context, "misclassified"))["true"]
    assert [bar.label.split()[0] for bar in bars] == [str(label), *map(str, range(40, 51))]


HISTORIES: tuple[tuple[tuple[dict[int, int], ...], str], ...] = (
    (({}, {}, {}), "correct at the end of each of the 3 epochs"),
    (({5: 1}, {5: 1}, {5: 1}), "misclassified at the end of each of the 3 epochs"),
    (({}, {}, {5: 1}), "correct until epoch 2, misclassified since epoch 3, forgotten once"),
    (({}, {5: 1}, {5: 1}), "correct until epoch 1, misclassified since epoch 2, forgotten once"),
    (({5: 1}, {}, {}), "correct since epoch 2, misclassified before"),
    (({}, {5: 1}, {}), "correct again at the end of epoch 3, forgotten once"),
    (
        ({}, {5: 1}, {}, {5: 1}),
        "correct until epoch 3, misclassified since epoch 4, forgotten 2 times",
    ),
)


def predicted_as(context: Context, number: int, *, is_right: bool) -> Predictions:
    """Predictions of step 7, older or newer than the context, with one image correct or not."""
    labels = context.digits.labels.cpu()
    predicted = labels.clone()
    predicted[number] = labels[number] if is_right else other(context, number)
    probabilities = one_hot(predicted, context.data.classes).float()
    return Predictions("validation", 7, probabilities, labels)


@pytest.mark.parametrize(("epochs", "reported"), HISTORIES)
def test_it_describes_the_history_of_an_image(
    context_of: Contexts, epochs: tuple[dict[int, int], ...], reported: str
) -> None:
    plain = context_of("tiny")
    wrong = [dict.fromkeys(epoch, other(plain, 5)) for epoch in epochs]
    context = with_history(plain, *wrong)
    is_right = not wrong[-1]
    assert gallery.past(context, predicted_as(context, 5, is_right=is_right), 5) == reported
    after = f"{reported}; {'misclassified' if is_right else 'correct'} now, after step 7"
    assert gallery.past(context, predicted_as(context, 5, is_right=not is_right), 5) == after


def test_a_late_history_names_its_first_epoch(context_of: Contexts) -> None:
    context = with_history(context_of("tiny"), {}, {}, since=4)
    reported = gallery.past(context, predicted_as(context, 0, is_right=True), 0)
    assert reported == "correct at the end of each epoch since 4, the first recorded one"


def test_missing_history_is_reported(context_of: Contexts, seen: Seen) -> None:
    context = random_context(context_of("tiny"))
    assert "no history" in words(seen(context, "misclassified"))
    assert figures(seen(context, "misclassified"))["digits"][0]["history"] is None
    test = random_context(with_history(context_of("tiny"), {}), TEST)
    assert "only validation images have a history" in words(
        seen(test, "misclassified", images=TEST)
    )
    assert figures(seen(test, "misclassified", images=TEST))["digits"][0]["history"] is None


def test_the_figures_contain_the_history(context_of: Contexts, seen: Seen) -> None:
    plain = random_context(context_of("tiny"))
    number = figures(seen(plain, "misclassified"))["chosen"]
    context = with_history(plain, {}, {number: other(plain, number)})
    shown = seen(context, "misclassified")
    assert figures(shown)["digits"][0]["history"] == {
        "wrong_since": 2,
        "first_correct": 1,
        "forgetting_events": 1,
        "times_wrong": 1,
        "epochs": 2,
        "first_epoch": 1,
    }
    assert "misclassified since epoch 2" in words(shown)
    thumbs = [block for block in shown.blocks if isinstance(block, Pictures)][1].items
    assert thumbs[0].caption.endswith("since epoch 2")


def test_a_thumbnail_is_cropped_to_the_stroke() -> None:
    pixels = torch.zeros((28, 28), dtype=torch.uint8)
    pixels[2:18, 20:26] = 200
    shown = torch.tensor(gallery.thumbnail(pixels, "one").values).view(16, 16)
    # All 16 rows; it is not centered, because the image ends there.
    assert shown[:, 8:14].min() == 200
    assert (shown > 0).sum() == 16 * 6


@pytest.mark.parametrize("level", [0, 255])
def test_an_empty_image_has_a_thumbnail(level: int) -> None:
    pixels = torch.full((8, 8), level, dtype=torch.uint8)
    assert set(gallery.thumbnail(pixels, "").values) == {float(level)}


def test_a_share_that_is_not_the_whole_is_not_100_percent() -> None:
    reported = [gallery.share(each) for each in (1.0, 0.99996, 0.995, 0.934, 0.0001)]
    assert reported == ["100 %", "99.9 %", "99.5 %", "93 %", "0.0 %"]


# --- the gallery of all errors


@pytest.mark.parametrize("many", [1, 10, 100])
def test_the_gallery_has_the_errors_with_the_highest_loss(
    context_of: Contexts, seen: Seen, many: int
) -> None:
    context = random_context(context_of("tiny"))
    judged = context.prediction_store.by_split["validation"]
    shown = seen(context, "misclassified", true="all", count=float(many))
    wrong = (judged.predicted != judged.labels).nonzero().flatten().tolist()
    losses = {n: -float(judged.probabilities[n, judged.labels[n]].log()) for n in wrong}
    wanted = sorted(wrong, key=lambda n: -losses[n])[:many]
    records = figures(shown)["digits"]
    assert figures(shown)["misclassified"] == len(wrong)
    assert [each["image"] for each in records] == wanted
    pictures = only(Pictures, shown).items
    assert len(pictures) == len(wanted) == min(many, len(wrong))
    assert sum(len(each.values) for each in pictures) <= 20_000
    for record, picture in zip(records, pictures, strict=True):
        likely = 100 * record["probabilities"][record["predicted"]]
        assert f"true\u00a0{record['true']}:\u00a0" in picture.caption
        assert f"predicted\u00a0{record['predicted']}:\u00a0" in picture.caption
        shown_confidence = float(picture.caption.split()[-2])
        assert shown_confidence == pytest.approx(likely, abs=0.51)
    assert shown.opens is not None
    assert ("digit", float(wanted[0])) in shown.opens.choices
    if many == 10:
        assert pictures[0].values == tuple(context.digits.images[wanted[0]].flatten().tolist())


def test_a_gallery_without_errors_is_a_sentence(context_of: Contexts, seen: Seen) -> None:
    context = context_of("tiny")
    right = one_hot(context.digits.labels.long().cpu(), 10).float()
    shown = seen(with_predictions(context, right), "misclassified", true="all")
    assert "No validation image is misclassified." in words(shown)
    assert figures(shown)["digits"] == []
    assert shown.opens is None


def test_the_gallery_comes_after_the_last_class(context_of: Contexts, seen: Seen) -> None:
    context = random_context(context_of("tiny"))
    last = seen(context, "misclassified", true=9.0, predicted=1.0).controls[1]
    assert (last.value, last.turned(1), last.turned(-1)) == (9.0, "all", 8.0)
    gallery_control = seen(context, "misclassified", true="all").controls[1]
    assert (gallery_control.value, gallery_control.turned(-1)) == ("all", 9.0)
    first = seen(context, "misclassified", true=0.0, predicted=1.0).controls[1]
    assert first.turned(-1) == 0.0
