"""The optimizers: PyTorch's own functional implementations, without ``torch.optim.Optimizer``.

Instantiating that class imports ``torch._dynamo``: two seconds before the first step, and 70 MB,
for a compiler that nothing here uses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from tui_trainer.models.tensors import can_require_grad
from tui_trainer.protocol.config import RunConfig

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Optimizer(ABC):
    """Updates parameters by their gradients.

    Attributes:
        parameters: All parameters; those that have a gradient are updated.
        fused: Which of them a fused kernel updates, all at once, instead of several kernels each:
            on the CPU 0.1 ms a step instead of 0.7. Complex dtypes and mps have no such kernel; for
            16 bits, the CPU's leaves uninitialized memory in the momentum (torch 2.13).
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.fused = [
            p.dtype in (torch.float32, torch.float64)
            and p.layout == torch.strided
            and p.device.type in ("cpu", "cuda")
            for p in self.parameters
        ]

    def zero_grad(self) -> None:
        """Set all gradients to None."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Update every parameter that has a gradient."""
        indices = [i for i, parameter in enumerate(self.parameters) if parameter.grad is not None]
        for fused in (True, False):
            if group := [i for i in indices if self.fused[i] is fused]:
                self._update(group, lr, fused=fused)

    @abstractmethod
    def state_tensors(self) -> dict[str, Tensor]:
        """Return its state by name, as in a checkpoint: the tensors themselves, not copies."""

    @abstractmethod
    def _update(self, indices: list[int], lr: float, *, fused: bool) -> None:
        """Update the parameters at these indices."""

    def _weights_and_gradients(self, indices: list[int]) -> tuple[list[Tensor], list[Tensor]]:
        weights: list[Tensor] = [self.parameters[i] for i in indices]
        return weights, [weight.grad for weight in weights if weight.grad is not None]


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as ``torch.optim.SGD``.

    Attributes:
        momentum_buffers: The momentum buffer of each parameter; None without momentum.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
    ) -> None:
        super().__init__(parameters)
        self._momentum = momentum
        self._nesterov = nesterov
        self._weight_decay = weight_decay
        self.momentum_buffers: list[Tensor | None] = [
            _zeros(p) if momentum and can_require_grad(p) else None for p in self.parameters
        ]

    def state_tensors(self) -> dict[str, Tensor]:
        """Return the momentum buffer of each parameter that has one."""
        return {
            f"momentum_buffer/{i}": v for i, v in enumerate(self.momentum_buffers) if v is not None
        }

    def _update(self, indices: list[int], lr: float, *, fused: bool) -> None:
        weights, gradients = self._weights_and_gradients(indices)
        sgd(
            weights,
            gradients,
            [self.momentum_buffers[i] for i in indices],
            foreach=False,
            fused=fused,
            weight_decay=self._weight_decay,
            momentum=self._momentum,
            lr=lr,
            dampening=0.0,
            nesterov=self._nesterov,
            maximize=False,
        )


class Adam(Optimizer):
    """Adam, as ``torch.optim.Adam``, or with decoupled weight decay as ``torch.optim.AdamW``.

    Attributes:
        exp_avgs: The exponential moving average of each parameter's gradient.
        exp_avg_sqs: That of its square.
        state_steps: The number of updates of each parameter, as scalar float tensors.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, weight_decay: float, decoupled: bool
    ) -> None:
        super().__init__(parameters)
        self._weight_decay = weight_decay
        self._decoupled = decoupled
        self.exp_avgs = [_zeros(p) for p in self.parameters]
        self.exp_avg_sqs = [_zeros(p) for p in self.parameters]
        self.state_steps = [torch.zeros((), device=p.device) for p in self.parameters]

    def state_tensors(self) -> dict[str, Tensor]:
        """Return moving averages and step counts of all parameters."""
        kinds = {"exp_avg": self.exp_avgs, "exp_avg_sq": self.exp_avg_sqs, "step": self.state_steps}
        return {f"{kind}/{i}": t for kind, tensors in kinds.items() for i, t in enumerate(tensors)}

    def _update(self, indices: list[int], lr: float, *, fused: bool) -> None:
        weights, gradients = self._weights_and_gradients(indices)
        adam(
            weights,
            gradients,
            [self.exp_avgs[i] for i in indices],
            [self.exp_avg_sqs[i] for i in indices],
            [],
            [self.state_steps[i] for i in indices],
            foreach=False,
            fused=fused,
            decoupled_weight_decay=self._decoupled,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=lr,
            weight_decay=self._weight_decay,
            eps=EPSILON,
            maximize=False,
        )


def _zeros(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter, requires_grad=False)


def make_optimizer(model: nn.Module, config: RunConfig) -> Optimizer:
    """Build the optimizer of a run.

    Weight decay is PyTorch's: added to the gradient for SGD and Adam, decoupled for AdamW.
    """
    if config.optimizer == "sgd":
        return SGD(
            model.parameters(),
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
        )
    return Adam(
        model.parameters(),
        weight_decay=config.weight_decay,
        decoupled=config.optimizer == "adamw",
    )
