"""Training as the command line does it, with the laboratory as assistant."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from tui_trainer.engine import loop
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.prepare import prepare as prepare_run
from tui_trainer.engine.run import Run
from tui_trainer.lab.assistant import Laboratory
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event


def train(config: RunConfig, inbox: Inbox, **options: Any) -> Iterator[Event]:
    """Train with an assistant; ``options`` are those of :func:`loop.train`."""
    return loop.train(config, inbox, assistant=Laboratory(), **options)


def prepare(
    config: RunConfig, inbox: Inbox, store: CheckpointStore, clock: Any
) -> Generator[Event, None, Run]:
    """Prepare a run with an assistant."""
    return prepare_run(config, inbox, store, clock, Laboratory())
