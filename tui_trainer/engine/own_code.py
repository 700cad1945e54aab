"""A person's own Python, imported: every fault in it becomes one line with its file and line.

The code is run, so it is the person's own to trust. What it prints while it is imported, built and
tried goes to stderr, for stdout is for data; what its ``forward`` prints later is its own affair.
``sys.path``, torch's generator and its default type are put back.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from pathlib import Path
from threading import RLock
from types import CodeType, FunctionType, ModuleType
from typing import Any

import torch
from torch import nn

from tui_trainer.engine.faults import reason, shown
from tui_trainer.engine.torchvision_compat import import_torchvision
from tui_trainer.run.errors import InputError
from tui_trainer.run.files import read_at_most
from tui_trainer.run.reference import Reference
from tui_trainer.run.text import clip

MAX_BYTES = 1 << 20
"""The largest file that is read."""

LONGEST_MESSAGE = 300
"""The characters of an exception's message that are told; torch's can be pages long."""

_OURS = Path(__file__).parents[1]

_lock = RLock()
_imported: set[str] = set()
_latest: dict[Reference, Any] = {}


def load(reference: Reference) -> Any:
    """Import the file or module of a reference anew, and return what it names there.

    Its folder, or for a module the present one, is importable meanwhile, as with ``python``. The
    neighbours that it imports are imported anew too, so that an edit counts in the next run.

    Raises:
        InputError: If there is no such file, module or name, or its code raises.
    """
    with _lock, torch.random.fork_rng(devices=[]), guest(reference):
        _forget_neighbours()
        before = set(sys.modules)
        place = place_of(reference)
        try:
            module = _import_file(reference) if reference.is_file else _import_module(reference)
        except (Exception, SystemExit) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{told(error, place, reference)}; it could not be imported") from None
        finally:
            _imported.update(_neighbours(set(sys.modules) - before, before, _folder(reference)))
        _latest.clear()
        _latest[reference] = _named(module, reference)
        return _latest[reference]


def latest(reference: Reference) -> Any:
    """Return what a reference names as it was last loaded, if that was the last thing loaded.

    Raises:
        InputError: As :func:`load`, where it must be loaded.
    """
    with _lock:
        return _latest[reference] if reference in _latest else load(reference)


@contextmanager
def guest(reference: Reference) -> Iterator[None]:
    """Run code of a reference: its folder importable, its words on stderr, its changes undone."""
    before = list(sys.path)
    dtype, with_gradient = torch.get_default_dtype(), torch.is_grad_enabled()
    sys.path.insert(0, str(_folder(reference)))
    importlib.invalidate_caches()
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path[:] = before
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(with_gradient)


def place_of(reference: Reference) -> str:
    """Return a reference's file, from the present folder if it is below it, or its module."""
    return _shown_file(reference.place) if reference.is_file else shown(reference.place)


