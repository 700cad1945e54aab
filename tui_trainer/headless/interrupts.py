"""Ctrl+C, SIGTERM and SIGHUP: the first asks for an orderly end, the second leaves at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from tui_trainer.protocol.commands import Inbox, Stop
from tui_trainer.protocol.exit_codes import ENDINGS, ExitCode
from tui_trainer.terminal.signals import REASONS, handled


class ImmediateExit(KeyboardInterrupt):
    """The second signal came; ``code`` is the exit code that it asks for."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__()
        self.code = code


@contextmanager
def interruptible(inbox: Inbox, announce: Callable[[str], None]) -> Iterator[None]:
    """Turn the first signal inside into a ``Stop``, every further one into ``ImmediateExit``.

    What is ignored stays ignored; see :func:`tui_trainer.terminal.signals.handled`.

    Args:
        inbox: Where the ``Stop`` goes; it wakes an engine that is paused.
        announce: Tells the person what happens now, given the reason; called from the handler.

    Raises:
        LeftAtOnce: At the second signal, wherever the main thread is.
    """
    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        reason = REASONS[signal.Signals(number)]
        if asked:
            raise ImmediateExit(ENDINGS[reason])
        asked = True
        inbox.send(Stop(reason=reason, test=False))
        # Python refuses a write into a stream that the interrupted code is writing to. The wish
        # is sent; the words are not worth a crash.
        with suppress(RuntimeError):
            announce(reason)

    with handled(REASONS, on_signal):
        yield
