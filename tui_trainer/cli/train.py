"""``mnist-tui`` itself: a new run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui_trainer import __version__
from tui_trainer.cli.options import choice, option
from tui_trainer.headless.streams import standard_output
from tui_trainer.protocol.config import (
    AUGMENTS,
    DATASETS,
    DEVICES,
    MODELS,
    OPTIMIZERS,
    SCHEDULES,
    RunConfig,
)
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.reference import HOW

if TYPE_CHECKING:
    from tui_trainer.recording.recorder import Recorder

PRESETS = ("era-s6", "fast", *(f"story-{step}" for step in range(1, 9)), "tiny")

MODEL_HELP = f"{choice('Network (era-s6)', MODELS)}; or your own code, which is run: {HOW}"


def new_run(
    ctx: typer.Context,
    no_ui: Annotated[bool, option("Train without the window, for scripts", "--no-ui")] = False,
    json_lines: Annotated[
        bool, option("With --no-ui: events as JSON lines on stdout", "--json")
    ] = False,
    preset: Annotated[str | None, option(choice("Start from a shipped recipe", PRESETS))] = None,
    config: Annotated[Path | None, option("Start from a TOML file of settings")] = None,
    model: Annotated[str | None, option(MODEL_HELP)] = None,
    budget: Annotated[
        int | None, option("Parameters it may have, to measure it by (20000)")
    ] = None,
    dropout: Annotated[
        float | None, option("Share of features hidden, where the network has dropout layers")
    ] = None,
    dataset: Annotated[str | None, option(choice("Dataset (mnist)", DATASETS))] = None,
    data_dir: Annotated[str | None, option("A folder of MNIST-format IDX files instead")] = None,
    classes: Annotated[
        int | None, option("Classes of --data-dir, where its labels leave some out")
    ] = None,
    val_size: Annotated[
        int | None, option("Images kept for validation; 1 in 12 (at most 5,000) if not set")
    ] = None,
    train_size: Annotated[int | None, option("Train on only so many of the others")] = None,
    epochs: Annotated[int | None, option("Epochs (10)")] = None,
    batch_size: Annotated[int | None, option("Images a step (128)")] = None,
    lr: Annotated[
        float | None, option("Base learning rate (0.1 for sgd, 0.003 for adam and adamw)")
    ] = None,
    optimizer: Annotated[str | None, option(choice("Optimizer (sgd)", OPTIMIZERS))] = None,
    momentum: Annotated[float | None, option("Momentum of sgd (0.9)")] = None,
    nesterov: Annotated[
        bool | None, option("Nesterov's momentum for sgd (on)", "--nesterov/--no-nesterov")
    ] = None,
    weight_decay: Annotated[float | None, option("Weight decay (0.0005)")] = None,
    label_smoothing: Annotated[
        float | None, option("Share of each target spread over all classes (0.0)")
    ] = None,
    schedule: Annotated[
        str | None, option(choice("Course of the learning rate (one-cycle)", SCHEDULES))
    ] = None,
    step_size: Annotated[
        int | None, option("For step: epochs from one drop to the next (15)")
    ] = None,
    gamma: Annotated[float | None, option("For step: what a drop multiplies by (0.1)")] = None,
    augment: Annotated[str | None, option(choice("Amounts by name (light)", AUGMENTS))] = None,
    rotate: Annotated[float | None, option("Largest rotation, degrees")] = None,
    shift: Annotated[float | None, option("Largest shift, pixels")] = None,
    scale: Annotated[float | None, option("Largest change of size, 0.1 is 10 %")] = None,
    shear: Annotated[float | None, option("Largest shear, degrees")] = None,
    crop: Annotated[int | None, option("Side of the centre crop, of 28 pixels (22)")] = None,
    crop_probability: Annotated[float | None, option("Share of images cropped")] = None,
    interpolation: Annotated[
        str | None, option("bilinear softens the strokes a little, nearest does not")
    ] = None,
    seed: Annotated[int | None, option("The same seed repeats a run bit for bit (0)")] = None,
    device: Annotated[str | None, option(choice("Device (auto)", DEVICES))] = None,
    threads: Annotated[int | None, option("CPU threads; PyTorch's own choice if not set")] = None,
    target_accuracy: Annotated[
        float | None, option("Exit with code 3 below this test accuracy, e.g. 0.994")
    ] = None,
    probes: Annotated[
        bool | None,
        option("Look into gradients and activations now and then (on)", "--probes/--no-probes"),
    ] = None,
    out: Annotated[Path | None, option("Save the run in this folder (runs/TIME-NETWORK)")] = None,
    no_save: Annotated[bool, option("Save nothing of the run", "--no-save")] = False,
    checkpoint_every: Annotated[
        int | None, option("Keep the weights of every so many epochs, beside last and best")
    ] = None,
    theme: Annotated[str | None, option("Colours: a theme's name or TOML file")] = None,
    paused: Annotated[bool, option("Open the window with the run paused", "--paused")] = False,
    guide: Annotated[
        bool, option("Open the window with a guided path: ten minutes, step by step", "--guide")
    ] = False,
    print_config: Annotated[
        bool, option("Print the settings that would run, as TOML", "--print-config")
    ] = False,
    debug: Annotated[bool, option("Show tracebacks", "--debug")] = False,
    version: Annotated[bool, option("Print the version", "--version")] = False,
) -> None:
    """Train small convolutional networks on MNIST, and steer them while they learn.

    Without --no-ui a window opens: press ? in it for its keys.
    """
    if version:
        standard_output().line(f"mnist-tui {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is not None:
        _check_nothing_given(ctx)
        return
    settings = compose_run(ctx.params)
    if print_config:
        from tui_trainer.protocol.config_file import to_toml

        standard_output().text(to_toml(settings.resolved()))
        raise typer.Exit
    from tui_trainer.cli.fronts import check_window, run_app, run_headless

    if out is not None and no_save:
        raise InputError("--no-save: does not go with --out, which says where to save")
    check_window(theme, no_ui=no_ui, json_lines=json_lines, paused=paused, guided=guide)
    out = expanded(out)

    from tui_trainer.cli.starts import Job, Start

    job = Job(None if no_save else _recorder(out, settings))
    start = Start(job, _no_recorder if no_save else recorder_below, patient=not no_ui)
    if no_ui:
        code = run_headless(start, settings, json_lines=json_lines, debug=debug)
    else:
        code = run_app(start, settings, theme=theme, paused=paused, pictures=out, guided=guide)
    raise typer.Exit(code)


def _check_nothing_given(ctx: typer.Context) -> None:
    """Refuse options before the name of a command: they would be lost without a word.

    Raises:
        InputError: Naming the first of them.
    """
    for name, value in ctx.params.items():
        if value not in (None, False):
            given = f"--{'json' if name == 'json_lines' else name.replace('_', '-')}"
            raise InputError(f"{given}: belongs to a new run; options of a command come after it")


def compose_run(params: dict[str, Any]) -> RunConfig:
    """Lay preset, file and options over one another."""
    from tui_trainer.protocol.config import FIELD_TYPES
    from tui_trainer.protocol.config_file import Source, compose, read_config, read_preset

    given = {key: params[key] for key in FIELD_TYPES if params[key] is not None}
    sources = []
    if params["preset"] is not None:
        sources.append(read_preset(params["preset"]))
    if params["config"] is not None:
        sources.append(read_config(params["config"]))
    return compose(*sources, Source(given))


def expanded(out: Path | None) -> Path | None:
    """Return a folder with ``~`` written out.

    Raises:
        InputError: If there is no such user.
    """
    try:
        return out.expanduser() if out is not None else None
    except RuntimeError:
        raise InputError(f"--out {out}: there is no such user; choose another folder") from None


def _recorder(out: Path | None, config: RunConfig) -> Recorder:
    from tui_trainer.recording.recorder import Recorder

    return recorder_below(config) if out is None else Recorder.create(out, config.resolved())


def recorder_below(config: RunConfig) -> Recorder:
    """Return the recorder of a new run in a new folder among the others.

    Raises:
        InputError: If none can be made.
    """
    from tui_trainer.recording.folder import RUNS
    from tui_trainer.recording.recorder import Recorder

    return Recorder.create_below(RUNS, config.resolved())


def _no_recorder(config: RunConfig) -> None:
    """Record a run nowhere."""
