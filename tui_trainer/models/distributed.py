"""Several processes that train one model together, with ``DistributedDataParallel``."""

from __future__ import annotations

import os
import pickle
import platform
import random
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Self, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parallel import DistributedDataParallel

from tui_trainer.models.device import Ranks, choose_device
from tui_trainer.models.rng import seed_all
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.lock import process_exists

T = TypeVar("T")

LONGEST_WAIT = timedelta(days=365)
"""A pause can be long. Without a time limit, a process that ends is still noticed at once."""

PACKET = 512
"""Bytes of the first message of :meth:`ProcessGroup.first`; almost always it is the only one."""

POLL = 0.1
"""Seconds between two questions whether the first process is still alive."""

FIRST, OVER = "mnist-tui/first", "mnist-tui/over"
"""Keys of the store: machine and id of the first process, and its end."""

KILLED = (
    "of this training has ended without a message; was it killed? Resume the run to continue it"
)

FAILED, REPORTS = "mnist-tui/failed", "mnist-tui/reports"
"""Keys of the store: the message of a process that failed, and the number of processes that want to
report the death of the first one."""


class ProcessEndedError(RuntimeError):
    """Another process of the training has ended."""


class ProcessGroup(Ranks):
    """One of several processes of a training, each with its own device.

    Messages between them go through gloo, gradients through nccl if they are on CUDA devices.

    Args:
        store: A ``TCPStore``, where they meet.
        rank: The number of this process.
        world_size: The number of processes.
    """

    def __init__(self, store: Any, rank: int, world_size: int) -> None:
        self.rank, self.world_size = rank, world_size
        self._local_rank = int(os.environ.get("LOCAL_RANK", rank))
        self._local_size = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
        self._store = store
        self._share = 1.0
        self._model = nn.Module()

    @classmethod
    def join(cls) -> Self:
        """Meet the other processes that torchrun has started, and return the group."""
        store, rank, world_size = next(rendezvous("env://"))
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=world_size, timeout=LONGEST_WAIT
        )
        if rank == 0:
            store.set(FIRST, f"{platform.node()} {os.getpid()}")
        return cls(store, rank, world_size)

    def choose_device(self, name: str) -> torch.device:
        """Return the device of this process; the threads of the CPU are divided.

        Raises:
            InputError: If there are fewer GPUs than processes on this machine, or no such device.
        """
        device = choose_device(name)
        if device.type == "mps":
            if name != "auto":
                raise InputError("--device mps: several processes need --device cpu, or CUDA GPUs")
            device = torch.device("cpu")
        if device.type == "cuda":
            if (count := torch.cuda.device_count()) < self._local_size:
                raise InputError(
                    f"--device {name}: {self._local_size} processes on this machine need as many "
                    f"GPUs, and there are {count}; use --nproc-per-node {count}, or --device cpu"
                )
            device = torch.device("cuda", self._local_rank)
            torch.cuda.set_device(device)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        threads = max(1, (cores or 1) // self._local_size)
        torch.set_num_threads(self.first(lambda: threads))
        return device

    def first(self, work: Callable[[], T]) -> T:
        """Let the first process work; return its result, or raise its ``InputError``, in all."""
        if self.rank == 0:
            result, error = _outcome_of(work)
            self._send(pickle.dumps((result, error)))
        else:
            result, error = pickle.loads(self._receive())
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def _send(self, content: bytes) -> None:
        packet = (len(content).to_bytes(8) + content).ljust(PACKET, b"\0")
        dist.broadcast(_bytes(packet[:PACKET]), 0)
        if len(packet) > PACKET:
            dist.broadcast(_bytes(packet), 0)

    def _receive(self) -> bytes:
        packet = torch.empty(PACKET, dtype=torch.uint8)
        dist.broadcast(packet, 0)
        size = 8 + int.from_bytes(bytes(packet[:8].tolist()))
        if size > PACKET:
            packet = torch.empty(size, dtype=torch.uint8)
            dist.broadcast(packet, 0)
        return packet[8:size].numpy().tobytes()

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Return a context that the first process leaves before the others enter it."""
        if self.rank:
            self._receive()
        yield
        if not self.rank:
            self._send(b"")

    def wrap(self, model: nn.Module, forward: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
        """Return the forward pass of a training step whose gradients are averaged.

        The initial weights of the first process are copied to the others. Unused parameters are
        searched for in every step: a custom model may have some, and the buckets of gradients then
        stay as they are, so that a resumed run adds up in the same order.

        Raises:
            InputError: If the model cannot be trained in several processes.
        """
        self._model = model
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")
                return DistributedDataParallel(
                    _Forward(model, forward), broadcast_buffers=False, find_unused_parameters=True
                )
        except (RuntimeError, ValueError, TypeError) as error:
            if is_disconnection(error):
                raise
            raise InputError(
                f"the model cannot be trained in several processes: {error}; train it in one"
            ) from error

    def share(self, count: int, key: str) -> tuple[int, slice] | None:
        """Return ``count``, and which images of a batch of so many are this process's.

        A share has at least two images, for batch norm; if the batch has too few for that, some
        processes have none: DDP needs a step of theirs too, so they repeat two images, which do not
        count.
        """
        if self.rank:
            seed_all(random.Random(f"{key} {self.rank}").getrandbits(32))
        shares = min(self.world_size, max(1, count // 2))
        if self.rank >= shares:
            self._share = 0.0
            return count, slice(0, 2)
        self._share = len(range(self.rank, count, shares)) / count
        return count, slice(self.rank, None, shares)

    @property
    def counts(self) -> bool:
        """Whether this process has images of the last batch."""
        return self._share > 0

    def weighted(self, loss: Tensor) -> Tensor:
        """Return the loss whose gradient, averaged, is that of the mean loss of the batch."""
        factor = self._share * self.world_size
        return loss if factor == 1.0 else loss * factor

    @torch.no_grad()
    def total(self, loss: Tensor, correct: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean loss and number of correct predictions of the batch, from those of the share.

        The running statistics of batch norm are averaged, too, weighted by the images. All other
        buffers are those of the first process.
        """
        norms, others = self._buffers()
        figures = torch.stack((loss.float() * self._share, correct * float(self.counts)))
        flat = torch.cat((figures, *(norm.flatten() * self._share for norm in norms)))
        dist.all_reduce(flat)
        sizes = [norm.numel() for norm in norms]
        for norm, mean in zip(norms, torch.split(flat[2:], sizes), strict=True):
            norm.copy_(mean.view_as(norm))
        for buffer in filter(Tensor.numel, others):
            raw = buffer.contiguous().view(-1).view(torch.uint8)
            dist.broadcast(raw, 0)
            buffer.copy_(raw.view(buffer.dtype).view(buffer.shape))
        return flat[0], flat[1]

    def gather(self, parts: list[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
        """Return the parts of all processes: those of the n-th are n, n + world_size, and so on."""
        everyone: list[list[tuple[Tensor, ...]]] = [[]] * self.world_size
        # A tensor of another GPU would be unpickled on that one.
        dist.all_gather_object(everyone, [tuple(each.cpu() for each in part) for part in parts])
        count = sum(len(each) for each in everyone)
        return [everyone[i % self.world_size][i // self.world_size] for i in range(count)]

    def _buffers(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the running statistics, and the buffers of which no rank may have its own."""
        norms: list[Tensor] = []
        counts: list[Tensor] = []
        for module in self._model.modules():
            if isinstance(module, _NormBase) and module.running_mean is not None:
                norms += [module.running_mean, module.running_var]  # type: ignore[list-item]
                counts.append(module.num_batches_tracked)  # type: ignore[arg-type]
        known = {id(tensor) for tensor in (*norms, *counts)}
        return norms, [buffer for buffer in self._model.buffers() if id(buffer) not in known]

    # --- the end

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Return the context of the training in the first process.

        Raises:
            ProcessEndedError: If another process has ended, with its message if it left one.
        """
        try:
            yield
            self.close()
        except RuntimeError as error:
            if not is_disconnection(error):
                raise
            raise ProcessEndedError(self._last_words()) from error
        finally:
            with suppress(RuntimeError):
                self._store.set(OVER, "")

    def close(self) -> None:
        """End the connections to the others."""
        with suppress(RuntimeError, ValueError):
            dist.destroy_process_group()

    def is_first_to_report(self) -> bool:
        """Return whether this is the first process that asks."""
        with suppress(RuntimeError):
            return bool(self._store.add(REPORTS, 1) == 1)
        return True  # torchrun is gone, too

    def is_over(self, seconds: float) -> bool:
        """Wait until the first process has ended the run; return whether it has.

        It has not if it died, or if that takes longer than so many seconds.
        """
        last = time.monotonic() + seconds
        while time.monotonic() < last:
            is_dead = self._first_is_dead()
            with suppress(RuntimeError):
                if self._store.check([OVER]):
                    return True
            if is_dead:
                break
            time.sleep(POLL)
        return False

    def _first_is_dead(self) -> bool:
        """Return whether the first process is known to be dead: only on the same machine."""
        with suppress(RuntimeError):
            host, pid = self._store.get(FIRST).decode().rsplit(" ", 1)
            return host == platform.node() and not process_exists(int(pid))
        return False

    def leave(self, message: str) -> None:
        """Leave a message of this process, which fails, for the first one to report."""
        with suppress(RuntimeError):
            self._store.set(FAILED, f"process {self.rank}: {message}")

    def _last_words(self) -> str:
        with suppress(RuntimeError):
            if self._store.check([FAILED]):
                return str(self._store.get(FAILED).decode())
        return f"another process {KILLED}"


class _Forward(nn.Module):
    """The forward pass of a model as a module, for ``DistributedDataParallel``."""

    def __init__(self, model: nn.Module, forward: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model = model
        self._forward = (forward,)  # in a tuple: a module would be registered a second time

    def forward(self, images: Tensor) -> Tensor:
        return self._forward[0](images)


def is_disconnection(error: BaseException) -> bool:
    """Return whether an exchange has failed because another process has ended."""
    text = str(error)
    signs = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "gloo")
    return isinstance(error, dist.DistError) or any(sign in text for sign in signs)


def _outcome_of(work: Callable[[], T]) -> tuple[T | None, InputError | None]:
    try:
        return work(), None
    except InputError as error:
        return None, InputError(str(error))


def _bytes(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
