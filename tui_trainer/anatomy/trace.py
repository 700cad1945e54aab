"""Tracing one forward of a model: every operation between the image and the logits."""

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
"""Runs a function, given its name, itself, its args and its kwargs, and returns the result."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a forward.

    Attributes:
        module: The path of the module whose forward called it.
        type: The class of that module, if this is all that it does; else empty.
        call: The call.
        parameters: The parameters that it used.
        field: The receptive field of its result; None where it is undefined.
        undefined: Why it is undefined.
        sources: The table positions of the steps whose results it read.
        repeats: The number of consecutive executions in a loop.
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
        """A key that does not depend on the batch size, and is the same in a copy of the model."""
        return self.module, self.call.name, len(self.call.result)

    @property
    def work(self) -> Hashable:
        """A key for loop folding: equal for steps with the same weights and shapes."""
        used = tuple(id(parameter) for parameter in self.parameters)
        return self.kind, used, self.call.shapes, self.call.result


Reached = Callable[[int, Step, Tensor], None]
"""Called for each executed step with its position in the table, from 1, itself and its result."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known about a tensor. It keeps a reference, so that its ``id`` is not reused."""

    tensor: Tensor
    field: Field | None
    undefined: str
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Visit:
    """A module whose forward is running, the number of steps before it, and its inputs."""

    path: str
    module: nn.Module
    before: int
    reads: tuple[_Seen, ...]


