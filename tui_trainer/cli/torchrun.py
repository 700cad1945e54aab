"""Several processes that torchrun has started to train one model together."""

from __future__ import annotations

import math
import os
import sys
from contextlib import suppress
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING

from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.terminal.signals import REASONS, handled
from tui_trainer.text.fmt import clip, one_line

if TYPE_CHECKING:
    from tui_trainer.engine.resuming import Resumption

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun puts into the environment of each process."""

OWNER = "MNIST_TUI_RANK_PROCESS"
"""The variable with the id of a process that torchrun has started, for the programs it starts."""

PATIENCE = 3.0
"""Seconds for which the other processes wait for the first one, which reports the same error."""

LONGEST_END = 20.0
"""Seconds after which they report that a first process on another machine has ended: torchrun kills
them after 30."""

LONGEST_WORDS = 300
"""Characters of an error message for the first process."""

_stderr: list[int] = []
"""The descriptor of the silenced standard error."""

TRAINING = ("new_run", "resume", "run")
"""The commands that several processes can execute together; a script divides its work itself."""


def processes() -> int:
    """Return the number of processes that train together.

    A program that one of them starts, such as the command of a hook, is none of them.
    """
    this = str(os.getpid())
    if os.environ.get(OWNER, this) != this:
        return 1
    values = [os.environ.get(name, "") for name in VARIABLES]
    return int(values[1]) if all(values) and values[0].isdigit() and values[1].isdigit() else 1


def prepare_process() -> None:
    """Prepare one of several processes, before PyTorch is loaded; all but the first are silent."""
    if processes() == 1:
        return
    # It warns of the search for unused parameters, which is meant.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ[OWNER] = str(os.getpid())
    if is_follower() and sys.argv[1:2] != ["run"]:
        discard_output()


def is_follower() -> bool:
    """Whether this process is one of several, and not the first, which talks to the user."""
    return processes() > 1 and os.environ["RANK"] != "0"


def check_command(name: str) -> None:
    """Refuse to do the same several times.

    Raises:
        InputError: If torchrun has started several processes of a command that does not train.
    """
    if processes() > 1 and name not in TRAINING:
        raise InputError(
            f"{name.replace('_', '-')}: cannot be used with torchrun, which trains one run in "
            "several processes; start it without torchrun"
        )


def check_front_end(*, no_ui: bool, detach: bool) -> None:
    """Refuse the window and a trainer in the background in several processes.

    Raises:
        InputError: In both cases.
    """
    if processes() > 1 and detach:
        raise InputError("--detach: cannot be used with torchrun; start torchrun in the background")
    if processes() > 1 and not no_ui:
        raise InputError(
            "torchrun: add --no-ui; to watch the run in a window, use mnist-tui attach elsewhere"
        )


def discard_output() -> None:
    """Discard the output of this process and of its libraries, but for :func:`_print_error`."""
    _stderr.append(os.dup(sys.stderr.fileno()))
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(null, stream.fileno())
    os.close(null)


def is_silent() -> bool:
    """Whether :func:`discard_output` was called."""
    return bool(_stderr)


def follow() -> ExitCode:
    """Train next to the first process until it ends the run; return the exit code."""
    from tui_trainer.cli.loading import finish_loading

    with finish_loading():
        from tui_trainer.engine.checkpoint_store import CheckpointStore
        from tui_trainer.engine.loop import train
        from tui_trainer.models.distributed import KILLED, ProcessGroup, is_disconnection

    group = ProcessGroup.join()
    with handled(REASONS, _ignore):  # the first process decides what a signal does
        try:
            config, resume = group.first(_received)
            store = CheckpointStore(seconds=math.inf)
            config = replace(config, probes=False, test=False)  # the first one does that
            for _ in train(config, Inbox(), store=store, resume=resume, ranks=group):
                pass
            group.close()
        except Exception as error:
            if not is_disconnection(error):
                group.leave(clip(one_line(f"{type(error).__name__}: {error}"), LONGEST_WORDS))
                group.is_over(PATIENCE)  # the connections close with this process
            elif not group.is_over(LONGEST_END) and group.is_first_to_report():
                _print_error(f"the first process {KILLED}")
            return ExitCode.FAILED
    return ExitCode.FINISHED


def _received() -> tuple[RunConfig, Resumption | None]:
    raise NotImplementedError("the first process sends it")


def _ignore(number: int, frame: FrameType | None) -> None:
    pass


def _print_error(problem: str) -> None:
    for descriptor in _stderr:
        with suppress(OSError):
            os.write(descriptor, f"mnist-tui: error: training failed: {problem}\n".encode())
