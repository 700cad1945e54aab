"""The errors a person can mend, and how what is wrong with a file is said."""

from __future__ import annotations

from pathlib import Path

from tui_trainer.text.fmt import one_line, printable


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


def path_error(path: Path, problem: str) -> InputError:
    """Return the error that says what is wrong with a file or folder."""
    return InputError(f"{printable(path)}: {problem}")


def reason(error: BaseException) -> str:
    """Return what an exception says, as one line without its path."""
    text = (isinstance(error, OSError) and error.strerror) or str(error)
    return one_line(text or type(error).__name__)
