"""Where a run computes: the device, the number of threads, and the memory."""

from __future__ import annotations

import contextlib
import ctypes
import sys

import torch

from tui_trainer.protocol.errors import InputError

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Parameters of glibc's ``mallopt``, from its ``malloc.h``."""

_KEPT = 2**30
"""Bytes that may lie free at the end of the heap: more than a step of any network here needs."""

SCARCE = 0.1
"""The share of the machine's memory below which it is told of."""


def choose_device(name: str) -> torch.device:
    """Return the device of that name; ``auto`` takes cuda, then mps, then cpu.

    Raises:
        InputError: If the device is not to be had on this machine.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, is_there in present.items() if is_there)
    elif not present[name]:
        raise InputError(
            f"--device {name}: PyTorch finds no such device on this machine; "
            "use --device cpu or --device auto"
        )
    return torch.device(name)


def set_up(device: torch.device, threads: int | None) -> int:
    """Fix what makes two runs alike, and return how many CPU threads torch uses.

    Must run on the thread that trains: OpenMP keeps a pool of threads for each thread that calls
    it, and two pools on one machine's cores wait for each other at every operator.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return torch.get_num_threads()


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
