"""A model's ``state_dict`` as plain dense tensors, and back into a model of the same class.

The names are those of ``state_dict()``, but the modules are asked themselves: some models override
``state_dict`` to leave parts out, and a run has to keep those too.
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
"""What PyTorch calls the state that a module adds by ``get_extra_state``."""


def state_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters, persistent buffers and extra state by name: mostly the tensors themselves.

    Sparse ones are returned as dense copies, extra state as bytes of JSON.

    Raises:
        TypeError: If a module has extra state that is neither a tensor nor plain numbers and texts.
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
    """Put tensors of :func:`state_tensors` back; buffers may have another shape than they had.

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
    """Return why the tensors are not those of a model's state; empty if they are."""
    own = set()
    for name, module, key, value in _entries(model):
        own.add(name)
        there = tensors.get(name)
        if there is None:
            return f"{name} is missing"
        # Buffers of a custom module may be of any size by now, those of torch.nn may not.
        is_free = module._buffers.get(key) is value and not _is_of_torch(module)
        if (
            isinstance(value, Tensor)
            and not is_free
            and key != _EXTRA
            and (there.shape, there.dtype) != (value.shape, value.dtype)
        ):
            return f"{name} is {_described(there)}, not {_described(value)}"
    own |= {name for name, _, _ in _empty_buffers(model)}
    strange = [name for name in tensors if name not in own]
    return f"the network has no {strange[0]}" if strange else ""


def materialize(model: nn.Module) -> None:
    """Give each tensor whose elements share memory, as after ``expand``, memory of its own."""
    for parameter in model.parameters():
        if has_internal_overlap(parameter):
            parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)
    for module in model.modules():
        for key, buffer in module._buffers.items():
            if buffer is not None and has_internal_overlap(buffer):
                module._buffers[key] = buffer.clone(memory_format=torch.contiguous_format)


def finite_names(model: nn.Module) -> frozenset[str]:
    """Return what of a state consists of numbers: a mask of minus infinity does not."""
    return frozenset(name for name, t in state_tensors(model).items() if is_finite(t))


def is_finite(tensor: Tensor) -> bool:
    """Say whether a tensor consists of numbers; of types that cannot be asked, it is taken to."""
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
    """Yield the buffers that are registered and not filled yet."""
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
    """Return a copy with the layout and on the device of the tensor that it replaces."""
    if target.layout != torch.strided:
        return source.to_sparse(layout=target.layout).to(target.device)
    return source.to(target.device, copy=True)


def _described(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)}" + f" {tensor.dtype}".replace("torch.", "")
