"""The note and the tags of a run: ``about.json`` in its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.atomic import read_at_most, write_atomically
from tui_trainer.text.fmt import one_line

ABOUT = "about.json"
"""The name of the file."""

MAX_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class About:
    """What a person wrote about a run; a run without the file has no note and no tags."""

    note: str = ""
    tags: tuple[str, ...] = ()


NOTHING = About()


def read_about(folder: Path) -> About:
    """Return the note and the tags of a run; empty ones if the file is missing or damaged."""
    path = folder / ABOUT
    try:
        record = json.loads(read_at_most(path, MAX_BYTES)) if path.is_file() else {}
    except (InputError, ValueError, RecursionError, OSError):
        return NOTHING
    if not isinstance(record, dict):
        return NOTHING
    note, tags = record.get("note"), record.get("tags")
    return About(
        note=one_line(note) if isinstance(note, str) else "",
        tags=tuple(one_line(tag) for tag in tags if isinstance(tag, str))
        if isinstance(tags, list)
        else (),
    )


def write_about(folder: Path, about: About) -> None:
    """Write the note and the tags of a run.

    Raises:
        OSError: If the file cannot be written; the old one is intact.
    """
    record = {"note": about.note, "tags": list(about.tags)}
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    write_atomically(folder / ABOUT, text.encode("utf-8", "replace"))
