"""The cost of the probes: ``python -m tests.benchmarks.probes era-s6 small tiny mlp``.

Trains a few epochs and measures the time in the probes as a share of the same run: other busy
programs slow both down. It is CPU time of the training thread, so the load of the cores does not
matter.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from tests.benchmarks.options import Parser, whole
from tui_trainer.protocol.config import MODELS
from tui_trainer.protocol.reference import parse_reference

PROBE_METHODS = (
    *("begin_step", "record_batch", "record_zero_grad"),
    *("record_gradients", "record_update"),
)
EVENT_METHODS = ("before_training", "after_step", "at_end_of_epoch")


@dataclass(slots=True)
class Cost:
    """CPU seconds in the probes, in those before the first step, and in total."""

    first: float = 0.0
    probing: float = 0.0
    training: float = 0.0

    @property
    def share(self) -> float:
        """The share of the training time spent in the probes."""
        return self.probing / self.training

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, with its time counted."""

        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            begin = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.probing += time.thread_time() - begin

        return called

    def timed_events(self, function: Callable[..., Iterator[Any]]) -> Callable[..., Any]:
        """Return the generator function, with its time counted, without that of its consumer."""

        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            return iter(self.timed(lambda: list(function(*args, **kwargs)))())

        return called


def measure(model: str, epochs: int, images: int, batch_size: int) -> Cost:
    """Train a model on ``images`` images, and return the cost of the probes."""
    from tests.training import train
    from tui_trainer.engine.probes import Probes
    from tui_trainer.lab.assistant import Laboratory
    from tui_trainer.protocol.commands import Inbox
    from tui_trainer.protocol.config import RunConfig
    from tui_trainer.protocol.events import RunFinished, RunStarted

    cost = Cost()
    originals = {name: getattr(Probes, name) for name in (*PROBE_METHODS, *EVENT_METHODS)}
    for name in PROBE_METHODS:
        setattr(Probes, name, cost.timed(originals[name]))
    for name in EVENT_METHODS:
        setattr(Probes, name, cost.timed_events(originals[name]))
    config = RunConfig(
        model=model,
        epochs=epochs,
        batch_size=batch_size,
        train_size=images,
        val_size=5_000,
        threads=1,
    )
    begin = 0.0
    first_probes = Laboratory.first_probes

    def first(*args: Any) -> Any:
        start = time.thread_time()
        found = first_probes(*args)
        cost.first = time.thread_time() - start
        return found

    setattr(Laboratory, "first_probes", first)  # noqa: B010
    try:
        for event in train(config, Inbox()):
            if isinstance(event, RunStarted):
                begin = time.thread_time()
            elif isinstance(event, RunFinished):
                cost.training = time.thread_time() - begin
    finally:
        setattr(Laboratory, "first_probes", first_probes)  # noqa: B010
        for name, original in originals.items():
            setattr(Probes, name, original)
    return cost


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the cost for each model and return the exit code."""
    parser = Parser("probes", "Measure the cost of the probes")
    parser.add_argument("models", nargs="*", default=["era-s6", "small", "tiny", "mlp"])
    parser.add_argument("--epochs", type=whole, default=3)
    parser.add_argument("--batch-size", type=whole, default=128)
    parser.add_argument("--images", type=int, default=55_000)
    chosen = parser.parse_args(arguments)
    for model in chosen.models:
        if model not in MODELS and parse_reference(model) is None:
            parser.error(f"unknown model {model!r}")
    for model in chosen.models:
        cost = measure(model, chosen.epochs, chosen.images, chosen.batch_size)
        print(
            f"{model:16} {100 * cost.share:5.2f} %  "
            f"({cost.probing:.2f} of {cost.training:.1f} s of CPU; {chosen.epochs} epochs, "
            f"batch {chosen.batch_size}); before the first step {cost.first:.2f} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
