"""A model as a program of ``torch.export``: with a dynamic batch size if possible, otherwise 1."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tui_trainer.export.comparison import compare, evaluation_copy, isolated
from tui_trainer.export.reasons import SourceLine, explain, explain_batch, user_line
from tui_trainer.models.behavior import behavior_of
from tui_trainer.models.copies import clone_inputs
from tui_trainer.models.input_spec import InputSize, spec_of
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.models.unregistered_state import UnregisteredState
from tui_trainer.protocol.errors import InputError

_TRACED_IMAGES = 3
"""Images in the traced batch: with one, the batch size would become a constant."""

_TRIED_BATCH = 5
"""Batch size to try a program with, besides 1 and 2."""


@dataclass(frozen=True, slots=True)
class Program:
    """A model in evaluation mode, without its class.

    Attributes:
        program: The program; it does not change its input tensor.
        note: Its limits; empty if it takes any batch size.
    """

    program: torch.export.ExportedProgram
    note: str = ""

    @property
    def is_fixed(self) -> bool:
        """Whether its batch size is 1."""
        return bool(self.note)


@dataclass(frozen=True, slots=True)
class _TraceOptions:
    """Options to trace a model with.

    Attributes:
        strict: Whether the bytecode is analyzed: this follows ``len(x)``, but supports fewer calls.
        empty_first: Whether the model runs on an empty batch first: then a tensor that it caches
            for
            a batch size fits none.
        fold_parametrizations: Whether parametrized tensors are computed beforehand.
        fixed: Whether the batch size is 1.
    """

    strict: bool = False
    empty_first: bool = False
    fold_parametrizations: bool = False
    fixed: bool = False


_TRACE_OPTIONS = (
    _TraceOptions(),
    _TraceOptions(empty_first=True),
    _TraceOptions(strict=True),
    _TraceOptions(strict=True, empty_first=True),
    _TraceOptions(fixed=True),
    _TraceOptions(strict=True, fixed=True),
)


class _DifferentOutputError(Exception):
    """A program gives other outputs than its model."""


def capture(model: nn.Module, image_size: InputSize) -> Program:
    """Return a model as a program that maps (N, 1, H, H) to logits (N, classes), for any N.

    The options are tried until a program gives the model's outputs for several batch sizes. If none
    does, N is 1, and the note says why. The model is not changed.

    Raises:
        InputError: If no program gives the model's outputs; it says why, and where.
    """
    errors: list[Exception] = []
    size_reads: list[SourceLine] = []
    can_fold = any(map(parametrize.is_parametrized, model.modules()))
    attempts = (
        [_TraceOptions(fold_parametrizations=True), *_TRACE_OPTIONS] if can_fold else _TRACE_OPTIONS
    )
    for options in attempts:
        try:
            program = _traced(model, image_size, options, size_reads)
            _try_out(model, program, image_size, is_fixed=options.fixed)
        except MemoryError:
            raise
        except Exception as error:  # an exporter can raise anything
            errors.append(error)
            continue
        if not options.fixed:
            return Program(program)
        return Program(program, f"batch size fixed to 1 ({explain_batch(errors, size_reads)})")
    if any(isinstance(error, _DifferentOutputError) for error in errors[-2:]):
        raise InputError(_why_different(model, image_size))
    raise InputError(explain([*errors[-2:], *errors[:-2]]))


@torch.no_grad()
def _traced(
    model: nn.Module, image_size: InputSize, options: _TraceOptions, size_reads: list[SourceLine]
) -> torch.export.ExportedProgram:
    twin = _with_scripted_hidden(evaluation_copy(model))
    if options.fold_parametrizations:
        _fold_parametrizations(twin)
    images = noise(1 if options.fixed else _TRACED_IMAGES, image_size)
    shapes = None if options.fixed else ({0: torch.export.Dim("batch")},)
    with isolated():
        if options.empty_first:
            twin(images[:0].clone())
        if _writes_into_input(model, images):
            clone_inputs(twin)
        with _recording_size_reads(size_reads), _no_fast_path():
            return torch.export.export(
                twin, (images,), dynamic_shapes=shapes, strict=options.strict
            )


def _try_out(
    model: nn.Module,
    program: torch.export.ExportedProgram,
    image_size: InputSize,
    *,
    is_fixed: bool,
) -> None:
    with isolated():
        module = program.module()
    images = noise(3 if is_fixed else 1 + 2 + _TRIED_BATCH, image_size)
    batch = 1 if is_fixed else _TRIED_BATCH
    if compare(model, module, images, batch, is_fixed=is_fixed).is_wrong:
        raise _DifferentOutputError


def noise(count: int, image_size: InputSize) -> Tensor:
    """Return noise as input of a model, (count, ...), always the same."""
    return spec_of(image_size).noise(count, count, normal=True)


def _writes_into_input(model: nn.Module, images: Tensor) -> bool:
    given = images.clone()
    evaluation_copy(model)(given)
    return not torch.equal(given, images)


class _Hidden(nn.Module):
    """A scripted module with its tensors as constants: ``torch.export`` takes no other form."""

    def __init__(self, scripted: nn.Module) -> None:
        super().__init__()
        self._held = [scripted]

    def forward(self, images: Any, *args: Any, **kwargs: Any) -> Any:
        return self._held[0](images, *args, **kwargs)


def _with_scripted_hidden(twin: nn.Module) -> nn.Module:
    if isinstance(twin, torch.jit.ScriptModule):
        return _Hidden(twin)
    for module in list(twin.modules()):
        if isinstance(module, torch.jit.ScriptModule):
            continue
        for name, child in module.named_children():
            if isinstance(child, torch.jit.ScriptModule):
                module._modules[name] = _Hidden(child)
    return twin


def _fold_parametrizations(twin: nn.Module) -> None:
    """Compute each parametrized tensor once, so that ONNX needs no parametrizations.

    Not by ``remove_parametrizations``: it deletes the property from the class, which a deep copy
    shares with its original.
    """
    for module in list(twin.modules()):
        if not parametrize.is_parametrized(module):
            continue
        names = list(module.parametrizations)  # type: ignore[arg-type]
        values = {name: getattr(module, name).detach().clone() for name in names}
        module.__class__ = type(module).__bases__[0]
        del module.parametrizations
        for name, value in values.items():
            module.register_buffer(name, value)


@contextmanager
def _no_fast_path() -> Iterator[None]:
    """Trace attention by its parts: the fused layer of ``nn.TransformerEncoder`` is not in ONNX."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


