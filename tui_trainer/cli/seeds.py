"""``mnist-tui seeds``: train the same settings with several seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui_trainer.cli import options as opt
from tui_trainer.cli.moved_paths import with_changes
from tui_trainer.cli.options import option
from tui_trainer.cli.train import compose_run, expanded
from tui_trainer.protocol.config import SETTINGS
from tui_trainer.protocol.errors import InputError, SettingError
from tui_trainer.protocol.settings import RECORD, option_of
from tui_trainer.recording.recorder import not_writable
from tui_trainer.recording.seed_group import SeedGroup, create_group, find_group, read_group
from tui_trainer.text.fmt import printable

if TYPE_CHECKING:
    from tui_trainer.headless.hooks import Hooks

DEFAULT_SEEDS = 5

_OF_RESUMED = ("target_accuracy", "last")
"""The settings that a resumed group may change: they do not change the training."""


@opt.with_settings(SETTINGS, after="config")
def seeds(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            help=f"Model: {opt.MODEL_FORMS}; with --resume the group (the last one)",
            metavar="MODEL | NAME",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int | None,
        option(f"Number of seeds ({DEFAULT_SEEDS}), from --seed on", "--seeds", section=opt.HOW),
    ] = None,
    resume: Annotated[
        bool,
        option("Go on with a group: nothing is trained twice", "--resume", section=opt.HOW),
    ] = False,
    no_ui: opt.NoUi = False,
    json_lines: opt.JsonLines = False,
    preset: opt.PresetOption = None,
    config: opt.ConfigFile = None,
    out: Annotated[
        Path | None, option("Folder for the group (runs/TIME-MODEL-seeds)", section=RECORD)
    ] = None,
    on_end: opt.OnEnd = None,
    on_finding: opt.OnFinding = None,
    notify: opt.Notify = None,
    theme: opt.Theme = None,
    debug: opt.Debug = False,
    **settings: Any,
) -> None:
    """Train the same settings with several seeds: the mean, its interval, and a verdict.

    Each run is an ordinary one, in a folder seed-N of the group. --target-accuracy 0.994 --last 5
    asks whether each of them holds the target in each of its last 5 epochs.
    """
    from tui_trainer.cli.front_ends import check_window
    from tui_trainer.headless.hooks import Hooks

    check_window(theme, no_ui=no_ui, json_lines=json_lines, paused=False)
    if resume:
        _check_resumed(ctx.params)
        group = find_group(name)
    else:
        ctx.params["model"] = opt.one_model(name, ctx.params["model"])
        run = compose_run(ctx.params)
        group = create_group(run, DEFAULT_SEEDS if count is None else count, expanded(out))
    lock = group.lock()
    try:
        if resume:
            group = _changed(read_group(group.path), ctx.params)
        code = _train(
            *(group, Hooks(on_end, on_finding)),
            no_ui=no_ui or not group.left,
            json_lines=json_lines,
            notify=notify,
            theme=theme,
            debug=debug,
        )
    finally:
        group.remove_if_empty()  # while no other process can resume it
        lock.release()
    raise typer.Exit(code)


def _train(
    group: SeedGroup,
    hooks: Hooks,
    *,
    no_ui: bool,
    json_lines: bool,
    notify: str | None,
    theme: str | None,
    debug: bool,
) -> int:
    """Train what is left of a group, which this process has locked; return the exit code."""
    from tui_trainer.cli.front_ends import run_seeds_app
    from tui_trainer.cli.seed_starts import SeedStarts
    from tui_trainer.headless.seeds_runner import run_seeds

    starts = SeedStarts(group, hooks, interactive=not no_ui)
    try:
        if no_ui:
            return run_seeds(
                group, starts, json_lines=json_lines, debug=debug, notify=notify or "auto"
            )
        return run_seeds_app(starts, group, theme=theme, notify=notify)
    finally:
        starts.leave()


def _check_resumed(params: dict[str, Any]) -> None:
    """Refuse settings with ``--resume``: all runs of a group have the same.

    Raises:
        InputError: Naming the first of them.
    """
    for key in ("preset", "config", "out", *SETTINGS):
        if params[key] is not None and key not in _OF_RESUMED:
            raise InputError(
                f"{option_of(key)}: cannot be used with --resume; all seeds of a group are trained "
                "with the same settings"
            )


def _changed(group: SeedGroup, params: dict[str, Any]) -> SeedGroup:
    """Return a group with the seeds and the target that are given with ``--resume``, recorded.

    Raises:
        InputError: If they cannot be used, or not be recorded.
    """
    before = group
    if params["count"] is not None:
        group = group.more(params["count"])
    given = {key: params[key] for key in _OF_RESUMED if params[key] is not None}
    config = with_changes(group.config, **given)
    try:
        config.check_target()
    except SettingError as error:
        raise InputError(f"{option_of(error.key)}: {error.problem}") from None
    group = replace(group, config=config)
    if group != before:
        try:
            group.write()
        except OSError as error:
            raise not_writable(printable(group.path), error, "fix its permissions") from None
    return group
