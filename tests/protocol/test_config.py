from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.protocol.commands import KNOBS
from tui_trainer.protocol.config import (
    AUGMENTS,
    DATASETS,
    MODELS,
    NAMED_AUGMENTATIONS,
    SETTINGS,
    Augmentation,
    RunConfig,
)
from tui_trainer.protocol.errors import SettingError

# name, minimum, maximum, too small, too large; None if there is no such limit
LIMITS: list[tuple[str, Any, Any, Any, Any]] = [
    ("budget", 1, 10**12, 0, 10**12 + 1),
    ("dropout", 0.0, 0.95, -0.01, 0.96),
    ("image_size", 8, 256, 7, 257),
    ("channels", 1, 3, 0, 4),
    ("classes", 2, 1_000, 1, 1_001),
    ("val_size", 0, None, -1, None),
    ("train_size", 1, None, 0, None),
    ("epochs", 1, 10_000, 0, 10_001),
    ("checkpoint_every", 1, 10_000, 0, 10_001),
    ("batch_size", 1, 65_536, 0, 65_537),
    ("seed", 0, 2**32 - 1, -1, 2**32),
    ("lr", 1e-300, 1_000.0, 0.0, 1_000.1),
    ("lr", 1e-300, 1_000.0, -1.0, 1e30),
    ("momentum", 0.0, 0.9999, -0.1, 1.0),
    ("weight_decay", 0.0, 10.0, -1e-9, 10.1),
    ("label_smoothing", 0.0, 0.9, -0.1, 0.91),
    ("step_size", 1, 10_000, 0, 10_001),
    ("gamma", 1e-6, 1.0, 0.0, 1.01),
    ("resize_until", 0.0, 1.0, -0.1, 1.1),
    ("resize_to", 4, 128, 3, 129),
    ("rotate", 0.0, 180.0, -1.0, 181.0),
    ("shift", 0.0, 64.0, -1.0, 65.0),
    ("scale", 0.0, 0.9, -0.1, 0.91),
    ("shear", 0.0, 60.0, -1.0, 61.0),
    ("crop", 4, 28, 3, 29),
    ("crop_probability", 0.0, 1.0, -0.1, 1.1),
    ("flip", 0.0, 1.0, -0.1, 1.1),
    ("pad_shift", 0, 32, -1, 33),
    ("jitter", 0.0, 0.9, -0.1, 0.91),
    ("cutout", 0, 128, -1, 129),
    ("augment_until", 0.0, 1.0, -0.1, 1.1),
    ("threads", 1, 1_024, 0, 1_025),
    ("memory_share", 0.0, 1.0, -0.1, 1.1),
    ("target_accuracy", 0.0, 1.0, -0.1, 99.4),
    ("last", 1, 10_000, 0, 10_001),
]

NUMBERS = [name for name, setting in SETTINGS.items() if setting.kind in (int, float)]


def error_of(**settings: Any) -> SettingError:
    with pytest.raises(SettingError) as caught:
        RunConfig(**settings)
    return caught.value


def test_the_documented_defaults() -> None:
    config = RunConfig()
    assert (config.model, config.dataset, config.epochs, config.batch_size) == (
        "era-s6",
        "mnist",
        10,
        128,
    )
    assert config.target_accuracy is None


def test_every_number_has_limits() -> None:
    assert {name for name, *_ in LIMITS} == set(NUMBERS)


@pytest.mark.parametrize(("name", "least", "greatest", "too_little", "too_much"), LIMITS)
def test_limits(name: str, least: Any, greatest: Any, too_little: Any, too_much: Any) -> None:
    # Without Nesterov momentum, 0 is a valid momentum.
    for value in (least, greatest):
        config = RunConfig(**{"nesterov": False, name: value})
        assert getattr(config, name) == value
    for value in (too_little, too_much):
        if value is not None:
            error = error_of(**{name: value})
            assert error.key == name
            assert error.problem.endswith(f"not {value!r}") or error.problem.endswith("not 0")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_numbers_are_refused(name: str, value: float) -> None:
    error = error_of(**{name: value})
    assert error.key == name
    wanted = "a finite number" if SETTINGS[name].kind is float else "an integer"
    assert error.problem == f"needs {wanted}, not {value}"


@pytest.mark.parametrize("name", [name for name, _, end, *_ in LIMITS if end is not None])
@pytest.mark.parametrize("value", [10**30, -(10**400), 16**6_000], ids=["30", "-400", "7000"])
def test_huge_integers_are_refused_in_a_short_line(name: str, value: int) -> None:
    error = error_of(**{name: value})
    assert error.key == name
    assert len(error.problem) < 200


