"""The signals that end a run, and the reason recorded for each."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

REASONS = {
    getattr(signal, name): reason
    for name, reason in (
        ("SIGINT", "interrupted"),
        ("SIGTERM", "terminated"),
        ("SIGHUP", "disconnected"),
    )
    if hasattr(signal, name)
}
"""The ``RunFinished.reason`` of each signal; not every system has all of them."""


@contextmanager
def handled(
    numbers: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Handle signals within the context, then restore the previous handlers.

    Only the main thread can handle signals; in another thread nothing changes. Ignored signals stay
    ignored, such as Ctrl+C in a background job of a script, and SIGHUP under nohup.
    """
    with ExitStack() as handlers:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    signal.signal(number, handler)
                    handlers.callback(signal.signal, number, before)
        yield
