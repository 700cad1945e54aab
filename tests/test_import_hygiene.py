"""What is not loaded: torch by a front end, third-party packages by the protocol."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import tui_trainer.protocol
from tests.faults.forks import call

HEAVY = {"torch", "torchvision", "numpy"}


def loaded_by(code: str) -> set[str]:
    """Return the top-level packages that ``code`` loads in a fresh interpreter."""
    script = (
        "import sys, json, contextlib, io\n"
        "before = set(sys.modules)\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    {code}\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in set(sys.modules) - before})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", ["ui.app", "headless.runner"])
def test_front_ends_do_not_load_torch(module: str) -> None:
    """That of the command line is checked in tests/cli/test_terminal.py."""
    roots = loaded_by(f"import tui_trainer.{module}")

    assert "tui_trainer" in roots
    assert not roots & HEAVY


def test_the_language_of_runs_is_written_in_the_standard_library_alone() -> None:
    names = [module.name for module in pkgutil.iter_modules(tui_trainer.protocol.__path__)]
    assert {"config", "events", "commands", "schedules"} <= set(names)

    roots = loaded_by("import " + ", ".join(f"tui_trainer.protocol.{name}" for name in names))

    assert roots - set(sys.stdlib_module_names) == {"tui_trainer"}


def test_the_trainer_stands_alone(tmp_path: Path) -> None:
    def work() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "tui_trainer"]:
            del sys.modules[name]
        importlib.import_module("tui_trainer.engine.loop")
        print(json.dumps([name for name in sys.modules if name.startswith("tui_trainer.")]))

    done = call(work, tmp_path)  # forked: it need not load torch again
    assert done.code == 0, done.err
    ours = json.loads(done.out)

    assert len(ours) <= 65, sorted(ours)
    rooms = {name.split(".")[1] for name in ours}
    assert {"engine", "models", "data"} <= rooms
    assert not rooms & {"lab", "anatomy", "findings", "render", "ui", "headless", "course", "cli"}
