"""The knobs of a watched run: learning rate, batch size, epochs, dropout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn
from torch.optim import Optimizer

from tui_trainer.engine.progress import Progress
from tui_trainer.models.build import dropout_of, set_dropout
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Command, Knob, name_of
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import SettingError
from tui_trainer.protocol.events import CommandRejected, SettingChanged
from tui_trainer.watching.loaders import sampler_of
from tui_trainer.watching.lr_knob import LrKnob

_NAMES = {
    commands.SetBaseLr: "base_lr",
    commands.SetBatchSize: "batch_size",
    commands.SetAugmentation: "augmentation",
    commands.SetDropout: "dropout",
    commands.SetEpochs: "epochs",
}


class Knobs:
    """The settings that commands can change while a script trains.

    Attributes:
        lr: The learning rate, as a factor over that of the script.
        epochs: How many epochs the loop trains.
        batch_size: Examples a step.
        loader: The loader of the current epoch.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        progress: Progress,
        epochs: int,
        guard: Callable[..., Any],
    ) -> None:
        self.lr = LrKnob(optimizers, guard)
        self.epochs = epochs
        self.batch_size = 0
        self.loader: Any = None
        self._model, self._progress = model, progress
        self._later: SettingChanged | None = None

    def set(
        self, command: Knob, unavailable: Mapping[str, str]
    ) -> SettingChanged | CommandRejected | None:
        """Set a knob, or reject the command by the rules of the settings.

        None is for a batch size that the loader takes at the start of the next epoch.
        """
        name = _NAMES[type(command)]
        if name in unavailable:
            return self.rejected(command, unavailable[name])
        old: float
        try:
            match command:
                case commands.SetBaseLr(value):
                    replace(RunConfig(), lr=value)
                    old, self.lr.base = self.lr.base, value
                case commands.SetEpochs(value):
                    replace(RunConfig(), epochs=value)
                    if value < self._progress.epoch:
                        reason = f"epoch {self._progress.epoch} has already started"
                        return self.rejected(command, reason)
                    old, self.epochs = self.epochs, value
                case commands.SetBatchSize(value):
                    replace(RunConfig(), batch_size=value)
                    self._later = self.changed("batch_size", self.batch_size, value, command.by)
                    sampler = sampler_of(self.loader)
                    if sampler is not None and sampler.drop_last and self._progress.epoch_images:
                        return None  # such a sampler takes the size at the start of an epoch
                    return self.set_batch_size()
                case commands.SetDropout(value):
                    before = dropout_of(self._model)
                    if before is None:
                        kind = type(self._model).__name__
                        return self.rejected(command, f"{kind} has no dropout layer")
                    replace(RunConfig(), dropout=value)
                    old = before
                    set_dropout(self._model, value)
                case _:
                    return self.rejected(command, "a script prepares its own images")
        except SettingError as error:
            return self.rejected(command, error.problem)
        return self.changed(name, old, value, command.by)

    def set_batch_size(self) -> SettingChanged | None:
        """Set the batch size that a command has asked for."""
        changed, self._later = self._later, None
        sampler = sampler_of(self.loader)
        if changed is None or sampler is None:
            return None
        sampler.batch_size = self.batch_size = int(changed.new)
        return self.changed("batch_size", changed.old, changed.new, changed.by)

    def changed(self, name: str, old: float, new: float, by: str = "") -> SettingChanged:
        """Return the event that reports a change."""
        return SettingChanged(
            setting=name,
            old=old,
            new=new,
            step=self._progress.step,
            epoch=max(1, self._progress.epoch),
            images=self._progress.images,
            by=by,
        )

    def rejected(self, command: Command, reason: str) -> CommandRejected:
        """Return the event that rejects a command."""
        return CommandRejected(
            command=name_of(command),
            reason=reason,
            step=self._progress.step,
            by=command.by,
            request=command.request,
        )
