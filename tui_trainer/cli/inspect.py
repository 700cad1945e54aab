"""``mnist-tui inspect``: the window on a recorded run, without training it."""

from __future__ import annotations

from typing import Annotated

import typer

from tui_trainer.cli.moved import DataPlace, ModelPlace, Moved
from tui_trainer.cli.options import Checkpoint, RecordedThreads, StepImages, Theme, choice, option
from tui_trainer.cli.saved import RunName, saved_run
from tui_trainer.protocol.inspection import NAMES, find_view


def inspect(
    run: RunName = None,
    checkpoint: Checkpoint = "last",
    view: Annotated[
        str, option(choice(f"The view that is shown first ({NAMES[0]})", NAMES), "--view")
    ] = NAMES[0],
    model: ModelPlace = None,
    data_dir: DataPlace = None,
    batch_size: StepImages = None,
    threads: RecordedThreads = None,
    theme: Theme = None,
) -> None:
    """Open the window on what a recorded run has learned, and train nothing."""
    from tui_trainer.cli.fronts import check_own_files, check_terminal, run_inspect
    from tui_trainer.cli.starts import Show

    first = find_view(view)
    check_own_files(theme)
    check_terminal("use mnist-tui evaluate")
    found = saved_run(run, checkpoint, moved=Moved(model, data_dir))
    settings = found.settings(threads=threads, batch_size=batch_size)
    raise typer.Exit(run_inspect(Show(found), settings, theme=theme, view=first.name))
