"""One sampled update of a watched loop: from the update before it to this one."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from tui_trainer.data.recorded_inputs import class_labels
from tui_trainer.engine.probes.update import UpdateProbe
from tui_trainer.engine.progress import Progress, Stopwatch
from tui_trainer.models.tensors import gradient_of, trainable
from tui_trainer.protocol.loop_probed import LossProbe
from tui_trainer.protocol.probed import UpdateProbed
from tui_trainer.watching.hooks import Hook
from tui_trainer.watching.loss_probe import probe_loss


def optimized_by(optimizers: Sequence[Optimizer]) -> list[nn.Parameter]:
    """Return the tensors that some optimizers have."""
    return [
        p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]
    ]


class GradientHook:
    """The hook on an output of the model in a sampled step; its graph alone keeps it in memory."""

    def __init__(self, window: Window, output: Tensor) -> None:
        self._window: Window | None = window
        self._output = output.detach()
        self.source: Any = output.grad_fn

    def __call__(self, gradient: Tensor) -> None:
        """Report the gradient of the output."""
        if self._window is not None:
            self._window.receive(self._output, gradient)

    def release(self) -> None:
        """Keep nothing, however long the script keeps the graph."""
        self._window, self._output, self.source = None, torch.empty(0), None


class Window:
    """Measures what happens between two updates, and the second of them.

    Everything stays on the device until :meth:`result`.

    Attributes:
        has_update: Whether the update has been made.
        age: The steps since it was opened.
        loss: How the loss of its first step was computed; None before.
        is_reached: Whether a parameter of the optimizers has received a gradient.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        classes: int,
        stopwatch: Stopwatch,
        last_gradient: Tensor | None,
    ) -> None:
        self.has_update = False
        self.age = 0
        self.loss: LossProbe | None = None
        self._optimizers = optimizers
        self._probe = UpdateProbe(model, classes, stopwatch, last_gradient)
        self._tensors = optimized_by(optimizers)
        mine = {id(p) for p in trainable(model).values()}
        self._shared = [p for p in self._tensors if id(p) in mine]
        self._updated: set[int] = set()
        self._is_left: list[bool] = []
        self._touched: set[int] = set()
        self._labels: Tensor | None = None
        self._hooks: list[GradientHook] = []
        self._received: list[tuple[Tensor, Tensor]] = []
        self._norms: dict[int, Tensor] = {}
        self._update_norm: Tensor | None = None
        self._handles: list[RemovableHandle] = []
        wanted = Hook(self._gradient_ready)
        for parameter in self._shared:
            if parameter.requires_grad and parameter.is_leaf:
                handle = parameter.register_post_accumulate_grad_hook(wanted)  # type: ignore[no-untyped-call]
                self._handles.append(handle)

    @property
    def is_reached(self) -> bool:
        """Whether a parameter of the optimizers has received a gradient."""
        return bool(self._norms)

    def watch_output(self, output: Tensor) -> weakref.ref[GradientHook]:
        """Wait for the gradient of an output; return the hook, as long as the graph exists."""
        hook = GradientHook(self, output)
        self._hooks.append(hook)
        output.register_hook(hook)  # type: ignore[no-untyped-call]
        return weakref.ref(hook)

    def receive(self, output: Tensor, gradient: Tensor) -> None:
        """Take the gradient of an output."""
        if output.ndim == 2 and output.shape == gradient.shape:
            self._received.append((output, gradient.detach().clone()))

    def begin_forward(self) -> None:
        """Take note of a forward pass: the gradients so far are from before it."""
        self._touched.clear()

    @torch.no_grad()
    def begin_backward(self) -> None:
        """Look for gradients from before; a backward pass begins."""
        if self.has_update:
            return
        new = self._touched
        left = [p.grad for p in self._shared if p.grad is not None and id(p) not in new]
        self._is_left.append(any(bool(gradient.any()) for gradient in left))

    @torch.no_grad()
    def _gradient_ready(self, parameter: nn.Parameter) -> None:
        gradient = gradient_of(parameter)
        if gradient is not None and not self.has_update:
            self._norms[id(parameter)] = gradient.norm()
            self._touched.add(id(parameter))

    @torch.no_grad()
    def begin_update(self, optimizer: Optimizer, *, has_closure: bool) -> None:
        """Measure the gradients that the optimizer gets; with a closure it makes them itself."""
        if not self._updated:
            self._probe.record_parameters(self._shared)
            self._probe.record_gradients(frozenset())
        if not has_closure:
            self._measure(optimizer)

    def end_update(self, optimizer: Optimizer, *, has_closure: bool) -> None:
        """Take note of an update."""
        if has_closure:
            self._measure(optimizer)
        self._updated.add(id(optimizer))
        self.has_update = True

    def _measure(self, optimizer: Optimizer) -> None:
        tensors = optimized_by([optimizer])
        self._probe.record_again({id(p) for p in tensors})
        if self._update_norm is None:
            norms = [g.norm() for p in tensors if (g := gradient_of(p)) is not None]
            mine = {id(p) for p in tensors}
            self._norms = {key: norm for key, norm in self._norms.items() if key in mine}
            self._update_norm = _together(norms)

    @property
    def gradient_norm(self) -> float | None:
        """The norm of the gradient after the backward pass; None without one."""
        return _finite(_together(list(self._norms.values()))) if self._norms else None

    @property
    def update_gradient_norm(self) -> float | None:
        """The norm of the gradient at the update."""
        return None if self._update_norm is None else _finite(self._update_norm)

    @property
    def is_accumulated(self) -> bool:
        """Whether gradients from before were there in every backward pass."""
        return self.is_reached and bool(self._is_left) and all(self._is_left)

    def end_step(
        self,
        loss: object,
        logits: Tensor | None,
        labels: Tensor | None,
        previous: Tensor | None,
    ) -> None:
        """Take the loss of a step, and the labels of its batch and of the one before."""
        self.age += 1
        if self._labels is None and labels is not None:
            self._labels = class_labels(labels)
        if self.loss is None and (self._received or self._hooks):
            output, gradient = self._output_of(logits)
            old = None if previous is None else class_labels(previous)
            sources = [hook.source for hook in self._hooks]
            self.loss = probe_loss(loss, output, gradient, self._labels, old, sources)
            for hook in self._hooks:
                hook.source = None

    def _output_of(self, logits: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Return the output that the loss used and its gradient: the last one, or the named one."""
        if logits is not None:
            for output, gradient in self._received:
                if output.data_ptr() == logits.data_ptr():
                    return output, gradient
        if self._received:
            return self._received[-1]
        return (logits.detach() if logits is not None and logits.ndim == 2 else None), None

    def result(
        self, progress: Progress, lr: float, waited: float | None, batch_size: int
    ) -> UpdateProbed | None:
        """Return the measured update; None if not all optimizers have made one, or it is NaN."""
        if len(self._updated) < len(self._optimizers) or not self._shared:
            return None
        if self._labels is not None and self._labels.ndim == 1:
            self._probe.record_batch(self._labels)
        found = self._probe.result(progress, lr)
        if not all(math.isfinite(p.update_norm + p.weight_norm) for p in found.parameters):
            return None
        if not math.isfinite(found.gradient_norm):
            return None
        return replace(
            found,
            accumulated=self.is_accumulated,
            input_share=waited,
            batch_size=found.batch_size or batch_size,
        )

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        for hook in self._hooks:
            hook.release()
        self._hooks.clear()
        self._received.clear()

    @property
    def gradient(self) -> Any:
        """The flat gradient of the update."""
        return self._probe.gradient


def _finite(norm: Tensor) -> float | None:
    value = float(norm)
    return value if math.isfinite(value) else None


def _together(norms: list[Tensor]) -> Tensor:
    if not norms:
        return torch.zeros(())
    device = norms[0].device
    together: Tensor = torch.stack([norm.to(device, torch.float32) for norm in norms]).norm()
    return together
