"""Run custom code in this process: it finds its modules, and what it changes is restored."""

from __future__ import annotations

import functools
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
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.jit import ScriptModule

from tui_trainer.models.custom.module_finder import CustomImports
from tui_trainer.protocol.reference import Reference

lock = RLock()
"""One thread at a time imports and runs custom code."""

_replaced: list[object] = []
"""Streams by which custom code replaced ours: garbage collection of one would close ours too."""

_imports: CustomImports | None = None


@contextmanager
def custom_code(reference: Reference) -> Iterator[None]:
    """Run custom code: its folder is importable, prints go to stderr, its changes are undone."""
    place = os.path.abspath(reference.place) if reference.is_file else reference.place
    with lock, preserve_process_state([place]), imports_of(reference).active():
        yield


def imports_of(reference: Reference) -> CustomImports:
    """Return the finder of a reference's modules: that of its last import, if there was one."""
    folder = _folder(reference)
    return _imports if _imports and _imports.roots[0] == folder else CustomImports(folder)


def reset_imports(reference: Reference) -> CustomImports:
    """Remove the modules of the last import; return a new finder for a reference."""
    global _imports
    if _imports is not None:
        _imports.forget()
    _imports = CustomImports(_folder(reference))
    return _imports


def _folder(reference: Reference) -> Path:
    return Path(os.path.abspath(reference.place)).parent if reference.is_file else Path.cwd()


@contextmanager
def preserve_process_state(argv: Sequence[str]) -> Iterator[None]:
    """Run custom code as ``python FILE`` does, and restore what it changes in the process.

    Its prints go to stderr, for stdout is for data; stdin is empty. Matplotlib shows no windows.
    :mod:`tui_trainer.models.rng` restores rng states.

    Args:
        argv: ``sys.argv`` for the code.
    """
    with ExitStack() as stack:
        for get, put in _STATE:
            stack.callback(_put_back, get, put, get())
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(np.errstate())
        sys.argv, sys.stdout = list(argv), sys.stderr
        sys.stdin = io.StringIO()  # input() must neither wait nor take the keys of the window
        os.environ.setdefault("MPLBACKEND", "Agg")
        yield


def restore_globals_after_forward(model: nn.Module) -> nn.Module:
    """Restore default dtype, gradient mode, current folder and streams after each forward.

    Some models set them for their own computation.
    """
    if not isinstance(model, ScriptModule):
        settings: list[list[Any]] = []

        def enter(module: nn.Module, args: Any) -> None:
            settings.append([get() for get, _ in _OF_FORWARD])

        def leave(module: nn.Module, args: Any, output: Any) -> None:
            if settings:
                for (get, put), before in zip(_OF_FORWARD, settings.pop(), strict=True):
                    _put_back(get, put, before)

        model.register_forward_pre_hook(enter, prepend=True)
        model.register_forward_hook(leave, always_call=True)
    return model


def _put_back(get: Callable[[], Any], put: Callable[[Any], Any], before: Any) -> None:
    if get() != before:
        put(before)


def _set_streams(streams: tuple[Any, ...]) -> None:
    _replaced.extend(s for s in (sys.stdout, sys.stderr) if s not in streams)
    sys.stdin, sys.stdout, sys.stderr = streams


def _folder_or_none() -> str | None:
    with suppress(OSError):  # it has been removed
        return os.getcwd()
    return None


def _change_folder(folder: str | None) -> None:
    with suppress(OSError):
        if folder is not None:
            os.chdir(folder)


def _logging() -> tuple[Any, ...]:
    root = logging.getLogger()
    return list(root.handlers), root.level, root.manager.disable


def _set_logging(before: tuple[Any, ...]) -> None:
    root = logging.getLogger()
    root.handlers[:], level, disabled = before
    root.setLevel(level)
    logging.disable(disabled)


def _signals() -> dict[signal.Signals, Any]:
    """Return the handler of each signal; empty outside the main thread, which cannot set any."""
    is_main = threading.current_thread() is threading.main_thread()
    return {n: signal.getsignal(n) for n in signal.valid_signals()} if is_main else {}


def _set_signals(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


_Pair = tuple[Callable[[], Any], Callable[[Any], Any]]
"""A getter and a setter."""


def _attributes(owner: Any, *names: str) -> _Pair:
    def put(values: list[Any]) -> None:
        for name, value in zip(names, values, strict=True):
            setattr(owner, name, value)

    return lambda: [getattr(owner, name) for name in names], put


def _set_environment(variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


_FOLDER: _Pair = (_folder_or_none, _change_folder)
_DTYPE: _Pair = (torch.get_default_dtype, torch.set_default_dtype)
_GRAD: _Pair = (torch.is_grad_enabled, torch.set_grad_enabled)

_OF_FORWARD = (_DTYPE, _GRAD, _FOLDER, _attributes(sys, "stdout", "stderr"))

_STATE: tuple[_Pair, ...] = (
    *(_DTYPE, _GRAD, _FOLDER),
    (lambda: (sys.stdin, sys.stdout, sys.stderr), _set_streams),
    _attributes(sys, "argv", "excepthook"),
    _attributes(threading, "excepthook"),
    (gc.isenabled, lambda collects: gc.enable() if collects else gc.disable()),
    (
        functools.partial(multiprocessing.get_start_method, allow_none=True),
        functools.partial(multiprocessing.set_start_method, force=True),
    ),
    (lambda: dict(os.environ), _set_environment),
    (_logging, _set_logging),
    (_signals, _set_signals),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    _attributes(torch.backends.cudnn, "benchmark"),
    # None means no default device and costs nothing; "cpu" would wrap every call.
    (lambda: str(torch.get_default_device()), lambda _: torch.set_default_device(None)),
)
