"""Describe an error in custom code in one line: what, where, and what to do."""

from __future__ import annotations

import linecache
import os
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType

import torch

from tui_trainer.models.custom.module_finder import CustomImports
from tui_trainer.models.custom.process_state import custom_code, imports_of
from tui_trainer.models.custom.source_files import is_package_file
from tui_trainer.protocol.errors import reason
from tui_trainer.protocol.reference import Reference
from tui_trainer.text.fmt import clip, one_line, printable

LONGEST_MESSAGE = 300
"""The most characters of an exception's message that are shown; torch's can be pages long."""

LONGEST_LINE = 60
"""The most characters of a line of code that are shown."""

GUARD = 'move code that is not a definition under `if __name__ == "__main__":`'

_PACKAGES = {
    "cv2": "opencv-python",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
    "lightning_fabric": "lightning",
    "attr": "attrs",
    "dateutil": "python-dateutil",
    "torch_lr_finder": "torch-lr-finder",
    "pytorch_lightning": "pytorch-lightning",
    "hydra": "hydra-core",
}
"""Packages whose name on PyPI differs from that of their module."""


_LOCAL = (
    *("common", "config", "configs", "core", "data", "dataset", "helper", "helpers", "layers"),
    *("lib", "main", "model", "models", "modules", "net", "nets", "network", "networks", "src"),
    *("tests", "train", "utils"),
)
"""Modules with these names are hardly installed packages."""

_PASS_ON = ("__torch_function__", "call_unchanged")
"""Functions of this package that call torch for a model: :mod:`tui_trainer.anatomy.trace`."""


def display_path(name: str) -> str:
    """Return the path of a file, relative to the current folder if the file is below it."""
    path = Path(os.path.abspath(name))
    try:
        folder = Path.cwd()
    except OSError:  # it has been removed
        return printable(path)
    return printable(path.relative_to(folder) if path.is_relative_to(folder) else path)


class CustomModelError(Exception):
    """A custom model raised during training; the message begins with file and line."""


def place_of(reference: Reference) -> str:
    """Return a reference's module, or its file as :func:`display_path` does."""
    return display_path(reference.place) if reference.is_file else printable(reference.place)


def describe_error(error: BaseException, place: str, reference: Reference) -> str:
    """Return the message of an exception in custom code, after file and line.

    The line is the deepest one in custom files; ``place`` stands for it if there is none.
    """
    imports = imports_of(reference)
    if isinstance(error, SyntaxError) and error.lineno and imports.is_custom_file(error.filename):
        code = clip(one_line(error.text or ""), LONGEST_LINE)
        text = f"{type(error).__name__}: {error.msg}" + (f": {code}" if code else "")
        return f"{display_path(error.filename or '')}:{error.lineno}: {text}"
    frames = [frame for frame in _frames(error) if imports.is_custom_file(frame[0].co_filename)]
    if not frames:
        return f"{place}: {_words(error)}"
    code_object, line = frames[-1]
    return f"{_at(code_object, line)}: {_words(error, code_object, line)}"


def line_of_error(error: BaseException, reference: Reference) -> str:
    """Return the deepest line of the traceback in custom files, if custom code caused the error.

    It did not if a deeper frame belongs to this package, as a hook that its ``forward`` calls.
    Function modes that pass a call on to torch do not count as such frames.
    """
    place, imports = "", imports_of(reference)
    for code, line in _frames(error):
        if imports.is_custom_file(code.co_filename):
            place = _at(code, line)
        elif is_package_file(code.co_filename) and code.co_name not in _PASS_ON:
            place = ""
    return place


