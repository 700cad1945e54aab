"""Deep copies of any model that PyTorch trains.

``copy.deepcopy`` alone is not enough. It refuses non-leaf tensors, which weight norm, pruning and
stored activations leave on a module. It copies compiled modules, which stay bound to the original.
And it shares functions: ``self.act = lambda x: self.conv(x)`` of the copy would still use the
original's weights.
"""

from __future__ import annotations

import copy
import functools
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import CellType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.overrides import TorchFunctionMode

_EMPTIES = {dict, OrderedDict, list, set}
"""The types of which an empty one need not be copied by ``deepcopy``."""

_DEEPEST = 4
"""Levels of containers and closures that are searched for functions."""


def copy_model(model: nn.Module) -> nn.Module:
    """Return a deep copy without autograd graphs, which shares no tensor with the model.

    Modes, hooks, tied parameters, memory formats and plain attributes are preserved. Of a compiled
    module, the original module is copied. Attributes that cannot be copied, such as locks, open
    files and Python modules, are shared.

    Raises:
        Exception: Any error of a ``__deepcopy__`` that the model defines.
    """
    root = uncompiled(model)
    try:
        return _copied(root, {})
    except Exception:
        shared = _not_copyable(root)
        if not shared:
            raise
        return _copied(root, shared)


def clone_inputs(model: nn.Module) -> nn.Module:
    """Add a hook that clones each tensor argument of a model's forward; return the model.

    Every custom model gets it, and its copies keep it. Scripted modules, which accept no hooks,
    are unchanged.
    """
    hooks = model._forward_pre_hooks.values()
    if not isinstance(model, ScriptModule) and _cloned not in hooks:
        model.register_forward_pre_hook(_cloned, prepend=True)
    return model


def _cloned(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(arg.clone() if isinstance(arg, Tensor) else arg for arg in args)


def uncompiled(module: nn.Module) -> nn.Module:
    """Return the module inside a ``torch.compile`` wrapper, or the module itself."""
    # By name: importing the class would load torch._dynamo, which takes two seconds.
    while type(module).__name__ == "OptimizedModule" and hasattr(module, "_orig_mod"):
        module = module._orig_mod  # type: ignore[assignment]
    return module


def uncompile(model: nn.Module) -> nn.Module:
    """Return a model in which each compiled module is replaced by its original module.

    The arithmetic is the same. A compiled module is bound to its own parameters and code paths, so
    it can be neither copied nor traced.
    """
    root = uncompiled(model)
    for module in list(root.modules()):
        for name, child in module._modules.items():
            if child is not None and uncompiled(child) is not child:
                module._modules[name] = uncompile(child)
        for name, value in list(vars(module).items()):
            original = getattr(value, "_torchdynamo_orig_callable", None)
            if original is not None:
                vars(module)[name] = original
        module._compiled_call_impl = None
    if "torch._dynamo" in sys.modules:
        # Methods that a decorator compiles stay, and run without the compiler.
        torch.compiler.set_stance("force_eager")
    return root


def _copied(root: nn.Module, memo: dict[int, Any]) -> nn.Module:
    with _Detached(), torch.inference_mode(False), torch.no_grad():
        for group in shared_storages(root):
            _copy_together(group, memo)
        for module in root.modules():
            if (inner := uncompiled(module)) is not module:
                memo[id(module)] = copy.deepcopy(inner, memo)
            # A module has a dozen empty dictionaries of hooks: half the time of its copy.
            for value in vars(module).values():
                if type(value) in _EMPTIES and not value:
                    memo[id(value)] = type(value)()
        twin = copy.deepcopy(root, memo)
        for module in twin.modules():
            module._compiled_call_impl = None
        _rebind(twin, memo)
    for ours, copied in zip(root.parameters(), twin.parameters(), strict=True):
        if copied.requires_grad != ours.requires_grad:  # deepcopy of a ScriptModule drops it
            copied.requires_grad_(ours.requires_grad)
        for hook in (ours._backward_hooks or {}).values():
            copied.register_hook(_bound(hook, memo, {}, _DEEPEST))  # type: ignore[no-untyped-call]
    return twin


def shared_storages(model: nn.Module) -> list[list[Tensor]]:
    """Return the groups of tensors that share one storage and include a parameter.

    As after ``decoder.weight = nn.Parameter(encoder.weight.t())``: a change of one changes all.
    """
    groups: dict[int, dict[int, Tensor]] = {}
    values: Any
    for module in model.modules():
        if isinstance(module, ScriptModule):
            continue
        values = (*module._parameters.values(), *module._buffers.values(), *vars(module).values())
        for tensor in (value for value in values if type(value) in (Tensor, nn.Parameter)):
            if tensor.layout == torch.strided and not tensor.is_meta and tensor.numel():
                place = tensor.untyped_storage().data_ptr()
                groups.setdefault(place, {})[id(tensor)] = tensor
    return [
        list(group.values())
        for group in groups.values()
        if len(group) > 1 and any(isinstance(t, nn.Parameter) for t in group.values())
    ]


def _copy_together(group: list[Tensor], memo: dict[int, Any]) -> None:
    """Copy tensors of one storage into one storage; views of a parameter become views of its copy.

    PyTorch copies each parameter by itself, so the copies would no longer share memory.
    """
    storage = group[0].untyped_storage().clone()  # type: ignore[no-untyped-call]
    for tensor in sorted(group, key=lambda t: not t.is_leaf):
        place = tensor.storage_offset(), tensor.shape, tensor.stride()
        base = memo.get(id(tensor._base))
        if not tensor.is_leaf and isinstance(base, Tensor):
            with torch.enable_grad():
                memo[id(tensor)] = base.as_strided(tensor.shape, tensor.stride(), place[0])
            continue
        twin = torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(storage, *place)
        if isinstance(tensor, nn.Parameter):
            twin = nn.Parameter(twin, requires_grad=tensor.requires_grad)
        memo[id(tensor)] = twin


class _Detached(TorchFunctionMode):
    """Copies non-leaf and inference tensors as plain tensors."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is Tensor.__deepcopy__:
            tensor, memo = args
            if id(tensor) not in memo and (not tensor.is_leaf or tensor.is_inference()):
                memo[id(tensor)] = tensor.detach().clone()
            if id(tensor) in memo:
                return memo[id(tensor)]
        return func(*args, **(kwargs or {}))


def _not_copyable(root: nn.Module) -> dict[int, Any]:
    """Return a ``deepcopy`` memo that shares each attribute that cannot be copied."""
    memo: dict[int, Any] = {}
    for module in root.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor | nn.Module | Mapping) or callable(value):
                continue
            try:
                with _Detached():
                    copy.deepcopy(value, {id(m): m for m in root.modules()})
            except Exception:  # any error means that it cannot be copied
                memo[id(value)] = value
    return memo


# --- functions that are bound to the original


def _rebind(twin: nn.Module, memo: Mapping[int, Any]) -> None:
    """Bind the functions in a copy's attributes and hooks to the copy."""
    done: dict[int, Any] = {}
    for module in twin.modules():
        for name, value in vars(module).items():
            if name in ("_parameters", "_buffers", "_modules"):
                continue
            bound = _bound(value, memo, done, _DEEPEST)
            if bound is not value:
                vars(module)[name] = bound


def _bound(value: Any, memo: Mapping[int, Any], done: dict[int, Any], depth: int) -> Any:
    """Return a value whose closures refer to the copies; itself if none refers to the original."""
    if isinstance(value, nn.Module | Tensor):
        return memo.get(id(value), value)
    if depth == 0:
        return value
    if isinstance(value, FunctionType):
        return _bound_function(value, memo, done, depth)
    if isinstance(value, functools.partial):
        parts = [_bound(part, memo, done, depth - 1) for part in (value.func, *value.args)]
        words = {k: _bound(part, memo, done, depth - 1) for k, part in value.keywords.items()}
        return functools.partial(parts[0], *parts[1:], **words)
    if isinstance(value, dict):
        for key, part in value.items():
            value[key] = _bound(part, memo, done, depth - 1)
    elif isinstance(value, list):
        value[:] = [_bound(part, memo, done, depth - 1) for part in value]
    elif type(value) is tuple:
        parts = [_bound(part, memo, done, depth - 1) for part in value]
        same = all(new is old for new, old in zip(parts, value, strict=True))
        return value if same else tuple(parts)
    elif (owner := getattr(value, "__self__", None)) is not None and id(owner) in memo:
        return getattr(memo[id(owner)], getattr(value, "__name__", ""), value)
    return value


def _bound_function(
    function: FunctionType, memo: Mapping[int, Any], done: dict[int, Any], depth: int
) -> Callable[..., Any]:
    if id(function) in done:
        return done[id(function)]  # type: ignore[no-any-return]
    done[id(function)] = function
    cells = function.__closure__ or ()
    defaults = function.__defaults__ or ()
    try:
        held = [cell.cell_contents for cell in cells]
    except ValueError:  # an empty cell
        return function
    new = [_bound_content(content, memo, done, depth - 1) for content in held]
    new_defaults = tuple(_bound_content(part, memo, done, depth - 1) for part in defaults)
    kept = [*zip(held, new, strict=True), *zip(defaults, new_defaults, strict=True)]
    if all(before is after for before, after in kept):
        return function
    twin = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        new_defaults or None,
        tuple(CellType(content) for content in new) or None,
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    functools.update_wrapper(twin, function)
    done[id(function)] = twin
    return twin


def _bound_content(content: Any, memo: Mapping[int, Any], done: dict[int, Any], depth: int) -> Any:
    """Return the content of a closure of the copy; containers outside the model stay shared."""
    if isinstance(content, dict | list | tuple):
        return content
    return _bound(content, memo, done, depth)
