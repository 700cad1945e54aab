"""Hooks that a copy of the model does not have."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch


class Hook:
    """A hook that returns nothing, and does nothing in a copy.

    Scripts copy and pickle their models, with all hooks: for a moving average of the weights, or
    as a file. A copied hook must neither report what the copy does nor need this package.

    Args:
        call: Is called with the arguments of the hook.
    """

    def __init__(self, call: Callable[..., None]) -> None:
        self._call = call
        self._is_outside = False

    def __call__(self, *args: Any) -> None:
        """Do what the hook does."""
        if not self._is_outside and "torch._dynamo" in sys.modules:
            # The script compiles: what the hook calls would be compiled again and again.
            outside = torch.compiler.disable(self._call)  # type: ignore[no-untyped-call]
            self._call, self._is_outside = outside, True
        self._call(*args)

    __call__._torchdynamo_disable = True  # type: ignore[attr-defined]

    def __reduce__(self) -> tuple[Any, ...]:
        # The method takes any arguments and returns None.
        return getattr, (nullcontext(), "__exit__")
