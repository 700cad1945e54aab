"""``mnist-tui check``: would a training with these settings go well?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui_trainer.cli.options import NetworkArgument, NetworkOption, choice, one_network, option
from tui_trainer.cli.train import PRESETS, compose_run
from tui_trainer.protocol.config import (
    AUGMENTS,
    DATASETS,
    DEVICES,
    FIELD_TYPES,
    OPTIMIZERS,
    SCHEDULES,
)

if TYPE_CHECKING:
    from tui_trainer.protocol.events import Event


def check(
    ctx: typer.Context,
    network: NetworkArgument = None,
    model: NetworkOption = None,
    as_json: Annotated[bool, option("As one JSON object", "--json")] = False,
    preset: Annotated[str | None, option(choice("Start from a shipped recipe", PRESETS))] = None,
    config: Annotated[Path | None, option("Start from a TOML file of settings")] = None,
    dropout: Annotated[
        float | None, option("Share of features hidden, where the network has dropout layers")
    ] = None,
    dataset: Annotated[str | None, option(choice("Dataset (mnist)", DATASETS))] = None,
    data_dir: Annotated[str | None, option("A folder of MNIST-format IDX files instead")] = None,
    classes: Annotated[
        int | None, option("Classes of --data-dir, where its labels leave some out")
    ] = None,
    val_size: Annotated[int | None, option("Images kept for validation")] = None,
    train_size: Annotated[int | None, option("Train on only so many of the others")] = None,
    epochs: Annotated[int | None, option("Epochs (10)")] = None,
    batch_size: Annotated[int | None, option("Images a step (128)")] = None,
    lr: Annotated[
        float | None, option("Base learning rate (0.1 for sgd, 0.003 for adam and adamw)")
    ] = None,
    optimizer: Annotated[str | None, option(choice("Optimizer (sgd)", OPTIMIZERS))] = None,
    momentum: Annotated[float | None, option("Momentum of sgd (0.9)")] = None,
    weight_decay: Annotated[float | None, option("Weight decay (0.0005)")] = None,
    schedule: Annotated[
        str | None, option(choice("Course of the learning rate (one-cycle)", SCHEDULES))
    ] = None,
    augment: Annotated[str | None, option(choice("Amounts by name (light)", AUGMENTS))] = None,
    seed: Annotated[int | None, option("The run's seed (0)")] = None,
    device: Annotated[str | None, option(choice("Device (auto)", DEVICES))] = None,
    threads: Annotated[int | None, option("CPU threads; found by a short trial if not set")] = None,
    debug: Annotated[bool, option("Show tracebacks", "--debug")] = False,
) -> None:
    """Try the first steps of a training, in about 20 seconds; exit code 6 if it would fail."""
    given = {**dict.fromkeys(FIELD_TYPES), **ctx.params, "model": one_network(network, model)}
    settings = compose_run(given)
    from tui_trainer.headless.check_report import print_check

    def begin() -> Iterator[Event]:
        from tui_trainer.lab.standalone import check_run

        yield from check_run(settings)

    raise typer.Exit(print_check(begin(), as_json=as_json))
