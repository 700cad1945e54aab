"""Whether a healthy run overfitted in truth: read from the sealed test images, by no rule.

A warning of overfitting on a healthy run can be right: few images, many epochs. The weights after
each epoch are therefore run over all 10,000 test images, which neither the training nor a rule has
seen.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from tests.benchmarks.findings.record import config_of, read_recorded
from tui_trainer.run.stats import wilson

ERRORS = 2.0
"""Standard errors that the last epoch's test loss must be above the lowest one's."""


POINTS = 0.02
"""The gap between training and test accuracy that learning by heart makes."""


@dataclass(frozen=True, slots=True)
class Truth:
    """How the test images saw a run.

    Attributes:
        losses: The mean test loss after each epoch.
        accuracies: The share of test images classified rightly.
        rise: The last loss minus the lowest.
        error: The standard error of that, each image compared with itself.
    """

    losses: tuple[float, ...]
    accuracies: tuple[float, ...]
    rise: float
    error: float

    @property
    def overfitted(self) -> bool:
        """Whether the loss ended above its lowest by more than two standard errors."""
        return self.rise > ERRORS * self.error

    def codes(self, train_accuracy: float) -> frozenset[str]:
        """Return the codes of the findings that were right about the end of the run."""
        overfitted = {"overfitting", "memorising"} if self.overfitted else set()
        return frozenset(overfitted | ({"memorising"} if self.by_heart(train_accuracy) else set()))

    def by_heart(self, train_accuracy: float) -> bool:
        """Whether the test images are told apart worse than those trained on, by two points.

        At the favourable end of the Wilson interval, and with a quarter of the errors or fewer on
        the training images: what a warning of learning by heart claims.
        """
        total = 10_000
        high = wilson(round(self.accuracies[-1] * total), total)[1]
        errors, known = 1 - self.accuracies[-1], 1 - train_accuracy
        return train_accuracy - high >= POINTS and known <= errors / 4


def truth_of(path: Path, root: Path) -> Truth:
    """Return the truth on the run of this ``NAME.json``; it is worked out once and then kept."""
    kept = path.with_suffix(".truth")
    if not kept.exists():
        found = _look(path, root)
        kept.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return Truth(**json.loads(kept.read_text(encoding="utf-8")))


def truths_of(paths: list[Path], root: Path, workers: int) -> dict[Path, Truth]:
    """Return the truth on each of these runs."""
    due = [path for path in paths if not path.with_suffix(".truth").exists()]
    if due:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            list(pool.map(truth_of, due, [root] * len(due)))
    return {path: truth_of(path, root) for path in paths}


def _look(path: Path, root: Path) -> Truth:
    # Judging alone needs no torch.
    import torch

    from tui_trainer.engine.data import load
    from tui_trainer.engine.metrics import evaluate
    from tui_trainer.engine.networks import build_network

    torch.set_num_threads(1)
    config = config_of(read_recorded(path).case, root)
    loading = load(config, torch.device("cpu"))
    while True:
        try:
            next(loading)
        except StopIteration as loaded:
            data = loaded.value
            break
    network = build_network(config.model, image_size=data.image_size, classes=data.classes)
    results = []
    for weights in torch.load(path.with_suffix(".pt"), weights_only=True):
        network.load_state_dict(weights)
        results.append(evaluate(network, data, data.test.open()))
    best = min(results, key=lambda result: result.loss)
    rise, error = results[-1].rise_over(best)
    return Truth(
        losses=tuple(result.loss for result in results),
        accuracies=tuple(result.correct / result.total for result in results),
        rise=rise,
        error=error,
    )
