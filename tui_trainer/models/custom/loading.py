"""Import custom code; every error in it becomes a one-line message with file and line.

Importing executes the code, so only import code that you trust. What it changes in the process
during import, construction and trial is restored, see
:mod:`tui_trainer.models.custom.process_state`; what its ``forward`` prints later is not redirected.
"""

from __future__ import annotations

import codecs
import functools
import importlib
import importlib.util
import inspect
import os
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from torch import nn

from tui_trainer.models.custom import error_lines
from tui_trainer.models.custom.error_lines import place_of
from tui_trainer.models.custom.module_finder import CustomImports
from tui_trainer.models.custom.process_state import custom_code, lock, reset_imports
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.reference import Reference
from tui_trainer.recording.atomic import read_at_most
from tui_trainer.text.fmt import clip

MAX_BYTES = 1 << 20
"""The largest file that is read."""

_latest: dict[Reference, Any] = {}


def load(reference: Reference) -> Any:
    """Import the file or module of a reference again, and return the object that it names.

    The modules that it imports from its folder are imported again too, so that the next run uses
    edited code.

    Raises:
        InputError: If there is no such file, module or name, or its code raises.
    """
    with lock, preserve_rng_state():
        _latest.clear()
        imports = reset_imports(reference)
        with custom_code(reference):
            module = _imported(reference, imports)
        _latest[reference] = _named(module, reference)
        return _latest[reference]


def models_in(place: str) -> list[str]:
    """Return the names of the model classes that a Python file defines; the file is imported.

    A class that another class of the file uses is a part of a model, such as a block, and left out.

    Raises:
        InputError: If there is no such file, its code raises, or it has no such class.
    """
    reference = Reference(place, "", is_file=True)
    with lock, preserve_rng_state():
        imports = reset_imports(reference)
        with custom_code(reference):
            there = _names(_imported(reference, imports))
    classes = {name: value for name, value in there.items() if is_module_class(value)}
    used = {
        name
        for owner, kind in classes.items()
        for method in vars(kind).values()
        if isinstance(method, FunctionType)
        for name in _names_in(method.__code__)
        if name != owner
    }
    if not classes:
        raise InputError(f"{place_of(reference)}: has no class of nn.Module{_listed(there)}")
    return [name for name in classes if name not in used] or [*classes]


def _names_in(code: CodeType) -> set[str]:
    """Return the global names that a function uses, also in the functions inside it."""
    inside = (part for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*map(_names_in, inside))


def _imported(reference: Reference, imports: CustomImports) -> ModuleType:
    path = Path(os.path.abspath(reference.place))
    try:
        if reference.is_file:
            return imports.import_file(path, _read(path, place_of(reference)))
        return importlib.import_module(reference.place)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        words = error_lines.describe_error(error, place_of(reference), reference)
        advice = error_lines.advice(error, reference)
        raise InputError(f"{words}; it could not be imported{advice and f': {advice}'}") from None


def last_loaded(reference: Reference) -> Any:
    """Return the object of a reference from the last import if that was of it; else import it.

    Raises:
        InputError: From :func:`load`.
    """
    with lock:
        return _latest[reference] if reference in _latest else load(reference)


def _read(path: Path, place: str) -> str:
    """Return the source of a Python file.

    Raises:
        InputError: If it cannot be read, is too large, or is not UTF-8.
    """
    source = read_at_most(path, MAX_BYTES, place)
    if len(source) > MAX_BYTES:
        raise InputError(f"{place}: larger than {MAX_BYTES >> 20} MiB; is it the right file?")
    if source.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or source[1:8:2] == bytes(4):
        raise InputError(f"{place}: UTF-16 text; save the file as UTF-8")
    if (bad := source.find(0)) >= 0:
        raise InputError(f"{place}:{_line(source, bad)}: binary data; is it the right file?")
    try:
        return importlib.util.decode_source(source)
    except (UnicodeDecodeError, SyntaxError):
        line = _line(source, _first_bad_byte(source))
        raise InputError(f"{place}:{line}: not UTF-8 text; save the file as UTF-8") from None


def _line(source: bytes, position: int) -> int:
    return source.count(b"\n", 0, position) + 1


def _first_bad_byte(source: bytes) -> int:
    try:
        source.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _named(module: ModuleType, reference: Reference) -> Any:
    name, place = reference.name, place_of(reference)
    there = _names(module)
    if not name:
        classes = [key for key, value in there.items() if isinstance(value, type)]
        if len(classes) == 1:
            raise InputError(f"{place}: name its model too: --model {place}:{classes[0]}")
        raise InputError(f"{place}: name its model too, as {place}:ClassName{_listed(there)}")
    try:
        return getattr(module, name)
    except AttributeError:
        raise InputError(f"{place}: has no {name}{_listed(there)}") from None


def _names(module: ModuleType) -> dict[str, Any]:
    """Return the model classes that a module defines, then its functions."""
    defined = {
        name: value
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    }
    classes = {name: value for name, value in defined.items() if is_module_class(value)}
    functions = {name: value for name, value in defined.items() if isinstance(value, FunctionType)}
    return classes | functions


def _listed(names: dict[str, Any]) -> str:
    if not names:
        return "; it has neither a subclass of nn.Module nor a function"
    return f"; it has {clip(', '.join(names), 120)}"


def is_module_class(value: object) -> bool:
    """Return whether a value is a subclass of ``nn.Module``."""
    return isinstance(value, type) and issubclass(value, nn.Module)


def is_python(target: Any) -> bool:
    """Return whether calling it runs Python code, not that of a C extension as ``os.abort``."""
    while isinstance(target, functools.partial):
        target = target.func
    if is_module_class(target) or isinstance(target, FunctionType):
        return True
    return isinstance(inspect.getattr_static(type(target), "__call__", None), FunctionType)
