"""A network that is run and left as it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, MutableSequence
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
def untouched(network: nn.Module, device: torch.device) -> Generator[None]:
    """Let a network run in evaluation mode; put all back that its forward changes.

    These are its modes, its parameters and buffers, the tensors, numbers and containers among its
    modules' attributes, and the global random generators. Compiled modules run uncompiled.
    """
    with ExitStack() as stack:
        stack.enter_context(preserve_rng_state(device))
        stack.enter_context(evaluating(network))
        if any(uncompiled(module) is not module for module in network.modules()):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        undo = [change for module in network.modules() for change in _attributes(module)]
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
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        if (undo := _content(value)) is not None:
            yield undo
        return
    parts: list[Any]
    if isinstance(value, dict):
        kept, parts = dict(value), list(value.values())

        def put_back() -> None:
            if list(value) != list(kept) or any(value[key] is not kept[key] for key in kept):
                value.clear()
                value.update(kept)
    elif isinstance(value, (list, deque)):
        items, parts = list(value), list(value)
        sequence: MutableSequence[Any] = value

        def put_back() -> None:
            if len(sequence) != len(items) or any(map(_differs, sequence, items)):
                sequence.clear()
                sequence.extend(items)
    elif isinstance(value, tuple):
        parts = list(value)

        def put_back() -> None:
            pass
    else:
        return
    yield put_back
    for part in parts:
        yield from _container(part, seen)


def _differs(one: Any, other: Any) -> bool:
    return one is not other


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
