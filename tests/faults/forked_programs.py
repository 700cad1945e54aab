"""``python -m tui_trainer`` in forked processes, which need not load torch again.

To load it takes most of the time of a short command; only some tests are about a new interpreter.
"""

from __future__ import annotations

import gc
import inspect
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, NoReturn

import typer.main

from tui_trainer import cli

STREAMS = (
    ("stdin", "r", "p2cread"),
    ("stdout", "w", "c2pwrite"),
    ("stderr", "w", "errwrite"),
)
"""Name and mode of each standard stream, and what Popen calls its descriptor."""

MOST_FILES = 4_096


class ForkedProgram(subprocess.Popen[Any]):
    """Takes the place of ``subprocess.Popen`` for ``python [-P] -m tui_trainer ARGUMENTS``."""

    def _execute_child(self, *arguments: Any) -> None:
        """Fork instead of starting a program; the arguments differ between versions of Python."""
        signature = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]
        given: Mapping[str, Any] = signature.bind(self, *arguments).arguments
        words = list(map(str, given["args"]))
        typer.main.get_command(cli.app)  # cached by the tests: the child need not make it
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            be_the_program(words[words.index("tui_trainer") + 1 :], given)
        self._child_created = True
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(given[name] for name in ends))  # type: ignore[attr-defined]


def be_the_program(arguments: list[str], given: Mapping[str, Any]) -> NoReturn:
    """Call the command line as a new process would, and end."""
    code = 70
    try:
        gc.freeze()  # or it would close descriptors that are others from now on
        if given["start_new_session"]:
            os.setsid()
        for number, default in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGTERM, signal.SIG_DFL),
            (signal.SIGHUP, signal.SIG_DFL),
        ):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, default)
        if given["env"] is not None:
            os.environ.clear()
            os.environ.update(given["env"])
        sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
        if given["cwd"] is not None:
            os.chdir(given["cwd"])
        for target, (name, mode, descriptor) in enumerate(STREAMS):
            if given[descriptor] != -1:
                os.dup2(given[descriptor], target)
            stream = open(target, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
        os.closerange(3, MOST_FILES)
        if given["preexec_fn"] is not None:
            given["preexec_fn"]()
        sys.argv = ["mnist-tui", *arguments]
        cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        for output in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):
                output.flush()
        os._exit(code)


FORKING = SimpleNamespace(
    Popen=ForkedProgram,
    DEVNULL=subprocess.DEVNULL,
    PIPE=subprocess.PIPE,
    STDOUT=subprocess.STDOUT,
)
"""Takes the place of the module ``subprocess`` in modules that start ``mnist-tui``."""
