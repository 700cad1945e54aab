"""Two models that differ only in batch norm, trained side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from torch import Tensor, nn

from tui_trainer.lab.compare import arm, compare
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import number_control
from tui_trainer.lab.lessons.batch_normalization.arithmetic import mean_of_batch
from tui_trainer.lab.trial import Arm
from tui_trainer.protocol.exhibit import Curve, Curves, Exhibit, Words
from tui_trainer.text.fmt import learning_rate

PLAIN, NORMED = "squeeze", "squeeze-norm"
TRACKED_NORM = "conv2_norm"
"""The batch norm whose running mean is recorded."""

LR = number_control("lr", "lr", 0.05, (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1), 1e-4, 10.0)


@dataclass
class TrackedArm(Arm):
    """A training that records the running mean of a batch norm.

    Attributes:
        norm: The batch norm.
        momentum: m of its running mean; the evaluation at the end changes that of the module.
        running: Its running mean (C) before the first step and after each step.
    """

    norm: nn.BatchNorm2d | None = None
    momentum: float = 0.1
    running: list[Tensor] = field(default_factory=list)

    def step(self) -> None:
        """Train one batch."""
        if not self.running:
            self._record()
        super().step()
        self._record()

    def _record(self) -> None:
        if self.norm is not None and self.norm.running_mean is not None:
            self.running.append(self.norm.running_mean.detach().double().cpu().clone())

    def running_mean_curves(self) -> tuple[Curves, ...]:
        """Return the batch means and the running mean of the channel that changes most."""
        if self.norm is None or len(self.running) < 2:
            return ()
        spans = [abs(a - b) for a, b in zip(self.running[-1], self.running[0], strict=True)]
        channel = max(range(len(spans)), key=lambda i: float(spans[i]))
        means = [float(mean[channel]) for mean in self.running]
        steps = tuple(float(step) for step in range(1, len(means)))
        batches = [mean_of_batch(a, b, self.momentum) for a, b in pairwise(means)]
        caption = f"{TRACKED_NORM}, channel {channel}: the mean of each batch, and the running mean"
        curves = (
            Curve(name="batch", x=steps, y=tuple(batches)),
            Curve(name="running", x=steps, y=tuple(means[1:])),
        )
        return (Curves(caption=caption, x_label="steps", curves=curves),)


def compare_twins(context: Context, lr: float) -> Iterator[Exhibit]:
    """Train both on the same images at one learning rate, and compare them."""
    arms = [arm(context, name, context.fresh(name), lr=lr) for name in (PLAIN, NORMED)]
    normed = arms[1]
    norm = normed.trial.model.get_submodule(TRACKED_NORM)
    assert isinstance(norm, nn.BatchNorm2d)
    arms[1] = tracked = TrackedArm(
        normed.name, normed.trial, normed.cap, norm=norm, momentum=norm.momentum or 0.0
    )
    text = (
        "Both have the same convolutions with the same initial weights and see the same images, at "
        f"learning rate {learning_rate(lr)}."
    )
    setup = (Words(text=text, tone="muted"),)
    for exhibit in compare(context, arms, setup=setup):
        *shown, last = exhibit.blocks
        yield replace(exhibit, blocks=(*shown, *tracked.running_mean_curves(), last))
