"""Runs of trials that train nothing: events whose accuracy depends on the settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.headless.fakes import VAL, epoch_done, finished, started
from tui_trainer.protocol.commands import Inbox, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Diverged, Event, FindingRaised
from tui_trainer.recording.folder import RunFolder
from tui_trainer.sweeps.spec import SweepSpec
from tui_trainer.sweeps.sweep_file import parse_sweep


def spec_with(sweep: str = "trials = 12", space: str = "", top: str = "epochs = 3") -> SweepSpec:
    space = space or "lr = { low = 0.01, high = 1.0, log = true }"
    return parse_sweep(f"{top}\n[space]\n{space}\n[sweep]\n{sweep}\n", "sweep.toml")


def accuracy_of(config: RunConfig, epoch: int) -> float:
    """The accuracy is best at a learning rate of 0.1, and rises with the epochs."""
    distance = abs(math.log10(config.base_lr / 0.1))
    return 0.96 - 0.1 * distance - 0.1 / epoch + 0.002 * config.seed


def finding(code: str, severity: str = "error") -> FindingRaised:
    return FindingRaised(
        code=code,
        severity=severity,  # type: ignore[arg-type]
        title=f"title of {code}",
        evidence="",
        lesson=1,
        step=3,
    )


@dataclass
class FakeRuns:
    """Starts runs, and keeps what was started.

    Attributes:
        accuracy: The accuracy by settings and epoch.
        extra: Further events before the first epoch, by settings.
    """

    accuracy: Callable[[RunConfig, int], float] = accuracy_of
    extra: Callable[[RunConfig], list[Event]] = lambda config: []
    configs: list[RunConfig] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    epochs: int = 0

    def __call__(self, config: RunConfig, folder: RunFolder, inbox: Inbox) -> Iterator[Event]:
        self.configs.append(config)
        self.folders.append(folder.path.name)
        return self._events(config, inbox)

    def _events(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        yield started(epochs=config.epochs)
        for event in self.extra(config):
            yield event
            if isinstance(event, Diverged):
                yield finished("diverged", correct=None)
                return
        for epoch in range(1, config.epochs + 1):
            stops = [each for each in inbox.take(epoch) if isinstance(each, Stop)]
            if stops:
                assert not stops[0].test
                yield finished(stops[0].reason, correct=None)
                return
            self.epochs += 1
            yield epoch_done(epoch, correct=round(VAL * self.accuracy(config, epoch)))
        yield finished(correct=None)
