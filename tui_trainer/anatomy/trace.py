"""One run of a network, watched: every operation on the way from the image to the scores."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from tui_trainer.anatomy.calls import Call, in_place, name_of, reads
from tui_trainer.anatomy.field import Field, Undefined
from tui_trainer.anatomy.folding import Folding, folding
from tui_trainer.anatomy.model_state import preserve_model_state
from tui_trainer.anatomy.operations import bind, operation_of, passes
from tui_trainer.models.tensors import tensors_in
from tui_trainer.models.unregistered_state import namespaces
from tui_trainer.text.fmt import one_line

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
        repeats: How often it is done, one time after the other, in a loop.
    """

    module: str
    type: str
    call: Call
    parameters: tuple[nn.Parameter, ...]
    field: Field | None
    undefined: str
    sources: tuple[int, ...]
    repeats: int = 1

    @property
    def kind(self) -> Hashable:
        """What it is, whatever the number of images, and in a copy of the network too."""
        return self.module, self.call.name, len(self.call.result)

    @property
    def work(self) -> Hashable:
        """What tells it from the other steps of a loop: it does the same with the same weights."""
        used = tuple(id(parameter) for parameter in self.parameters)
        return self.kind, used, self.call.shapes, self.call.result


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


def call_unchanged(
    name: str, run: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Run a function as the network calls it."""
    return run(*args, **kwargs)


def trace(
    model: nn.Module,
    image: Tensor,
    execute: Execute = call_unchanged,
    reached: Reached | None = None,
    finished: Callable[[Any], None] = lambda output: None,
) -> list[Step]:
    """Run a network on images in evaluation mode, and leave it and them as they were.

    The steps of a loop have one place together, that of their row in the layer table. The last time
    that they are done stands for all of them.

    Args:
        model: Maps (N, channels, height, width) to scores.
        image: What it is run on.
        execute: Runs each function; it may put another in its place.
        reached: Is told of each row as it is reached; what it raises ends the run.
        finished: Is given what the network gives.

    Returns:
        The steps that were run, those of a loop folded.
    """
    if reached is None:
        steps = trace_steps(model, image, execute, finished=finished)
        return folded(steps, cached_folding(model, image, steps))
    plan = _folding_of(model, image, execute)
    if plan is None:  # it has no loops: a step is a row
        return trace_steps(model, image, execute, reached, finished)
    on_row = reached

    def at_row(number: int, step: Step, result: Tensor) -> None:
        at = number - 1
        if at >= len(plan.kinds) or plan.kinds[at] != step.kind:
            return  # it takes another way for these images
        if plan.folding.stands_for_its_row(at):
            row = plan.folding.row_of[at]
            read = tuple(sorted({plan.folding.row_of[s - 1] + 1 if s else 0 for s in step.sources}))
            repeats = len(plan.folding.rows[row])
            on_row(row + 1, replace(step, sources=read, repeats=repeats), result)

    return folded(trace_steps(model, image, execute, at_row, finished), plan.folding)


def trace_steps(
    model: nn.Module,
    image: Tensor,
    execute: Execute = call_unchanged,
    reached: Reached = lambda position, step, result: None,
    finished: Callable[[Any], None] = lambda output: None,
) -> list[Step]:
    """Run a network as :func:`trace` does; each step has a place of its own, from 1."""
    with ExitStack() as stack:
        stack.enter_context(preserve_model_state(model, image.device))
        image = image.clone()  # for it may write into what it is given
        tracer = _Tracer(model, image, execute, reached)
        for path, module in model.named_modules():
            if isinstance(module, ScriptModule):  # it takes no hooks
                continue
            for handle in tracer.trace_steps(path, module):
                stack.callback(handle.remove)
        with tracer:
            output = model(image)
        finished(output)
    return tracer.steps


# --- loops


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the steps of a network's run are folded, and what they are."""

    folding: Folding
    kinds: tuple[Hashable, ...]


_PLANS: dict[Hashable, _Plan | None] = {}
"""For networks that were run once, and their copies; None where there are no loops."""

_MOST_PLANS = 100


def _structure(model: nn.Module, image: Tensor) -> Hashable:
    """Return what the steps of a run depend on: modules, their numbers and flags, the image's size.

    Should it not be all, a step that is not what the plan says is left out.
    """
    modules = tuple(
        (path, type(module), tuple(filter(_is_setting, vars(module).items())))
        for path, module in model.named_modules()
    )
    return tuple(image.shape[1:]), modules


def _is_setting(attribute: tuple[str, Any]) -> bool:
    name, value = attribute
    return name != "training" and type(value) in (int, float, bool, str)


def cached_folding(model: nn.Module, image: Tensor, steps: Sequence[Step]) -> Folding:
    """Fold the steps of a run; it is remembered for the next runs of the same network."""
    found = folding(step.work for step in steps)
    has_loops = len(found.rows) < len(steps)
    if len(_PLANS) >= _MOST_PLANS:
        _PLANS.clear()
    plan = _Plan(found, tuple(step.kind for step in steps)) if has_loops else None
    _PLANS[_structure(model, image)] = plan
    return found


def _folding_of(model: nn.Module, image: Tensor, execute: Execute) -> _Plan | None:
    """Return how a network's run is folded; if it is not known yet, it is run on two images."""
    structure = _structure(model, image)
    if structure not in _PLANS:
        with torch.no_grad():
            cached_folding(model, image, trace_steps(model, image[:2].detach(), execute))
    return _PLANS.get(structure)


def folded(steps: Sequence[Step], plan: Folding) -> list[Step]:
    """Return one step for each row: the last of those that it has, which read what is before it."""
    if len(plan.rows) == len(steps):
        return list(steps)
    found: list[Step] = []
    for row, members in enumerate(plan.rows):
        known = [steps[at] for at in members if at < len(steps)]
        if not known:
            break
        read = {0 if s == 0 else plan.row_of[s - 1] + 1 for step in known for s in step.sources}
        before = tuple(sorted(position for position in read if position <= row)) or (row,)
        found.append(replace(known[-1], sources=before, repeats=len(members)))
    return found


class _Tracer(TorchFunctionMode):
    """Sees every function of torch that is called, and in which module."""

    def __init__(self, model: nn.Module, image: Tensor, execute: Execute, reached: Reached) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._execute = execute
        self._reached = reached
        self._visits: list[_Visit] = []
        field = Field.of_image(*image.shape[-2:])
        self._seen = {id(image): _Seen(image, field, "", (0,))}
        # What does not depend on the image, and the parameters that it was made of.
        self._still: dict[int, tuple[Tensor, tuple[nn.Parameter, ...]]] = {}
        self._keep(_constants(model), ())
        for parameter in model.parameters():
            self._keep([parameter], (parameter,))
        closed = (module for module in model.modules() if isinstance(module, ScriptModule))
        self._closed = tuple(p for module in closed for p in module.parameters())

    def trace_steps(self, path: str, module: nn.Module) -> Iterator[RemovableHandle]:
        """Follow the calls of a module; yield the handles that end it."""

        def enter(module: nn.Module, args: Any) -> None:
            self._visits.append(
                _Visit(path, module, len(self.steps), self._reads(tensors_in(args)))
            )

        def leave(module: nn.Module, args: Any, output: Any) -> Any:
            return self._left(self._visits.pop(), output)

        yield module.register_forward_pre_hook(enter, prepend=True)
        yield module.register_forward_hook(leave)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = name_of(func)
        read = [*tensors_in(reads(name, args, kwargs))]
        shapes = {id(tensor): tuple(tensor.shape) for tensor in read}
        result = self._execute(name, func, args, kwargs)
        if any(result is tensor for tensor in read) and not in_place(func, kwargs):
            # An identity of its own, so that what reads the one does not seem to read the other.
            result = result.view_as(result)
        made = [*tensors_in(args[:1] if name == "setitem" else result)]
        if made:
            self._note(name, bind(name, args, kwargs), read, shapes, made)
        return result

    def _note(
        self,
        name: str,
        arguments: dict[str, Any],
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
        if passes(name, arguments, shapes[id(seen[0].tensor)], tuple(made[0].shape)):
            self._seen |= {id(tensor): replace(seen[0], tensor=tensor) for tensor in made}
            return
        call = Call(
            name=name,
            arguments=arguments,
            shapes=tuple(shapes[id(s.tensor)] for s in seen),
            fields=_fields(seen),
            result=tuple(made[0].shape),
            features=tuple(
                key for key, value in arguments.items() if self._reads(tensors_in(value))
            ),
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
                field = operation_of(call.name).propagate(call)
            except Undefined as reason:
                undefined = f"after {call.name}: {reason}"
            except Exception as error:  # it was called in a way that is not known
                words = one_line(f"{type(error).__name__}: {error}")
                undefined = f"after {call.name}: its field could not be worked out ({words})"
        sources = tuple(sorted({position for s in seen for position in s.sources}))
        path = self._visits[-1].path if self._visits else ""
        self.steps.append(Step(path, "", call, used, field, undefined, sources))
        position = len(self.steps)
        self._seen |= {id(tensor): _Seen(tensor, field, undefined, (position,)) for tensor in made}
        with torch._C.DisableTorchFunction():  # what is looked up of a result is no step
            self._reached(position, self.steps[-1], made[0])

    def _left(self, visit: _Visit, output: Any) -> Any:
        """Name the step after its module, if it is all that it does; add one if it did nothing."""
        made, own = [*tensors_in(output)], self.steps[visit.before :]
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

    def _reads(self, tensors: Iterable[Tensor]) -> tuple[_Seen, ...]:
        """Return what is known of those that depend on the image."""
        return tuple(self._seen[id(tensor)] for tensor in tensors if id(tensor) in self._seen)

    def _keep(self, tensors: Iterable[Tensor], made_of: tuple[nn.Parameter, ...]) -> None:
        self._still |= {id(tensor): (tensor, made_of) for tensor in tensors}


def _constants(model: nn.Module) -> Iterator[Tensor]:
    """Yield the tensors that a network has but does not learn, also the globals of its files."""
    shared = (names for _, names, _ in namespaces(model))
    for names in (*map(vars, model.modules()), *shared):
        yield from _held(dict(names), depth=4)


def _held(value: Any, depth: int) -> Iterator[Tensor]:
    """Yield the tensors in a value, in containers that lie not too deep."""
    if isinstance(value, Tensor):
        yield value
    elif depth and isinstance(value, (dict, list, tuple)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _held(part, depth - 1)


def _fields(seen: Sequence[_Seen]) -> tuple[Field, ...]:
    """Return the fields of all, or none if one of them is not defined."""
    fields = tuple(s.field for s in seen if s.field)
    return fields if len(fields) == len(seen) else ()


def _is_leaf(module: nn.Module) -> bool:
    """Say whether a module is one layer: what it has inside serves it alone."""
    inside = {name for name, _ in module.named_children()} - {"parametrizations"}
    return not inside or isinstance(module, nn.MultiheadAttention)
