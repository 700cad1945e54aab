"""State of a model that its ``state_dict`` does not contain, but a checkpoint of a run must.

Tensors that are not registered, non-persistent buffers, rngs, counters: ``state_dict`` has none of
them, so a model that is rebuilt from it alone can behave differently.
"""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, MutableSequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tui_trainer.models.rng import decoded, encoded, python_state, set_python_state
from tui_trainer.models.tensors import can_require_grad

MOST_BYTES = 1 << 26
"""The most bytes of unregistered tensors that are saved: caches can have any size."""

_DEEPEST = 3
"""Levels of containers and plain objects that are searched."""

_MOST_ITEMS = 256
"""Items of a container that are searched."""

_MODULE_ATTRIBUTES = frozenset(vars(nn.Module())) | {
    "_is_full_backward_hook",
    "_forward_pre_hooks_with_kwargs",
}
"""The attributes that ``nn.Module`` itself sets on each module."""

_LIBRARIES = frozenset({"torch", "torchvision", "tui_trainer", "builtins", "numpy"})
"""Packages whose names are not custom code; the standard library is excluded too."""

_SCALARS = (bool, int, float, str, type(None))

Scalar = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class _Slot:
    """One value, its name, and a function that replaces it."""

    name: str
    value: Any
    put: Callable[[Any], None]


@dataclass
class UnregisteredState:
    """The state of one model that its ``state_dict`` does not contain.

    Attributes:
        model: The model.
        built: The scalars right after construction: only those that have changed are saved.
    """

    model: nn.Module
    built: dict[str, Scalar] = field(init=False)

    def __post_init__(self) -> None:
        self.built = dict(self._scalars())

    def tensors(self) -> dict[str, Tensor]:
        """Return tensors and rng states by name, detached, on the CPU."""
        found: dict[str, Tensor] = {}
        size = 0
        for slot in _slots(self.model):
            tensor = _saved(slot.value)
            if tensor is not None and size + tensor.nbytes <= MOST_BYTES:
                size += tensor.nbytes
                found[slot.name] = tensor
        return found

    def scalars(self) -> dict[str, Scalar]:
        """Return the numbers, booleans and strings that have changed since construction."""
        now = self._scalars()
        return {k: v for k, v in now if k not in self.built or self.built[k] != v}

    def flags(self) -> dict[str, list[str]]:
        """Return the names of the modules in evaluation mode and of the frozen parameters."""
        return {
            "evaluating": [n for n, m in self.model.named_modules() if not m.training],
            "frozen": [n for n, p in self.model.named_parameters() if not p.requires_grad],
        }

    def restore(
        self,
        tensors: Mapping[str, Tensor],
        scalars: Mapping[str, Any],
        flags: Mapping[str, list[str]],
    ) -> None:
        """Restore saved values; ignore names that the model no longer has.

        Raises:
            ValueError: If a saved value does not fit; the message names it.
        """
        missing = {**tensors, **scalars}
        for slot in list(_slots(self.model)):
            if slot.name in missing:
                try:
                    _restore_value(slot, missing.pop(slot.name))
                except (ValueError, TypeError, RuntimeError, KeyError, IndexError) as error:
                    raise ValueError(f"outside/{slot.name} does not fit") from error
            elif type(slot.value) in _SCALARS and slot.name in self.built:
                slot.put(self.built[slot.name])
        for name in sorted(missing, key=_by_number):
            _restore_new(self.model, name, missing[name])
        _set_flags(self.model, flags)

    def _scalars(self) -> Iterator[tuple[str, Scalar]]:
        for slot in _slots(self.model):
            if type(slot.value) in _SCALARS:
                yield slot.name, slot.value


class SharedState:
    """The current globals of a model's files and attributes of its classes.

    A copy of the model shares them, for it has the same functions and classes.
    """

    def __init__(self, model: nn.Module) -> None:
        self._saved = [(slot, _saved(slot.value)) for slot in _shared(model, set())]

    def restore(self) -> None:
        """Restore the values."""
        for slot, saved in self._saved:
            slot.put(slot.value)
            if saved is not None:
                _restore_value(slot, saved)


@contextmanager
def preserve_globals(model: nn.Module) -> Iterator[None]:
    """Restore the globals of a model's files and the attributes of its classes afterwards."""
    before = SharedState(model)
    try:
        yield
    finally:
        before.restore()


