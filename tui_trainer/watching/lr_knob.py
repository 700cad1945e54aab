"""The knob of the learning rate: a factor over those of the script and its schedulers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle


class LrKnob:
    """Multiplies the learning rate of each parameter group, during the update alone.

    Schedulers compute the next learning rate from the current one, so they never see the factor.

    Attributes:
        initial: The learning rate of the first group at the beginning.
        factor: The factor; 1 leaves everything as it is.
        last: The learning rate of the last update, of the first group.
    """

    def __init__(self, optimizers: Sequence[Optimizer], guard: Callable[..., Any]) -> None:
        self._optimizers = optimizers
        self.initial = self._current()
        self.factor = 1.0
        self.last = self.initial
        self._scripts: dict[int, list[Any]] = {}
        self._handles: list[RemovableHandle] = []
        for optimizer in optimizers:
            self._handles += [
                optimizer.register_step_pre_hook(
                    lambda optimizer, args, kwargs: guard(self._before, optimizer)
                ),
                optimizer.register_step_post_hook(
                    lambda optimizer, args, kwargs: guard(self._after, optimizer)
                ),
            ]

    @property
    def base(self) -> float:
        """The base learning rate, as the knob shows it."""
        return self.initial * self.factor

    @base.setter
    def base(self, value: float) -> None:
        self.factor = value / self.initial

    def begin(self) -> None:
        """Take the learning rate that the script has now as the initial one."""
        self.initial = self._current()

    def _current(self) -> float:
        return float(self._optimizers[0].param_groups[0]["lr"])

    def _before(self, optimizer: Optimizer) -> None:
        if optimizer is self._optimizers[0]:
            self.last = self._current() * self.factor
        if self.factor != 1.0:
            groups = optimizer.param_groups
            self._scripts[id(optimizer)] = [group["lr"] for group in groups]
            for group in groups:
                group["lr"] = group["lr"] * self.factor

    def _after(self, optimizer: Optimizer) -> None:
        for group, lr in zip(
            optimizer.param_groups, self._scripts.pop(id(optimizer), ()), strict=False
        ):
            group["lr"] = lr

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        for optimizer in self._optimizers:
            self._after(optimizer)
