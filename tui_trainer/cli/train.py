"""The command line: read what is asked, put the pieces together, pick the front end.

Nothing heavy is imported at the top: ``--help`` and ``--version`` answer at once, and the app's
first frame is on screen while torch loads on the training thread.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui_trainer import __version__
from tui_trainer.cli_help import EPILOG, SectionedCommand, choice, option
from tui_trainer.run.config import (
    AUGMENTS,
    DATASETS,
    DEVICES,
    MODELS,
    OPTIMIZERS,
    SCHEDULES,
    RunConfig,
)
from tui_trainer.run.errors import InputError
from tui_trainer.run.exit_codes import ExitCode

if TYPE_CHECKING:
    from tui_trainer.run.commands import Inbox
    from tui_trainer.run.events import Event
    from tui_trainer.run.recorder import Recorder

LEAST_COLUMNS, LEAST_LINES = 60, 16
"""The smallest terminal that the window opens in."""

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.command(cls=SectionedCommand, epilog=EPILOG)
def run(
    ctx: typer.Context,
    no_ui: Annotated[bool, option("Train without the window, for scripts", "--no-ui")] = False,
    json_lines: Annotated[
        bool, option("With --no-ui: events as JSON lines on stdout", "--json")
    ] = False,
    preset: Annotated[str | None, option("Start from a shipped recipe: era-s6, fast, tiny")] = None,
    config: Annotated[Path | None, option("Start from a TOML file of settings")] = None,
    model: Annotated[str | None, option(choice("Network (era-s6)", MODELS))] = None,
    dropout: Annotated[
        float | None, option("Share of features hidden, for era-s6-dropout (0.05)")
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
    out: Annotated[Path | None, option("Record config and events in this new folder")] = None,
    theme: Annotated[str | None, option("Colours: a theme's name or TOML file")] = None,
    paused: Annotated[bool, option("Open the window with the run paused", "--paused")] = False,
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
        typer.echo(f"mnist-tui {__version__}")
        raise typer.Exit
    settings = _compose(ctx.params)
    if print_config:
        from tui_trainer.run.config_file import to_toml

        # As bytes: TOML is UTF-8 whatever the locale is.
        typer.echo(to_toml(settings.resolved()).encode(), nl=False)
        raise typer.Exit
    if json_lines and not no_ui:
        raise InputError("--json: needs --no-ui; the window has the terminal to itself")
    if paused and no_ui:
        raise InputError("--paused: opens the window paused; it does not go with --no-ui")
    if theme is not None:
        from tui_trainer.ui.themes import find

        find(theme)
    if not no_ui:
        _check_terminal()
    out = _expanded(out)
    recorder = _recorder(out, settings)
    if no_ui:
        code = _run_headless(settings, recorder, json_lines=json_lines, debug=debug)
    else:
        code = _run_app(settings, recorder, theme=theme, paused=paused, pictures=out)
    raise typer.Exit(code)


def _compose(params: dict[str, Any]) -> RunConfig:
    """Lay preset, file and options over one another."""
    from tui_trainer.run.config import FIELD_TYPES
    from tui_trainer.run.config_file import Source, compose, read_config, read_preset

    given = {key: params[key] for key in FIELD_TYPES if params[key] is not None}
    sources = []
    if params["preset"] is not None:
        sources.append(read_preset(params["preset"]))
    if params["config"] is not None:
        sources.append(read_config(params["config"]))
    return compose(*sources, Source(given))


def _expanded(out: Path | None) -> Path | None:
    try:
        return out.expanduser() if out is not None else None
    except RuntimeError:
        raise InputError(f"--out {out}: there is no such user; choose another folder") from None


def _recorder(out: Path | None, settings: RunConfig) -> Recorder | None:
    if out is None:
        return None
    from tui_trainer.run.recorder import Recorder

    return Recorder(out, settings.resolved())


class _Start:
    """Begins a run, on the thread that asks for its first event."""

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder

    def __call__(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        from tui_trainer.run.findings import with_findings

        events = with_findings(_train(config, inbox))
        # The folder is one run's own: a second run in the same window is not recorded in it.
        recorder, self._recorder = self._recorder, None
        return recorder.record(events) if recorder is not None else events


def _train(config: RunConfig, inbox: Inbox) -> Iterator[Event]:
    """Load torch, then train: the slow import belongs to the training thread too."""
    from tui_trainer.run.events import StateChanged

    yield StateChanged(state="preparing", step=0, detail="loading PyTorch")
    from tui_trainer.engine.loop import train

    yield from train(config, inbox)


def _run_headless(
    settings: RunConfig, recorder: Recorder | None, *, json_lines: bool, debug: bool
) -> int:
    from tui_trainer.headless import run_headless
    from tui_trainer.run.commands import Inbox

    inbox = Inbox()
    return run_headless(
        _Start(recorder)(settings, inbox),
        inbox,
        json_lines=json_lines,
        target_accuracy=settings.target_accuracy,
        debug=debug,
    )


def _run_app(
    settings: RunConfig,
    recorder: Recorder | None,
    *,
    theme: str | None,
    paused: bool,
    pictures: Path | None,
) -> int:
    from tui_trainer.ui.app import MnistTui
    from tui_trainer.ui.farewell import farewell

    window = MnistTui(_Start(recorder), settings, theme=theme, paused=paused, pictures=pictures)
    window.run()
    code, words = farewell(window)
    if words:
        print(words, file=sys.stderr if code else sys.stdout, flush=True)
    if window.run_now.bridge.is_alive:
        # A thread that is still loading or in the middle of a batch must not hold up the shell.
        sys.stdout.flush()
        os._exit(code)
    return code


def _check_terminal() -> None:
    """Refuse to open a window where there is no terminal, or too small a one.

    Raises:
        InputError: In both cases.
    """
    from tui_trainer.headless.streams import is_terminal

    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise InputError("the window needs a terminal; in a script or a pipe, add --no-ui")
    size = os.get_terminal_size(sys.stderr.fileno())
    # A pseudo-terminal that nobody has sized says 0×0: that is no reason to refuse.
    if 0 < size.columns < LEAST_COLUMNS or 0 < size.lines < LEAST_LINES:
        raise InputError(
            f"the terminal is {size.columns}×{size.lines}, the window needs "
            f"{LEAST_COLUMNS}×{LEAST_LINES}; enlarge it, or add --no-ui"
        )


def main() -> None:
    """Run the command line; every fault of the input is one line and exit code 2."""
    try:
        code = app(standalone_mode=False, prog_name="mnist-tui")
    except InputError as error:
        code = _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        code = ExitCode.INTERRUPTED
    except SystemExit:
        # Typer leaves by itself when nobody reads its words, and then in silence.
        code = ExitCode.OUTPUT_CLOSED
    except Exception as error:
        # Typer carries its own copy of click from some version on: its errors are known by this.
        if hasattr(error, "format_message"):
            code = _refuse(f"{error.format_message()} (--help lists every option)")
        else:
            code = _fail(error)
    sys.exit(int(code or 0))


def _refuse(problem: str, code: ExitCode = ExitCode.BAD_INPUT) -> ExitCode:
    """Say on stderr, and nowhere else if there is none, what is wrong."""
    from tui_trainer.headless.streams import Console
    from tui_trainer.run.text import one_line

    Console(sys.stderr, time.monotonic).say(f"mnist-tui: error: {one_line(problem)}")
    return code


def _fail(error: Exception) -> ExitCode:
    """Report what nobody foresaw: a full disk behind stdout, a fault of our own."""
    from tui_trainer.headless.streams import silence

    if isinstance(error, OSError) and sys.stdout is not None:
        silence(sys.stdout)  # or the interpreter tries again when it exits, and complains
    if "--debug" in sys.argv:
        traceback.print_exception(error)
    return _refuse(f"{type(error).__name__}: {error}", ExitCode.FAILED)