def _shown_file(name: str) -> str:
    path = Path(os.path.abspath(name))
    return shown(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _folder(reference: Reference) -> Path:
    return Path(os.path.abspath(reference.place)).parent if reference.is_file else Path.cwd()


def _read(path: Path, place: str) -> str:
    """Return the text of a file of Python.

    Raises:
        InputError: If it cannot be read, is too large to be one, or is no UTF-8.
    """
    try:
        source = read_at_most(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise InputError(f"{place}: cannot be read: {reason(error)}") from None
    if len(source) > MAX_BYTES:
        raise InputError(f"{place}: larger than a program can be; is it the right one?")
    try:
        return importlib.util.decode_source(source)
    except (UnicodeDecodeError, SyntaxError):
        line = source.count(b"\n", 0, _first_bad_byte(source)) + 1
        raise InputError(f"{place}:{line}: not UTF-8 text; save the file as UTF-8") from None


def _first_bad_byte(source: bytes) -> int:
    try:
        source.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _import_file(reference: Reference) -> ModuleType:
    path = Path(os.path.abspath(reference.place))
    text = _read(path, place_of(reference))
    name = f"_own_{path.stem}_{sha256(str(path).encode('utf-8', 'replace')).hexdigest()[:12]}"
    # What it is compiled from is the file itself: a cached one can be older than an edit.
    code: CodeType = compile(text, str(path), "exec", dont_inherit=True)
    spec = importlib.util.spec_from_loader(name, SourceFileLoader(name, str(path)))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)

    def run() -> ModuleType:
        sys.modules[name] = module  # dataclasses and pickle look their module up
        exec(code, module.__dict__)
        return module

    return _with_torchvision(run, mentioned="torchvision" in text)


def _import_module(reference: Reference) -> ModuleType:
    name = reference.place
    mentioned = name.split(".")[0] == "torchvision"
    return _with_torchvision(lambda: importlib.import_module(name), mentioned=mentioned)


def _with_torchvision(run: Callable[[], ModuleType], *, mentioned: bool) -> ModuleType:
    """Import with torchvision's door opened first, or when it is found to be needed."""
    if mentioned:
        _open_torchvision()
    try:
        return run()
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        _open_torchvision()
        return run()


def _open_torchvision() -> None:
    with suppress(ImportError):  # the person's own import of it will say so, with its line
        import_torchvision()


def _forget_neighbours() -> None:
    for name in _imported:
        sys.modules.pop(name, None)
    _imported.clear()


def _neighbours(new: set[str], before: set[str], folder: Path) -> Iterator[str]:
    """Yield those of the new modules that lie in a folder and are a person's, not installed."""
    packages = {name.split(".")[0] for name in before}
    for name in new:
        file = getattr(sys.modules.get(name), "__file__", None) or ""
        if name.split(".")[0] not in packages and _is_own(file, folder):
            yield name


def _is_own(file: str, folder: Path) -> bool:
    path = Path(file)
    is_installed = path.is_relative_to(_OURS) or {"site-packages", "dist-packages"} & {*path.parts}
    return path.is_relative_to(folder) and not is_installed


def _named(module: ModuleType, reference: Reference) -> Any:
    name, place = reference.name, place_of(reference)
    there = _names(module)
    if not name:
        classes = [key for key, value in there.items() if isinstance(value, type)]
        if len(classes) == 1:
            raise InputError(f"{place}: name its network too: --model {place}:{classes[0]}")
        raise InputError(f"{place}: name its network too, as {place}:ClassName{_listed(there)}")
    try:
        return getattr(module, name)
    except AttributeError:
        raise InputError(f"{place}: has no {name}{_listed(there)}") from None


def _names(module: ModuleType) -> dict[str, Any]:
    """Return the networks that a module defines, then its functions."""
    own = {
        name: value
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    }
    classes = {name: value for name, value in own.items() if is_network_class(value)}
    functions = {name: value for name, value in own.items() if isinstance(value, FunctionType)}
    return classes | functions


def _listed(names: dict[str, Any]) -> str:
    if not names:
        return "; it has neither a subclass of nn.Module nor a function"
    return f"; it has {clip(', '.join(names), 120)}"


def is_network_class(value: object) -> bool:
    """Whether it is a class of networks."""
    return isinstance(value, type) and issubclass(value, nn.Module)


def is_python(target: Any) -> bool:
    """Whether calling it runs Python code that is not part of a C extension: no ``os.abort``."""
    while isinstance(target, functools.partial):
        target = target.func
    if is_network_class(target) or isinstance(target, FunctionType):
        return True
    return isinstance(inspect.getattr_static(type(target), "__call__", None), FunctionType)


class NetworkError(Exception):
    """A person's network raised while it was trained; the message begins with file and line."""


def told(error: BaseException, place: str, reference: Reference) -> str:
    """Return what an exception in a person's code says, behind the line that it came from.

    That line is the deepest one in the person's own files; where there is none, it is ``place``.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{_shown_file(error.filename)}:{error.lineno}: {error.msg}"
    return f"{line_of(error, reference) or place}: {_words(error)}"


def line_of(error: BaseException, reference: Reference) -> str:
    """Return the deepest line in the person's own files that an exception came through, if any."""
    folder = _folder(reference)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _is_own(frame.filename, folder):
            return f"{_shown_file(frame.filename)}:{frame.lineno}"
    return ""


def line_in_own(code: CodeType, reference: Reference) -> str:
    """Return where a function begins, if it is in the person's own files."""
    if not _is_own(code.co_filename, _folder(reference)):
        return ""
    return f"{_shown_file(code.co_filename)}:{code.co_firstlineno}"


def _words(error: BaseException) -> str:
    """Return an exception in words; torch's RuntimeErrors speak for themselves."""
    said = clip(reason(error), LONGEST_MESSAGE)
    kind = type(error).__name__
    if isinstance(error, SystemExit):
        return f"it leaves the program, with exit code {error.code}"
    return said if type(error) is RuntimeError or said == kind else f"{kind}: {said}"
