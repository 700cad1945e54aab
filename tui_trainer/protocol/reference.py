"""References to custom models: ``path/to/file.py:ClassName`` or ``package.module:factory``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import PurePath

from tui_trainer.text.fmt import printable

REFERENCE_SYNTAX = "path/to/file.py:ClassName or package.module:factory"
"""The syntax of a reference, for messages."""

WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors", ".onnx", ".h5", ".pkl", ".bin", ".tar")
"""Suffixes of files that hold weights, not code."""

LONGEST_PLACE = 200
"""The longest path that advice repeats, in characters."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to a class or a function that returns a model.

    Attributes:
        place: A Python file, or the dotted name of a module.
        name: The name in that module; empty if only a file is given.
        is_file: Whether ``place`` is a file.
    """

    place: str
    name: str
    is_file: bool

    @property
    def short(self) -> str:
        """The reference without folders: ``net.py:Net``."""
        place = PurePath(self.place).name if self.is_file else self.place
        return f"{place}:{self.name}" if self.name else place

    def at(self, place: str) -> str:
        """Return the reference to the same name in another file."""
        return f"{place}:{self.name}" if self.name else place


def parse_reference(model: str) -> Reference | None:
    """Parse a reference; None if the model's name does not have that syntax."""
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
    """Return advice for a name that is no valid reference; empty if there is none."""
    place, colon, name = model.rpartition(":")
    place = (place if colon else model).rstrip(":")
    if len(place) > LONGEST_PLACE:
        return ""
    suffix = PurePath(place).suffix.lower()
    if suffix == ".ipynb":
        script = PurePath(place).with_suffix(".py").name
        return f"a notebook; save it as a Python file, and name its class: {script}:ClassName"
    if suffix in WEIGHTS:
        return "a weights file; name the Python file with the model's class: net.py:ClassName"
    if _is_file(place):
        called = name.partition("(")[0].rpartition(".")[2].strip()
        called = called if called.isidentifier() else "ClassName"
        return f"write one name after the colon, without parentheses: {place}:{called}"
    try:
        if os.path.isfile(f"{place}.py"):
            return f"did you mean {place}.py:{name or 'ClassName'}?"
        if os.path.isdir(place):
            return f"a folder; name a file in it: {os.path.join(place, 'net.py')}:ClassName"
    except ValueError:  # a name that no file can have
        return ""
    return ""


def absolute(model: str, folder: str = "") -> str:
    """Return a model's name with an absolute path, if it refers to a file.

    A run can then be resumed from another folder. A leading ``~`` is expanded. A module in the
    folder becomes the path of its file.

    Args:
        model: The name.
        folder: The folder of a relative path; empty for the current one.
    """
    reference = parse_reference(model)
    if reference is None:
        return model
    place = reference.place if reference.is_file else _file_of_module(reference.place, folder)
    return reference.at(absolute_path(place, folder)) if place else model


def _file_of_module(name: str, folder: str) -> str:
    """Return the file of a module in a folder; empty if there is none."""
    stem = name.replace(".", os.sep)
    files = (os.path.join(stem, "__init__.py"), f"{stem}.py")
    return next((file for file in files if os.path.isfile(os.path.join(folder, file))), "")


def absolute_path(path: str, folder: str = "") -> str:
    """Return an absolute path, with a leading ``~`` expanded.

    If the current folder has been deleted, the path is returned unchanged.

    Args:
        path: The path.
        folder: The folder of a relative path; empty for the current one.
    """
    path = os.path.join(folder, os.path.expanduser(path))
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        return path


def model_name(model: str) -> str:
    """Return a model's name for display: a reference without its folders.

    ``/home/ada/lab/net.py:Net`` becomes ``net.py:Net``; a name of the zoo is unchanged.
    """
    reference = parse_reference(model)
    return printable(model if reference is None else reference.short)
