"""A network that is run and left as it was."""

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
    """Let a network run in evaluation mode; put all back that its forward changes.

    These are its modes, its parameters and buffers, the tensors, numbers and containers among its
    modules' attributes, and the global random generators. Compiled modules run uncompiled.
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
    """Yield what puts a module's attributes back: the containers, then what is in them."""
    if isinstance(module, (ScriptModule, LazyModuleMixin)):
        # Their attributes lie elsewhere, or are about to become others for good.
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
    """Give a container the very things that it had before; a tuple keeps them anyway."""
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
    """Return what puts a tensor's numbers back; None for one whose numbers cannot be kept."""
    try:
        before = tensor.detach().clone()
    except Exception:  # no numbers yet, or a kind that cannot be copied
        return None

    def put_back() -> None:
        if tensor.shape != before.shape:
            tensor.data = before
        elif tensor.layout != torch.strided:
            tensor.data.copy_(before)
        elif not _same(tensor, before):
            with torch.inference_mode(tensor.is_inference()):
                _once(tensor.data).copy_(_once(before))  # as data: no graph is to know of it

    return put_back


def _same(one: Tensor, other: Tensor) -> bool:
    if torch.equal(one, other):
        return True
    return bool(((one == other) | ((one != one) & (other != other))).all())


def _once(tensor: Tensor) -> Tensor:
    """Return a tensor without the dimensions that ``expand`` repeats: its numbers once."""
    for dim, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        if stride == 0 and size > 1:
            tensor = tensor.narrow(dim, 0, 1)
    return tensor
