"""The one door to torchvision: it opens beside a CPU build of torch, too.

torchvision's Linux wheel is built for CUDA. Beside a CPU build of torch its compiled operators do
not load, and ``import torchvision`` fails with "operator torchvision::nms does not exist".
Datasets, transforms and models need no compiled operator, only that their names are known.
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
# A library takes its operators with it when it is collected: kept for the life of the process.
_fragment: torch.library.Library | None = None


def import_torchvision() -> ModuleType:
    """Import torchvision, whether or not its compiled operators fit the torch beside it.

    Where they fit, this is a plain import. Where they do not, the operators' schemas are declared
    first: all but the compiled operators works then, and ``torchvision.ops.nms`` says that it has
    no kernel. It may be called any number of times and from any thread.

    Returns:
        The module ``torchvision``.

    Raises:
        ImportError: If torchvision is not installed.
    """
    with _lock:
        declare_operators()
        return importlib.import_module("torchvision")


def declare_operators() -> None:
    """Declare torchvision's operators where its compiled ones do not fit: its import works then.

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
    """Load torchvision's compiled operators as its own import will; say whether they are there."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("torchvision is not installed", name="torchvision")
    folder = spec.submodule_search_locations[0]
    if hasattr(os, "add_dll_directory"):  # Windows: where it looks for the libraries beside _C
        os.add_dll_directory(folder)
    extension = FileFinder(folder, (ExtensionFileLoader, EXTENSION_SUFFIXES)).find_spec("_C")
    if extension is None or extension.origin is None:
        return False
    try:
        torch.ops.load_library(extension.origin)  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return True
