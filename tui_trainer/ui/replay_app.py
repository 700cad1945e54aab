"""The window of ``mnist-tui replay``: a recorded run and nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType

from tui_trainer.ui.base_app import LabWindow
from tui_trainer.ui.keys.keymap import WINDOW_KEYS
from tui_trainer.ui.runs.recorded_run import RecordedRun
from tui_trainer.ui.screens.replay_screen import ReplayScreen


class ReplayApp(LabWindow):
    """Shows one recorded run; closing it leaves the app."""

    BINDINGS: ClassVar[list[BindingType]] = [*WINDOW_KEYS]
    DEFAULT_MODE = "replay"

    def __init__(
        self, run: RecordedRun, *, theme: str | None = None, pictures: Path | None = None
    ) -> None:
        super().__init__(theme=theme, pictures=pictures)
        self.add_mode("replay", partial(ReplayScreen, run))
