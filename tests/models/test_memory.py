from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tui_trainer.models import allocator

PROGRAM = """
import torch
from tui_trainer.models.allocator import keep_freed_memory
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
    monkeypatch.setattr(sys, "platform", "darwin")

    assert allocator.keep_freed_memory() is False
    assert allocator.use_one_heap() is False


HEAPS = """
import ctypes, sys, threading
from tui_trainer.models.allocator import use_one_heap
def allocate():
    block = bytearray(60_000)  # from malloc, not from Python's own pools
    with open("/proc/self/maps") as maps:
        places = [line.split() for line in maps]
    heap, = (place[0].split("-") for place in places if place[-1] == "[heap]")
    buffer = ctypes.addressof((ctypes.c_char * 1).from_buffer(block))
    print(int(heap[0], 16) <= buffer < int(heap[1], 16))
if sys.argv[1] == "one":
    assert use_one_heap()
thread = threading.Thread(target=allocate)
thread.start()
thread.join()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own setting")
@pytest.mark.parametrize(("setting", "is_shared"), [("one", "True"), ("default", "False")])
def test_a_thread_allocates_from_the_heap_of_the_process(setting: str, is_shared: str) -> None:
    command = [sys.executable, "-c", HEAPS, setting]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == is_shared


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0")])
def test_huge_pages_are_used_unless_the_user_has_set_the_variable(
    monkeypatch: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setenv(allocator.HUGE_PAGES, before or "")
    if before is None:
        monkeypatch.delenv(allocator.HUGE_PAGES)

    allocator.use_huge_pages()

    assert os.environ[allocator.HUGE_PAGES] == after