def _set_flags(model: nn.Module, flags: Mapping[str, list[str]]) -> None:
    if "evaluating" in flags:
        still = set(flags["evaluating"])
        for name, module in model.named_modules():
            module.training = name not in still
    if "frozen" in flags:
        frozen = set(flags["frozen"])
        for name, parameter in model.named_parameters():
            if parameter.requires_grad == (name in frozen) and can_require_grad(parameter):
                parameter.requires_grad_(name not in frozen)


# --- find the values


def _slots(model: nn.Module) -> Iterator[_Slot]:
    """Yield every tensor, rng and scalar that ``state_dict`` does not contain."""
    seen: set[int] = set()
    modules = dict(model.named_modules())
    for path, module in modules.items():
        lead = f"{path}." if path else ""
        for name in sorted(module._non_persistent_buffers_set):
            if (buffer := module._buffers.get(name)) is not None:
                yield _Slot(lead + name, buffer, _setter(module._buffers, name))
        for name, value in list(vars(module).items()):
            if name not in _MODULE_ATTRIBUTES:
                yield from _within(lead + name, value, _setter(vars(module), name), seen, _DEEPEST)
    yield from _shared(model, seen)


def _shared(model: nn.Module, seen: set[int]) -> Iterator[_Slot]:
    """Yield the globals of a model's files and the attributes of its classes."""
    for place, names, setter in namespaces(model):
        for key, value in list(names.items()):
            if not key.startswith("__"):
                yield from _within(f"{place}/{key}", value, setter(key), seen, 1)


def namespaces(
    model: nn.Module,
) -> Iterator[tuple[str, Mapping[str, Any], Callable[[str], Callable[[Any], None]]]]:
    """Yield the namespaces of a model's custom classes and their methods, each with a setter.

    Globals are not looked up in ``sys.modules``: a file that was imported again has others there.
    """
    done: set[int] = set()
    classes = dict.fromkeys(cls for module in model.modules() for cls in type(module).__mro__)
    for cls in classes:
        if not _is_custom_class(cls):
            continue
        yield f"classes/{cls.__qualname__}", vars(cls), functools.partial(_class_setter, cls)
        for value in vars(cls).values():
            names = value.__globals__ if isinstance(value, FunctionType) else {}
            file = str(names.get("__name__"))
            if names and id(names) not in done and file.split(".")[0] not in _LIBRARIES:
                done.add(id(names))
                yield f"globals/{file}", names, functools.partial(_setter, names)


def _class_setter(cls: type, key: str) -> Callable[[Any], None]:
    return lambda value: setattr(cls, key, value)


def _within(
    name: str, value: Any, put: Callable[[Any], None], seen: set[int], depth: int
) -> Iterator[_Slot]:
    if isinstance(value, nn.Module) or callable(value) or isinstance(value, nn.Parameter):
        return
    if type(value) in _SCALARS or isinstance(value, Tensor) or _is_rng(value):
        if type(value) in _SCALARS or id(value) not in seen:
            seen.add(id(value))
            yield _Slot(name, value, put)
        return
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        yield _Slot(name, value, put)
        return
    if depth == 0 or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, MutableMapping):
        parts: list[tuple[Any, Any]] = list(value.items())
        keys = [(k, v) for k, v in parts if isinstance(k, str | int)][:_MOST_ITEMS]
        for key, part in keys:
            word = key if isinstance(key, str) else f"#{key}"
            yield from _within(f"{name}/{word}", part, _setter(value, key), seen, depth - 1)
    elif isinstance(value, MutableSequence):
        for place, part in enumerate(list(value)[:_MOST_ITEMS]):
            yield from _within(f"{name}/{place}", part, _setter(value, place), seen, depth - 1)
    elif isinstance(value, tuple):
        for place, part in enumerate(value[:_MOST_ITEMS]):
            yield from _within(f"{name}/{place}", part, _ignored, seen, depth - 1)
    elif hasattr(value, "__dict__") and _is_custom_class(type(value)):
        for key, part in list(vars(value).items())[:_MOST_ITEMS]:
            yield from _within(f"{name}/{key}", part, _setter(vars(value), key), seen, depth - 1)


def _is_custom_class(cls: type) -> bool:
    """Return whether a class is custom code; the attributes of library classes are not searched."""
    package = cls.__module__.split(".")[0]
    return package not in _LIBRARIES and package not in sys.stdlib_module_names


def _setter(owner: Any, key: Any) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        owner[key] = value

    return put


def _ignored(value: Any) -> None:
    """Do nothing: a tuple is immutable; a tensor in it is overwritten in place."""


