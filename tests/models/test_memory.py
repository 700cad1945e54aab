from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import torch
from tui_trainer.models.device import keep_freed_memory
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
def kept():
    before = resident()
    batch = [torch.ones(12_000_000) for _ in range(4)]  # 48 MB each: glibc maps them one by one
    del batch
    return (resident() - before) // 1_000_000
print(kept())
assert keep_freed_memory()
print(kept())
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own setting")
def test_memory_freed_by_a_batch_is_reused_by_the_next() -> None:
    """Of 192 freed megabytes the process keeps almost none by default, and nearly all with the
    setting."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())

    assert before < 50
    assert after > 150


def test_other_systems_are_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    from tui_trainer.models import device

    monkeypatch.setattr(sys, "platform", "darwin")

    assert device.keep_freed_memory() is False
