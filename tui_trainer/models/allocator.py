"""How memory is allocated on Linux: one heap, huge pages, and freed blocks that are kept.

Training allocates and frees the same large feature maps in every step. The results are the same to
the bit. This module does not load torch: the first two must be set before it is loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""The environment variable with which PyTorch allocates blocks from 2 MiB on in huge pages."""

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
"""Parameters of glibc's ``mallopt``, from its ``malloc.h``."""

_KEPT = 2**30
"""Bytes that may stay free at the end of the heap: more than a step of any model here needs."""


def use_huge_pages() -> None:
    """Make PyTorch allocate in huge pages, unless the user has set its variable.

    Feature maps are many megabytes: with pages of 4 KiB, a training step of the course's model with
    batches of 512 takes a tenth more time. Call it before PyTorch is loaded, and before another
    thread starts: that one could read the environment.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault(HUGE_PAGES, "1")


def use_one_heap() -> bool:
    """Make glibc allocate for all threads from one heap; return whether it does.

    By default each thread has separate heaps of 64 MiB, which are returned to the system whenever
    they are empty: the window, whose training has a thread, then waits for new pages in every step
    (4 % of the training of ``era-s6`` on two cores). Call it before another thread starts.
    """
    return _mallopt((_M_ARENA_MAX, 1))


def keep_freed_memory() -> bool:
    """Make glibc reuse large blocks; return whether it does.

    By default glibc requests every block of more than 32 MiB from the system and returns it when
    it is freed: at batch size 512 each step then waits for 40,000 zeroed pages. Keeping them makes
    that step 1.3 times as fast, for a quarter more peak memory; batch size 128 has no such blocks.
    """
    return _mallopt((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _KEPT))


def _mallopt(*parameters: tuple[int, int]) -> bool:
    """Set parameters of glibc's allocator; False on any other system."""
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - raises AttributeError on any other libc
        return all(libc.mallopt(name, value) for name, value in parameters)
    return False
