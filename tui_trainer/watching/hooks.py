"""Hooks that a copy of the model does not have."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any


class Hook:
    """A hook that returns nothing, and does nothing in a copy.

    Scripts copy and pickle their models, with all hooks: for a moving average of the weights, or
    as a file. A copied hook must neither report what the copy does nor need this package.

    Args:
        call: Is called with the arguments of the hook.
    """

    def __init__(self, call: Callable[..., None]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> None:
        """Do what the hook does."""
        self._call(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        # The method takes any arguments and returns None.
        return getattr, (nullcontext(), "__exit__")
