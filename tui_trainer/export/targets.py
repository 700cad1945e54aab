"""What all exports share: files that are written completely or not at all, optional packages."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.recording import atomic


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield another path in the same folder to write to; afterwards the file replaces ``path``.

    If writing fails, ``path`` is unchanged. A symbolic link stays a link: its target is replaced.

    Raises:
        InputError: If the file cannot be written, or ``path`` is no ordinary file but a folder, a
            pipe or a device.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise path_error(path, "is not an ordinary file; choose another name")
    try:
        with atomic.replacing(target) as unfinished:
            yield unfinished
    except OSError as error:
        raise path_error(path, f"cannot be written: {reason(error)}") from error


def require(package: str, purpose: str, extra: str = "export") -> ModuleType:
    """Import an optional package, or one of its modules.

    Args:
        package: Its name, which is also its name for pip.
        purpose: The reason, as the start of a sentence: ``the ONNX file``.
        extra: The extra of mnist-tui that installs it.

    Raises:
        InputError: If it is not installed, or cannot be loaded.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        missing = (error.name or package).partition(".")[0]
        raise InputError(
            f'{purpose} needs {missing}, which is not installed: pip install "mnist-tui[{extra}]"'
        ) from error
    except (ImportError, OSError) as error:
        words = f"{purpose} needs {package}, which cannot be loaded: {reason(error)}"
        raise InputError(words) from error
