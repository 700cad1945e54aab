"""The example forgetting view, on hand-written histories."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch

from tests.lab.views.conftest import Contexts, Seen
from tests.lab.views.predictions import figures, only, other, with_history, words
from tui_trainer.lab.context import Context
from tui_trainer.lab.predictions import NO_CLASS
from tui_trainer.lab.views.forgetting import kinds_of
from tui_trainer.protocol.exhibit import Pictures


def lived(context: Context) -> Context:
    """Four epochs: 1 never learned, 2 and 5 forgotten, 3 and 6 relearned, 4 learned late."""
    wrong = ((1, 4, 5), (1, 3, 6), (1, 2, 5), (1, 2, 5))
    return with_history(
        context, *({each: other(context, each) for each in epoch} for epoch in wrong)
    )


def numbers(shown: Any, kind: str) -> list[int]:
    return [each["image"] for each in shown[kind]]


def test_the_kind_of_an_image_is_derived_from_its_epochs(context_of: Contexts, seen: Seen) -> None:
    shown = figures(seen(lived(context_of("tiny")), "forgetting"))
    assert numbers(shown, "never_learned") == [1]
    assert numbers(shown, "forgotten") == [5, 2]
    assert numbers(shown, "relearned") == [3, 6]
    assert numbers(shown, "unstable") == []
    assert shown["counts"] == {
        "always_correct": 194,
        "learned_late": 1,
        "relearned": 2,
        "forgotten": 2,
        "never_learned": 1,
        "unstable": 0,
    }
    assert (shown["epochs"], shown["first_epoch"]) == (4, 1)


def test_repeated_forgetting_is_unstable(context_of: Contexts, seen: Seen) -> None:
    plain = context_of("tiny")
    wrong = {9: other(plain, 9)}
    shown = seen(with_history(plain, {}, wrong, {}, wrong, {}, wrong), "forgetting")
    entry = figures(shown)["unstable"][0]
    assert (entry["image"], entry["forgetting_events"], entry["wrong_since"]) == (9, 3, 6)
    caption = only(Pictures, shown).items[0].caption
    assert (
        caption
        == f"#9 true {entry['true']}, predicted {entry['predicted']}, forgotten 3×, wrong since 6"
    )


def test_kinds_partition_the_images_and_classes_add_up(context_of: Contexts, seen: Seen) -> None:
    context = lived(context_of("tiny"))
    shown = figures(seen(context, "forgetting"))
    kinds = [kind for kind in shown["counts"] if kind != "unstable"]
    assert sum(shown["counts"][kind] for kind in kinds) == 200
    labels = context.digits.labels
    for label in range(10):
        total = sum(shown["by_class"][kind][label] for kind in kinds)
        assert total == int((labels == label).sum())


def test_a_kind_can_be_selected_and_may_be_empty(context_of: Contexts, seen: Seen) -> None:
    context = lived(context_of("tiny"))
    shown = seen(context, "forgetting", kind="relearned", digit=2)
    items = only(Pictures, shown).items
    assert [item.caption.split()[0] for item in items] == ["#3", "#6"]
    assert items[1].frame is not None
    assert shown.opens is not None
    assert ("digit", 6.0) in shown.opens.choices
    empty = seen(context, "forgetting", kind="unstable")
    assert words(empty) == "No image is unstable (forgotten twice or more)."


def test_a_missing_history_names_the_requirement(context_of: Contexts, seen: Seen) -> None:
    shown = seen(context_of("tiny"), "forgetting")
    assert "at the end of each epoch" in words(shown)
    assert figures(shown) == {"epochs": 0}
    without = seen(context_of("tiny", val_size=0), "forgetting")
    assert "--val-size" in words(without)


def test_after_one_epoch_nothing_can_be_forgotten(context_of: Contexts, seen: Seen) -> None:
    shown = seen(with_history(context_of("tiny"), {1: 0}), "forgetting")
    assert "epoch 1 only: forgetting needs" in shown.evidence
    assert figures(shown)["counts"]["forgotten"] == 0


def test_a_late_start_is_reported(context_of: Contexts, seen: Seen) -> None:
    shown = seen(with_history(context_of("tiny"), {}, {}, since=7), "forgetting")
    assert "epochs 7 to 8; earlier epochs are not recorded" in shown.evidence


def test_a_history_does_not_change_while_the_run_continues(context_of: Contexts) -> None:
    context = lived(context_of("tiny"))
    record = deepcopy(context.forgetting)
    before = {kind: which.clone() for kind, which in kinds_of(record).items()}
    labels = context.digits.labels.cpu()
    context.forgetting.update(5, (labels + 1) % 10, labels)
    assert record.last == 4
    for kind, which in kinds_of(record).items():
        assert torch.equal(which, before[kind])


def test_non_finite_logits_of_an_epoch_are_shown_as_none(context_of: Contexts, seen: Seen) -> None:
    shown = seen(with_history(context_of("tiny"), {}, {3: NO_CLASS}), "forgetting")
    assert "predicted none" in only(Pictures, shown).items[0].caption
    assert figures(shown)["forgotten"][0]["predicted"] is None