def call_unchanged(
    name: str, run: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Run a function without a replacement."""
    return run(*args, **kwargs)


def trace(
    model: nn.Module,
    image: Tensor,
    execute: Execute = call_unchanged,
    reached: Reached | None = None,
    finished: Callable[[Any], None] = lambda output: None,
) -> list[Step]:
    """Run a model on images in evaluation mode, and leave both unchanged.

    The repeats of a loop share one position, that of their row in the layer table; the last repeat
    represents them.

    Args:
        model: Maps (N, channels, height, width) to logits.
        image: The images.
        execute: Runs each function; it may replace it.
        reached: Is called for each row as it is reached; an exception it raises ends the forward.
        finished: Is called with the output of the model.

    Returns:
        The executed steps, with loops folded.
    """
    if reached is None:
        steps = trace_steps(model, image, execute, finished=finished)
        return folded(steps, cached_folding(model, image, steps))
    plan = _folding_of(model, image, execute)
    if plan is None:  # without loops, each step is a row
        return trace_steps(model, image, execute, reached, finished)
    on_row = reached

    def at_row(number: int, step: Step, result: Tensor) -> None:
        at = number - 1
        if at >= len(plan.kinds) or plan.kinds[at] != step.kind:
            return  # the model branches differently for these images
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
    """Run a model like :func:`trace`, without folding loops: each step has its own position."""
    with ExitStack() as stack:
        stack.enter_context(preserve_model_state(model, image.device))
        image = image.clone()  # the forward may write into its input
        tracer = _Tracer(model, image, execute, reached)
        for path, module in model.named_modules():
            if isinstance(module, ScriptModule):  # it does not support hooks
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
    """How the steps of a model are folded, and their kinds."""

    folding: Folding
    kinds: tuple[Hashable, ...]


_PLANS: dict[Hashable, _Plan | None] = {}
"""The plans of models traced before, and of their copies; None where there are no loops."""

_MAX_PLANS = 100


def _structure(model: nn.Module, image: Tensor) -> Hashable:
    """Return a key of what determines the steps: modules, their settings, and the image shape.

    If the steps depend on anything else, those that do not match the plan are skipped.
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
    """Fold the steps of a forward, and cache the folding for later forwards of the model."""
    found = folding(step.work for step in steps)
    has_loops = len(found.rows) < len(steps)
    if len(_PLANS) >= _MAX_PLANS:
        _PLANS.clear()
    plan = _Plan(found, tuple(step.kind for step in steps)) if has_loops else None
    _PLANS[_structure(model, image)] = plan
    return found


def _folding_of(model: nn.Module, image: Tensor, execute: Execute) -> _Plan | None:
    """Return the folding of a model; if it is not cached, trace the model on two images."""
    structure = _structure(model, image)
    if structure not in _PLANS:
        with torch.no_grad():
            cached_folding(model, image, trace_steps(model, image[:2].detach(), execute))
    return _PLANS.get(structure)


def folded(steps: Sequence[Step], plan: Folding) -> list[Step]:
    """Return one step per row: its last repeat, with sources before the row."""
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
    """Records every torch function that is called, and the module that calls it."""

    def __init__(self, model: nn.Module, image: Tensor, execute: Execute, reached: Reached) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._execute = execute
        self._reached = reached
        self._visits: list[_Visit] = []
        field = Field.of_image(*image.shape[-2:])
        self._seen = {id(image): _Seen(image, field, "", (0,))}
        # Tensors that do not depend on the image, and the parameters they were computed from.
        self._constants: dict[int, tuple[Tensor, tuple[nn.Parameter, ...]]] = {}
        self._keep(_constants(model), ())
        for parameter in model.parameters():
            self._keep([parameter], (parameter,))
        closed = (module for module in model.modules() if isinstance(module, ScriptModule))
        self._closed = tuple(p for module in closed for p in module.parameters())

    def trace_steps(self, path: str, module: nn.Module) -> Iterator[RemovableHandle]:
        """Hook into the forward of a module; yield the handles that remove the hooks."""

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
            # A new object, so that readers of the result are not taken for readers of the input.
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
        """Record the inputs and outputs of a function."""
        used = tuple(p for tensor in read for p in self._constants.get(id(tensor), (None, ()))[1])
        seen = self._reads(read)
        if not seen:
            if all(id(tensor) in self._constants for tensor in read):
                self._keep(made, used)
                return
            reason = f"after {name}: its input cannot be traced"
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
            except Exception as error:  # a call signature that the operation does not know
                words = one_line(f"{type(error).__name__}: {error}")
                undefined = f"after {call.name}: its field could not be computed ({words})"
        sources = tuple(sorted({position for s in seen for position in s.sources}))
        path = self._visits[-1].path if self._visits else ""
        self.steps.append(Step(path, "", call, used, field, undefined, sources))
        position = len(self.steps)
        self._seen |= {id(tensor): _Seen(tensor, field, undefined, (position,)) for tensor in made}
        with torch._C.DisableTorchFunction():  # inspecting a result must not add steps
            self._reached(position, self.steps[-1], made[0])

    def _left(self, visit: _Visit, output: Any) -> Any:
        """Name a module's only step after the module; add a step if none was traced in it."""
        made, inner = [*tensors_in(output)], self.steps[visit.before :]
        if not inner and visit.reads and made and self._is_new(visit.module, made):
            self._visits.append(visit)
            output = self._add_module(visit, output, made)
            self._visits.pop()
        elif not (len(inner) == 1 and inner[0].module == visit.path and visit.path):
            return output
        if _is_leaf(visit.module):
            self.steps[-1] = replace(self.steps[-1], type=type(visit.module).__name__)
        return output

    def _is_new(self, module: nn.Module, made: Sequence[Tensor]) -> bool:
        return _is_leaf(module) or not self._reads(made)

    def _add_module(self, visit: _Visit, output: Any, made: Sequence[Tensor]) -> Any:
        """Add a step for a module in which no function was traced."""
        known = self._reads(made)
        if isinstance(output, Tensor) and known:
            output = output.view_as(output)
            made = (output,)
        name = "identity" if known else type(visit.module).__name__
        reason = f"after {name}: it cannot be traced"
        seen = known or tuple(replace(s, field=None, undefined=reason) for s in visit.reads)
        shapes = tuple(tuple(s.tensor.shape) for s in seen)
        call = Call(name, {"module": visit.module}, shapes, _fields(seen), tuple(made[0].shape))
        self._add(call, () if known else tuple(visit.module.parameters()), seen, made)
        return output

    def _reads(self, tensors: Iterable[Tensor]) -> tuple[_Seen, ...]:
        """Return what is known about the tensors that depend on the image."""
        return tuple(self._seen[id(tensor)] for tensor in tensors if id(tensor) in self._seen)

    def _keep(self, tensors: Iterable[Tensor], made_of: tuple[nn.Parameter, ...]) -> None:
        self._constants |= {id(tensor): (tensor, made_of) for tensor in tensors}


def _constants(model: nn.Module) -> Iterator[Tensor]:
    """Yield the constant tensors of a model, including the globals of its source files."""
    shared = (names for _, names, _ in namespaces(model))
    for names in (*map(vars, model.modules()), *shared):
        yield from _held(dict(names), depth=4)


def _held(value: Any, depth: int) -> Iterator[Tensor]:
    """Yield the tensors in a value and in its containers, down to a depth."""
    if isinstance(value, Tensor):
        yield value
    elif depth and isinstance(value, (dict, list, tuple)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _held(part, depth - 1)


def _fields(seen: Sequence[_Seen]) -> tuple[Field, ...]:
    """Return all fields, or none if one of them is undefined."""
    fields = tuple(s.field for s in seen if s.field)
    return fields if len(fields) == len(seen) else ()


def _is_leaf(module: nn.Module) -> bool:
    """Return whether a module is a single layer, without layers inside."""
    inside = {name for name, _ in module.named_children()} - {"parametrizations"}
    return not inside or isinstance(module, nn.MultiheadAttention)
