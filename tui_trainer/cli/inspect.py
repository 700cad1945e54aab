"""``mnist-tui inspect``: the window on a recorded run, without training."""

from __future__ import annotations

from typing import Annotated

import typer

from tui_trainer.cli.moved_paths import DataPath, ModelPath, MovedPaths
from tui_trainer.cli.options import (
    Checkpoint,
    InspectBatchSize,
    RecordedThreads,
    Theme,
    choice,
    option,
)
from tui_trainer.cli.saved import RunName, saved_run
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.inspection import NAMES, find_view
from tui_trainer.text.fmt import clip, printable

SCREENS = ("model", "inspect", "learn")
"""The screens that show a recorded model."""


def inspect(
    run: RunName = None,
    checkpoint: Checkpoint = "last",
    view: Annotated[
        str, option(choice(f"View to open first ({NAMES[0]})", NAMES), "--view")
    ] = NAMES[0],
    screen: Annotated[
        str, option(choice("Screen to open first (inspect)", SCREENS), "--screen")
    ] = "inspect",
    model: ModelPath = None,
    data_dir: DataPath = None,
    batch_size: InspectBatchSize = None,
    threads: RecordedThreads = None,
    theme: Theme = None,
) -> None:
    """Open a recorded run in the window without training it."""
    from tui_trainer.cli.front_ends import check_terminal, check_user_files, run_inspect
    from tui_trainer.cli.starts import Show

    first = find_view(view)
    if screen not in SCREENS:
        shown = clip(printable(screen), 40)
        raise InputError(f"--screen {shown}: choose {', '.join(SCREENS)}")
    check_user_files(theme)
    check_terminal("use mnist-tui evaluate")
    found = saved_run(run, checkpoint, moved=MovedPaths(model, data_dir))
    settings = found.settings(threads=threads, batch_size=batch_size)
    raise typer.Exit(
        run_inspect(Show(found), settings, theme=theme, view=first.name, screen=screen)
    )
