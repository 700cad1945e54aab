"""What every export shares: a file that appears whole or not at all, and packages not at hand."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from tui_trainer.protocol.errors import InputError, fault, reason
from tui_trainer.recording import atomic


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give another name in the same folder to write to; on leaving, the file takes its place.

    If the writing fails, what was under ``path`` stays as it was. A symbolic link stays a link: the
    file that it points to is replaced.

    Raises:
        InputError: If the file cannot be written, or ``path`` is no ordinary file but a folder, a
            pipe or a device.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise fault(path, "is not an ordinary file; choose another name")
    try:
        with atomic.replacing(target) as unfinished:
            yield unfinished
    except OSError as error:
        raise fault(path, f"cannot be written: {reason(error)}") from error


def require(package: str, purpose: str) -> ModuleType:
    """Import a package, or one of its modules, that is not among the program's own needs.

    Args:
        package: Its name, which is also what pip knows it by.
        purpose: What it is needed for, as the beginning of a sentence: ``the ONNX file``.

    Raises:
        InputError: If it is not installed, or cannot be loaded.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        missing = (error.name or package).partition(".")[0]
        raise InputError(
            f'{purpose} needs {missing}, which is not installed: pip install "mnist-tui[export]"'
        ) from error
    except (ImportError, OSError) as error:
        words = f"{purpose} needs {package}, which cannot be loaded: {reason(error)}"
        raise InputError(words) from error
