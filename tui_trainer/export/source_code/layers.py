"""The source of a model that is a tree of ``nn.Sequential`` and PyTorch's own layers."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tui_trainer.export.source_code.formatting import WIDTH, call, indented, literal
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.models.zoo.blocks import BLOCKS

CLASS = "Net"
"""The name of the class."""

_SAME_IN_ALL_DIMENSIONS = ("kernel_size", "stride", "padding", "dilation", "output_padding")
_NO_ARGUMENTS = ("device", "dtype")
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_RESERVED = frozenset(dir(nn.Module())) | {"x"}


class NoSourceError(Exception):
    """The text says why a model cannot be written as source."""


def model_class(model: nn.Module, doc: str, starts: Mapping[str, Sequence[str]]) -> str:
    """Return the class of a model; its parameters have the names of the model's.

    Args:
        model: The model; not changed.
        doc: The docstring: a line without quotes and backslashes.
        starts: The statements that initialize layers, by the layer's name, with ``{}`` for it.

    Raises:
        NoSourceError: If it has other modules, or something that their arguments do not say.
    """
    kinds = {type(layer) for layer in model.modules()}
    blocks = [inspect.getsource(kind).rstrip() for kind in BLOCKS if kind in kinds]
    return "\n\n\n".join([*blocks, _class_of(model, doc, starts)])


def _class_of(model: nn.Module, doc: str, starts: Mapping[str, Sequence[str]]) -> str:
    if type(model) is not nn.Sequential:
        raise NoSourceError(f"its class is {type(model).__name__}, not nn.Sequential")
    tensors = [id(t) for layer in _leaves(model) for t in layer.parameters(recurse=False)]
    if len(tensors) != len(set(tensors)):
        raise NoSourceError("two of its layers share their weights")
    names = list(model._modules)
    if all(_is_attribute(name) for name in names):
        return _with_forward(model, doc, starts)
    if starts:
        raise NoSourceError("its layers are numbered, and a factory initializes them")
    body = call("super().__init__", _arguments(model), indent=8)
    return f'class {CLASS}(nn.Sequential):\n    """{doc}"""\n\n    def __init__(self):\n{body}'


def _with_forward(model: nn.Module, doc: str, starts: Mapping[str, Sequence[str]]) -> str:
    lines = [f"class {CLASS}(nn.Module):", f'    """{doc}"""', "", "    def __init__(self):"]
    lines.append("        super().__init__()")
    for name, layer in model.named_children():
        lead, arguments = _constructor(layer)
        lines.append(call(f"self.{name} = {lead}", arguments, indent=8))
        lines += [f"        {start.format(f'self.{name}')}" for start in starts.get(name, ())]
    lines += ["", "    def forward(self, x):"]
    for group in _groups(model):
        lines.append(f"        x = {_chained(group)}")
    return "\n".join([*lines, "        return x"])


def _chained(names: Sequence[str]) -> str:
    text = "x"
    for name in names:
        text = f"self.{name}({text})"
    return text


def _groups(model: nn.Module) -> list[list[str]]:
    """Return the layers that are applied in one line: one with weights, and what follows it."""
    groups: list[list[str]] = []
    for name, layer in model._modules.items():
        starts_line = isinstance(
            layer, (nn.Sequential, nn.modules.conv._ConvNd, nn.Linear, *BLOCKS)
        ) or type(layer).__name__.endswith(("Pool1d", "Pool2d", "Pool3d", "Flatten"))
        if groups and not starts_line:
            grown = [*groups[-1], name]
            if len(f"        x = {_chained(grown)}") <= WIDTH:
                groups[-1] = grown
                continue
        groups.append([name])
    return groups


def expression(layer: nn.Module) -> str:
    """Return the expression that builds a layer, written for an indent of 0.

    Raises:
        NoSourceError: If it cannot be written.
    """
    return call(*_constructor(layer))


def _constructor(layer: nn.Module) -> tuple[str, list[str]]:
    if type(layer) is nn.Sequential:
        return "nn.Sequential", _arguments(layer)
    kind = type(layer)
    prefix = "" if kind in BLOCKS else "nn."
    if prefix:
        if not kind.__module__.startswith("torch.nn.modules.") or any(layer.children()):
            raise NoSourceError(f"{kind.__name__} is no layer of torch.nn")
        if getattr(nn, kind.__name__, None) is not kind:
            raise NoSourceError(f"torch.nn has no public {kind.__name__}")
    given = _given(layer)
    with preserve_rng_state():
        rebuilt = kind(*[v for name, v in given if not name], **{n: v for n, v in given if n})
    if repr(rebuilt) != repr(layer) or _shapes(rebuilt) != _shapes(layer):
        raise NoSourceError(f"{layer} has arguments that cannot be read from it")
    if _hooks(layer):
        raise NoSourceError(f"{kind.__name__} has hooks")
    arguments = [f"{name}={literal(v)}" if name else literal(v) for name, v in given]
    return f"{prefix}{kind.__name__}", arguments


def _arguments(sequential: nn.Module) -> list[str]:
    """Return the arguments of an ``nn.Sequential``."""
    layers = [(name, _layer(layer)) for name, layer in sequential._modules.items()]
    if [name for name, _ in layers] == [str(number) for number in range(len(layers))]:
        return [text for _, text in layers]
    if all(name.isidentifier() and not keyword.iskeyword(name) for name, _ in layers):
        return [call("OrderedDict", [f"{name}={text}" for name, text in layers])]
    pairs = [f"({literal(name)}, {text})" for name, text in layers]
    if any("\n" in pair for pair in pairs):
        raise NoSourceError("a layer with layers has a name that is no identifier")
    flat = f"OrderedDict([{', '.join(pairs)}])"
    if len(flat) <= WIDTH - 16:
        return [flat]
    rows = ",\n".join(indented(pair, 8) for pair in pairs)
    return [f"OrderedDict(\n    [\n{rows},\n    ]\n)"]


def _layer(layer: nn.Module | None) -> str:
    if layer is None:
        raise NoSourceError("a layer is None")
    return expression(layer)


def _given(layer: nn.Module) -> list[tuple[str, Any]]:
    """Return the arguments of a layer that are not the default; the first ones have no name."""
    given: list[tuple[str, Any]] = []
    parameters = inspect.signature(type(layer)).parameters
    for position, (name, parameter) in enumerate(parameters.items()):
        if name in _NO_ARGUMENTS or parameter.kind in _VARIABLE:
            continue
        if not hasattr(layer, name):
            raise NoSourceError(f"{type(layer).__name__} does not keep its argument {name}")
        value = _plain(name, getattr(layer, name))
        is_needed = parameter.default is parameter.empty
        is_default = not is_needed and value == _plain(name, parameter.default)
        if name == "stride" and parameter.default is None:
            is_default = value == _plain(name, getattr(layer, "kernel_size", None))
        if not is_default:
            is_plain = is_needed or (position == 0 and not isinstance(value, bool))
            given.append(("" if is_plain else name, value))
    return given


def _plain(name: str, value: Any) -> Any:
    if name == "bias" and (value is None or isinstance(value, Tensor)):
        return value is not None
    if isinstance(value, torch.Size | list):
        value = tuple(value)
    is_repeated = isinstance(value, tuple) and len(set(value)) == 1
    if is_repeated and name in _SAME_IN_ALL_DIMENSIONS:
        return value[0]
    if not isinstance(value, int | float | str | tuple | None):
        raise NoSourceError(f"its argument {name} is no constant")
    return value


def _shapes(layer: nn.Module) -> list[tuple[Any, ...]]:
    return [
        (name, tensor.shape, tensor.dtype, tensor.requires_grad)
        for name, tensor in [*layer.named_parameters(), *layer.named_buffers()]
    ]


def _hooks(layer: nn.Module) -> bool:
    return bool(layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks)


def _leaves(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if not any(module.children())]


def _is_attribute(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and name not in _RESERVED
