"""Load PyTorch faster, next to the first frame."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def preload_libraries() -> None:
    """Load PyTorch's shared libraries on another thread, if there is a second core.

    A seventh of a second of ``import torch`` then overlaps with the first frame. Call it after the
    window is imported: until the libraries are loaded, any other import of a library waits.
    """
    if "torch" not in sys.modules and (os.cpu_count() or 1) > 1:
        # Not a daemon: Python waits for it at exit, where half-loaded libraries would crash.
        threading.Thread(target=_load_libraries, name="loading").start()


def _load_libraries() -> None:
    # Only Linux has a file of this name. Where a library is missing, the import reports it.
    with suppress(ImportError, ValueError, AttributeError, OSError):
        spec = importlib.util.find_spec("torch")
        # The C function: ctypes releases the interpreter lock for a call, not in CDLL(path).
        dlopen = ctypes.CDLL(None).dlopen
        dlopen.restype = ctypes.c_void_p
        for folder in (spec and spec.submodule_search_locations) or ():
            dlopen(os.fsencode(Path(folder) / "lib" / "libtorch_python.so"), os.RTLD_NOW)


@contextmanager
def finish_loading() -> Iterator[None]:
    """Import PyTorch in this block, without garbage collection.

    Importing creates some hundred thousand objects that live as long as the process. Collections in
    between take an eighth of the time and find nothing, and each later one would examine these
    objects again, while the window and the training wait.
    """
    is_first = "torch" not in sys.modules
    gc.disable()
    try:
        yield
    finally:
        if is_first:
            gc.freeze()
        gc.enable()
