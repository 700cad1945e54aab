"""``mnist-tui find-lr``: learning rate range tests over several seeds."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import typer

from tui_trainer.cli import options as opt
from tui_trainer.cli.moved_paths import MovedPaths
from tui_trainer.cli.options import option
from tui_trainer.cli.saved import SavedRun, answers, check_resumable, saved_run
from tui_trainer.cli.train import compose_run
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.config import SETTINGS, RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exhibit import Control, Value
from tui_trainer.protocol.lr_range import (
    FRESH,
    NOW,
    SEEDS,
    START,
    STEPS,
    TOPIC,
    range_controls,
)
from tui_trainer.protocol.settings import option_of
from tui_trainer.text.fmt import learning_rate

TESTED_SETTINGS = [name for name in SETTINGS if name != "model"]
"""All settings of a run: a command with ``--lr`` at its end then finds another value for it."""

OF_RECORDED = ("model", "data_dir", "threads", "seed")
"""The settings that may be given with ``--run``: where its files are, and what does not train."""


@opt.with_settings(TESTED_SETTINGS, after="config")
def find_lr(
    ctx: typer.Context,
    argument: opt.ModelArgument = None,
    model: opt.ModelOption = None,
    seeds: Annotated[
        int | None, option(f"Number of tests ({SEEDS.value:g}); their seeds follow --seed")
    ] = None,
    steps: Annotated[int | None, option(f"Updates of each test ({STEPS.value:g})")] = None,
    low: Annotated[
        float | None, option("Lowest learning rate (1e-4 for sgd, else 1e-6)", "--from")
    ] = None,
    high: Annotated[
        float | None, option("Highest learning rate (10 for sgd, else 1)", "--to")
    ] = None,
    run: Annotated[
        str | None,
        option("Test from the weights of this recorded run: name or folder", "--run"),
    ] = None,
    checkpoint: Annotated[
        str | None, option("With --run: last, best or epoch-N (last)", "--checkpoint")
    ] = None,
    as_json: opt.JsonObject = False,
    preset: opt.PresetOption = None,
    config: opt.ConfigFile = None,
    debug: opt.Debug = False,
    **settings: Any,
) -> None:
    """Find a learning rate: range tests over several seeds, and how well they repeat.

    Trains copies while the learning rate grows; nothing is recorded. Exit code 13 if no learning
    rate can be suggested.
    """
    numbers = (_checked(SEEDS, "seeds", seeds), _checked(STEPS, "steps", steps))
    ctx.params["model"] = opt.one_model(argument, model)
    if run is None:
        if checkpoint is not None:
            raise InputError("--checkpoint: needs --run RUN, whose checkpoint it is")
        found, saved = compose_run(ctx.params), None
    else:
        saved = _saved(ctx.params, run, checkpoint or "last")
        found = saved.settings(threads=settings["threads"], seed=settings["seed"])
    choices = (
        (START.name, NOW if saved else FRESH),
        *numbers,
        *_range(found.optimizer, low, high),
    )
    from tui_trainer.headless.lr_report import print_lr

    events = answers(found, [Ask(TOPIC, choices, "confirmed")], saved)
    command = _resume_command(saved) if saved else _train_command(ctx.params)
    name = saved.folder.name if saved else ""
    raise typer.Exit(print_lr(events, command, run=name, as_json=as_json))


def _checked(control: Control, name: str, value: float | None) -> tuple[str, Value]:
    """Return the choice of a control.

    Raises:
        InputError: If the value is beyond its limits.
    """
    value = float(control.value) if value is None else value
    low, high = control.low, control.high
    assert low is not None
    assert high is not None
    if not low <= value <= high:
        raise InputError(f"--{name} {value:g}: choose from {low:g} to {high:,g}")
    return control.name, float(value)


def _range(
    optimizer: str, low: float | None, high: float | None
) -> tuple[tuple[str, Value], tuple[str, Value]]:
    """Return the choices of the ends of the range.

    Raises:
        InputError: If they cannot be used.
    """
    first, last = range_controls(optimizer)
    ends = _checked(first, "from", low), _checked(last, "to", high)
    bottom, top = (float(value) for _, value in ends)
    if not bottom < top:
        given = (
            f"--to {learning_rate(top)}" if high is not None else f"--from {learning_rate(bottom)}"
        )
        raise InputError(
            f"{given}: the range from {learning_rate(bottom)} to {learning_rate(top)} is empty; "
            "choose --from below --to"
        )
    return ends


# --- a recorded run


def _saved(params: dict[str, Any], run: str, checkpoint: str) -> SavedRun:
    """Return a recorded run up to a checkpoint.

    Raises:
        InputError: If it cannot be used, or a setting is given that it has already.
    """
    for key in ("preset", "config", *SETTINGS):
        if params[key] is not None and key not in OF_RECORDED:
            raise InputError(
                f"{option_of(key)}: cannot be used with --run; the test trains as the run does"
            )
    saved = saved_run(run, checkpoint, moved=MovedPaths(params["model"], params["data_dir"]))
    check_resumable(saved.metadata, saved.folder)
    return saved


def _resume_command(saved: SavedRun) -> str:
    """Return the start of the command that goes on with the run; empty if its epochs are done."""
    if saved.is_complete:
        return ""
    words = ["mnist-tui", "resume", saved.folder.name]
    if (name := saved.checkpoint.stem) != "last":
        words += ["--checkpoint", name]
    return shlex.join(words)


# --- a new run


def _train_command(params: dict[str, Any]) -> str:
    """Return the start of the command that trains with the given settings."""
    defaults = RunConfig()
    words = ["mnist-tui"]
    if params["model"] not in (None, defaults.model):
        words.append(params["model"])
    words += [
        word
        for key in ("preset", "config")
        if params[key] is not None
        for word in (option_of(key), str(params[key]))
    ]
    for name, row in SETTINGS.items():
        value = params[name]
        if value is None or name in ("model", "lr"):
            continue
        if row.kind is bool:
            words.append(option_of(name) if value else f"--no-{name}")
        else:
            words += [option_of(name), str(value)]
    return shlex.join(words)
