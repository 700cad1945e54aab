"""The global rngs that a model can use: torch's, NumPy's and Python's."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


@contextmanager
def preserve_rng_state(device: torch.device | None = None) -> Iterator[None]:
    """Restore the states of the global rngs of torch, NumPy and ``random`` afterwards.

    Args:
        device: An accelerator whose rng state is restored too.
    """
    is_cpu = device is None or device.type == "cpu"
    devices = [] if device is None or is_cpu else [device.index or 0]
    drawn, picked = np.random.get_state(), random.getstate()
    kind = "cuda" if device is None or is_cpu else device.type
    try:
        with torch.random.fork_rng(devices, device_type=kind):
            yield
    finally:
        np.random.set_state(drawn)
        random.setstate(picked)


def seed_all(seed: int) -> None:
    """Seed the global rngs of torch, NumPy and ``random``."""
    if _has_accelerator():
        torch.manual_seed(seed)
    else:
        # torch.manual_seed would keep the call and its stack for a GPU that is never initialized:
        # 3 ms each time, and memory that is never freed.
        torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@functools.cache
def _has_accelerator() -> bool:
    return torch.accelerator.is_available()


def noise(*shape: int) -> Tensor:
    """Return images of noise (N, channels, height, width), the same in every call.

    Black images would do for most models; some search for the ink.
    """
    rng = torch.Generator().manual_seed(0)
    return torch.rand(shape, generator=rng, dtype=torch.float32)


def rng_tensors() -> dict[str, Tensor]:
    """Return the states of the global rngs, by name."""
    drawn: Any = np.random.get_state(legacy=True)
    name, keys, *rest = drawn
    return {
        "torch": torch.get_rng_state(),
        "numpy": encoded([name, keys.tolist(), *rest]),
        "python": python_state(),
    }


def python_state(rng: Any = random) -> Tensor:
    """Return the state of a ``random.Random``; by default of the global one."""
    version, numbers, gauss = rng.getstate()
    return encoded([version, list(numbers), gauss])


def set_python_state(state: Tensor, rng: Any = random) -> None:
    """Set the state of a ``random.Random``, by default of the global one."""
    version, numbers, gauss = decoded(state)
    rng.setstate((version, tuple(numbers), gauss))


def set_rng_tensors(states: Mapping[str, Tensor]) -> None:
    """Set the global rngs to states of :func:`rng_tensors`; missing ones are left unchanged.

    Raises:
        ValueError: If one is not a state of its rng.
    """
    for name, state in states.items():
        try:
            if name == "torch":
                torch.set_rng_state(state)
            elif name == "numpy":
                kind, keys, *rest = decoded(state)
                np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
            elif name == "python":
                set_python_state(state)
        except (ValueError, TypeError, RuntimeError, OverflowError, KeyError) as error:
            raise ValueError(f"rng/{name} is not an rng state") from error


def encoded(value: Any) -> Tensor:
    """Return plain values as JSON in a tensor of bytes, as checkpoints store them."""
    return torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)


def decoded(tensor: Tensor) -> Any:
    """Invert :func:`encoded`.

    Raises:
        ValueError: If the tensor is not valid JSON.
    """
    return json.loads(bytes(tensor.tolist()))
