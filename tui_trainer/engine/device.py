"""Where the numbers are crunched, and with how many threads."""

from __future__ import annotations

import torch

from tui_trainer.protocol.errors import InputError


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
