"""What all error views share: any model, any images, and the sealed test set."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.data.idx_files import write_dataset
from tests.lab.views.conftest import Contexts, Seen
from tests.lab.views.custom_models import write_odd
from tests.lab.views.predictions import (
    diverged_context,
    random_context,
    small_split,
    with_history,
    with_predictions,
    words,
)
from tui_trainer.lab.ask import view_named
from tui_trainer.lab.context import Context
from tui_trainer.lab.predictions import Predictions
from tui_trainer.lab.views.split_predictions import (
    evidence,
    hardest_first,
    in_cell,
    losses,
    non_finite,
)
from tui_trainer.protocol.exhibit import Exhibit, Pictures, Table
from tui_trainer.protocol.inspection import ERRORS, VIEWS
from tui_trainer.render.plain_exhibit import plain_lines
from tui_trainer.text.fmt import columns

ALL = [view.name for view in VIEWS if view.group == ERRORS]
ON_A_SPLIT = [name for name in ALL if name != "forgetting"]
MOST_PIXELS = 12_000
WIDEST = 74

CONTEXTS: dict[str, Callable[[Contexts], Context]] = {
    "an untrained model": lambda of: of("tiny"),
    "a model without a convolution": lambda of: of("mlp"),
    "random predictions": lambda of: random_context(of("tiny")),
    "no validation": lambda of: of("tiny", val_size=0),
    "three images": lambda of: small_split(of("tiny"), 3),
    "no error": lambda of: with_predictions(
        of("tiny"), torch.eye(10)[of("tiny").digits.labels.cpu()]
    ),
    "a diverged run": lambda of: diverged_context(of("tiny")),
    "a history": lambda of: with_history(random_context(of("tiny")), {0: 0, 1: 1}, {1: 2, 2: 2}),
}


def assert_sound(exhibit: Exhibit) -> None:
    """The exhibit can be read, painted, and written as JSON."""
    assert exhibit.progress is None
    assert exhibit.blocks
    json.dumps(exhibit.figures)
    assert exhibit.figures
    assert plain_lines(exhibit, 78)
    pictures = [item for b in exhibit.blocks if isinstance(b, Pictures) for item in b.items]
    assert sum(each.height * each.width for each in pictures) <= MOST_PIXELS
    for table in (block for block in exhibit.blocks if isinstance(block, Table)):
        rows = zip(table.heads, *table.rows, strict=True)
        widths = [max(map(columns, column)) for column in rows]
        marked = 2 * (table.marked is not None)
        assert sum(widths) + 2 * (len(widths) - 1) + marked <= WIDEST
    for control in exhibit.controls:
        assert control.value in control.steps
        assert len(control.label.split()) <= 2
    assert len(exhibit.controls) <= 4


@pytest.mark.parametrize("view", ALL)
@pytest.mark.parametrize("name", CONTEXTS)
@pytest.mark.sampled(3)
def test_every_view_works_on_every_model(
    context_of: Contexts, seen: Seen, view: str, name: str
) -> None:
    context = CONTEXTS[name](context_of)
    for choices in ({}, {"page": 2.0, "digit": 3.0, "true": 3.0, "predicted": 3.0, "bins": 7.0}):
        assert_sound(seen(context, view, **choices))


@pytest.mark.parametrize("view", ALL)
@pytest.mark.parametrize(("classes", "size"), [(2, 14), (62, 14)])
@pytest.mark.sampled(2)
def test_other_datasets_work(
    context_of: Contexts, seen: Seen, view: str, classes: int, size: int, data: Callable[..., Path]
) -> None:
    folder = data(size=size, classes=classes, train=250, test=62, gzip=False)
    plain = context_of("tiny", data_dir=str(folder), train_size=124, val_size=62)
    context = with_history(random_context(plain), {0: 0}, {1: 1, 2: 0})
    exhibit = seen(context, view)
    assert_sound(exhibit)
    assert "62 validation images" in exhibit.evidence


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a folder with a random dataset; the same arguments give the same one."""

    @cache
    def folder(**settings: Any) -> Path:
        return write_dataset(tmp_path_factory.mktemp("data"), **settings)

    return folder


@pytest.fixture(scope="module")
def custom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with custom models."""
    return write_odd(tmp_path_factory.mktemp("custom"))


@pytest.mark.parametrize("view", ON_A_SPLIT)
def test_a_custom_model_works(context_of: Contexts, seen: Seen, view: str, custom: Path) -> None:
    exhibit = seen(context_of(f"{custom}:Odd"), view)
    assert_sound(exhibit)
    assert exhibit.evidence


@pytest.mark.parametrize("view", ON_A_SPLIT)
def test_non_finite_probabilities_are_reported(context_of: Contexts, seen: Seen, view: str) -> None:
    exhibit = seen(diverged_context(context_of("tiny")), view)
    assert words(exhibit) == ("The probabilities are not finite: the run diverged.")
    assert exhibit.figures == {"images": 200, "correct": 0, "non_finite": 200}
    assert exhibit.result == ""


def test_one_non_finite_image_is_counted(context_of: Contexts) -> None:
    probabilities = torch.full((200, 10), 0.1)
    probabilities[7, 3] = float("inf")
    context = with_predictions(context_of("tiny"), probabilities)
    exhibit = non_finite(context.prediction_store.by_split["validation"])
    assert exhibit is not None
    assert "of 1 of 200 images are not finite" in words(exhibit)


@pytest.mark.parametrize("view", ON_A_SPLIT)
def test_the_test_set_stays_sealed_until_enter(context_of: Contexts, seen: Seen, view: str) -> None:
    context = context_of("tiny")
    exhibit = seen(context, view, images="test")
    assert "sealed" in words(exhibit)
    assert exhibit.trains.endswith("on 10,000 images, counted")
    assert context.data.test.evaluations == 0
    assert not any(isinstance(block, Pictures) for block in exhibit.blocks)


@pytest.mark.parametrize("view", ALL)
def test_every_slice_yields(context_of: Contexts, view: str) -> None:
    """There is one exhibit, and the evaluation is divided into batches."""
    context = small_split(context_of("tiny"), 200)
    parts = list(view_named(view)(context, {}, False))
    assert len([part for part in parts if part is not None]) == 1
    if view in ON_A_SPLIT:
        assert len(parts) >= 3


def found_predictions() -> Predictions:
    """Five images of two classes; the fourth is a confident mistake."""
    confidence = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.0, 1.0], [0.3, 0.7]])
    return Predictions("validation", 1_080, confidence, torch.tensor([0, 0, 1, 0, 0]))


def test_the_accuracy_line_has_interval_and_sample() -> None:
    assert evidence(found_predictions()) == (
        "Accuracy 40.00 % [11.76, 76.93] on 5 validation images, step 1,080."
    )


def test_the_hardest_images_have_the_highest_loss() -> None:
    judged = found_predictions()
    assert hardest_first(judged) == [3, 4, 1, 2, 0]
    assert in_cell(judged, 0, 1) == [3, 4, 1]
    assert in_cell(judged, 1, 0) == []
    reported = losses(judged).tolist()
    assert reported[0] == pytest.approx(0.10536, abs=1e-5)
    assert 80 < reported[3] < 100  # not infinite
