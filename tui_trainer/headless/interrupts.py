"""Ctrl+C, twice: the first asks for a report, the second leaves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from tui_trainer.run.commands import Inbox, Stop


@contextmanager
def interruptible(inbox: Inbox, announce: Callable[[], None]) -> Iterator[None]:
    """Turn the first interrupt inside into a ``Stop``, every further one into KeyboardInterrupt.

    Only the main thread can handle signals: elsewhere nothing changes. Nor does it where SIGINT is
    ignored, as in a job that a script put in the background. The handler before is put back.

    Args:
        inbox: Where the ``Stop`` goes; it wakes an engine that is paused.
        announce: Tells the person what happens now; called from the signal handler.

    Raises:
        KeyboardInterrupt: At the second interrupt, wherever the main thread is.
    """
    before = signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or before in (signal.SIG_IGN, None):
        yield
        return
    asked = False

    def on_interrupt(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        inbox.send(Stop(reason="interrupted"))
        # Python refuses a write into a stream that the interrupted code is writing to. The wish
        # is sent; the words are not worth a crash.
        with suppress(RuntimeError):
            announce()

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
