"""The window of a made-up sweep."""

from __future__ import annotations

from collections.abc import Callable

from textual.pilot import Pilot

from tests.ui.fakes import until
from tui_trainer.sweeps.state import SweepState
from tui_trainer.ui.sweep_app import SweepApp


class States:
    """Returns states one after the other, then the last one again and again."""

    def __init__(self, *states: SweepState) -> None:
        self.states = list(states)
        self.readings = 0

    def __call__(self) -> SweepState:
        self.readings += 1
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def sweep_window(read: States, stop: Callable[[], object] | None = None) -> SweepApp:
    """Return a window that reads these states."""
    return SweepApp(read, stop=stop, resume="mnist-tui sweep --resume lr-sweep", theme="midnight")


async def opened(pilot: Pilot[None], app: SweepApp) -> None:
    """Wait until the first state is shown."""
    await until(pilot, lambda _: app.state is not None, app)  # type: ignore[arg-type]
    await pilot.pause()
