"""The window of a made-up sweep, and a picture of it: python -m tests.ui.sweep_window."""

from __future__ import annotations

from tui_trainer.sweeps.state import SweepState


class States:
    """Returns states one after the other, then the last one again and again."""

    def __init__(self, *states: SweepState) -> None:
        self.states = list(states)
        self.readings = 0

    def __call__(self) -> SweepState:
        self.readings += 1
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]
