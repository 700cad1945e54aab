"""Where in a folder the four files of an MNIST-format dataset are."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from tui_trainer.protocol.errors import fault, reason
from tui_trainer.text.fmt import printable

_ROLES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
_FILE_NAME = re.compile(
    r"(?P<prefix>(?:.*[-_.])?)(?P<split>train|t10k|test)[-_]"
    r"(?P<kind>images|labels)[-_.]idx[0-9]-[^.]+(?:\.gz)?",
    re.IGNORECASE,
)

Role = tuple[str, str]
"""``train`` or ``test``, then ``images`` or ``labels``."""


def find_files(folder: Path) -> dict[Role, Path]:
    """Return the file of each role of the one dataset in ``folder``.

    Where they may lie and what they may be called is told by :func:`engine.idx.read_folder`.

    Raises:
        InputError: If the folder cannot be read, or has no dataset, or more than one.
    """
    found: dict[tuple[Path, str], dict[Role, list[Path]]] = {}
    for place in _places(folder):
        for path in _listed(place):
            match = _FILE_NAME.fullmatch(path.name)
            # A hidden file is no data: macOS leaves "._NAME" beside every NAME.
            if match is None or path.name.startswith("."):
                continue
            split = "train" if match["split"].lower() == "train" else "test"
            roles = found.setdefault((place, match["prefix"]), {})
            role = (split, match["kind"].lower())
            roles.setdefault(role, []).append(path)
    if not found:
        names = f"{', '.join(_ROLES.values())}, each also with .gz or a prefix"
        raise fault(
            folder, f"no MNIST-format files there; looked for {names}, also in raw and */raw"
        )
    complete = [key for key, roles in found.items() if len(roles) == len(_ROLES)]
    if len(complete) > 1:
        names = ", ".join(printable(place / f"{prefix}*") for place, prefix in complete)
        raise fault(folder, f"more than one dataset there ({names}); name a folder that holds one")
    place, prefix = complete[0] if complete else max(found, key=lambda key: len(found[key]))
    roles = found[place, prefix]
    if missing := [printable(prefix + name) for role, name in _ROLES.items() if role not in roles]:
        raise fault(place, f"{', '.join(missing)} not found (plain or .gz); add what is missing")
    return {role: _pick(paths) for role, paths in roles.items()}


def _places(folder: Path) -> list[Path]:
    """Return the folders in which the files may lie."""
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except FileNotFoundError as error:
        raise fault(folder, "no such folder; check the path") from error
    except (OSError, ValueError) as error:
        raise fault(folder, f"{reason(error)}; check the path") from error
    if not is_folder:
        raise fault(folder, "not a folder; name the folder that holds the files")
    inner = [folder / "raw", *(path / "raw" for path in _listed(folder))]
    return [folder, *(path for path in inner if os.path.isdir(path))]


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        why = reason(error)
        raise fault(folder, f"cannot list it: {why}; check the folder's permissions") from error


def _pick(paths: list[Path]) -> Path:
    """Return the one file of a role: a file before a folder, a plain one before its .gz."""
    # Some unpackers make a folder with the name of the file that they put into it.
    files = [path for path in paths if os.path.isfile(path)] or paths
    chosen = [
        path for path in files if path.suffix.lower() != ".gz" or path.with_suffix("") not in files
    ]
    if len(chosen) > 1:
        names = ", ".join(printable(Path(path.name)) for path in chosen)
        raise fault(chosen[0].parent, f"{names} could each be meant; move all but one away")
    return chosen[0]
