"""A run on a screen, live or recorded."""

from __future__ import annotations

from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.recorded_run import RecordedRun

ShownRun = LiveRun | RecordedRun
