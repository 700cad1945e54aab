"""The command line."""

from tui_trainer.cli.entry import app, main

__all__ = ["app", "main"]
