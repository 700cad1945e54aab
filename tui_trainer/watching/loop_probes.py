"""Probes of a watched loop: what it does with the model and the optimizers, step by step.

Hooks see the forward passes of the model, the backward passes from its outputs and the updates of
the optimizers. They only read, and what they read stays on the device in the steps that are not
sampled. The forward passes of the probes run on copies.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.optim import Optimizer

from tui_trainer.data.recorded_inputs import InputCollector
from tui_trainer.engine.probes import EARLY_STEPS, EVERY
from tui_trainer.engine.progress import Progress, Stopwatch
from tui_trainer.models.tensors import flat_gradient, logits_of, trainable
from tui_trainer.protocol.events import RunStarted
from tui_trainer.protocol.loop_probed import LoopProbed
from tui_trainer.protocol.probed import Probe
from tui_trainer.watching.evaluation import inner, inputs_and_labels
from tui_trainer.watching.examples import Examples, are_changed, are_mixed, overlap, sampler_name
from tui_trainer.watching.hooks import Hook
from tui_trainer.watching.sample_probes import SampleProbes
from tui_trainer.watching.schedulers import Schedulers
from tui_trainer.watching.script_evaluation import ScriptEvaluation
from tui_trainer.watching.window import GradientHook, Window, optimized_by

GRAPHS = 6
"""The latest sampled steps whose graphs are looked for."""

EPOCHS = 5
"""The first epochs whose second step is sampled."""

PATIENCE = 64
"""Steps after which a sampled update is given up: the loop makes none."""


class LoopProbes:
    """Watches a loop through hooks on the model and the optimizers.

    Attributes:
        inputs: The arguments of the first forward pass in training: positional, by name.
        output: The last output of the model with a gradient.
        labels: The labels of the current batch, if the loop gives its batches.
        collector: Keeps inputs and labels of the loop.
        evaluation: Keeps those of an evaluation by the script itself.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        *,
        progress: Progress,
        stopwatch: Stopwatch,
        scheduler: Any = None,
        wanted: bool = True,
    ) -> None:
        self.inputs: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self.output: Tensor | None = None
        self.labels: Tensor | None = None
        self.collector = InputCollector()
        self.evaluation = ScriptEvaluation(self.collector)
        self._last_inputs: Any = None
        self._batch: Tensor | None = None
        self._is_mixed = self._is_changed = False
        self._previous_labels: Tensor | None = None
        self._model, self._optimizers = inner(model), optimizers
        self._progress, self._stopwatch, self._wanted = progress, stopwatch, wanted
        self._scheduler = scheduler
        self._schedulers: Schedulers | None = None
        self._examples = Examples()
        self._sample = SampleProbes(self._model, self.collector, progress, stopwatch)
        self._error: Exception | None = None
        self._classes = 0
        # --- the order of the calls: F forward, B backward, U update
        self._last = ""
        self._backwards_since = 0
        self._updates = self._backwards = self._stale = 0
        self._is_training_batch = self._gives_batches = self._is_validating = False
        # --- evaluations by the loop itself
        self._evaluated = self._evaluated_in_training = 0
        # --- sampled updates
        self._window: Window | None = None
        self._wants_window_since: int | None = None
        self._last_gradient: Tensor | None = None
        self._graphs: deque[tuple[int, weakref.ref[GradientHook]]] = deque(maxlen=4 * GRAPHS)
        self._waited, self._since = 0.0, 0.0
        self._loader: Any = None
        self._overlap: tuple[int, int] | None = None
        self._is_by_loop = True
        self._first_weights: Tensor | None = None
        self._epoch_steps = 0
        self._guarded_forward = self._guard(self._forward)
        self._handles: list[Any] = [
            model.register_forward_hook(Hook(self._forward_ended), with_kwargs=True)
        ]
        if self._model is not model:
            hook = Hook(self._inner_forward_ended)
            self._handles.append(self._model.register_forward_hook(hook, with_kwargs=True))
        if wanted:
            self._backward_hook = Hook(self._guard(self._backward_begun))
            begun, ended = self._guard(self._update_begun), self._guard(self._update_ended)
            for optimizer in optimizers:
                self._handles.append(optimizer.register_step_pre_hook(Hook(begun)))
                self._handles.append(optimizer.register_step_post_hook(Hook(ended)))

    # --- the hooks

    def _guard(self, work: Callable[..., None]) -> Callable[..., None]:
        """Return a function that keeps an exception for the next call of the loop."""

        def guarded(*args: Any) -> None:
            if self._error is None:
                try:
                    work(*args)
                except Exception as error:
                    self._error = error

        return guarded

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _forward_ended(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        self._guarded_forward(args, kwargs, output)

    def _inner_forward_ended(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        if self._is_validating:
            self._guarded_forward(args, kwargs, output)

    def _forward(self, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        is_training = torch.is_grad_enabled() and not self._is_validating
        if self._gives_batches and not self._is_training_batch:
            is_training = False
        if not is_training:
            if not self._is_training_batch:
                self._evaluation(args)
                if not self._is_validating:
                    self.evaluation.batch(args, kwargs, output)
            return
        logits = logits_of(output)
        if logits is None or not logits.requires_grad:
            return
        self.output = logits.detach()
        if self.inputs is None:
            self.inputs = args, kwargs
        self._last_inputs = kwargs or args if self.collector.wants_training else None
        if not self._wanted:
            return
        self._last = "F"
        window = self._window
        if window is not None:
            window.begin_forward()
        is_first = window is not None and not window.has_update and not window.age
        if window is not None and is_first and logits.ndim == 2:
            self._graphs.append((self._progress.step, window.watch_output(logits)))
            self._compare(args)
        logits.register_hook(self._backward_hook)  # type: ignore[no-untyped-call]
        is_needed = self._progress.epoch <= 1 or not self._progress.epoch_images
        if is_needed and len(args) == 1 and isinstance(args[0], Tensor) and args[0].ndim > 1:
            self._examples.train(args[0])

    def _compare(self, args: tuple[Any, ...]) -> None:
        """Compare the model's input with the batch of the loop."""
        self._is_mixed = self._is_changed = False
        if self._batch is not None and len(args) == 1 and isinstance(args[0], Tensor):
            self._is_mixed = are_mixed(self._batch, args[0])
            self._is_changed = not self._is_mixed and are_changed(self._batch, args[0])

    def _evaluation(self, args: tuple[Any, ...]) -> None:
        """Take note of a forward pass between two training steps."""
        if not self._wanted or not args or not isinstance(args[0], Tensor) or not args[0].ndim:
            return
        inputs = args[0]
        self._evaluated += len(inputs)
        if self._model.training and self._progress.step and not self._is_validating:
            self._evaluated_in_training += len(inputs)
        if self._progress.step:
            if self._is_validating and self._is_by_loop:
                self._examples.forget_validation()
                self._is_by_loop = False
            if self._is_validating or self._is_by_loop:
                self._examples.validate(inputs)

    def _backward_begun(self, gradient: Tensor) -> None:
        if self._window is not None:
            self._window.begin_backward()
        if self._last != "B":
            self._backwards += 1
            self._backwards_since += 1
        self._last = "B"

    def _update_begun(self, optimizer: Optimizer, *args: Any) -> None:
        if not self._updates and self._schedulers is not None:
            self._schedulers.first_update()
        if self._window is not None and not self._is_closed_window():
            self._window.begin_update(optimizer, has_closure=_has_closure(args))
        elif self._is_due(self._progress.step + 2):
            self._last_gradient = flat_gradient(self._model)

    def _update_ended(self, optimizer: Optimizer, *args: Any) -> None:
        self._updates += 1
        self._stale += self._last == "F"
        if self._window is not None and not self._is_closed_window():
            self._window.end_update(optimizer, has_closure=_has_closure(args))
        self._last, self._backwards_since = "U", 0
        if self._wants_window_since is not None and self._window is None:
            self._open_window()

    def _is_closed_window(self) -> bool:
        """Whether the window has its update, and the loop is at work on the next one."""
        window = self._window
        return window is not None and window.has_update and self._backwards_since > 0

    # --- called by the loop

    def describe(self, started: RunStarted) -> None:
        """Take note of what the run has reported about the model and the data."""
        self._sample.layers, self._sample.train_size = started.layers, started.train_size

    def begin_epoch(self) -> None:
        """Begin an epoch."""
        self._is_training_batch = False
        self._epoch_steps = 0
        self._examples.begin_epoch()
        if self._wanted and (self._schedulers is None or not self._progress.step):
            self._schedulers = Schedulers(self._optimizers, self._scheduler)

    def begin_batch(self, batch: Any, waited: float, loader: Any) -> None:
        """Begin a batch, for which the loop has waited so many seconds."""
        self._check()
        self._is_training_batch = self._gives_batches = True
        self._waited += waited
        self._loader = loader if loader is not None else self._loader
        self._previous_labels = self.labels
        inputs, self.labels = inputs_and_labels(batch)
        self._batch = inputs if isinstance(inputs, Tensor) and self._window is not None else None

    def end_step(
        self, loss: Tensor | float, logits: Tensor | None, labels: Tensor | None, lr: float
    ) -> Iterator[Probe]:
        """Report what was measured in a step, after it is counted."""
        self._check()
        if self._last_inputs is not None and labels is not None:
            self.collector.training_batch(self._last_inputs, labels)
            self._last_inputs = None
        if not self._wanted:
            return
        self._is_training_batch = False
        self._epoch_steps += 1
        if self._schedulers is None:
            self._schedulers = Schedulers(self._optimizers, self._scheduler)
        if not self._classes and self.output is not None and self.output.ndim > 1:
            self._classes = self.collector.classes = self.output.shape[1]
            self._has_moved()
        window = self._window
        if window is not None:
            batch_labels = labels if self.labels is None else self.labels
            window.end_step(loss, logits, batch_labels, self._previous_labels)
            if window.has_update or window.age > PATIENCE:
                yield from self._report(window, lr)
        elif self._is_late():
            self._wants_window_since = None
            yield self._probed()
        if self._is_due(self._progress.step + 1) and self._window is None:
            self._wants_window_since = self._progress.step
            if not self._backwards_since:
                self._open_window()
        yield from self._sample.after_step()

    def begin_validation(self) -> None:
        """Begin a validation by :meth:`WatchedRun.validate`, which is not the loop's own."""
        self._is_validating = True

    def end_validation(self, loader: Any = None) -> None:
        """End it."""
        self._is_validating = False
        if loader is not None and self._loader is not None and self._overlap is None:
            self._overlap = overlap(self._loader, loader)

    def end_epoch(self) -> Iterator[Probe]:
        """Report what was measured in an epoch."""
        self._check()
        self.collector.end_training()
        if not self._wanted:
            return
        self._is_training_batch = False
        yield from self._sample.at_end_of_epoch()
        yield self._probed(is_epoch=True)

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._window is not None:
            self._window.close()
            self._window = None

    def probe(self) -> LoopProbed:
        """Return what is known of the model and the optimizers before the first step."""
        return self._probed()

    # --- sampled updates

    def _is_due(self, step: int) -> bool:
        """Whether to sample a step: an early one, one of fifty, and the second of some epochs.

        What a validation leaves behind, as evaluation mode, shows there.
        """
        is_second = self._progress.epoch_images > 0 and self._epoch_steps == 1
        after_validation = is_second and step == self._progress.step + 1
        is_early_epoch = 1 < self._progress.epoch <= EPOCHS and after_validation
        return self._wanted and (step in EARLY_STEPS or step % EVERY == 0 or is_early_epoch)

    def _is_late(self) -> bool:
        since = self._wants_window_since
        return since is not None and self._progress.step - since > PATIENCE

    def _open_window(self) -> None:
        self._wants_window_since = None
        self._window = Window(
            *(self._model, self._optimizers, max(1, self._classes), self._stopwatch),
            self._last_gradient,
        )
        self._last_gradient = None

    def _report(self, window: Window, lr: float) -> Iterator[Probe]:
        now = self._stopwatch.seconds
        share = self._waited / (now - self._since) if now > self._since else None
        self._waited, self._since = 0.0, now
        size = self._progress.pending[-1].size if self._progress.pending else 0
        yield self._probed(window)
        update = window.result(self._progress, lr, share, size) if window.has_update else None
        if update is not None:
            yield update
        window.close()
        self._window = None

    @torch.no_grad()
    def _probed(self, window: Window | None = None, *, is_epoch: bool = False) -> LoopProbed:
        model, progress = self._model, self._progress
        mine = {id(p): p for p in model.parameters() if p.requires_grad}
        theirs = {id(p): p for p in optimized_by(self._optimizers)}
        known = {id(p) for p in model.parameters()}
        foreign = [p for key, p in theirs.items() if key not in known]
        missing = {tuple(p.shape) for key, p in mine.items() if key not in theirs}
        shared, validated, trained = self._examples.compared() if is_epoch else (0, 0, 0)
        sizes: dict[str, int] = {}
        for p in trainable(model).values():
            name = str(p.dtype).removeprefix("torch.")
            sizes[name] = sizes.get(name, 0) + p.numel()
        kept, sampled = self._count_graphs()
        return LoopProbed(
            step=progress.step,
            epoch=progress.epoch,
            images=progress.images,
            is_epoch=is_epoch,
            optimizer=type(self._optimizers[0]).__name__,
            updates=self._updates,
            backwards=self._backwards,
            stale_updates=self._stale,
            has_moved=self._has_moved(),
            is_reached=window.is_reached if window is not None else True,
            gradient_norm=window.gradient_norm if window is not None else None,
            update_gradient_norm=window.update_gradient_norm if window is not None else None,
            parameters=len(mine),
            optimized=len(mine.keys() & theirs.keys()),
            foreign=len(foreign),
            lookalikes=sum(tuple(p.shape) in missing for p in foreign),
            dtype=max(sizes, key=lambda name: sizes[name], default="float32"),
            is_mixed=self._is_mixed and window is not None,
            is_changed=self._is_changed and window is not None,
            loss=window.loss if window is not None else None,
            training_mode_images=self._evaluated_in_training,
            evaluated_images=self._evaluated,
            mode_layers=_mode_layers(model),
            kept_graphs=kept,
            sampled_graphs=sampled,
            sampler=sampler_name(self._loader),
            repeats_order=self._examples.repeats_order,
            schedulers=self._probe_schedulers(),
            shared_images=shared,
            validation_sampled=validated,
            training_sampled=trained,
            training_size=progress.epoch_images if is_epoch else 0,
            is_by_loop=self._is_by_loop,
            overlap=None if self._overlap is None else self._overlap[0],
            overlap_size=0 if self._overlap is None else self._overlap[1],
        )

    def _count_graphs(self) -> tuple[int, int]:
        """Return how many of the sampled steps before the last have a graph in memory."""
        steps = sorted({step for step, _ in self._graphs})[-GRAPHS:-1]
        kept = {step for step, hook in self._graphs if hook() is not None}
        return len(kept.intersection(steps)), len(steps)

    def _probe_schedulers(self) -> Any:
        return () if self._schedulers is None else self._schedulers.probe()

    def _has_moved(self) -> bool:
        """Whether the sum of the weights has changed since the first time."""
        found = [p.detach().double().sum().cpu() for p in self._model.parameters()]
        now = torch.stack(found) if found else torch.zeros(1)
        if self._first_weights is None:
            self._first_weights = now
            return True
        return not torch.equal(now, self._first_weights)


def _has_closure(args: tuple[Any, ...]) -> bool:
    """Whether ``optimizer.step()`` was given a closure; ``args`` are those of its hook."""
    positional, named = args if len(args) == 2 else ((), {})
    given = [*positional, *named.values()]
    return any(callable(each) and not isinstance(each, Optimizer) for each in given)


def _mode_layers(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the layers that act otherwise in training mode."""
    return tuple(
        name
        for name, module in model.named_modules()
        if (isinstance(module, _BatchNorm) and module.track_running_stats)
        or (isinstance(module, _DropoutNd) and module.p > 0)
    )