def test_numbers_in_messages_are_not_rounded() -> None:
    assert error_of(epochs=123_456_789).problem.endswith("not 123456789")
    assert error_of(target_accuracy=1.0000001).problem.endswith("not 1.0000001")
    assert error_of(momentum=0.99999).problem == "momentum must be from 0 to 0.9999, not 0.99999"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("model", 3, "a string in quotes"),
        ("model", None, "a string in quotes"),
        ("epochs", "3", "an integer"),
        ("epochs", 3.0, "an integer"),
        ("epochs", True, "an integer"),
        ("epochs", None, "an integer"),
        ("lr", "0.1", "a number"),
        ("lr", False, "a number"),
        ("lr", {"value": 0.1}, "a number"),
        ("nesterov", 1, "true or false"),
        ("nesterov", None, "true or false"),
        ("data_dir", ["a"], "a string in quotes"),
    ],
)
def test_types(name: str, value: object, wanted: str) -> None:
    error = error_of(**{name: value})
    assert error.key == name
    assert error.problem == f"needs {wanted}, not {value!r}"


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("dataset", "mnist, fashion-mnist"),
        ("optimizer", "sgd, adam, adamw"),
        ("fit", "crop, pad, stretch"),
        ("schedule", "constant, step, cosine, one-cycle"),
        ("augment", "none, light, course"),
        ("interpolation", "bilinear, nearest"),
        ("device", "auto, cpu, cuda, mps"),
    ],
)
@pytest.mark.parametrize("value", ["", "resnet", "MNIST", "era-s6 "])
def test_an_unknown_name_lists_the_known_ones(name: str, choices: str, value: str) -> None:
    error = error_of(**{name: value})
    assert error.key == name
    assert error.problem.startswith(f"unknown {name} {value!r}; choose {choices}")


def test_a_very_long_value_is_shortened() -> None:
    assert len(error_of(model="x" * 100_000).problem) < 200 + len(", ".join(MODELS))
    assert len(error_of(model="x:" * 100_000).problem) < 200
    assert len(error_of(lr=list(range(100_000))).problem) < 200


@pytest.mark.parametrize("value", ["", "resnet", "lenet", "net.pyc", "数字"])
def test_an_unknown_model_lists_the_known_ones_and_the_reference_syntax(value: str) -> None:
    error = error_of(model=value)
    assert error.key == "model"
    assert error.problem == (
        f"unknown model {value!r}; choose {', '.join(MODELS)}, or a custom model: "
        "path/to/file.py:ClassName or package.module:factory"
    )


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("era-s7", "era-s6"),
        ("ERA-S6", "era-s6"),
        ("era-s6 ", "era-s6"),
        ("squeze", "squeeze"),
        ("under_8k", "under-8k"),
    ],
)
def test_a_similar_model_is_suggested(value: str, meant: str) -> None:
    assert error_of(model=value).problem == (
        f"unknown model {value!r}; did you mean {meant}? --help lists them all"
    )


CUSTOM = [
    "net.py:Net",
    "net.py",
    "NET.PY:Net",
    "lab/net.py:make_net",
    "~/lab/net.py:Net",
    "/home/ada/my lab/größe.py:Größe",
    "a:b.py:Net",
    "package.module:factory",
    "torchvision.models:resnet18",
    "nets:Net",
]


@pytest.mark.parametrize("model", CUSTOM)
def test_a_custom_model_is_a_valid_model(model: str) -> None:
    assert RunConfig(model=model).model == model


@pytest.mark.parametrize(
    "model", [":", ":Net", "nets:", "a b:Net", "lab/net:Net", "a..b:Net", "a:b:c"]
)
def test_malformed_references_are_refused(model: str) -> None:
    assert error_of(model=model).problem == (
        f"{model!r} is no custom model; write path/to/file.py:ClassName or package.module:factory"
    )


@pytest.mark.parametrize(
    ("model", "meant"), [("net.py:Net()", "net.py:Net"), ("net.py:1", "net.py:ClassName")]
)
def test_a_reference_that_is_a_call_is_refused(model: str, meant: str) -> None:
    assert error_of(model=model).problem == (
        f"{model!r}: write one name after the colon, without parentheses: {meant}"
    )
    assert len(error_of(model="x" * 100_000 + model).problem) < 400


