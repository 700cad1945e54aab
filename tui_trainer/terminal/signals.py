"""The signals that end a run from outside, and what its record says of each."""

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
"""What each signal makes ``RunFinished`` say; not every system has all of them."""


@contextmanager
def handled(
    numbers: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Handle these signals inside, and put the handlers before back.

    Only the main thread can handle signals: elsewhere nothing changes. Nor does it for a signal
    that is ignored, as Ctrl+C is in a job that a script put in the background, and SIGHUP under
    nohup.
    """
    with ExitStack() as handlers:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    signal.signal(number, handler)
                    handlers.callback(signal.signal, number, before)
        yield
