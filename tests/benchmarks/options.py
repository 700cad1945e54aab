"""Command lines of the benchmarks: each input error is one line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

UNUSABLE = 2
LONGEST = 100_000.0
MOST = 1_000


class Parser(argparse.ArgumentParser):
    """Prints an error in one line and exits with code 2."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Print the error and exit."""
        self.exit(UNUSABLE, f"{self.prog}: error: {message}\n")


def above_zero(text: str) -> float:
    """Return a number above 0.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= LONGEST:
        raise argparse.ArgumentTypeError(f"needs a number above 0, not {text!r}")
    return value


def whole(text: str) -> int:
    """Return a whole number from 1 to 1,000.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST):
        raise argparse.ArgumentTypeError(f"needs a whole number from 1 to {MOST:,}, not {text!r}")
    return int(text)


def from_zero(text: str) -> int:
    """Return a whole number from 0 to 99,999, such as a seed.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise argparse.ArgumentTypeError(f"needs a whole number from 0 to 99,999, not {text!r}")
    return int(text)


def output_file(text: str) -> Path:
    """Return the path of a file that can be created: a long run must not be lost at its end.

    Raises:
        argparse.ArgumentTypeError: If its folder does not exist.
    """
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a file in an existing folder")
    return path
