"""The hardware of a run: processes, device, precision, number of threads, memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from tui_trainer.protocol.errors import InputError

T = TypeVar("T")

SCARCE = 0.1
"""The share of the machine's memory below which it is reported."""


class Ranks:
    """The processes that train one model together: a single one, which has nothing to exchange.

    :class:`tui_trainer.models.distributed.ProcessGroup` is several. Each of them runs the same loop
    on its share of every batch, so that all decisions are the same in all of them.

    Attributes:
        rank: The number of this process, from 0; the first one records the run.
        world_size: The number of processes.
    """

    rank = 0
    world_size = 1

    def choose_device(self, name: str) -> torch.device:
        """Return this process's device of that name, see :func:`choose_device`."""
        return choose_device(name)

    def first(self, work: Callable[[], T]) -> T:
        """Let the first process work; return its result, or raise its ``InputError``, in all."""
        return work()

    def first_before_others(self) -> AbstractContextManager[object]:
        """Return a context that the first process leaves before the others enter it."""
        return nullcontext()

    def wrap(self, model: nn.Module, forward: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
        """Return the forward pass of a training step whose gradients are averaged."""
        return forward

    def share(self, count: int, key: str) -> tuple[int, slice] | None:
        """Return ``count``, and which images of a batch of so many are this process's; None: all.

        Args:
            count: The number of images.
            key: Seeds the rngs of all processes but the first: they draw other dropout masks.
        """
        return None

    def weighted(self, loss: Tensor) -> Tensor:
        """Return the loss whose gradient, averaged, is that of the mean loss of the batch.

        Args:
            loss: The mean loss of this process's share.
        """
        return loss

    def total(self, loss: Tensor, correct: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean loss and number of correct predictions of the batch, from those of the share.

        The running statistics of batch norm are averaged, too, weighted by the images.
        """
        return loss, correct

    def gather(self, parts: list[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
        """Return the parts of all processes: those of the n-th are n, n + world_size, and so on."""
        return parts

    def check_batch_size(self, size: int) -> None:
        """Check that each process gets an image of a batch.

        Raises:
            InputError: If not.
        """
        if size < self.world_size:
            raise InputError(
                f"--batch-size {size}: {self.world_size} processes train on each batch; choose at "
                f"least {self.world_size}"
            )


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
        sizes = _memory_sizes()
        left = sizes["MemAvailable"] / sizes["MemTotal"]
    except (OSError, ValueError, KeyError, ZeroDivisionError):
        return None
    return left if left < SCARCE else None


def available_memory(device: torch.device) -> int | None:
    """Return the bytes of memory that are free on a device; None if it is not known.

    For the CPU, ``MemAvailable`` of Linux, at most what the control group of the process leaves;
    on other systems, all memory of the machine.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        free = _memory_sizes()["MemAvailable"]
    except (OSError, ValueError, KeyError):
        try:
            free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return None
    return max(0, min([free, *_left_by_control_group()]))


def _memory_sizes() -> dict[str, int]:
    """Return the figures of ``/proc/meminfo`` in bytes."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        return {
            name: 1024 * int(value.split()[0]) for name, value in (x.split(":", 1) for x in lines)
        }


def _left_by_control_group() -> Iterator[int]:
    """Yield the bytes that a container may still use; pages of files in its cache are free."""
    for folder, most, used, cached in (
        ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        (
            "/sys/fs/cgroup/memory",
            *("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ):
        with suppress(OSError, ValueError, KeyError):
            limit, usage = (int(Path(folder, name).read_text()) for name in (most, used))
            lines = Path(folder, "memory.stat").read_text().splitlines()
            yield limit - usage + int(dict(line.split() for line in lines)[cached])
