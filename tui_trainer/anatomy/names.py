"""How torch's functions are called: one name for all spellings, and what they take in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch.overrides import resolve_name

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


def name_of(function: Callable[..., Any]) -> str:
    """Return a function's own name, the same for all its spellings: ``add`` for ``Tensor.add_``."""
    full: str = resolve_name(function) or getattr(function, "__name__", "unknown")
    name = full.removesuffix(".__get__").rpartition(".")[2].strip("_")
    return _NAMES.get(name, name)


def reads(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return those of a function's arguments from which it takes more than their shape."""
    if name.endswith("_like") or name.startswith("new_"):
        return ()
    return args[:1] if name.endswith("_as") else (*args, *kwargs.values())


def in_place(function: Callable[..., Any], kwargs: Mapping[str, Any]) -> bool:
    """Say whether a function writes its result into what it reads: ``relu_``, ``+=``."""
    name = getattr(function, "__name__", "")
    augmented = name.startswith("__i") and name.endswith("__")
    if kwargs.get("inplace") or kwargs.get("out") is not None:
        return True
    return augmented or (name[-1:] == "_" and name[-2:] != "__")