@pytest.mark.parametrize("model", CUSTOM)
def test_a_file_keeps_its_path(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    resolved = RunConfig(model=model).resolved()

    if ".py" in model.lower():
        file, there = model.removeprefix("~/"), resolved.model
        assert there.startswith("/")
        assert there.endswith(file)
        is_below = not model.startswith(("~", "/"))
        assert (there == f"{tmp_path}/{file}") is is_below
    else:
        assert resolved.model == model
    monkeypatch.chdir("/")
    assert resolved.resolved() == resolved


def test_the_path_is_absolute_and_normalized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunConfig(model="lab/../net.py:Net").resolved().model == f"{tmp_path}/net.py:Net"


@pytest.mark.parametrize("value", ["", "/data/\udcff", "\ud800"])
def test_a_folder_must_be_a_string(value: str) -> None:
    assert error_of(data_dir=value).key == "data_dir"


def test_a_folder_may_have_any_characters() -> None:
    assert RunConfig(data_dir="/data/números 数字 🙂").data_dir == "/data/números 数字 🙂"


def test_only_sgd_needs_momentum_for_nesterov() -> None:
    assert error_of(momentum=0.0).key == "nesterov"
    assert RunConfig(momentum=0.0, nesterov=False).momentum == 0
    assert RunConfig(momentum=0.0, optimizer="adam").momentum == 0


@pytest.mark.parametrize(("optimizer", "lr"), [("sgd", 0.1), ("adam", 0.003), ("adamw", 0.003)])
def test_the_default_lr_depends_on_the_optimizer(optimizer: str, lr: float) -> None:
    assert RunConfig(optimizer=optimizer).base_lr == lr
    assert RunConfig(optimizer=optimizer, lr=0.02).base_lr == 0.02
    assert RunConfig(optimizer=optimizer).resolved().lr == lr


def test_only_the_course_preset_uses_nearest_interpolation() -> None:
    assert RunConfig().augmentation.interpolation == "bilinear"
    assert RunConfig(augment="course").augmentation.interpolation == "nearest"
    mixed = RunConfig(augment="course", interpolation="bilinear").augmentation
    assert (mixed.rotate, mixed.interpolation) == (15, "bilinear")


def test_an_int_is_a_valid_float() -> None:
    assert RunConfig(lr=1).base_lr == 1


@pytest.mark.parametrize("name", AUGMENTS)
def test_an_augmentation_preset(name: str) -> None:
    assert RunConfig(augment=name, data_dir="x").augmentation == NAMED_AUGMENTATIONS[name]
    assert NAMED_AUGMENTATIONS[name].is_none == (name == "none")


def test_single_values_override_the_augmentation_preset() -> None:
    config = RunConfig(augment="light", rotate=30.0, scale=0.0)
    assert config.augmentation == Augmentation(rotate=30.0, shift=2.0, scale=0.0)


@pytest.mark.parametrize("dataset", DATASETS)
def test_no_preset_flips_digits_or_letters(dataset: str) -> None:
    pictures = {"fashion-mnist", "cifar10", "cifar100", "stl10"}
    config = RunConfig(augment="color", dataset=dataset)
    assert config.augmentation.flip == (0.5 if dataset in pictures else 0.0)
    assert config.augmentation.pad_shift == 4
    # A flip that is set is done, with a warning: this is a laboratory.
    assert dataclasses.replace(config, flip=0.3).augmentation.flip == 0.3
    assert config.resolved().augmentation == config.augmentation


@pytest.mark.parametrize(
    ("settings", "crop", "share"),
    [
        ({"augment": "none", "crop": 20}, 20, 0.1),
        ({"augment": "none", "crop": 20, "crop_probability": 0.5}, 20, 0.5),
        ({"augment": "none", "crop": 20, "crop_probability": 0.0}, 20, 0.0),
        ({"augment": "none", "crop_probability": 0.5}, 22, 0.5),
        ({"augment": "course", "crop": 24}, 24, 0.1),
    ],
)
def test_a_crop_size_alone_sets_a_crop_probability(
    settings: dict[str, Any], crop: int, share: float
) -> None:
    augmentation = RunConfig(**settings).augmentation
    assert (augmentation.crop, augmentation.crop_probability) == (crop, share)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"augment": "none"},
        {"augment": "course", "optimizer": "adam"},
        {"augment": "none", "crop": 20},
        {"augment": "none", "crop": 20, "crop_probability": 0.0},
        {"rotate": 0.0, "shift": 0.0, "scale": 0.0},
    ],
)
def test_resolved_is_the_same_run(settings: dict[str, Any]) -> None:
    config = RunConfig(**settings)
    resolved = config.resolved()
    assert resolved.augmentation.is_none == config.augmentation.is_none
    if not config.augmentation.is_none:
        assert resolved.augmentation == config.augmentation
    assert resolved.base_lr == config.base_lr
    assert resolved.resolved() == resolved


def test_as_dict_omits_none() -> None:
    settings = RunConfig(lr=0.5).as_dict()
    assert settings["lr"] == 0.5
    assert "data_dir" not in settings
    assert RunConfig(**settings) == RunConfig(lr=0.5)
    names = [field.name for field in dataclasses.fields(RunConfig)]
    assert list(settings) == [name for name in names if name in settings]


def test_a_knob_set_after_the_run_is_a_setting_of_the_next() -> None:
    config = RunConfig(augment="course", rotate=20.0)
    assert config.with_knob("augmentation", 0).augmentation.is_none
    assert not RunConfig(augment="none").with_knob("augmentation", 1).augmentation.is_none
    assert config.with_knob("base_lr", 0.5).base_lr == 0.5
    assert config.with_knob("batch_size", 64).batch_size == 64
    assert config.with_knob("dropout", 0.1).dropout == 0.1
    assert config.with_knob("epochs", 3).epochs == 3


def test_every_knob_is_a_setting() -> None:
    assert {setting.knob for setting in SETTINGS.values()} == {"", *KNOBS}


def test_it_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig().epochs = 3  # type: ignore[misc]
