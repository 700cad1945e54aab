"""``mnist-tui replay``: a recorded run, shown or trained again."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui_trainer.cli.moved_paths import DataPath, ModelPath, MovedPaths
from tui_trainer.cli.options import HOW, Debug, JsonLines, RecordedThreads, Theme, option
from tui_trainer.cli.saved import RunName, SavedRun, check_resumable, saved_run
from tui_trainer.headless.streams import Console
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.text.fmt import count, plural

if TYPE_CHECKING:
    from tui_trainer.models.checkpoints import Checkpoint


def replay(
    run: RunName = None,
    no_ui: Annotated[
        bool,
        option("Train it again, with the same changes at the same steps", "--no-ui", section=HOW),
    ] = False,
    json_lines: JsonLines = False,
    model: ModelPath = None,
    data_dir: DataPath = None,
    threads: RecordedThreads = None,
    out: Annotated[Path | None, option("With --no-ui: save the new run in this folder")] = None,
    speed: Annotated[
        float, option("In the window: speed relative to the recorded run (10)", "--speed")
    ] = 10.0,
    theme: Theme = None,
    debug: Debug = False,
) -> None:
    """Replay a recorded run, or train it again with --no-ui."""
    from tui_trainer.cli.front_ends import check_window, run_replay

    check_window(theme, no_ui=no_ui, json_lines=json_lines, paused=False)
    if no_ui:
        found = saved_run(run, moved=MovedPaths(model, data_dir))
        check_resumable(found.metadata, found.folder)
        settings = found.settings(threads=threads)
        raise typer.Exit(_train_again(found, settings, out, json_lines=json_lines, debug=debug))
    raise typer.Exit(run_replay(run, speed=speed, theme=theme))


def _train_again(
    found: SavedRun, settings: RunConfig, out: Path | None, *, json_lines: bool, debug: bool
) -> int:
    from tui_trainer.cli.front_ends import run_headless
    from tui_trainer.cli.starts import Job, Start, recorder_of
    from tui_trainer.cli.train import expanded
    from tui_trainer.recording.replay_inbox import ReplayInbox, recorded_commands

    inbox = ReplayInbox(
        recorded_commands(found.past), None if found.is_complete else found.metadata["step"]
    )
    folder = expanded(out)
    job = Job(None if folder is None else recorder_of(settings, folder))
    code = run_headless(Start(job), settings, json_lines=json_lines, debug=debug, inbox=inbox)
    if code != ExitCode.FINISHED or job.result is None:
        return code
    return _compare(found, job.result)


def _compare(found: SavedRun, result: Checkpoint) -> int:
    """Print whether all bits of the weights equal those of the recorded run."""
    from tui_trainer.lab.saved_model import differing_bits
    from tui_trainer.models.checkpoints import read_checkpoint

    bits, total = differing_bits(read_checkpoint(found.checkpoint), result)
    steps = plural(result.metadata["step"], "step")
    text = f"replayed {steps}: {count(bits)} of {count(total)} bits of the weights differ"
    Console(sys.stderr, time.monotonic).print(f"{text} from {found.folder.name}")
    return ExitCode.REPLAY_DIFFERS if bits else ExitCode.FINISHED
