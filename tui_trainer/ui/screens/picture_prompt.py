"""The prompt for the path of a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tui_trainer.protocol.errors import InputError
from tui_trainer.ui.widgets.prompt_line import Prompt

PICTURE = "picture"
"""The choice that passes the path to a view."""


def picture_prompt(
    value: str, submit: Callable[[str], object], cancel: Callable[[], object]
) -> Prompt:
    """Return a prompt that begins with ``value`` and submits an absolute path."""
    return Prompt(
        label=PICTURE,
        value=value,
        check=picture_at,
        submit=lambda text: submit(str(picture_at(text))),
        cancel=cancel,
        hint="the path of a JPEG, PNG, WebP, BMP or TIFF",
    )


def picture_at(text: str) -> Path:
    """Return the file at a typed path, as an absolute path.

    Raises:
        InputError: If there is no such file.
    """
    try:
        path = Path(text.strip()).expanduser().absolute()
        is_file = path.is_file()
    except (OSError, ValueError, RuntimeError):
        is_file = False
    if not is_file:
        raise InputError("no such file")
    return path
