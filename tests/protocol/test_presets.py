"""The recipes of the course, one per step."""

from __future__ import annotations

from importlib import resources

from tui_trainer.protocol.config import MODELS, PRESETS, RunConfig
from tui_trainer.protocol.config_file import compose, read_preset

STEPS = range(1, 9)


def recipe(step: int) -> RunConfig:
    return compose(read_preset(f"story-{step}"))


def test_every_file_is_a_preset() -> None:
    files = (resources.files("tui_trainer") / "presets").iterdir()
    assert sorted(file.name for file in files) == [f"{name}.toml" for name in PRESETS]


def test_each_step_changes_one_thing() -> None:
    for step in STEPS[1:]:
        before, after = recipe(step - 1).as_dict(), recipe(step).as_dict()
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        assert changed == ({"augment"} if step == 7 else {"model"})


def test_the_recipes_follow_the_order_of_the_models() -> None:
    models = list(dict.fromkeys(recipe(step).model for step in STEPS))
    assert models == list(MODELS[: len(models)])
    assert (models[0], models[-1]) == ("mlp", "under-8k")


def test_they_train_on_every_image_for_few_epochs() -> None:
    assert {recipe(step).val_size for step in STEPS} == {0}
    assert {recipe(step).train_size for step in STEPS} == {None}
    assert {recipe(step).epochs for step in STEPS} == {5}
    augmented = [step for step in STEPS if not recipe(step).augmentation.is_none]
    assert augmented == [7, 8]


def test_each_names_its_step_in_its_first_line() -> None:
    for step in STEPS:
        text = resources.files("tui_trainer") / "presets" / f"story-{step}.toml"
        assert text.read_text(encoding="utf-8").startswith(f"# Step {step}, ")
