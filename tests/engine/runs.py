"""Short runs whose commands, clock and data are under control."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.training import train
from tui_trainer.protocol.commands import Command, Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event

E = TypeVar("E")


class ScriptedInbox(Inbox):
    """Releases commands at given steps, and one more group each time the engine is paused.

    Args:
        at: The commands that have arrived once so many batches are trained.
        paused: The commands for the first, the second, … wait of the engine.
        waiting: Called at each wait.
    """

    def __init__(
        self,
        at: Mapping[int, Sequence[Command]] | None = None,
        paused: Iterable[Sequence[Command]] = (),
        waiting: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__()
        self._at = dict(at or {})
        self._paused = list(paused)
        self._waiting = waiting
        self.waits: list[int] = []

    def take(self, step: int, *, wait: bool = False) -> list[Command]:
        if not wait:
            return list(self._at.pop(step, ()))
        self.waits.append(step)
        self._waiting()
        assert self._paused, f"the engine waits at step {step}, and nobody will come"
        return list(self._paused.pop(0))


class FakeClock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def tiny_config(folder: Path, **settings: Any) -> RunConfig:
    """A run of two epochs on the ``tiny`` dataset: 110 images, 7 steps an epoch, the last of 14."""
    values: dict[str, Any] = {
        "model": "small",
        "data_dir": str(folder),
        "epochs": 2,
        "batch_size": 16,
        "threads": 1,
        "device": "cpu",
        "lr": 0.05,
        **settings,
    }
    return RunConfig(**values)


def bare_config(folder: Path, **settings: Any) -> RunConfig:
    """The run of :func:`tiny_config` without probes, which take a third of its time."""
    return tiny_config(folder, **{"probes": False, **settings})


def run(
    config: RunConfig, inbox: Inbox | None = None, clock: Callable[[], float] | None = None
) -> list[Event]:
    """Train to the end; return all events."""
    return list(train(config, inbox or Inbox(), clock=clock or FakeClock()))


def of(kind: type[E], events: Iterable[object]) -> list[E]:
    """Return the events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def only(kind: type[E], events: Iterable[object]) -> E:
    """Return the one event of its kind."""
    (event,) = of(kind, events)
    return event
