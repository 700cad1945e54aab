"""Where a network of one's own is: ``path/to/file.py:ClassName`` or ``package.module:factory``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import PurePath

HOW = "path/to/file.py:ClassName or package.module:factory"
"""How such a reference is written."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A class or a function that gives a network.

    Attributes:
        place: A Python file, or the dotted name of a module.
        name: What it is called there; empty for a file that is named alone.
        is_file: Whether ``place`` is a file.
    """

    place: str
    name: str
    is_file: bool

    @property
    def short(self) -> str:
        """The reference without the folders of its file: ``net.py:Net``."""
        place = PurePath(self.place).name if self.is_file else self.place
        return f"{place}:{self.name}" if self.name else place

    def at(self, place: str) -> str:
        """Return how the same name in another file is written."""
        return f"{place}:{self.name}" if self.name else place


def parse_reference(model: str) -> Reference | None:
    """Return the reference that a model's name is, None if it has not the form of one."""
    if _is_file(model):
        return Reference(model, "", is_file=True)
    place, colon, name = model.rpartition(":")
    if not colon or (name and not name.isidentifier()):
        return None
    if _is_file(place):
        return Reference(place, name, is_file=True)
    is_module = all(part.isidentifier() for part in place.split("."))
    return Reference(place, name, is_file=False) if is_module and name else None


def _is_file(place: str) -> bool:
    return place.lower().endswith(".py")


def absolute(model: str) -> str:
    """Return a model's name with the path of its file, if it has one, written out from the root.

    A run can then go on from another folder. A leading ``~`` is written out too.
    """
    reference = parse_reference(model)
    if reference is None or not reference.is_file:
        return model
    return reference.at(absolute_path(reference.place))


def absolute_path(path: str) -> str:
    """Return a path written out from the root, a leading ``~`` too.

    Where the current folder is gone, nothing can be written out, and the path stays as it is.
    """
    path = os.path.expanduser(path)
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        return path
