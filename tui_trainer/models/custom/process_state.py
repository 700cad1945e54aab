"""Custom code is a guest in the process: it finds its modules, and what it changes is put back."""

from __future__ import annotations

import gc
import io
import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import torch

from tui_trainer.models.custom.module_finder import OwnImports
from tui_trainer.protocol.reference import Reference

lock = RLock()
"""Custom code is imported and run by one thread at a time."""

_replaced: list[object] = []
"""Streams that custom code put in place of ours: one that is collected closes ours with it."""

_imports: OwnImports | None = None


@contextmanager
def guest(reference: Reference) -> Iterator[None]:
    """Run code of a reference: its folder importable, its words on stderr, its changes undone."""
    place = os.path.abspath(reference.place) if reference.is_file else reference.place
    with lock, preserve_process_state([place]), imports_of(reference).active():
        yield


def imports_of(reference: Reference) -> OwnImports:
    """Return how the modules of a reference are found: as when it was loaded, if it was."""
    folder = _folder(reference)
    return _imports if _imports and _imports.roots[0] == folder else OwnImports(folder)


def renew_imports(reference: Reference) -> OwnImports:
    """Forget the modules of what was loaded before; return how those of a reference are found."""
    global _imports
    if _imports is not None:
        _imports.forget()
    _imports = OwnImports(_folder(reference))
    return _imports


def _folder(reference: Reference) -> Path:
    return Path(os.path.abspath(reference.place)).parent if reference.is_file else Path.cwd()


@contextmanager
def preserve_process_state(argv: Sequence[str]) -> Iterator[None]:
    """Run custom code as ``python FILE`` would, and put back what it changes in the process.

    What it prints goes to stderr, for stdout is for data; there is no input. Figures of matplotlib
    are not shown. Generators of random numbers are left to :mod:`tui_trainer.models.rng`.

    Args:
        argv: What it finds in ``sys.argv``.
    """
    with ExitStack() as stack:
        for preserve in (_streams, _interpreter, _environment, _logging, _signals, _torch):
            stack.enter_context(preserve())
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(np.errstate())
        sys.argv = list(argv)
        os.environ.setdefault("MPLBACKEND", "Agg")
        yield


@contextmanager
def _streams() -> Iterator[None]:
    out, err, standard_input = sys.stdout, sys.stderr, sys.stdin
    sys.stdin = io.StringIO()  # a question must not wait, nor take the app's keys
    try:
        with redirect_stdout(err), redirect_stderr(err):
            try:
                yield
            finally:
                _replaced.extend(s for s in (sys.stdout, sys.stderr) if s not in (out, err))
    finally:
        sys.stdin = standard_input


@contextmanager
def _interpreter() -> Iterator[None]:
    argv, hook, thread_hook = sys.argv, sys.excepthook, threading.excepthook
    collects, method = gc.isenabled(), multiprocessing.get_start_method(allow_none=True)
    try:
        yield
    finally:
        sys.argv, sys.excepthook, threading.excepthook = argv, hook, thread_hook
        (gc.enable if collects else gc.disable)()
        if multiprocessing.get_start_method(allow_none=True) != method:
            multiprocessing.set_start_method(method, force=True)


@contextmanager
def _environment() -> Iterator[None]:
    variables = dict(os.environ)
    try:
        folder: str | None = os.getcwd()
    except OSError:  # it has been removed
        folder = None
    try:
        yield
    finally:
        if os.environ != variables:
            os.environ.clear()
            os.environ.update(variables)
        with suppress(OSError):
            if folder is not None and os.getcwd() != folder:
                os.chdir(folder)


@contextmanager
def _logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.disable(disabled)


@contextmanager
def _signals() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # no other thread can set them
        return
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


_TORCH: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (
        lambda: torch.backends.cudnn.benchmark,
        lambda value: setattr(torch.backends.cudnn, "benchmark", value),
    ),
    # None is no device of one's own, which costs nothing; "cpu" wraps every call.
    (lambda: str(torch.get_default_device()), lambda _: torch.set_default_device(None)),
)


@contextmanager
def _torch() -> Iterator[None]:
    before = [get() for get, _ in _TORCH]
    try:
        yield
    finally:
        for (get, put), value in zip(_TORCH, before, strict=True):
            if get() != value:
                put(value)
