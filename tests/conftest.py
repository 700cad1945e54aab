"""Fixtures of all tests."""

from __future__ import annotations

import gc
import itertools
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import typer.main

from tui_trainer.data import idx_file

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
# One thread: no pool of threads survives a fork, and two that wait for one another burn time.
os.environ["OMP_NUM_THREADS"] = "1"

_NUMBERS = itertools.count()

MNIST = Path(idx_file.__file__).parents[1] / "datasets" / "mnist"


def _read_mnist_once() -> None:
    """Unpack the packaged MNIST once: it takes a quarter of a second, most tests that need it less.

    Modules that import ``read_part`` by name are imported after this one.
    """
    read = idx_file.read_part
    read_once = cache(read)

    def read_part(images: Path, labels: Path) -> idx_file.Part:
        if images.parent != MNIST:
            return read(images, labels)
        part = read_once(images, labels)
        return replace(part, images=part.images[:], labels=part.labels[:])

    idx_file.read_part = read_part


_read_mnist_once()
# No test cuts the power, which is all that it is for: thousands of calls of two milliseconds each,
# and of ten right after an installation. A descriptor that is none still fails.
os.fsync = os.fstat  # type: ignore[assignment]
# Typer builds all commands and options again at each call: 50 ms, more than most calls take.
typer.main.get_command = cache(typer.main.get_command)


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


# Nor while modules are imported and tests collected: nearly all of that stays.
gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage rarely, and never in loaded modules: it takes a tenth of all time."""
    gc.enable()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(autouse=True, scope="session")
def _signals() -> Iterator[None]:
    """Restore signals: background jobs and their children ignore SIGINT, under nohup SIGHUP."""
    before = {number: signal.signal(number, handler) for number, handler in BY_DEFAULT.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new folder; pytest's own reads the names of thousands of others to number it."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    path = tmp_path_factory.getbasetemp() / f"{name}{next(_NUMBERS)}"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Restore one thread after a test that sets others."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
