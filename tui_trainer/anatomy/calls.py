"""Calls of torch functions: one name for all spellings, and the arguments they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.overrides import resolve_name

from tui_trainer.anatomy.field import Field

CONVOLUTIONS = tuple(f"conv{up}{dims}d" for up in ("", "_transpose") for dims in (1, 2, 3))
RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
CELLS = tuple(f"{name}_cell" for name in RECURRENT)
"""One step of a recurrent layer."""

_SPELLINGS = {
    "add": "iadd radd",
    "matmul": "imatmul",
    "movedim": "moveaxis",
    "sub": "isub rsub subtract",
    "mul": "imul rmul multiply",
    "div": "truediv rtruediv itruediv divide true_divide rdiv idiv",
    "pow": "rpow ipow",
    "cat": "concat concatenate",
    "transpose": "swapaxes swapdims",
    **{
        f"{kind}max_pool{dims}d": f"{kind}max_pool{dims}d_with_indices"
        for kind in ("", "adaptive_")
        for dims in (1, 2, 3)
    },
    "dropout": (
        "dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout feature_dropout"
    ),
}
_NAMES = {other: name for name, others in _SPELLINGS.items() for other in others.split()}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function: what the layer table needs of it.

    Attributes:
        name: The function's canonical name.
        arguments: Its arguments by the names that its operation declares, and by keyword.
        shapes: The shapes of the features that it reads.
        fields: The receptive fields of those features, one per shape; empty unless all are defined.
        result: The shape of its first result.
        features: The names of the arguments that are features.
    """

    name: str
    arguments: Mapping[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    fields: tuple[Field, ...]
    result: tuple[int, ...]
    features: tuple[str, ...] = ()

    @property
    def is_convolution(self) -> bool:
        """Whether it uses each weight once at every position of its output."""
        return self.name in CONVOLUTIONS

    @property
    def mixes_channels(self) -> bool:
        """Whether it is a convolution or a fully connected layer."""
        return self.is_convolution or self.name == "linear"

    @property
    def dims(self) -> int:
        """The number of dimensions its kernel slides over: the digit in ``max_pool2d``."""
        return int(self.name[-2])


def name_of(function: Callable[..., Any]) -> str:
    """Return a function's canonical name for all its spellings: ``add`` for ``Tensor.add_``."""
    full: str = resolve_name(function) or getattr(function, "__name__", "unknown")
    name = full.removesuffix(".__get__").rpartition(".")[2].strip("_")
    return _NAMES.get(name, name)


def reads(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the arguments of which a function reads more than their shape."""
    if name.endswith("_like") or name.startswith("new_"):
        return ()
    return args[:1] if name.endswith("_as") else (*args, *kwargs.values())


def in_place(function: Callable[..., Any], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a function writes its result into its input: ``relu_``, ``+=``."""
    name = getattr(function, "__name__", "")
    augmented = name.startswith("__i") and name.endswith("__")
    if kwargs.get("inplace") or kwargs.get("out") is not None:
        return True
    return augmented or (name[-1:] == "_" and name[-2:] != "__")


def from_end(dim: Any, count: int) -> int:
    """Return a dimension of a tensor with ``count`` dimensions as a negative index."""
    return int(dim) - count if dim is not None and dim >= 0 else int(dim or -1)


def dims_of(dim: Any, count: int) -> frozenset[int] | None:
    """Return the dimensions that an argument names, as negative indices; None names them all.

    Returns None for an argument that is a tensor, which names no dimensions.
    """
    if isinstance(dim, Tensor):
        return None
    if dim is None or dim == () or dim == []:
        return frozenset(range(-count, 0))
    return frozenset(from_end(d, count) for d in ((dim,) if isinstance(dim, int) else dim))


def indices_of(equation: str) -> tuple[list[str], str]:
    """Return the index letters of each operand of an einsum, and of its result."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    if not arrow:
        output = "".join(sorted(c for c in set(inputs) - {","} if inputs.count(c) == 1))
    return inputs.split(","), output