def line_of_forward(step: Callable[[], object], reference: Reference) -> str:
    """Repeat a step that raises in ``backward``; return the line of ``forward`` that caused it.

    The traceback of an autograd error has no line of custom code, but autograd's anomaly detection
    knows the operation. Empty if that is not in a custom file.
    """
    imports = imports_of(reference)
    with custom_code(reference), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with torch.autograd.detect_anomaly(), suppress(Exception):  # the error in question
            step()
    for warning in caught:
        if "Traceback of forward call" in str(warning.message):
            calls = re.findall(r'File "(.+?)", line (\d+)', str(warning.message))
            custom = [(file, line) for file, line in calls if imports.is_custom_file(file)]
            return f"{display_path(custom[-1][0])}:{custom[-1][1]}" if custom else ""
    return ""


def first_line(code: CodeType, reference: Reference) -> str:
    """Return file and line of a function, if it is in custom files."""
    is_custom_file = imports_of(reference).is_custom_file(code.co_filename)
    return _at(code, code.co_firstlineno) if is_custom_file else ""


def advice(error: BaseException, reference: Reference) -> str:
    """Return advice on an exception during the import of custom code; empty if there is none."""
    imports = imports_of(reference)
    if isinstance(error, SyntaxError):
        is_magic = (error.text or "").lstrip().startswith(("!", "%"))
        return "only notebooks have such commands; delete the line" if is_magic else ""
    if isinstance(error, NameError) and error.name in ("get_ipython", "display"):
        return f"{error.name} exists only in notebooks; delete the line"
    if isinstance(error, ModuleNotFoundError):
        return _missing(error, imports)
    if isinstance(error, FileNotFoundError) and _is_relative(error.filename):
        return "the path is relative to the current folder; start it with Path(__file__).parent"
    frames = [code for code, _ in _frames(error) if imports.is_custom_file(code.co_filename)]
    is_at_top = bool(frames) and all(code.co_name == "<module>" for code in frames)
    return GUARD if is_at_top and not isinstance(error, ImportError | NameError) else ""


def _missing(error: ModuleNotFoundError, imports: CustomImports) -> str:
    name = error.name or ""
    top = name.partition(".")[0]
    if name.startswith("google.colab"):
        return "google.colab exists only in Colab; delete the import"
    if not top or f"No module named {top!r}" not in str(error):
        return ""  # a submodule of an installed package
    if place := next(_elsewhere(top, imports.roots[-1]), None):
        return f"{display_path(str(place))} exists; add its folder to sys.path"
    if top in _LOCAL:
        return f"{top} is neither in {display_path(str(imports.roots[0]))} nor in a folder above it"
    return f"install it with `pip install {_PACKAGES.get(top, top)}`"


def _elsewhere(name: str, root: Path) -> Iterator[Path]:
    """Yield the files of that name in subfolders of a repository."""
    if (root / ".git").exists():
        for depth in ("*", "*/*", "*/*/*"):
            yield from root.glob(f"{depth}/{name}.py")
            yield from root.glob(f"{depth}/{name}/__init__.py")


def _is_relative(path: object) -> bool:
    return isinstance(path, str) and not os.path.isabs(path)


def _frames(error: BaseException) -> Iterator[tuple[CodeType, int]]:
    for frame, line in traceback.walk_tb(error.__traceback__):
        yield frame.f_code, line


def _at(code: CodeType, line: int) -> str:
    return f"{display_path(code.co_filename)}:{line}"


def _words(error: BaseException, code: CodeType | None = None, line: int = 0) -> str:
    """Return an exception as text; torch's RuntimeErrors need no type name."""
    kind = type(error).__name__
    if isinstance(error, SystemExit):
        return f"it exits the program with code {error.code}"
    if isinstance(error, EOFError) and code is not None:
        return "EOFError: it calls input(), but there is no stdin"
    text = str(error) if isinstance(error, OSError) and error.filename else reason(error)
    if text == kind and code is not None:
        source = one_line(linecache.getline(code.co_filename, line))
        text = clip(source, LONGEST_LINE) if source and not source.startswith("raise") else kind
    text = clip(one_line(text), LONGEST_MESSAGE)
    return text if type(error) is RuntimeError or text == kind else f"{kind}: {text}"
