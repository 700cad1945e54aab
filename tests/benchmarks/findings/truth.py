"""The ground truth of overfitting in healthy runs, measured on the sealed test images.

A warning of overfitting can be true even in a healthy run with few images and many epochs. So the
weights after each epoch are evaluated on all 10,000 test images, which neither the training nor a
rule has seen.
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
"""The rise of the last test loss over the lowest that counts, in standard errors."""


TEST_IMAGES = 10_000

POINTS = 0.02
"""The generalization gap that counts as memorizing, as a fraction."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The test results of a run.

    Attributes:
        losses: The mean test loss after each epoch.
        accuracies: The test accuracy after each epoch.
        rise: The last loss minus the lowest.
        error: The standard error of the rise, paired by image.
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
        """Return the codes of the findings that are true of a run."""
        overfitted = {"overfitting", "memorizing"} if self.overfitted else set()
        epochs = {
            round(reported.epochs) for reported in run.warnings() if reported.code == "memorizing"
        }
        is_right = all(
            self.is_memorized(epoch, run.train_accuracies[epoch - 1]) for epoch in epochs
        )
        return frozenset(overfitted | ({"memorizing"} if epochs and is_right else set()))

    def is_memorized(self, epoch: int, train_accuracy: float) -> bool:
        """Whether test accuracy after an epoch was worse than training accuracy.

        It must be two points worse at the upper end of the Wilson interval, with four times the
        errors: what the finding ``memorizing`` claims.
        """
        accuracy = self.accuracies[epoch - 1]
        high = wilson(round(accuracy * TEST_IMAGES), TEST_IMAGES)[1]
        return train_accuracy - high >= POINTS and 4 * (1 - train_accuracy) <= 1 - accuracy


def truth_of(path: Path, root: Path) -> Truth:
    """Return the test results of the run of a ``NAME.json``, computed once and then cached."""
    kept = path.with_suffix(".truth")
    if not kept.exists():
        found = _evaluate(path, root)
        kept.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return Truth(**json.loads(kept.read_text(encoding="utf-8")))


def truths_of(paths: list[Path], root: Path, workers: int) -> dict[Path, Truth]:
    """Return the test results of each of these runs."""
    due = [path for path in paths if not path.with_suffix(".truth").exists()]
    if due:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            list(pool.map(truth_of, due, [root] * len(due)))
    return {path: truth_of(path, root) for path in paths}


def _evaluate(path: Path, root: Path) -> Truth:
    # Judging alone needs no torch.
    import torch

    from tui_trainer.data.loading import load
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
