"""Contexts for questions, on a few hundred real digits."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import pytest

from tests.engine.conftest import mnist, tiny
from tests.protocol.questions import ask_lesson
from tests.training import prepare
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.lab import compare
from tui_trainer.lab.assistant import Laboratory
from tui_trainer.lab.context import Context
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig

__all__ = ["mnist", "tiny"]

Contexts = Callable[[str], Context]


class Ticking:
    """A clock that advances by one tick per call."""

    def __init__(self, tick: float = 0.2) -> None:
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


@cache
def _context(model: str) -> Context:
    config = RunConfig(model=model, train_size=600, val_size=200, threads=1, batch_size=32)
    preparing = prepare(config, Inbox(), CheckpointStore(), time.perf_counter)
    while True:
        try:
            next(preparing)
        except StopIteration as prepared:
            laboratory = prepared.value.assistant
            assert isinstance(laboratory, Laboratory)
            return laboratory.open_context(ask_lesson("softmax"))


@pytest.fixture(scope="session")
def context_of() -> Contexts:
    """Return the context of an untrained model by name. It is shared: do not modify it."""
    return _context


@pytest.fixture(autouse=True)
def _recalibrates_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two batches suffice where no test measures the accuracy."""
    monkeypatch.setattr(compare, "RECALIBRATED_ON", 64)
