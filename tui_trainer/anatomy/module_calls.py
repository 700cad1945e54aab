"""The modules that a forward calls, in order, and what torchsummary and torchinfo count in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule

from tui_trainer.anatomy.folding import folding
from tui_trainer.anatomy.model_state import preserve_model_state
from tui_trainer.models.input_spec import ImageShape
from tui_trainer.models.rng import noise
from tui_trainer.models.tensors import tensors_in
from tui_trainer.protocol.module_calls import ModuleCall, ModuleSummary, PackageCounts
from tui_trainer.text.fmt import one_line

_NOT_LISTED = (nn.Sequential, nn.ModuleList)
"""Containers that torchsummary leaves out."""


@dataclass(eq=False, slots=True)
class _Call:
    """A call of a module; of a container that is not called, its place in the hierarchy."""

    module: nn.Module
    path: str
    shapes: tuple[tuple[int, ...], ...] = ()
    ended: int = 0
    is_container: bool = False
    is_nested: bool = False
    parameters: list[nn.Parameter] = field(default_factory=list)
    has_parameters: bool = False
    is_repeat: bool = False

    @property
    def depth(self) -> int:
        return self.path.count(".") + 1 if self.path else 0

    @property
    def is_leaf(self) -> bool:
        return not any(True for _ in self.module.children())


def module_summary(model: nn.Module, input_shape: ImageShape, multiply_adds: int) -> ModuleSummary:
    """Run a model once on a noise image, and return the calls of its modules.

    The model must be on the CPU. It runs in evaluation mode and is left unchanged.

    Args:
        model: Maps (N, channels, height, width) to logits.
        input_shape: Height, width and channels of the image.
        multiply_adds: Its multiply-adds, from the layer table.

    Raises:
        Exception: An exception of the model's forward.
    """
    height, width, channels = input_shape
    try:
        calls, images = _traced(model, noise(1, channels, height, width)), 1
    except Exception:  # some models cannot take a batch of one
        calls, images = _traced(model, noise(2, channels, height, width)), 2
    _assign_parameters(calls)
    calls = [*_with_containers(calls, dict(model.named_modules()))]
    parameters = [*model.parameters()]
    return ModuleSummary(
        calls=tuple(_folded(calls, model)),
        input_shape=(images, channels, height, width),
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        parameter_bytes=sum(p.numel() * p.element_size() for p in parameters),
        multiply_adds=multiply_adds,
        torchsummary=PackageCounts(parameters=_torchsummary_count(calls, model)),
        torchinfo=PackageCounts(
            parameters=_torchinfo_count(calls), multiply_adds=_torchinfo_work(calls) // images
        ),
    )


def _traced(model: nn.Module, image: Tensor) -> list[_Call]:
    """Return the calls of a forward in the order in which they begin."""
    calls: list[_Call] = []
    running: list[_Call] = []
    ended = 0

    def begin(module: nn.Module, path: str) -> None:
        if running:
            running[-1].is_container = True
        running.append(_Call(module, path))
        calls.append(running[-1])

    def end(output: Any) -> None:
        nonlocal ended
        ended += 1
        call = running.pop()
        call.ended = ended
        call.shapes = tuple(tuple(tensor.shape) for tensor in tensors_in(output))
        call.is_nested = isinstance(output, (list, tuple)) and not all(
            isinstance(part, Tensor) for part in output
        )

    with ExitStack() as stack, torch.no_grad():
        stack.enter_context(preserve_model_state(model, image.device))
        for path, module in model.named_modules():
            if isinstance(module, ScriptModule) or "parametrizations" in path.split("."):
                continue
            before = module.register_forward_pre_hook(
                lambda module, inputs, path=path: begin(module, path)
            )
            after = module.register_forward_hook(lambda module, inputs, output: end(output))
            stack.callback(before.remove)
            stack.callback(after.remove)
        model(image.clone())
    return calls


def _assign_parameters(calls: Sequence[_Call]) -> None:
    """Assign each parameter to the first call of the deepest called module that contains it."""
    called = {id(call.module) for call in calls}
    counted: set[int] = set()
    seen: set[int] = set()
    for call in calls:
        direct = [*_direct_parameters(call.module, called)]
        call.has_parameters = bool(direct)
        call.parameters = [p for p in {id(p): p for p in direct}.values() if id(p) not in counted]
        counted.update(map(id, call.parameters))
        call.is_repeat = id(call.module) in seen
        seen.add(id(call.module))


def _direct_parameters(module: nn.Module, called: set[int]) -> Iterator[nn.Parameter]:
    yield from module.parameters(recurse=False)
    for child in module.children():
        if id(child) not in called:
            yield from _direct_parameters(child, called)


def _with_containers(calls: Sequence[_Call], modules: dict[str, nn.Module]) -> Iterator[_Call]:
    """Yield the calls, and before their first call the containers that are not called themselves.

    A ``ModuleList`` is one, and a ``Sequential`` whose parts are called one by one.
    """
    above: list[str] = []
    for call in calls:
        parts = call.path.split(".")
        for depth in range(1, call.depth):
            path = ".".join(parts[:depth])
            if above[depth - 1 : depth] != [path]:
                above[depth - 1 :] = [path]
                yield _Call(modules[path], path, is_container=True)
        if call.path:
            above[call.depth - 1 :] = [call.path]
        yield call


def _folded(calls: Sequence[_Call], model: nn.Module) -> Iterator[ModuleCall]:
    """Yield the calls with loops folded; the numbers count every call, as the packages do."""
    listed = sorted((c for c in calls if _is_listed(c, model)), key=lambda call: call.ended)
    numbers = {call: number for number, call in enumerate(listed, start=1)}
    indices: Counter[int] = Counter()
    index_of: list[int] = []
    for call in calls:
        indices[call.depth] += 1
        index_of.append(indices[call.depth])
    plan = folding((call.path, call.shapes, call.ended > 0) for call in calls)
    for members in plan.rows:
        first = calls[members[0]]
        counted = [p for member in members for p in calls[member].parameters]
        yield ModuleCall(
            name=one_line(type(first.module).__name__),
            depth=first.depth,
            index=index_of[members[0]],
            number=numbers.get(first, 0),
            shapes=first.shapes,
            parameters=sum(p.numel() for p in counted),
            trainable=sum(p.numel() for p in counted if p.requires_grad),
            has_parameters=first.has_parameters,
            is_container=first.is_container,
            is_repeat=first.is_repeat,
            repeats=len(members),
        )


def _is_listed(call: _Call, model: nn.Module) -> bool:
    """Return whether a call has a row in torchsummary's table; one with parameters always has."""
    if not call.ended:
        return False
    is_left_out = isinstance(call.module, _NOT_LISTED) or call.module is model
    return not is_left_out or bool(call.parameters)


