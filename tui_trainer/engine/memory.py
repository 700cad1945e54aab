"""Keeps the memory that one batch frees for the next, instead of giving it back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Parameters of glibc's ``mallopt``, from its ``malloc.h``."""

_KEPT = 2**30
"""Bytes that may lie free at the end of the heap: more than a step of any network here needs."""


def keep_freed_memory() -> bool:
    """Tell glibc to reuse large blocks; return whether it does. Other systems are left alone.

    By default it asks the system for every block of more than 32 MiB, and gives it back when it is
    freed: at a batch of 512 each step then waits for 40,000 pages of zeros. Keeping them makes
    that batch 1.3 times as fast, for a quarter more memory at its peak; a batch of 128 has no
    such blocks.
    """
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - another libc has no such name, and stops here
        return bool(libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, _KEPT))
    return False


SCARCE = 0.1
"""The share of the machine's memory below which it is told of."""


def scarce_memory() -> float | None:
    """Return the share of the machine's memory that is left, if that is little; else None.

    It is Linux's own estimate of what programs can still have, ``MemAvailable``; elsewhere None.
    """
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            told = dict(line.split(":", 1) for line in lines)
        left = int(told["MemAvailable"].split()[0]) / int(told["MemTotal"].split()[0])
    except (OSError, ValueError, KeyError, ZeroDivisionError):
        return None
    return left if left < SCARCE else None
