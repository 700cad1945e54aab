"""Opens the window of a sweep, whose trials other processes train."""

from __future__ import annotations

from collections.abc import Callable

from tui_trainer.cli.front_ends import naming_textual_variables
from tui_trainer.protocol.exit_codes import CODES_BY_REASON, ExitCode
from tui_trainer.sweeps.state import SweepState


def run_sweep_window(
    read: Callable[[], SweepState],
    *,
    stop: Callable[[], object] | None,
    resume: str,
    theme: str | None = None,
    notify: str | None = None,
) -> int:
    """Open the window, and return the exit code after it is closed; workers may still end.

    Args:
        read: Reads the state of the sweep with its importance; called on a separate thread about
            once a second. An ``InputError`` is shown, and the reading is repeated.
        stop: Asks the workers to save their runs and to end, and returns at once; may be called on
            any thread. None for a window that only watches.
        resume: The command that goes on with the sweep.
        theme: The name or the file of the theme.
        notify: How to notify the user of the end.
    """
    with naming_textual_variables():
        from tui_trainer.ui.sweep_app import SweepApp
        from tui_trainer.ui.terminal.output_log import OutputLog

    with OutputLog() as outputs:
        with naming_textual_variables():
            window = SweepApp(read, stop=stop, resume=resume, theme=theme, notify=notify or "auto")
        window.draw_on(outputs)
        window.run()
    return CODES_BY_REASON.get(window.exit_reason or "", ExitCode.FINISHED)
