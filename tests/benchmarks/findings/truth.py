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

from tests.benchmarks.findings.judge import Judged
from tests.benchmarks.findings.record import config_of, read_recorded
from tui_trainer.stats.intervals import wilson

ERRORS = 2.0
"""Standard errors that the last epoch's test loss must be above the lowest one's."""


TEST_IMAGES = 10_000

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

    def codes(self, run: Judged) -> frozenset[str]:
        """Return the codes of the findings that were right of a run."""
        overfitted = {"overfitting", "memorizing"} if self.overfitted else set()
        said = {
            round(reported.epochs) for reported in run.warnings() if reported.code == "memorizing"
        }
        is_right = all(self.is_memorized(epoch, run.train_accuracies[epoch - 1]) for epoch in said)
        return frozenset(overfitted | ({"memorizing"} if said and is_right else set()))

    def is_memorized(self, epoch: int, train_accuracy: float) -> bool:
        """Whether, after an epoch, the test images were told apart worse than the training images.

        By two points at the favourable end of the Wilson interval, and with four times the errors:
        what a warning of learning by heart claims.
        """
        accuracy = self.accuracies[epoch - 1]
        high = wilson(round(accuracy * TEST_IMAGES), TEST_IMAGES)[1]
        return train_accuracy - high >= POINTS and 4 * (1 - train_accuracy) <= 1 - accuracy


def truth_of(path: Path, root: Path) -> Truth:
    """Return the truth on the run of this ``NAME.json``; it is worked out once and then kept."""
    kept = path.with_suffix(".truth")
    if not kept.exists():
        found = _evaluate(path, root)
        kept.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return Truth(**json.loads(kept.read_text(encoding="utf-8")))


def truths_of(paths: list[Path], root: Path, workers: int) -> dict[Path, Truth]:
    """Return the truth on each of these runs."""
    due = [path for path in paths if not path.with_suffix(".truth").exists()]
    if due:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            list(pool.map(truth_of, due, [root] * len(due)))
    return {path: truth_of(path, root) for path in paths}


def _evaluate(path: Path, root: Path) -> Truth:
    # Judging alone needs no torch.
    import torch

    from tui_trainer.data.dataset import load
    from tui_trainer.engine.evaluation import evaluate
    from tui_trainer.models.build import build_model

    torch.set_num_threads(1)
    config = config_of(read_recorded(path).case, root)
    loading = load(config, torch.device("cpu"))
    while True:
        try:
            next(loading)
        except StopIteration as loaded:
            data = loaded.value
            break
    model = build_model(config.model, image_size=data.image_size, classes=data.classes)
    results = []
    for weights in torch.load(path.with_suffix(".pt"), weights_only=True):
        model.load_state_dict(weights)
        results.append(evaluate(model, data, data.test.open()))
    best = min(results, key=lambda result: result.loss)
    rise, error = results[-1].rise_over(best)
    return Truth(
        losses=tuple(result.loss for result in results),
        accuracies=tuple(result.correct / result.total for result in results),
        rise=rise,
        error=error,
    )
