"""The metadata of a checkpoint, read without torch from the header of a safetensors file.

A safetensors file begins with the length of its header (eight bytes, little-endian) and the header,
a JSON object; see the format's description in the safetensors repository.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui_trainer.protocol.errors import path_error
from tui_trainer.protocol.schema import SCHEMA, upgraded_head, upgraded_metadata
from tui_trainer.recording.atomic import read_at_most

SUFFIX = ".safetensors"
"""The suffix of checkpoint files."""

MAX_HEAD = 1 << 24
"""The longest header that is read, 16 MiB; with a hundred tensors it has about 10 kB."""


def read_metadata(path: Path) -> Mapping[str, Any]:
    """Return the metadata of a checkpoint without reading its tensors or checking its checksum.

    Raises:
        InputError: If it cannot be read, is no checkpoint, or was written by a newer version.
    """
    text, _ = parse_head(read_at_most(path, MAX_HEAD), path)
    return upgraded_metadata(parse_metadata(text, path))


def parse_metadata(text: str, path: Path) -> dict[str, Any]:
    """Parse the metadata of a checkpoint and check its number of event lines.

    Args:
        text: The JSON.
        path: The file's name, for messages.

    Raises:
        InputError: If it is not valid.
    """
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise path_error(path, DAMAGED)
    lines = metadata.get("lines")
    if lines is not None and not (type(lines) is int and lines >= 0):
        raise path_error(path, f"lines cannot be {str(lines)[:40]!r}")
    return metadata


DAMAGED = "is not a safetensors file, or is corrupted"
NO_CHECKPOINT = "contains tensors, but no checkpoint of a run"


def parse_head(content: bytes, path: Path) -> tuple[str, str]:
    """Return the metadata, as JSON, and the checksum in the header of a checkpoint.

    Args:
        content: The file, at least up to the end of its header.
        path: The file's name, for messages.

    Raises:
        InputError: If it is no checkpoint, or was written by a newer version.
    """
    if not content:
        raise path_error(path, "is empty")
    try:
        length = int.from_bytes(content[:8], "little")
        header = upgraded_head(json.loads(content[8 : 8 + length])["__metadata__"])
        schema, maker = str(header.get("format")), str(header.get("version"))[:20]
        metadata, digest = header.get("metadata"), header.get("sha256")
    except KeyError:
        raise path_error(path, NO_CHECKPOINT) from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise path_error(path, DAMAGED) from None
    if schema.isascii() and schema.isdigit() and len(schema) < 9 and int(schema) > SCHEMA:
        raise path_error(
            path,
            f"was written by a newer mnist-tui ({maker!r}, format {schema}; this one reads "
            f"{SCHEMA}); update mnist-tui",
        )
    if not isinstance(metadata, str) or not isinstance(digest, str):
        raise path_error(path, NO_CHECKPOINT)
    return metadata, digest
