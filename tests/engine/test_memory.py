from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import torch
from tui_trainer.engine.memory import keep_freed_memory
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
assert {keeps}
before = resident()
batch = [torch.ones(12_000_000) for _ in range(4)]  # 48 MB each: glibc maps them one by one
del batch
print((resident() - before) // 1_000_000)
"""


def kept(keeps: str) -> int:
    """Return how many of 192 freed megabytes the process still has."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(keeps=keeps)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own setting")
def test_what_a_batch_frees_is_kept_for_the_next() -> None:
    assert kept("True") < 50
    assert kept("keep_freed_memory()") > 150


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from tui_trainer.engine import memory

    monkeypatch.setattr(sys, "platform", "darwin")

    assert memory.keep_freed_memory() is False
