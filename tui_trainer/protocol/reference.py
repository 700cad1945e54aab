"""Where a network of one's own is: ``path/to/file.py:ClassName`` or ``package.module:factory``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import PurePath

from tui_trainer.text.fmt import printable

REFERENCE_SYNTAX = "path/to/file.py:ClassName or package.module:factory"
"""How such a reference is written."""


WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors", ".onnx", ".h5", ".pkl", ".bin", ".tar")
"""How the names of files end that hold weights, not code."""

LONGEST_PLACE = 200
"""The characters of a path that advice repeats."""


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


def suggestion_for(model: str) -> str:
    """Return what to write in place of a name that is no reference; empty if nothing is known."""
    place, colon, name = model.rpartition(":")
    place = (place if colon else model).rstrip(":")
    if len(place) > LONGEST_PLACE:
        return ""
    suffix = PurePath(place).suffix.lower()
    if suffix == ".ipynb":
        script = PurePath(place).with_suffix(".py").name
        return f"a notebook; save it as a Python file, and name its class: {script}:ClassName"
    if suffix in WEIGHTS:
        return "a file of weights; name the Python file with the model's class: net.py:ClassName"
    if _is_file(place):
        called = name.partition("(")[0].rpartition(".")[2].strip()
        called = called if called.isidentifier() else "ClassName"
        return f"after the colon comes one name, without parentheses: {place}:{called}"
    try:
        if os.path.isfile(f"{place}.py"):
            return f"did you mean {place}.py:{name or 'ClassName'}?"
        if os.path.isdir(place):
            return f"a folder; name a file in it: {os.path.join(place, 'net.py')}:ClassName"
    except ValueError:  # a name that no file can have
        return ""
    return ""


def absolute(model: str) -> str:
    """Return a model's name with the path of its file, if it has one, written out from the root.

    A run can then go on from another folder. A leading ``~`` is written out too. A module of the
    current folder is written as its file.
    """
    reference = parse_reference(model)
    if reference is None:
        return model
    place = reference.place if reference.is_file else _file_of_module(reference.place)
    return reference.at(absolute_path(place)) if place else model


def _file_of_module(name: str) -> str:
    """Return the file of a module of the current folder, empty if it is not there."""
    stem = name.replace(".", os.sep)
    files = (os.path.join(stem, "__init__.py"), f"{stem}.py")
    return next((file for file in files if os.path.isfile(file)), "")


def absolute_path(path: str) -> str:
    """Return a path written out from the root, a leading ``~`` too.

    Where the current folder is gone, nothing can be written out, and the path stays as it is.
    """
    path = os.path.expanduser(path)
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        return path


def model_name(model: str) -> str:
    """Return what a network is called on a screen: a file of one's own without its folders.

    ``/home/ada/lab/net.py:Net`` is ``net.py:Net``; a name of the zoo stays as it is.
    """
    reference = parse_reference(model)
    return printable(model if reference is None else reference.short)
