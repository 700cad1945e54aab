"""Contexts for views, on a few hundred real digits."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import pytest

from tests.protocol.questions import ask_view
from tests.training import prepare
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.run import Run
from tui_trainer.lab.ask import view_named
from tui_trainer.lab.assistant import Laboratory
from tui_trainer.lab.context import Context
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.exhibit import Exhibit, Value

Contexts = Callable[..., Context]
Seen = Callable[..., Exhibit]


def session_of(model: str, **settings: object) -> Run:
    """Prepare a run up to its first step, by default on 600 + 200 real digits."""
    chosen = {"train_size": 600, "val_size": 200, "threads": 1, "batch_size": 32, **settings}
    config = RunConfig(model=model, **chosen)  # type: ignore[arg-type]
    preparing = prepare(config, Inbox(), CheckpointStore(), time.perf_counter)
    while True:
        try:
            next(preparing)
        except StopIteration as prepared:
            run: Run = prepared.value
            return run


def laboratory_of(run: Run) -> Laboratory:
    assert isinstance(run.assistant, Laboratory)
    return run.assistant


def open_context(run: Run, *, is_background: bool = False) -> Context:
    question = ask_view("confusion", mode="background" if is_background else "interactive")
    return laboratory_of(run).open_context(question)


@cache
def _session(model: str, settings: tuple[tuple[str, object], ...]) -> Run:
    return session_of(model, **dict(settings))


@pytest.fixture(scope="session")
def context_of() -> Contexts:
    """Return the context of an untrained model by name. It is shared: do not modify it."""

    def context(model: str, **settings: object) -> Context:
        return open_context(_session(model, tuple(sorted(settings.items()))))

    return context


@pytest.fixture(scope="session")
def seen() -> Seen:
    """Return the last exhibit of a view: ``seen(context, view, **choices)``."""

    def see(context: Context, view: str, *, confirmed: bool = False, **choices: Value) -> Exhibit:
        shown = [each for each in view_named(view)(context, choices, confirmed) if each is not None]
        return shown[-1]

    return see
