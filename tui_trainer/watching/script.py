"""The script that trains: its file, its processes, and the line that failed."""

from __future__ import annotations

import os
import re
import sys
import traceback

from tui_trainer.text.fmt import one_line

NOTEBOOK = "notebook"
"""The name of a script without a file: the cells of a notebook."""


def script_path() -> str:
    """Return the absolute path of the script that is running; ``notebook`` without a file."""
    path = getattr(sys.modules.get("__main__"), "__file__", None) or "<none>"
    return NOTEBOOK if path.startswith("<") else os.path.abspath(path)  # <stdin>


def model_reference(name: str) -> str:
    """Return a reference to a model of the script, as settings have it.

    ``pytest`` and other scripts have no suffix, and a name may be any text.
    """
    path, name = script_path(), _identifier(name)
    is_file = path.lower().endswith(".py")
    return f"{path if is_file else _identifier(os.path.basename(path))}:{name}"


def _identifier(text: str) -> str:
    word = re.sub(r"\W", "_", text)
    return word if word.isidentifier() else f"_{word}"


def is_first_process() -> bool:
    """Return whether this is the first, or the only, process of the training."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank() == 0
    return os.environ.get("RANK", "0") in ("", "0")


def processes() -> int:
    """Return the number of processes that train together."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    size = os.environ.get("WORLD_SIZE", "1")
    return int(size) if size.isdigit() else 1


def failure_of(error: BaseException) -> str:
    """Return an exception in one line, with the last line of the script that led to it."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if os.path.abspath(frame.filename) == script_path()] or frames
    place = f" ({os.path.basename(mine[-1].filename)}, line {mine[-1].lineno})" if mine else ""
    return one_line(f"{type(error).__name__}: {error}{place}")
