"""The words for what is wrong with a file: every message is one line that names it."""

from __future__ import annotations

from pathlib import Path

from tui_trainer.protocol.errors import InputError


def fault(path: Path, problem: str) -> InputError:
    """Return the error that says what is wrong with a file or folder."""
    return InputError(f"{shown(path)}: {problem}")


def shown(path: Path | str) -> str:
    """Return a path or a text from outside as one line, whatever it holds."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def reason(error: BaseException) -> str:
    """Return what an exception says, as one line without its path."""
    text = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))


def counted(number: int, noun: str, plural: str = "s") -> str:
    """Return a number with its noun, in the plural where it is not one."""
    return f"{number:,} {noun}{'' if number == 1 else plural}"
