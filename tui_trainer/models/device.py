"""The hardware of a run: device, precision, number of threads, memory."""

from __future__ import annotations

import torch

from tui_trainer.protocol.errors import InputError

SCARCE = 0.1
"""The share of the machine's memory below which it is reported."""


def choose_device(name: str) -> torch.device:
    """Return the device of that name; ``auto`` takes cuda, then mps, then cpu.

    Raises:
        InputError: If this machine has no such device.
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


def choose_precision(device: torch.device, precision: str) -> str:
    """Return ``precision``; for ``auto``, bf16 where the hardware computes with it, else float32.

    Without AVX-512 BF16 or AMX, an x86 processor converts every operand: slower than float32.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)
    return "bf16" if has_bf16 else "float32"


def set_up(device: torch.device, threads: int | None, precision: str = "float32") -> int:
    """Make runs reproducible, and return the number of CPU threads that torch uses.

    Call it on the training thread: OpenMP keeps a thread pool for each thread that calls it, and
    two pools on the same cores wait for each other at every operator.

    Raises:
        InputError: If the device does not have that precision.
    """
    if precision == "tf32" and device.type != "cuda":
        raise InputError(
            f"--precision tf32: {device.type} has no TF32; use --precision float32 or bf16"
        )
    if threads is not None:
        torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        # PyTorch's own default is TF32 for convolutions, but not for matrix products.
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    return torch.get_num_threads()


def scarce_memory() -> float | None:
    """Return the share of the machine's memory that is available, if it is scarce; else None.

    The figure is ``MemAvailable`` of Linux; on other systems the result is None.
    """
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            sizes = dict(line.split(":", 1) for line in lines)
        left = int(sizes["MemAvailable"].split()[0]) / int(sizes["MemTotal"].split()[0])
    except (OSError, ValueError, KeyError, ZeroDivisionError):
        return None
    return left if left < SCARCE else None
