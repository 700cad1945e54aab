"""The settings resulting from options, file and preset, and their texts in --help."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.cli.conftest import Cli, Printed
from tui_trainer import __version__, cli
from tui_trainer.cli.train import compose_run
from tui_trainer.protocol.config import MODELS, SETTINGS, RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.protocol.settings import GROUPS


def parameters() -> list[Any]:
    return list(typer.main.get_command(cli.app).params)


def test_every_setting_has_an_option() -> None:
    flags = {parameter.name: parameter.opts for parameter in parameters()}
    for field in dataclasses.fields(RunConfig):
        assert f"--{field.name.replace('_', '-')}" in flags[field.name]


def test_check_has_an_option_for_every_setting() -> None:
    commands: Any = typer.main.get_command(cli.app)
    names = {parameter.name for parameter in commands.commands["check"].params}
    assert names >= SETTINGS.keys()


# A value other than the default for every setting; together they are a valid run.
OTHERS: dict[str, Any] = {
    "model": "era-s6-dropout",
    "budget": 8_000,
    "dropout": 0.25,
    "dataset": "kmnist",
    "data_dir": "/data/números 数字",
    "image_size": 64,
    "fit": "pad",
    "channels": 3,
    "classes": 7,
    "val_size": 60,
    "train_size": 99,
    "epochs": 3,
    "batch_size": 7,
    "seed": 4_294_967_295,
    "optimizer": "adamw",
    "lr": 0.017,
    "momentum": 0.5,
    "nesterov": False,
    "weight_decay": 0.25,
    "label_smoothing": 0.1,
    "schedule": "step",
    "step_size": 2,
    "gamma": 0.75,
    "resize_until": 0.25,
    "resize_to": 16,
    "augment": "course",
    "rotate": 1.5,
    "shift": 2.5,
    "scale": 0.35,
    "shear": 4.5,
    "crop": 21,
    "crop_probability": 0.65,
    "interpolation": "bilinear",
    "flip": 0.25,
    "pad_shift": 3,
    "jitter": 0.15,
    "cutout": 9,
    "augment_until": 0.5,
    "device": "cpu",
    "precision": "bf16",
    "threads": 3,
    "memory_share": 0.35,
    "target_accuracy": 0.994,
    "last": 2,
    "checkpoint_every": 3,
    "test": False,
    "probes": False,
}


def as_flags(settings: dict[str, Any]) -> list[str]:
    words = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        words += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else []
        words += [] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return words


def test_every_option_reaches_its_setting(printed: Printed) -> None:
    assert OTHERS.keys() == SETTINGS.keys()
    assert printed(*as_flags(OTHERS)) == RunConfig(**OTHERS)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--preset", "era-s6"],
        ["--augment", "none", "--crop", "20", "--no-nesterov", "--optimizer", "adam"],
        as_flags(OTHERS),
    ],
)
def test_what_is_printed_prints_the_same_again(
    run: Cli, tmp_path: Path, arguments: list[str]
) -> None:
    code, first, err = run(*arguments, "--print-config")
    assert (code, err) == (0, "")
    path = tmp_path / "run.toml"
    path.write_text(first, encoding="utf-8")
    assert run("--config", path, "--print-config") == (0, first, "")


def test_options_lie_over_the_file_and_the_file_over_the_preset(
    printed: Printed, tmp_path: Path
) -> None:
    path = tmp_path / "run.toml"
    path.write_text("epochs = 7\nbatch_size = 33\nseed = 5\n")
    config = printed("--seed", "6", "--config", path, "--preset", "era-s6", "--epochs", "8")
    assert (config.epochs, config.batch_size, config.seed) == (8, 33, 6)
    assert (config.schedule, config.lr) == ("step", 0.01)


def test_the_augmentation_of_a_printed_file_can_be_switched_off(
    run: Cli, printed: Printed, tmp_path: Path
) -> None:
    path = tmp_path / "run.toml"
    path.write_text(run("--print-config")[1])
    assert not printed("--config", path).augmentation.is_none
    assert printed("--config", path, "--augment", "none").augmentation.is_none


def test_an_explicit_default_lies_over_the_file(printed: Printed, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("epochs = 7\nnesterov = false\n")
    config = printed("--config", path, "--epochs", "10", "--nesterov")
    assert (config.epochs, config.nesterov) == (10, True)


# Help


def test_the_version(run: Cli) -> None:
    assert run("--version") == (0, f"mnist-tui {__version__}\n", "")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_has_every_option_in_a_section(run: Cli, flag: str) -> None:
    code, out, err = run(flag)
    assert (code, err) == (0, "")
    for parameter in parameters():
        assert (parameter.opts[0] in out) != getattr(parameter, "hidden", False)
    titles = ("How to run", *GROUPS, "Window", "Information")
    places = [out.index(f"\n{title}:\n") for title in titles]
    assert places == sorted(places)
    assert "Options:\n" not in out
    for code_ in ExitCode:
        assert f"{code_.value:>3}  {code_.meaning}" in out


def test_help_shows_the_true_defaults() -> None:
    helps = {parameter.name: parameter.help for parameter in parameters()}
    defaults = RunConfig()
    output = 0
    for field in dataclasses.fields(RunConfig):
        value = getattr(defaults, field.name)
        if value is not None:
            shown = {True: "on", False: "off"}[value] if isinstance(value, bool) else value
            assert f"({shown})" in helps[field.name], field.name
            output += 1
    assert output > 10
    rates = (RunConfig(optimizer=name).base_lr for name in ("sgd", "adam"))
    assert "({} for sgd, {} for adam and adamw)".format(*rates) in helps["lr"]
    assert ", ".join(MODELS) in helps["model"]


def test_help_lists_every_preset() -> None:
    helps = {parameter.name: parameter.help for parameter in parameters()}
    with pytest.raises(InputError) as caught:
        compose_run(dict.fromkeys([*SETTINGS, "config"]) | {"preset": "none"})
    presets = str(caught.value).partition("choose ")[2]
    assert helps["preset"].endswith(presets)
