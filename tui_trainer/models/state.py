"""Save the ``state_dict`` of a model as dense tensors, and load it into a model of the same class.

The names are those of ``state_dict()``, but the tensors are read from the modules: some models
override ``state_dict`` to leave parts out, and a run has to save those too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tui_trainer.models.rng import decoded, encoded
from tui_trainer.models.tensors import can_require_grad
from tui_trainer.models.unregistered_state import has_internal_overlap

_EXTRA = "_extra_state"
"""PyTorch's key for the state that a module adds by ``get_extra_state``."""


def state_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters, persistent buffers and extra state by name, without copying.

    Sparse tensors are returned as dense copies, extra state as bytes of JSON.

    Raises:
        TypeError: If the extra state of a module is neither a tensor nor valid JSON.
    """
    found: dict[str, Tensor] = {}
    for name, _, _, value in _entries(model):
        if isinstance(value, Tensor):
            tensor = value.detach()
            found[name] = tensor if tensor.layout == torch.strided else tensor.to_dense()
        else:
            found[name] = encoded(value)
    return found


def load_state(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load tensors of :func:`state_tensors`; buffers may have another shape than in the model.

    Raises:
        ValueError: If a tensor is missing or does not fit; the message names it.
    """
    if problem := mismatch(model, tensors):
        raise ValueError(problem)
    with torch.no_grad():
        for name, module, key, value in list(_entries(model)):
            if not isinstance(value, Tensor):
                module.set_extra_state(decoded(tensors[name]))
            elif _can_copy(value, tensors[name]):
                value.copy_(tensors[name])
            elif key == _EXTRA:
                module.set_extra_state(tensors[name].clone())
            else:
                module._buffers[key] = _like(tensors[name], value)
        for name, module, key in _empty_buffers(model):
            if name in tensors:
                module._buffers[key] = tensors[name].clone()


def mismatch(model: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    """Return why the tensors do not match a model's state; empty if they do."""
    expected = set()
    for name, module, key, value in _entries(model):
        expected.add(name)
        there = tensors.get(name)
        if there is None:
            return f"{name} is missing"
        # A custom module may have resized its buffers; one of torch.nn does not.
        is_free = module._buffers.get(key) is value and not _is_of_torch(module)
        if (
            isinstance(value, Tensor)
            and not is_free
            and key != _EXTRA
            and (there.shape, there.dtype) != (value.shape, value.dtype)
        ):
            return f"{name} is {_described(there)}, not {_described(value)}"
    expected |= {name for name, _, _ in _empty_buffers(model)}
    unexpected = [name for name in tensors if name not in expected]
    return f"the model has no {unexpected[0]}" if unexpected else ""


def materialize(model: nn.Module) -> None:
    """Copy each tensor whose elements share memory, as after ``expand``, to its own memory."""
    for parameter in model.parameters():
        if has_internal_overlap(parameter):
            parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)
    for module in model.modules():
        for key, buffer in module._buffers.items():
            if buffer is not None and has_internal_overlap(buffer):
                module._buffers[key] = buffer.clone(memory_format=torch.contiguous_format)


def finite_names(model: nn.Module) -> frozenset[str]:
    """Return the names of the finite tensors of a state; a mask of -inf is not one."""
    return frozenset(name for name, t in state_tensors(model).items() if is_finite(t))


def is_finite(tensor: Tensor) -> bool:
    """Return whether a tensor is finite; dtypes without ``isfinite`` count as finite."""
    if not can_require_grad(tensor) or tensor.element_size() < 2:
        return True
    return bool(torch.isfinite(tensor).all())


def _entries(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, Any]]:
    """Yield name, module, key and value of each part of the state, in PyTorch's order."""
    for path, module in model.named_modules(remove_duplicate=False):
        lead = f"{path}." if path else ""
        for key, parameter in module._parameters.items():
            if parameter is not None:
                yield lead + key, module, key, parameter
        for key, buffer in module._buffers.items():
            if buffer is not None and key not in module._non_persistent_buffers_set:
                yield lead + key, module, key, buffer
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            yield lead + _EXTRA, module, _EXTRA, module.get_extra_state()


def _empty_buffers(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Yield the registered buffers that are None."""
    for path, module in model.named_modules():
        for key, buffer in module._buffers.items():
            if buffer is None and key not in module._non_persistent_buffers_set:
                yield (f"{path}." if path else "") + key, module, key


def _is_of_torch(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.nn.")


def _can_copy(target: Tensor, source: Tensor) -> bool:
    fits = (target.shape, target.dtype) == (source.shape, source.dtype)
    return fits and target.layout == torch.strided and not has_internal_overlap(target)


def _like(source: Tensor, target: Tensor) -> Tensor:
    """Return a copy with the layout and the device of the target."""
    if target.layout != torch.strided:
        return source.to_sparse(layout=target.layout).to(target.device)
    return source.to(target.device, copy=True)


def _described(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)}" + f" {tensor.dtype}".replace("torch.", "")
