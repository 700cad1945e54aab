"""The front end without a window: events in, data to stdout, prose to stderr, an exit code."""

from tui_trainer.headless.runner import run_headless

__all__ = ["run_headless"]
