"""How new a judgement must be, and what it is of."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import pytest

from tests.lab.views.conftest import Scenes, laboratory_of, session_of, set_scene
from tui_trainer.lab.context import MOST_TRAINING, PATIENCE, Context
from tui_trainer.lab.predictions import Predictions, PredictionStore


def judged(scene: Context, images: str = "validation") -> tuple[Predictions | None, int]:
    """Return a judgement, and in how many parts it was made."""

    def work() -> Generator[None, None, None]:
        found.append((yield from scene.judged(images)))

    found: list[Predictions | None] = []
    parts = sum(1 for _ in work())
    return found[0], parts


@pytest.fixture
def scene(scene_of: Scenes) -> Context:
    return replace(scene_of("tiny"), predictions=PredictionStore())


def later(scene: Context, step: int, **fields: object) -> Context:
    return replace(scene, step=step, **fields)  # type: ignore[arg-type]


def test_the_same_weights_are_judged_once(scene: Context) -> None:
    first, parts = judged(scene)
    again, none = judged(scene)

    assert parts > 0
    assert none == 0
    assert again is first


def test_other_weights_are_judged_anew_where_nothing_is_trained_meanwhile(scene: Context) -> None:
    judged(scene)
    second, parts = judged(later(scene, 9))

    assert parts > 0
    assert second is not None
    assert second.step == 9


def test_while_batches_are_trained_what_is_opened_fits_what_it_was_opened_from(
    scene: Context,
) -> None:
    first, _ = judged(replace(scene, began=100.0, patience=PATIENCE))
    soon = later(scene, 9, began=100.0 + PATIENCE / 2, patience=PATIENCE)
    late = later(scene, 30, began=101.0 + PATIENCE, patience=PATIENCE)

    assert judged(soon)[0] is first
    assert soon.shown_step == 0
    assert judged(late)[0] is not first
    assert late.shown_step == 30


def test_who_follows_takes_what_the_end_of_an_epoch_has_found_but_once(scene: Context) -> None:
    judged(scene)
    found = scene.predictions.judged["validation"]
    scene.predictions.keep(replace(found, step=20))
    following = later(scene, 25, follows=True)

    assert judged(following) == (scene.predictions.judged["validation"], 0)
    assert judged(following)[1] > 0


def test_the_test_set_is_judged_by_looks_alone(scene: Context) -> None:
    assert judged(scene, "test") == (None, 0)


def test_where_there_is_no_validation_split_the_first_training_images_stand_in() -> None:
    scene = set_scene(session_of("tiny", train_size=MOST_TRAINING + 100, val_size=0))
    images = str(scene.images_control.value)

    assert images == "training"
    assert len(scene.split(images)) == MOST_TRAINING


def test_a_scene_stays_as_it_was_while_the_network_goes_on() -> None:
    run = session_of("tiny")
    scene = set_scene(run)
    before, _ = judged(scene)
    for parameter in run.model.parameters():
        parameter.data.zero_()
    laboratory_of(run).predictions.forget()

    again, _ = judged(scene)
    assert before is not None
    assert again is not None
    assert bool((before.probabilities == again.probabilities).all())
