"""Close the events of a run when their consumer ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tui_trainer.protocol.events import Event


@contextmanager
def closing(events: Iterator[Event]) -> Iterator[None]:
    """Always close a generator; an error of its clean-up does not hide an earlier one."""
    try:
        yield
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            with suppress(Exception):
                close()
