"""Fixtures of all tests."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

BY_DEFAULT = {
    getattr(signal, name): handler
    for name, handler in (
        ("SIGINT", signal.default_int_handler),
        ("SIGTERM", signal.SIG_DFL),
        ("SIGHUP", signal.SIG_DFL),
    )
    if hasattr(signal, name)
}

# Hundreds of processes import the same modules: they compile them once.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what a test with many parameters need not repeat by default.

    ``@pytest.mark.sampled(3)`` leaves every third of its parameters to the default run.
    """
    places = Counter[str]()
    for item in items:
        mark = item.get_closest_marker("sampled")
        if mark is not None:
            name = item.nodeid.partition("[")[0]
            if places[name] % mark.args[0]:
                item.add_marker(pytest.mark.slow)
            places[name] += 1


def pytest_collection_finish() -> None:
    """Collect garbage rarely, and never in loaded modules: it takes a tenth of all time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(autouse=True, scope="session")
def _signals() -> Iterator[None]:
    """Restore signals: background jobs and their children ignore SIGINT, under nohup SIGHUP."""
    before = {number: signal.signal(number, handler) for number, handler in BY_DEFAULT.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
