"""The modules of a model as its forward calls them, as torchsummary and torchinfo list them."""

from __future__ import annotations

import math
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleCall:
    """A call of a module, or consecutive calls of it in a loop.

    Attributes:
        name: The module's class.
        depth: The number of modules that contain it; 0 for the model.
        index: Its number at this depth, from 1.
        number: Its number in torchsummary's list, which is in the order in which calls end; 0 if it
            has no row there.
        shapes: The shapes of the tensors that it returns, batch included; empty for a container
            that is not called itself.
        parameters: Its parameters, without those of the modules that it calls; each parameter is
            counted in the first call that has it.
        trainable: Those that require a gradient.
        has_parameters: Whether it has any, counted here or in an earlier call.
        is_container: Whether it calls other modules.
        is_repeat: Whether the module was called before.
        repeats: The number of calls.
    """

    name: str
    depth: int
    index: int
    number: int
    shapes: tuple[Shape, ...]
    parameters: int
    trainable: int
    has_parameters: bool
    is_container: bool
    is_repeat: bool
    repeats: int = 1

    @property
    def numbers(self) -> int:
        """The numbers in its outputs, over all repeats."""
        return sum(map(math.prod, self.shapes)) * self.repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageCounts:
    """What a package itself would print for a model; None if it fails."""

    parameters: int | None
    multiply_adds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSummary:
    """The calls of a model, and their totals.

    Attributes:
        calls: The calls in the order in which they begin.
        input_shape: The shape of its input, batch included.
        parameters: All parameters, each counted once.
        trainable: Those that require a gradient.
        parameter_bytes: The memory of all parameters.
        multiply_adds: Multiply-adds for one image.
        torchsummary: What torchsummary would print.
        torchinfo: What torchinfo would print.
    """

    calls: tuple[ModuleCall, ...]
    input_shape: Shape
    parameters: int
    trainable: int
    parameter_bytes: int
    multiply_adds: int
    torchsummary: PackageCounts
    torchinfo: PackageCounts