def _is_rng(value: Any) -> bool:
    kinds = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
    return isinstance(value, kinds)


# --- convert to tensors and back


def _saved(value: Any) -> Tensor | None:
    """Return a value as a tensor for a checkpoint; None for scalars and non-leaf tensors."""
    if isinstance(value, Tensor):
        # A non-leaf tensor was computed in this step and is computed again in the next.
        is_plain = value.layout == torch.strided and not value.is_quantized and not value.is_meta
        if value.grad_fn is not None or not is_plain:
            return None
        return value.detach().to("cpu", copy=True)
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, random.Random):
        return python_state(value)
    if isinstance(value, np.random.Generator):
        return encoded(_plain(value.bit_generator.state))
    if isinstance(value, np.random.RandomState):
        return encoded(_plain(value.get_state(legacy=False)))
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    return None


def _plain(value: Any) -> Any:
    """Return a NumPy rng state as JSON values."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _arrays(value: Any) -> Any:
    """Invert :func:`_plain`."""
    if isinstance(value, dict):
        return {key: _arrays(part) for key, part in value.items()}
    return np.array(value, dtype=np.uint64) if isinstance(value, list) else value


def _restore_value(slot: _Slot, saved: Tensor | Scalar) -> None:
    value = slot.value
    if not isinstance(saved, Tensor):
        slot.put(saved)
    elif isinstance(value, Tensor):
        fits = value.shape == saved.shape and value.dtype == saved.dtype
        if fits and value.is_leaf and not has_internal_overlap(value) and not value.is_inference():
            with torch.no_grad():
                value.copy_(saved)
        else:
            slot.put(saved.to(value.device, copy=True))
    elif isinstance(value, torch.Generator):
        value.set_state(saved)
    elif isinstance(value, random.Random):
        set_python_state(saved, value)
    elif isinstance(value, np.random.Generator):
        value.bit_generator.state = _arrays(decoded(saved))
    elif isinstance(value, np.random.RandomState):
        value.set_state(_arrays(decoded(saved)))
    elif isinstance(value, np.ndarray):
        if value.shape == tuple(saved.shape) and value.flags.writeable:
            value[...] = saved.numpy()
        else:
            slot.put(saved.numpy().copy())
    else:  # a cache that is still empty
        slot.put(saved.clone())


def _restore_new(model: nn.Module, name: str, saved: Tensor | Scalar) -> None:
    """Restore an attribute or an item of a container that a fresh model does not have yet."""
    head, *keys = name.split("/")
    path, _, attribute = head.rpartition(".")
    owner: Any = dict(model.named_modules()).get(path)
    if owner is None or not attribute.isidentifier():
        return
    value = saved.clone() if isinstance(saved, Tensor) else saved
    for key in keys:
        owner, attribute = _item(owner, attribute), key
    if isinstance(owner, MutableMapping):
        owner[int(attribute[1:]) if attribute.startswith("#") else attribute] = value
    elif isinstance(owner, MutableSequence):
        if attribute == str(len(owner)):
            owner.append(value)
    elif owner is not None and hasattr(owner, "__dict__") and not hasattr(owner, attribute):
        setattr(owner, attribute, value)


def _item(owner: Any, key: str) -> Any:
    """Return an attribute of an object or an item of a container; None if it is missing."""
    if isinstance(owner, MutableMapping):
        return owner.get(int(key[1:]) if key.startswith("#") else key)
    if isinstance(owner, MutableSequence):
        return owner[int(key)] if key.isdigit() and int(key) < len(owner) else None
    return getattr(owner, key, None)


def _by_number(name: str) -> list[tuple[int, str]]:
    """Return a sort key that restores the items of a list in their order."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in name.split("/")]


def iterators(model: nn.Module) -> list[str]:
    """Return the names of attributes that are iterators: their position cannot be saved."""
    return [
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, Iterator) and not hasattr(value, "fileno")
    ]


def has_internal_overlap(tensor: Tensor) -> bool:
    """Return whether elements share memory, as after ``expand``: in-place writes fail then."""
    if tensor.layout != torch.strided or tensor.numel() < 2:
        return False
    overlap: int = torch._debug_has_internal_overlap(tensor)  # 0 no, 1 yes, 2 unknown
    if overlap != 2:
        return overlap == 1
    places = torch.zeros((), dtype=torch.int64)
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        places = places.unsqueeze(-1) + torch.arange(size) * stride
    return len(places.unique()) < places.numel()  # type: ignore[no-untyped-call]
