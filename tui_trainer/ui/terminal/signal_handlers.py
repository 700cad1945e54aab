"""Being told to end from outside: by SIGTERM, or by the terminal's closing."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tui_trainer.protocol.exit_codes import ENDINGS
from tui_trainer.terminal.signals import REASONS, handled

EXIT_SIGNALS = [number for number in REASONS if number != signal.SIGINT]
"""In the window Ctrl+C is a key like any other."""


@contextmanager
def quit_on_signals(end: Callable[[str], None]) -> Iterator[None]:
    """Call ``end`` with the reason, on a thread of its own, when a signal says to leave.

    A thread, because the event loop may hang already: what is written to a terminal that is gone
    waits for ever. If it is gone, the process ends as soon as ``end`` has returned.
    """

    def leave(reason: str) -> None:
        end(reason)
        if _is_terminal_gone():
            os._exit(ENDINGS[reason])

    def on_signal(number: int, frame: object) -> None:
        reason = REASONS[signal.Signals(number)]
        threading.Thread(target=leave, args=(reason,), name="leaving", daemon=True).start()

    with handled(EXIT_SIGNALS, on_signal):
        yield


def _is_terminal_gone() -> bool:
    try:
        import termios
    except ImportError:  # not every system has it
        return False
    try:
        termios.tcgetattr(sys.__stderr__.fileno() if sys.__stderr__ else -1)
    except termios.error as error:
        return error.args[0] in (errno.EIO, errno.ENXIO)  # another one: it never was a terminal
    except (OSError, ValueError):
        return False
    return False
