"""Ctrl+C, SIGTERM and SIGHUP: the first stops the run in order, the second exits at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from tui_trainer.protocol.commands import Inbox, Stop
from tui_trainer.protocol.exit_codes import CODES_BY_REASON, ExitCode
from tui_trainer.terminal.signals import REASONS, handled


class ImmediateExit(KeyboardInterrupt):
    """Raised at the second signal; ``code`` is the exit code."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__()
        self.code = code


@contextmanager
def interruptible(
    inbox: Inbox, announce: Callable[[str], None], has_begun: Callable[[], bool] = lambda: True
) -> Iterator[None]:
    """Turn the first signal into a ``Stop``, and each further one into ``ImmediateExit``.

    Ignored signals stay ignored; see :func:`tui_trainer.terminal.signals.handled`.

    Args:
        inbox: Receives the ``Stop``, which also wakes a paused engine.
        announce: Called from the signal handler with the reason, to print a message.
        has_begun: Whether there is anything to end in order; otherwise the first signal is enough.

    Raises:
        ImmediateExit: At the second signal, or at the first if it is enough, wherever the main
            thread is.
    """
    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        reason = REASONS[signal.Signals(number)]
        is_first, asked = not asked, True
        if is_first:
            inbox.send(Stop(reason=reason, test=False))
            # Python refuses to write into a stream that the interrupted code is writing to. The
            # command is sent; a message is not worth a crash.
            with suppress(RuntimeError):
                announce(reason)
        if not (is_first and has_begun()):
            raise ImmediateExit(CODES_BY_REASON[reason])

    with handled(REASONS, on_signal):
        yield
