"""The errors a person can mend."""

from __future__ import annotations


class InputError(Exception):
    """Something a person gave cannot be used.

    ``str(error)`` is the whole report: one line that says what is wrong, where, and what to do.
    The command line prints it and exits with code 2.
    """


class SettingError(ValueError):
    """One setting of a run has a value it cannot have.

    Attributes:
        key: The name of the setting, as in :class:`tui_trainer.protocol.config.RunConfig`.
        problem: What is wrong with it and what would be right.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem
