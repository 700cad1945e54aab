"""Running a model without a trace: its state is saved and restored."""

from __future__ import annotations

import functools
import operator
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.nn.modules.lazy import LazyModuleMixin

from tui_trainer.models.copies import uncompiled
from tui_trainer.models.modes import evaluating
from tui_trainer.models.rng import preserve_rng_state

Undo = Callable[[], None]


@contextmanager
def preserve_model_state(model: nn.Module, device: torch.device) -> Generator[None]:
    """Run a model in evaluation mode, and restore everything that its forward changes.

    That includes its modes, parameters and buffers, the tensors, numbers and containers in the
    attributes of its modules, and the global random state. Compiled modules run uncompiled.
    """
    with ExitStack() as stack:
        stack.enter_context(preserve_rng_state(device))
        stack.enter_context(evaluating(model))
        if any(uncompiled(module) is not module for module in model.modules()):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        undo = [change for module in model.modules() for change in _attributes(module)]
        try:
            yield
        finally:
            with torch.no_grad():
                for put_back in undo:
                    put_back()


def _attributes(module: nn.Module) -> Iterator[Undo]:
    """Yield functions that restore a module's attributes: first containers, then their contents."""
    if isinstance(module, (ScriptModule, LazyModuleMixin)):
        # Their attributes are stored elsewhere, or are about to be replaced for good.
        yield from filter(None, map(_content, (*module.parameters(), *module.buffers())))
        return
    yield from _container(vars(module), set())


def _container(value: Any, seen: set[int]) -> Iterator[Undo]:
    if id(value) in seen or not isinstance(value, Tensor | dict | list | deque | tuple):
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        yield from filter(None, [_content(value)])
        return
    before: dict[Any, Any] | list[Any] = dict(value) if isinstance(value, dict) else list(value)
    yield functools.partial(_refill, value, before)
    for part in before.values() if isinstance(before, dict) else before:
        yield from _container(part, seen)


def _refill(container: Any, before: Any) -> None:
    """Restore the original objects of a container; a tuple cannot have lost them."""
    if isinstance(container, dict):
        if list(container) != list(before) or any(
            container[key] is not part for key, part in before.items()
        ):
            container.clear()
            container.update(before)
    elif len(container) != len(before) or any(map(operator.is_not, container, before)):
        container.clear()
        container.extend(before)


def _content(tensor: Tensor) -> Undo | None:
    """Return a function that restores a tensor's values; None if they cannot be copied."""
    try:
        before = tensor.detach().clone()
    except Exception:  # uninitialized, or a kind of tensor that cannot be copied
        return None

    def put_back() -> None:
        if tensor.shape != before.shape:
            tensor.data = before
        elif tensor.layout != torch.strided:
            tensor.data.copy_(before)
        elif not _same(tensor, before):
            with torch.inference_mode(tensor.is_inference()):
                _once(tensor.data).copy_(_once(before))  # .data: autograd must not record it

    return put_back


def _same(one: Tensor, other: Tensor) -> bool:
    if torch.equal(one, other):
        return True
    return bool(((one == other) | ((one != one) & (other != other))).all())


def _once(tensor: Tensor) -> Tensor:
    """Return a tensor without the dimensions that ``expand`` repeats."""
    for dim, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        if stride == 0 and size > 1:
            tensor = tensor.narrow(dim, 0, 1)
    return tensor
