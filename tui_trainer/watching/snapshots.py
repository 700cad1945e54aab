"""The state of a watched run as a checkpoint, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.models.rng import rng_tensors, set_rng_tensors
from tui_trainer.models.state import load_state, mismatch, state_tensors
from tui_trainer.protocol.errors import path_error
from tui_trainer.watching.evaluation import device_of


class Stateful(Protocol):
    """What has a state: a scheduler, a ``GradScaler``, an average of the weights."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Restore the state."""


def plain(value: Any, name: str, tensors: MutableMapping[str, Tensor]) -> Any:
    """Return a state as plain values for JSON; its tensors are added to ``tensors`` by name.

    Raises:
        TypeError: If it holds something else, such as a function.
    """
    if isinstance(value, Tensor):
        tensors[name] = value.detach().to("cpu", copy=True)
        return {"tensor": name}
    if isinstance(value, Mapping):
        items = value.items()
        return {
            "mapping": [[plain(k, name, {}), plain(v, f"{name}/{k}", tensors)] for k, v in items]
        }
    if isinstance(value, tuple | list | set):
        parts = [plain(part, f"{name}/{i}", tensors) for i, part in enumerate(value)]
        return {type(value).__name__ if isinstance(value, tuple | set) else "list": parts}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{name} holds a {type(value).__name__}")


def restored(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Invert :func:`plain`."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    match kind:
        case "tensor":
            return tensors[content].clone()
        case "mapping":
            return {restored(k, tensors): restored(v, tensors) for k, v in content}
        case "float":
            return float(content)
        case "tuple":
            return tuple(restored(part, tensors) for part in content)
        case "set":
            return {restored(part, tensors) for part in content}
    return [restored(part, tensors) for part in content]


def capture(
    model: nn.Module,
    parts: Mapping[str, Stateful],
    rng: torch.Generator | None,
    metadata: Mapping[str, Any],
) -> Checkpoint:
    """Return the state of a watched run.

    Args:
        model: The model, without wrappers.
        parts: Optimizers, schedulers and other objects with a state, by name. One whose state
            cannot be saved is left out.
        rng: The random generator of the loader.
        metadata: The plain values.
    """
    tensors = {
        f"model/{n}": t.detach().to("cpu", copy=True) for n, t in state_tensors(model).items()
    }
    states, unsaved = {}, {}
    for name, part in parts.items():
        found: dict[str, Tensor] = {}
        try:
            states[name] = plain(part.state_dict(), f"optimizer/{name}", found)
        except Exception as error:  # of an object that somebody else wrote
            unsaved[name] = f"{type(error).__name__}: {error}"
        else:
            tensors |= found
    tensors |= {f"rng/{name}": state for name, state in rng_tensors().items()}
    device = device_of(model)
    if device.type == "cuda":
        tensors["rng/cuda"] = torch.cuda.get_rng_state(device)
    if rng is not None:
        tensors["rng/loader"] = rng.get_state()
    return Checkpoint({**metadata, "script": True, "states": states, "unsaved": unsaved}, tensors)


def restore(state: Checkpoint, model: nn.Module, parts: Mapping[str, Stateful], path: Path) -> None:
    """Restore model, optimizers and other parts; the random generators are restored apart.

    Raises:
        InputError: If the checkpoint is of another model, or lacks a part.
    """
    if not state.metadata.get("script"):
        raise path_error(path, "is not a checkpoint of a script")
    if problem := mismatch(model, state.part("model")):
        raise path_error(path, f"does not fit the model: {problem}")
    states = state.metadata["states"]
    for name in parts:
        if name not in states:
            why = state.metadata.get("unsaved", {}).get(name, "it had none")
            raise path_error(path, f"lacks the state of the {name} ({why})")
    load_state(model, state.part("model"))
    for name, part in parts.items():
        try:
            part.load_state_dict(restored(states[name], state.tensors))
        except Exception as error:
            raise path_error(path, f"does not fit the {name}: {error}") from error


def restore_generators(state: Checkpoint, model: nn.Module) -> None:
    """Set the global random generators to the checkpoint's states."""
    set_rng_tensors(state.part("rng"))
    device = device_of(model)
    if device.type == "cuda" and "rng/cuda" in state.tensors:
        torch.cuda.set_rng_state(state.tensors["rng/cuda"], device)


def parts_of(
    optimizers: list[Optimizer], scheduler: Stateful | None, extra: Mapping[str, Stateful]
) -> dict[str, Stateful]:
    """Return everything with a state by name."""
    names = [
        f"optimizer-{i}" if len(optimizers) > 1 else "optimizer" for i in range(len(optimizers))
    ]
    parts: dict[str, Stateful] = dict(zip(names, optimizers, strict=True))
    if scheduler is not None:
        parts["scheduler"] = scheduler
    return {**parts, **extra}
