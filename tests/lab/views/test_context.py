"""Which predictions a context reuses."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import pytest

from tests.lab.views.conftest import Contexts, laboratory_of, open_context, session_of
from tui_trainer.lab.context import MAX_AGE, MOST_TRAINING, Context
from tui_trainer.lab.predictions import Predictions, PredictionStore


def predict(context: Context, images: str = "validation") -> tuple[Predictions | None, int]:
    """Return the predictions and the number of slices."""

    def work() -> Generator[None, None, None]:
        found.append((yield from context.predict(images)))

    found: list[Predictions | None] = []
    parts = sum(1 for _ in work())
    return found[0], parts


@pytest.fixture
def context(context_of: Contexts) -> Context:
    return replace(context_of("tiny"), prediction_store=PredictionStore())


def later(context: Context, step: int, **fields: object) -> Context:
    return replace(context, step=step, **fields)  # type: ignore[arg-type]


def test_the_same_weights_are_evaluated_once(context: Context) -> None:
    first, parts = predict(context)
    again, none = predict(context)

    assert parts > 0
    assert none == 0
    assert again is first


def test_other_weights_are_evaluated_again_outside_training(context: Context) -> None:
    predict(context)
    second, parts = predict(later(context, 9))

    assert parts > 0
    assert second is not None
    assert second.step == 9


def test_during_training_recent_predictions_are_reused(
    context: Context,
) -> None:
    first, _ = predict(replace(context, began=100.0, max_age=MAX_AGE))
    soon = later(context, 9, began=100.0 + MAX_AGE / 2, max_age=MAX_AGE)
    late = later(context, 30, began=101.0 + MAX_AGE, max_age=MAX_AGE)

    assert predict(soon)[0] is first
    assert soon.shown_step == 0
    assert predict(late)[0] is not first
    assert late.shown_step == 30


def test_the_background_reuses_predictions_once(context: Context) -> None:
    predict(context)
    found = context.prediction_store.by_split["validation"]
    context.prediction_store.keep(replace(found, step=20))
    following = later(context, 25, is_background=True)

    assert predict(following) == (context.prediction_store.by_split["validation"], 0)
    assert predict(following)[1] > 0


def test_only_a_test_evaluation_predicts_the_test_set(context: Context) -> None:
    assert predict(context, "test") == (None, 0)


def test_without_a_validation_split_the_first_training_images_are_used() -> None:
    context = open_context(session_of("tiny", train_size=MOST_TRAINING + 100, val_size=0))
    images = str(context.images_control.value)

    assert images == "training"
    assert len(context.split(images)) == MOST_TRAINING


def test_a_context_does_not_change_while_the_model_trains() -> None:
    run = session_of("tiny")
    context = open_context(run)
    before, _ = predict(context)
    for parameter in run.model.parameters():
        parameter.data.zero_()
    laboratory_of(run).prediction_store.forget()

    again, _ = predict(context)
    assert before is not None
    assert again is not None
    assert bool((before.probabilities == again.probabilities).all())