# --- what the packages count


def _torchsummary_count(calls: Sequence[_Call], model: nn.Module) -> int | None:
    """Return the parameters that torchsummary counts: weights and biases, at each call.

    A module that several containers hold has a hook for each of them. A nested tuple, such as that
    of an LSTM, is an error.
    """
    hooks: Counter[int] = Counter()

    def visit(module: nn.Module) -> None:
        for child in module.children():
            visit(child)
        hooks[id(module)] += 1

    visit(model)
    total = 0
    for call in calls:
        if not call.ended or isinstance(call.module, _NOT_LISTED) or call.module is model:
            continue
        if call.is_nested:
            return None
        tensors = (getattr(call.module, name, None) for name in ("weight", "bias"))
        numbers = sum(t.numel() for t in tensors if isinstance(t, Tensor))
        total += numbers * hooks[id(call.module)]
    return total


def _torchinfo_count(calls: Sequence[_Call]) -> int:
    """Return the parameters that torchinfo counts: those of each module, shared ones in each."""
    total, seen = 0, set()
    rests: list[int | None] = [None] * len(calls)  # None for a repeated call
    for place in reversed(range(len(calls))):
        call = calls[place]
        if any(other.module is call.module for other in calls[:place]):
            continue
        rest = sum(p.numel() for p in call.module.parameters())
        if not call.is_leaf:
            for below in range(place + 1, len(calls)):
                if calls[below].depth <= call.depth:
                    break
                rest -= rests[below] or 0
        rests[place] = rest
        total += max(rest, 0)
        seen.add(id(call.module))
    return total


def _torchinfo_work(calls: Sequence[_Call]) -> int:
    """Return the multiply-adds that torchinfo counts.

    Each weight counts once per image, in a convolution once per position, in a recurrent layer once
    per element of the first two dimensions of its output.
    """
    total = 0
    for call in calls:
        if not (call.is_leaf and call.shapes):
            continue
        shape = call.shapes[0]
        for name, parameter in call.module.named_parameters():
            if name in ("weight", "bias"):
                is_conv = "Conv" in type(call.module).__name__
                places = prod(shape[:1] + shape[2:]) if is_conv else shape[0]
            else:
                places = prod(shape[:2]) if "weight" in name or "bias" in name else 0
            total += places * parameter.numel()
    return total
