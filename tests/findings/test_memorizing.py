"""A memorized training split, with and without a rise of the validation loss."""

from __future__ import annotations

from collections.abc import Sequence

from tests.protocol import facts
from tests.protocol.facts import epoch_done, started
from tests.ui.fakes import recording
from tui_trainer.protocol.events import EpochDone, Event, FindingCleared, FindingRaised
from tui_trainer.stats.intervals import wilson


def epochs(pairs: Sequence[tuple[float, int]], total: int = 5_000) -> list[EpochDone]:
    """Return epochs with these training accuracies and numbers of correct validation images."""
    return [
        epoch_done(
            number,
            train_accuracy=train,
            train_loss=1 / number,
            val_loss=1 / number,
            val_accuracy=correct / total,
            val_correct=correct,
            val_total=total,
            val_interval=wilson(correct, total),
        )
        for number, (train, correct) in enumerate(pairs, 1)
    ]


def findings_of(events: Sequence[Event]) -> list[FindingRaised | FindingCleared]:
    return facts.findings([started(train_size=500), *events], ("memorizing", "overfitting"))


def test_three_epochs_with_a_gap_beyond_sampling_error_are_reported_once() -> None:
    (found,) = findings_of(epochs([(1.0, 4_500)] * 5))
    assert isinstance(found, FindingRaised)
    assert found.code == "memorizing"
    assert found.step == epoch_done(1).step
    assert found.evidence == (
        "by epoch 3 training accuracy 100.00 % on 500 images, validation accuracy 90.00 % "
        "[89.14, 90.80]: generalization gap 10.0 points"
    )


def test_two_epochs_are_not_enough() -> None:
    assert findings_of(epochs([(0.99, 4_900), (1.0, 4_500), (1.0, 4_500)])) == []


def test_a_gap_within_the_interval_or_below_two_points_is_no_finding() -> None:
    assert findings_of(epochs([(0.999, 4_940)] * 5)) == []
    assert findings_of(epochs([(1.0, 48)] * 5, total=50)) == []


def test_a_high_training_error_is_not_memorizing() -> None:
    assert findings_of(epochs([(0.95, 4_400)] * 5)) == []


def test_it_clears_when_the_gap_closes() -> None:
    first, second = findings_of(epochs([(1.0, 4_500)] * 4 + [(0.97, 4_700)]))
    assert isinstance(first, FindingRaised)
    assert isinstance(second, FindingCleared)


def test_it_is_found_in_a_real_run_on_500_digits() -> None:
    found = [event for event in recording("overfitting") if isinstance(event, FindingRaised)]
    assert [event.code for event in found] == ["memorizing"]
    assert found[0].fix_setting == "augmentation"


def test_healthy_recordings_have_no_finding() -> None:
    for name in ("mid-run", "paused", "finished"):
        assert not [event for event in recording(name) if isinstance(event, FindingRaised)]
