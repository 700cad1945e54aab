"""One run of a network, watched: every operation on the way from the image to the scores."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from tui_trainer.anatomy.field import Field, Undefined
from tui_trainer.anatomy.names import in_place, name_of, reads
from tui_trainer.anatomy.operations import Call, bind, operation_of, passes

Execute = Callable[[str, Callable[..., Any], tuple[Any, ...], Mapping[str, Any]], Any]
"""Runs a function: given its name, itself and its arguments, it returns the result."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation, in the order in which they were run.

    Attributes:
        module: The path of the innermost module that it was run in.
        type: The class of that module, if this is all that it does; else empty.
        call: What was run.
        parameters: The parameters that it used.
        field: What its features see; None where that is not defined.
        undefined: Why not.
        sources: The places, in the table, of the steps whose results it read.
    """

    module: str
    type: str
    call: Call
    parameters: tuple[nn.Parameter, ...]
    field: Field | None
    undefined: str
    sources: tuple[int, ...]


Reached = Callable[[int, Step, Tensor], None]
"""Told of each step as it is done: its place in the table, from 1, itself, and its result."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of a tensor; it is held, so that no other takes its identity."""

    tensor: Tensor
    field: Field | None
    undefined: str
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Visit:
    """A module that is being run: how many steps there were before it, and what it reads."""

    path: str
    module: nn.Module
    before: int
    reads: tuple[_Seen, ...]


def as_it_is(
    name: str, run: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Run a function as the network calls it."""
    return run(*args, **kwargs)


def trace(
    network: nn.Module,
    image: Tensor,
    execute: Execute = as_it_is,
    reached: Reached = lambda place, step, result: None,
) -> list[Step]:
    """Run a network on an image in evaluation mode, and leave it as it was.

    Args:
        network: Maps (N, channels, height, width) to scores.
        image: What it is run on.
        execute: Runs each function; it may put another in its place.
        reached: Is told of each step; what it raises ends the run.

    Returns:
        The steps that were run.
    """
    with ExitStack() as stack:
        stack.enter_context(_unchanged(network, image.device))
        tracer = _Tracer(network, image, execute, reached)
        for path, module in network.named_modules():
            if isinstance(module, ScriptModule):  # it takes no hooks
                continue
            for handle in tracer.watch(path, module):
                stack.callback(handle.remove)
        stack.enter_context(tracer)
        network(image)
    return tracer.steps


@contextmanager
def _unchanged(network: nn.Module, device: torch.device) -> Generator[None]:
    """Put a network in evaluation mode; put modes, buffers and chance back afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in network.buffers()]
    devices = [] if device.type == "cpu" else [device.index or 0]
    kind = "cuda" if device.type == "cpu" else device.type
    try:
        with torch.random.fork_rng(devices, device_type=kind):
            for module, _ in modes:
                module.training = False
            yield
    finally:
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


