"""Errors that the user can fix, and their messages."""

from __future__ import annotations

from pathlib import Path

from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.text.fmt import one_line, printable


class InputError(Exception):
    """Invalid input of the user: an option, a file or a setting.

    ``str(error)`` is the complete message: one line that says what is wrong, where, and what to do.
    The command line prints it and exits with ``code``.
    """

    code = ExitCode.BAD_INPUT


class CommandError(InputError):
    """A command for the trainer of a run was not applied, or its result is not known."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code


class SettingError(ValueError):
    """A setting of a run has an invalid value.

    Attributes:
        key: The name of the setting, as in :class:`tui_trainer.protocol.config.RunConfig`.
        problem: What is wrong, and which values are valid.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem


def path_error(path: Path, problem: str) -> InputError:
    """Return the error about a problem with a file or folder."""
    return InputError(f"{printable(path)}: {problem}")


def reason(error: BaseException) -> str:
    """Return the message of an exception as one line, without a path."""
    text = (isinstance(error, OSError) and error.strerror) or str(error)
    return one_line(text or type(error).__name__)
