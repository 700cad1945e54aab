"""Import torchvision, also with a CPU build of torch.

torchvision's Linux wheel is built for CUDA. With a CPU build of torch its compiled operators do not
load, and ``import torchvision`` fails with "operator torchvision::nms does not exist". Datasets,
transforms and models use no compiled operator; they only need the operators to be declared.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from threading import RLock
from types import ModuleType

import torch

_OPERATORS = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_lock = RLock()
# Garbage collection of a library removes its operators, so keep it for the life of the process.
_fragment: torch.library.Library | None = None


def import_torchvision() -> ModuleType:
    """Import torchvision, whether or not its compiled operators match the installed torch.

    If they match, this is a plain import. If not, the schemas of the operators are declared first:
    then everything works except the compiled operators, and ``torchvision.ops.nms`` reports that it
    has no kernel. Call it any number of times, from any thread.

    Returns:
        The module ``torchvision``.

    Raises:
        ImportError: If torchvision is not installed.
    """
    with _lock:
        declare_operators()
        return importlib.import_module("torchvision")


def declare_operators() -> None:
    """Declare torchvision's operators if the compiled ones do not load, so that its import works.

    Raises:
        ImportError: If torchvision is not installed.
    """
    global _fragment
    with _lock:
        if "torchvision" not in sys.modules and _fragment is None and not _operators_load():
            _fragment = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
            for name in _OPERATORS:
                _fragment.define(name + _SCHEMA)  # type: ignore[no-untyped-call]


def _operators_load() -> bool:
    """Load torchvision's compiled operators as its import does; return whether that works."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("torchvision is not installed", name="torchvision")
    folder = spec.submodule_search_locations[0]
    if hasattr(os, "add_dll_directory"):  # Windows: the folder of the libraries of _C
        os.add_dll_directory(folder)
    extension = FileFinder(folder, (ExtensionFileLoader, EXTENSION_SUFFIXES)).find_spec("_C")
    if extension is None or extension.origin is None:
        return False
    try:
        torch.ops.load_library(extension.origin)  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return True