class _Tracer(TorchFunctionMode):
    """Sees every function of torch that is called, and in which module."""

    def __init__(
        self, network: nn.Module, image: Tensor, execute: Execute, reached: Reached
    ) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._execute = execute
        self._reached = reached
        self._visits: list[_Visit] = []
        field = Field.of_image(*image.shape[-2:])
        self._seen = {id(image): _Seen(image, field, "", (0,))}
        # What does not depend on the image, and the parameters that it was made of.
        self._still: dict[int, tuple[Tensor, tuple[nn.Parameter, ...]]] = {}
        for module in network.modules():
            for tensor in (*vars(module).values(), *module.buffers(recurse=False)):
                self._keep([tensor] if isinstance(tensor, Tensor) else [], ())
        for parameter in network.parameters():
            self._keep([parameter], (parameter,))
        closed = (module for module in network.modules() if isinstance(module, ScriptModule))
        self._closed = tuple(p for module in closed for p in module.parameters())

    def watch(self, path: str, module: nn.Module) -> Iterator[RemovableHandle]:
        """Follow the calls of a module; yield the handles that end it."""

        def enter(module: nn.Module, args: Any) -> None:
            self._visits.append(_Visit(path, module, len(self.steps), self._reads(_tensors(args))))

        def leave(module: nn.Module, args: Any, output: Any) -> Any:
            return self._left(self._visits.pop(), output)

        yield module.register_forward_pre_hook(enter, prepend=True)
        yield module.register_forward_hook(leave)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = name_of(func)
        read = _tensors(reads(name, args, kwargs))
        shapes = {id(tensor): tuple(tensor.shape) for tensor in read}
        result = self._execute(name, func, args, kwargs)
        if any(result is tensor for tensor in read) and not in_place(func, kwargs):
            # An identity of its own, so that what reads the one does not seem to read the other.
            result = result.view_as(result)
        made = _tensors(args[:1] if name == "setitem" else result)
        if made:
            self._note(name, bind(name, args, kwargs), read, shapes, made)
        return result

    def _note(
        self,
        name: str,
        arguments: Mapping[str, Any],
        read: Sequence[Tensor],
        shapes: Mapping[int, tuple[int, ...]],
        made: Sequence[Tensor],
    ) -> None:
        """Remember what a function made of what it read."""
        used = tuple(p for tensor in read for p in self._still.get(id(tensor), (None, ()))[1])
        seen = self._reads(read)
        if not seen:
            if all(id(tensor) in self._still for tensor in read):
                self._keep(made, used)
                return
            reason = f"after {name}: what came before it cannot be seen"
            seen = (_Seen(read[0], None, reason, (len(self.steps),)),)
            used += self._closed
        if passes(name, shapes[id(seen[0].tensor)], tuple(made[0].shape)):
            self._seen |= {id(tensor): replace(seen[0], tensor=tensor) for tensor in made}
            return
        call = Call(
            name=name,
            arguments=arguments,
            shapes=tuple(shapes[id(s.tensor)] for s in seen),
            fields=_fields(seen),
            result=tuple(made[0].shape),
        )
        self._add(call, used, seen, made)

    def _add(
        self,
        call: Call,
        used: tuple[nn.Parameter, ...],
        seen: Sequence[_Seen],
        made: Sequence[Tensor],
    ) -> None:
        """Add a step to the table."""
        field, undefined = None, next((s.undefined for s in seen if s.undefined), "")
        if not undefined:
            try:
                field = operation_of(call.name).moves(call)
            except Undefined as reason:
                undefined = f"after {call.name}: {reason}"
        sources = tuple(sorted({place for s in seen for place in s.sources}))
        path = self._visits[-1].path if self._visits else ""
        self.steps.append(Step(path, "", call, used, field, undefined, sources))
        place = len(self.steps)
        self._seen |= {id(tensor): _Seen(tensor, field, undefined, (place,)) for tensor in made}
        self._reached(place, self.steps[-1], made[0])

    def _left(self, visit: _Visit, output: Any) -> Any:
        """Name the step after its module, if it is all that it does; add one if it did nothing."""
        made, own = _tensors(output), self.steps[visit.before :]
        if not own and visit.reads and made and self._is_new(visit.module, made):
            self._visits.append(visit)
            output = self._add_module(visit, output, made)
            self._visits.pop()
        elif not (len(own) == 1 and own[0].module == visit.path and visit.path):
            return output
        if _is_leaf(visit.module):
            self.steps[-1] = replace(self.steps[-1], type=type(visit.module).__name__)
        return output

    def _is_new(self, module: nn.Module, made: Sequence[Tensor]) -> bool:
        return _is_leaf(module) or not self._reads(made)

    def _add_module(self, visit: _Visit, output: Any, made: Sequence[Tensor]) -> Any:
        """Add a step for a module in which no function was seen."""
        known = self._reads(made)
        if isinstance(output, Tensor) and known:
            output = output.view_as(output)
            made = (output,)
        name = "identity" if known else type(visit.module).__name__
        reason = f"after {name}: what it does cannot be seen"
        seen = known or tuple(replace(s, field=None, undefined=reason) for s in visit.reads)
        shapes = tuple(tuple(s.tensor.shape) for s in seen)
        call = Call(name, {"module": visit.module}, shapes, _fields(seen), tuple(made[0].shape))
        self._add(call, () if known else tuple(visit.module.parameters()), seen, made)
        return output

    def _reads(self, tensors: Sequence[Tensor]) -> tuple[_Seen, ...]:
        """Return what is known of those that depend on the image."""
        return tuple(self._seen[id(tensor)] for tensor in tensors if id(tensor) in self._seen)

    def _keep(self, tensors: Sequence[Tensor], made_of: tuple[nn.Parameter, ...]) -> None:
        self._still |= {id(tensor): (tensor, made_of) for tensor in tensors}


def _tensors(value: Any) -> list[Tensor]:
    """Return the tensors in a function's arguments or in its result, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = tuple(value.values())
    return [t for part in value for t in _tensors(part)] if isinstance(value, (tuple, list)) else []


def _fields(seen: Sequence[_Seen]) -> tuple[Field, ...]:
    """Return the fields of all, or none if one of them is not defined."""
    fields = tuple(s.field for s in seen if s.field)
    return fields if len(fields) == len(seen) else ()


def _is_leaf(module: nn.Module) -> bool:
    """Say whether a module is one layer: what it has inside serves it alone."""
    inside = {name for name, _ in module.named_children()} - {"parametrizations"}
    return not inside or isinstance(module, nn.MultiheadAttention)
