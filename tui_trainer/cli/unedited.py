"""Written files that somebody has edited: they are not replaced.

A text ends in a line with the digest of all lines before it, a comment of Markdown, HTML or Python;
a notebook has the digest in its metadata.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from tui_trainer.protocol.errors import InputError

HTML_COMMENT = "<!-- ", " -->"
PYTHON_COMMENT = "# ", ""
"""What stands before and after a comment on one line."""

MARK = "mnist-tui, unedited: sha256 "
"""Begins the comment, before the digest."""

METADATA = "mnist_tui"
"""The key of the digest in the metadata of a notebook."""


def check_unedited(path: Path) -> None:
    """Check that a file can be written without losing somebody's work.

    Raises:
        InputError: If there is a file that was edited since mnist-tui wrote it, or never was ours.
    """
    if not path.exists():
        return
    try:
        raw = path.read_bytes().decode()
    except (OSError, ValueError):
        raw = ""
    if path.suffix == ".ipynb":
        is_unedited = _is_unedited_notebook(raw)
    else:
        comment = PYTHON_COMMENT if path.suffix == ".py" else HTML_COMMENT
        text, mark, _ = raw.rpartition(f"{comment[0]}{MARK}")
        is_unedited = bool(mark) and raw == marked(text, comment)
    if not is_unedited:
        raise InputError(
            "was edited since mnist-tui wrote it, and is not replaced; rename it, or choose "
            "another folder with --to"
        )


def marked(text: str, comment: tuple[str, str] = HTML_COMMENT) -> str:
    """Return a text with the line that has its digest."""
    start, end = comment
    return f"{text}{start}{MARK}{sha256(text.encode()).hexdigest()}{end}\n"


def marked_notebook(text: str) -> str:
    """Return a notebook, as JSON, with its digest in its metadata."""
    record = json.loads(text)
    record["metadata"][METADATA] = {"sha256": _digest(record)}
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def _is_unedited_notebook(raw: str) -> bool:
    try:
        record = json.loads(raw)
        digest = record["metadata"].pop(METADATA)["sha256"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    return bool(digest == _digest(record))


def _digest(record: Any) -> str:
    return sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