_SIZE_READERS = (
    (Tensor, "__len__"),
    (torch.SymInt, "__int__"),
    (torch.SymInt, "__index__"),
    (torch.SymBool, "__bool__"),
)
"""The methods that turn a symbolic size into a number or a bool."""


@contextmanager
def _recording_size_reads(size_reads: list[SourceLine]) -> Iterator[None]:
    """Record the lines of a model's own code that turn a symbolic size into a number.

    ``torch.export`` reports only at the end that a size became constant, without a line.
    """
    kept = [(owner, name, getattr(owner, name)) for owner, name in _SIZE_READERS]

    def watching(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def reading(value: Any) -> Any:
            before = _guards(value)
            result = read(value)
            frame = sys._getframe(1)
            place = user_line([(frame.f_code.co_filename, frame.f_lineno)])
            if place and (before is None or _guards(value) != before):
                size_reads.append(place)
            return result

        return reading

    try:
        for owner, name, read in kept:
            setattr(owner, name, watching(read))
        yield
    finally:
        for owner, name, read in kept:
            setattr(owner, name, read)


def _guards(value: Any) -> int | None:
    """Return the number of conditions on sizes in a trace, None if unknown."""
    if not isinstance(value, torch.SymBool):
        return None
    guards = getattr(getattr(value.node, "shape_env", None), "guards", None)
    return None if guards is None else len(guards)


def _why_different(model: nn.Module, image_size: InputSize) -> str:
    """Return why no program gives a model's outputs."""
    with isolated():
        try:
            keeps_state = behavior_of(model, noise(_TRIED_BATCH, image_size)).keeps_state
        except Exception:  # an error of the model is not reported here
            keeps_state = False
        names = _changing(model, image_size) if keeps_state else []
    if not keeps_state:
        return "the exported program gives other outputs than the model, so it is not written"
    kept = f" (it keeps {', '.join(names)})" if names else ""
    return (
        f"the model's outputs depend on earlier images{kept}, which an exported program cannot "
        "reproduce; compute them from the image alone"
    )


def _changing(model: nn.Module, image_size: InputSize) -> list[str]:
    """Return the names of the numbers outside the ``state_dict`` that a forward changes."""
    twin = evaluation_copy(model)
    unregistered = UnregisteredState(twin)
    with preserve_rng_state(), torch.no_grad():
        twin(noise(2, image_size))
    return sorted(unregistered.scalars())
