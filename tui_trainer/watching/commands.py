"""Apply a command to a watched run."""

from __future__ import annotations

from collections.abc import Mapping

from tui_trainer.engine.run import Control
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Command
from tui_trainer.protocol.events import CommandRejected, SettingChanged
from tui_trainer.watching.knobs import Knobs


def apply(
    command: Command, control: Control, knobs: Knobs, unavailable: Mapping[str, str]
) -> SettingChanged | CommandRejected | None:
    """Apply a command between two batches, or reject it; None if nothing is to be reported.

    Args:
        command: The command.
        control: What the commands have set.
        knobs: The knobs of the run.
        unavailable: The knobs and commands that this loop cannot take, with the reasons.
    """
    if (reason := unavailable.get(type(command).__name__)) is not None:
        return knobs.rejected(command, reason)
    match command:
        case commands.Stop():
            control.stop = command
        case _ if control.stop is not None:
            return knobs.rejected(command, "the run is being stopped")
        case commands.Pause():
            control.pause()
        case commands.Resume():
            control.resume()
        case commands.RunStep():
            control.paused, control.steps_left = False, (control.steps_left or 0) + 1
        case commands.RunEpoch():
            control.resume(one_epoch=True)
        case commands.Unusable(reason):
            return knobs.rejected(command, reason)
        case (
            commands.SetBaseLr()
            | commands.SetBatchSize()
            | commands.SetDropout()
            | commands.SetEpochs()
            | commands.SetAugmentation()
        ):
            return knobs.set(command, unavailable)
        case _:
            return knobs.rejected(command, "the run of a script cannot do that")
    return None
