"""Signals that end the app: SIGTERM, and SIGHUP when the terminal closes."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tui_trainer.protocol.exit_codes import CODES_BY_REASON
from tui_trainer.terminal.signals import REASONS, handled

EXIT_SIGNALS = [number for number in REASONS if number != signal.SIGINT]
"""Not SIGINT: in the window Ctrl+C is a key."""


@contextmanager
def quit_on_signals(end: Callable[[str], None]) -> Iterator[None]:
    """Call ``end`` with the reason on a separate thread when a signal arrives.

    A thread, because the event loop may already hang: a write to a terminal that is gone blocks
    forever. If the terminal is gone, the process exits as soon as ``end`` returns.
    """

    def leave(reason: str) -> None:
        end(reason)
        if _is_terminal_gone():
            os._exit(CODES_BY_REASON[reason])

    def on_signal(number: int, frame: object) -> None:
        reason = REASONS[signal.Signals(number)]
        threading.Thread(target=leave, args=(reason,), name="leaving", daemon=True).start()

    with handled(EXIT_SIGNALS, on_signal):
        yield


def _is_terminal_gone() -> bool:
    try:
        import termios
    except ImportError:  # Windows
        return False
    try:
        termios.tcgetattr(sys.__stderr__.fileno() if sys.__stderr__ else -1)
    except termios.error as error:
        return error.args[0] in (errno.EIO, errno.ENXIO)  # other errors: it never was a terminal
    except (OSError, ValueError):
        return False
    return False
