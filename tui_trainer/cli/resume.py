"""``mnist-tui resume``: continue a recorded run from a checkpoint."""

from __future__ import annotations

from typing import Annotated

import typer

from tui_trainer.cli import options as opt
from tui_trainer.cli.moved_paths import DataPath, ModelPath, MovedPaths, with_changes
from tui_trainer.cli.options import option
from tui_trainer.cli.saved import RunName, SavedRun, saved_run
from tui_trainer.cli.torchrun import follow, is_follower
from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.commands import Command, Inbox, SetBaseLr, SetBatchSize, SetEpochs
from tui_trainer.protocol.errors import InputError


def resume(
    run: RunName = None,
    epochs: Annotated[
        int | None, option("Total number of epochs; the schedule is adjusted")
    ] = None,
    lr: Annotated[float | None, option("New base learning rate")] = None,
    checkpoint: opt.Checkpoint = "last",
    model: ModelPath = None,
    data_dir: DataPath = None,
    batch_size: Annotated[int | None, option("New batch size")] = None,
    threads: opt.RecordedThreads = None,
    no_ui: opt.NoUi = False,
    json_lines: opt.JsonLines = False,
    target_accuracy: Annotated[
        float | None,
        option("Exit with code 3 if test accuracy is below this; with --last, validation"),
    ] = None,
    last: Annotated[
        int | None,
        option("Validation accuracy must reach the target in each of the last N epochs"),
    ] = None,
    on_end: opt.OnEnd = None,
    on_finding: opt.OnFinding = None,
    notify: opt.Notify = None,
    theme: opt.Theme = None,
    paused: opt.Paused = False,
    detach: opt.Detach = False,
    detached: opt.Detached = False,
    debug: opt.Debug = False,
) -> None:
    """Resume a recorded run from a checkpoint, at the next batch."""
    if is_follower():
        raise typer.Exit(follow())
    from tui_trainer.cli.front_ends import check_window, run_app, run_headless

    check_window(theme, no_ui=no_ui, json_lines=json_lines, paused=paused, detach=detach)
    found = saved_run(run, checkpoint, moved=MovedPaths(model, data_dir), to_resume=True)
    commands = _more_epochs(found, epochs)
    if lr is not None:
        with_changes(found.config, lr=lr)
        commands = (*commands, SetBaseLr(lr))
    if batch_size is not None:
        commands = (*commands, SetBatchSize(batch_size))
    settings = found.settings(
        threads=threads, batch_size=batch_size, target_accuracy=target_accuracy, last=last
    )
    if last is not None and target_accuracy is None:
        raise InputError("--last: needs a target; add --target-accuracy 0.994")

    if detach:
        from tui_trainer.cli.attach import watch_resumed

        given = {"lr": lr, "epochs": epochs, "checkpoint": checkpoint, "batch_size": batch_size}
        given |= {"threads": threads, "target_accuracy": target_accuracy, "last": last}
        given |= {"on_end": on_end, "on_finding": on_finding}
        moved = MovedPaths(model, data_dir)
        raise typer.Exit(
            watch_resumed(found, given, moved, theme=theme, notify=notify, no_ui=no_ui)
        )

    from tui_trainer.cli.starts import Job, Start
    from tui_trainer.headless.hooks import Hooks
    from tui_trainer.recording.recorder import Recorder

    recorder = Recorder.reopen(found.folder, found.recorded, found.past, found.moved)
    job = Job(recorder, found)
    hooks = Hooks(on_end, on_finding)
    start = Start(job, records=True, interactive=not no_ui, hooks=hooks, detached=detached)
    if no_ui:
        inbox = Inbox(*commands)
        code = run_headless(
            start,
            settings,
            json_lines=json_lines,
            debug=debug,
            resuming=True,
            notify=notify,
            inbox=inbox,
        )
    else:
        code = run_app(
            start,
            settings,
            theme=theme,
            paused=paused,
            notify=notify,
            resuming=True,
            commands=commands,
        )
    raise typer.Exit(code)


def _more_epochs(found: SavedRun, epochs: int | None) -> tuple[Command, ...]:
    """Return the command for another number of epochs, if needed.

    Raises:
        InputError: If a finished run is resumed unchanged, or with fewer epochs than it has begun.
    """
    begun = found.metadata["epoch"]
    if epochs is None:
        # Killed during its test evaluation, it still has that to do.
        if found.is_complete and RunState.of(found.past).tests:
            raise InputError(
                f"{found.folder.name}: all {found.metadata['epochs']} epochs are done; to "
                f"continue, add --epochs {2 * found.metadata['epochs']}"
            )
        return ()
    if epochs < begun:
        raise InputError(
            f"--epochs {epochs}: epoch {begun} has already started; choose at least {begun}"
        )
    return () if epochs == found.metadata["epochs"] else (SetEpochs(epochs),)
