"""``mnist-tui`` itself: a new run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tui_trainer.cli import options as opt
from tui_trainer.cli.options import option
from tui_trainer.cli.torchrun import follow, is_follower
from tui_trainer.headless.streams import standard_output
from tui_trainer.protocol.config import SETTINGS, RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.settings import RECORD, option_of
from tui_trainer.version import __version__


@opt.with_settings(SETTINGS, after="config")
def new_run(
    ctx: typer.Context,
    no_ui: opt.NoUi = False,
    json_lines: opt.JsonLines = False,
    preset: opt.PresetOption = None,
    config: opt.ConfigFile = None,
    out: Annotated[
        Path | None, option("Folder for the run (runs/TIME-MODEL)", section=RECORD)
    ] = None,
    no_save: Annotated[bool, option("Do not save the run", "--no-save", section=RECORD)] = False,
    on_end: opt.OnEnd = None,
    on_finding: opt.OnFinding = None,
    notify: opt.Notify = None,
    theme: opt.Theme = None,
    paused: opt.Paused = False,
    guide: Annotated[
        bool,
        option(
            "Open the window with a guided tour (ten minutes)",
            "--guide",
            section=opt.WINDOW,
        ),
    ] = False,
    print_config: Annotated[
        bool, option("Print the resulting settings as TOML", "--print-config")
    ] = False,
    detach: opt.Detach = False,
    detached: opt.Detached = False,
    debug: opt.Debug = False,
    version: Annotated[bool, option("Print the version", "--version")] = False,
    **settings: Any,
) -> None:
    """Train small convolutional networks on images, and adjust the training live.

    Without --no-ui a window opens; press ? there for its keys. One training in N processes:
    torchrun --nproc-per-node N -m tui_trainer --no-ui.
    """
    if version:
        standard_output().line(f"mnist-tui {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is not None:
        _check_nothing_given(ctx)
        return
    if is_follower() and not print_config:
        raise typer.Exit(follow())
    run = compose_run(ctx.params)
    if print_config:
        from tui_trainer.protocol.config_file import to_toml

        standard_output().text(to_toml(run.resolved(), commented=True))
        raise typer.Exit
    from tui_trainer.cli.front_ends import check_window, run_app, run_headless

    if out is not None and no_save:
        raise InputError("--no-save: cannot be used with --out, the folder to save to")
    check_window(
        theme,
        no_ui=no_ui,
        json_lines=json_lines,
        paused=paused,
        guided=guide,
        detach=detach,
    )
    out = expanded(out)

    from tui_trainer.headless.hooks import Hooks

    hooks = Hooks(on_end, on_finding)
    if detach:
        from tui_trainer.cli.attach import watch_new
        from tui_trainer.cli.detach import arguments_of, given_options, reserve_folder

        if no_save:
            raise InputError("--no-save: cannot be used with --detach, which needs a folder")
        folder, new = reserve_folder(run.model, out)
        options = {"out": folder.path, **hooks.options}
        arguments = ["--no-ui", *arguments_of(run), *given_options(options)]
        code = watch_new(folder, new, arguments, run, theme=theme, notify=notify, no_ui=no_ui)
        raise typer.Exit(code)

    from tui_trainer.cli.starts import Job, Start, recorder_of

    job = Job(None if no_save else recorder_of(run, out))
    start = Start(job, records=not no_save, interactive=not no_ui, hooks=hooks, detached=detached)
    if no_ui:
        code = run_headless(start, run, json_lines=json_lines, debug=debug, notify=notify)
    else:
        code = run_app(
            start, run, theme=theme, paused=paused, notify=notify, pictures=out, guided=guide
        )
    raise typer.Exit(code)


def _check_nothing_given(ctx: typer.Context) -> None:
    """Refuse options before a command: they would be silently ignored.

    Raises:
        InputError: Naming the first of them.
    """
    for name, value in ctx.params.items():
        if value not in (None, False):
            given = "--json" if name == "json_lines" else option_of(name)
            raise InputError(
                f"{given}: is an option of a new run; put options of a command after it"
            )


def compose_run(params: dict[str, Any]) -> RunConfig:
    """Combine preset, file and options; later ones override earlier ones."""
    from tui_trainer.protocol.config_file import Source, compose, read_config, read_preset

    given = {key: params[key] for key in SETTINGS if params.get(key) is not None}
    sources = []
    if params["preset"] is not None:
        sources.append(read_preset(params["preset"]))
    if params["config"] is not None:
        sources.append(read_config(params["config"]))
    return compose(*sources, Source(given))


def expanded(out: Path | None) -> Path | None:
    """Return a folder with ``~`` expanded.

    Raises:
        InputError: If the user does not exist.
    """
    try:
        return out.expanduser() if out is not None else None
    except RuntimeError:
        raise InputError(f"--out {out}: no such user; choose another folder") from None
