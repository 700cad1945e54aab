from __future__ import annotations

import math

import pytest

from tests.protocol.facts import (
    BATCH,
    TRAIN,
    changed,
    epoch_done,
    finding,
    finished,
    look,
    started,
    step,
)
from tui_trainer.history.history import LOSS_CAP, History
from tui_trainer.history.run_state import SPEED_SECONDS, Episode
from tui_trainer.history.series import CAPACITY
from tui_trainer.protocol.events import (
    CommandRejected,
    Diverged,
    DownloadProgress,
    Event,
    FindingCleared,
    RecordingFailed,
    RecordingRestored,
    RunFailed,
    RunResumed,
    StateChanged,
)


def history(*events: Event) -> History:
    return History.of(events)


def test_before_anything_happened() -> None:
    told = History()
    assert (told.state, told.epoch, told.is_over) == ("preparing", 0, False)
    assert told.smoothed_loss is None
    assert told.smoothed_accuracy is None
    assert told.capped_loss is None
    assert told.seconds_left is None
    assert told.batches_left == 0
    assert told.epochs_at(500) == 0


def test_a_start_sets_the_knobs() -> None:
    knobs = {"base_lr": 0.1, "batch_size": 100, "augmentation": True}
    assert history(started()).settings == knobs
    assert history(started(dropout=0.05)).settings == {**knobs, "dropout": 0.05}


def test_a_start_ends_the_download() -> None:
    progress = DownloadProgress(dataset="kmnist", file="a.gz", done_bytes=1, total_bytes=2)
    assert history(progress).download == progress
    assert history(progress, started()).download is None


@pytest.mark.parametrize("state", ["preparing", "training", "paused", "validating", "testing"])
def test_the_state_is_what_was_last_said(state: str) -> None:
    told = history(StateChanged(state=state, step=3, detail="why"))  # type: ignore[arg-type]
    assert (told.state, told.detail) == (state, "why")


def test_how_a_run_ends() -> None:
    assert history(started(), finished()).state == "finished"
    assert history(started(), finished()).is_over
    lost = history(started(), Diverged(step=3, epoch=1, lr=30.0))
    assert (lost.state, lost.is_over) == ("diverged", False)
    lost.apply(finished(reason="diverged"))
    assert (lost.state, lost.is_over) == ("diverged", True)
    broken = history(started(), RunFailed(message="no memory", traceback="…"))
    assert (broken.state, broken.detail, broken.is_over) == ("failed", "no memory", True)


def test_the_curves_run_in_epochs() -> None:
    told = history(started(), *(step(number, loss=1 / number) for number in range(1, 26)))
    assert list(told.train_loss.x) == pytest.approx([n * BATCH / TRAIN for n in range(1, 26)])
    assert list(told.train_loss.low) == pytest.approx([1 / n for n in range(1, 26)])
    assert list(told.train_accuracy.high) == [0.8] * 25
    assert list(told.lr.high) == [0.1] * 25
    assert (told.epoch, told.last_step) == (3, step(25, loss=1 / 25))
    assert told.epochs_at(500) == 0.5


def test_the_trend_lags_behind_and_is_told() -> None:
    told = history(started(), step(1, loss=2.0), step(2, loss=1.0))
    assert told.smoothed_loss is not None
    assert 1.0 < told.smoothed_loss < 2.0
    assert told.train_loss.trend[-1] == told.smoothed_loss
    assert told.smoothed_accuracy == pytest.approx(0.8)


def test_a_loss_that_is_no_number_is_not_drawn() -> None:
    told = history(started(), step(1), step(2, loss=math.nan), step(3, loss=math.inf), step(4))
    assert list(told.train_loss.low) == [0.5, 0.5]
    assert told.smoothed_loss == pytest.approx(0.5)
    assert len(told.lr) == 4


def test_the_steady_loss_is_not_moved_far_by_one_explosion() -> None:
    sound = [step(number) for number in range(1, 51)]
    told = history(started(), *sound, step(51, loss=1e9))
    assert told.smoothed_loss is not None
    assert told.smoothed_loss > 1e6
    assert told.capped_loss is not None
    assert told.capped_loss < 1.0
    exploded = history(started(), *(step(number, loss=1e9) for number in range(1, 51)))
    assert exploded.capped_loss == pytest.approx(LOSS_CAP * math.log(10))


def test_interventions_turn_the_knobs_and_are_kept() -> None:
    changes = [changed("base_lr", 0.1, 0.05), changed("batch_size", 100, 64, images=200)]
    told = history(started(), *changes)
    assert told.interventions == changes
    assert told.settings["base_lr"] == 0.05
    assert told.settings["batch_size"] == 64


def test_a_finding_stands_until_it_is_cleared() -> None:
    told = history(started(), finding(), finding(code="divergence", severity="error"))
    assert list(told.findings) == ["overfitting", "divergence"]
    told.apply(finding(advice="another"))
    assert told.findings["overfitting"].advice == "another"
    assert len(told.findings) == 2
    told.apply(FindingCleared(code="overfitting", step=9))
    told.apply(FindingCleared(code="overfitting", step=9))
    assert list(told.findings) == ["divergence"]


def test_the_rest_is_kept_as_it_comes() -> None:
    seen = look()
    rejection = CommandRejected(command="SetDropout", reason="none", step=4)
    failure = RecordingFailed(path="/run", message="disk full")
    told = history(started(), seen, rejection, failure, epoch_done(1), epoch_done(2))
    assert (told.tests, told.rejection) == ([seen], rejection)
    assert told.unsaved == {"/run": "disk full"}
    told.apply(RecordingRestored(path="/run"))
    assert told.unsaved == {}
    assert told.epochs == [epoch_done(1), epoch_done(2)]


def test_batches_of_an_epoch() -> None:
    told = history(started(), *(step(number) for number in range(1, 4)))
    assert (told.batches_in_epoch, told.batches_left) == (3, 7)
    told.apply(changed("batch_size", 100, 64, images=300))
    assert told.batches_left == 11  # 700 images in batches of 64
    for number in range(4, 12):
        told.apply(step(number))
    assert (told.epoch, told.batches_in_epoch) == (2, 1)


def test_the_speed_is_that_of_the_last_seconds() -> None:
    told = history(started())
    seconds = 0.0
    for number in range(1, 101):
        seconds += BATCH / (500 if number <= 50 else 2_000)
        told.apply(step(number, seconds=seconds))
    assert 500 < told.images_per_second < 2_000
    for number in range(101, 201):
        seconds += BATCH / 2_000
        told.apply(step(number, seconds=seconds))
    assert told.images_per_second == pytest.approx(2_000)


def test_a_clock_that_stands_still_is_no_division_by_zero() -> None:
    told = history(started(), *(step(number, seconds=1.0) for number in range(1, 5)))
    assert told.images_per_second == 0
    assert told.seconds_left is None


def test_the_time_left_counts_training_and_validation() -> None:
    told = history(started(epochs=3), *(step(number) for number in range(1, 11)))
    assert told.images_per_second == pytest.approx(2_000)
    # An epoch of a second's training that took two: the other second was validation.
    told.apply(epoch_done(1, seconds=2.0, images_per_second=TRAIN / 1.0))
    assert told.seconds_left == pytest.approx(2 * TRAIN / 2_000 + 2 * 1.0)


def test_memory_is_bounded() -> None:
    told = history(started(train_size=10_000_000))
    for number in range(1, 50_001):
        told.apply(step(number, epoch=1, seconds=number / 100))
    for series in (told.train_loss, told.train_accuracy, told.lr):
        assert len(series) <= CAPACITY
    assert len(told._speed_marks) <= SPEED_SECONDS * 100 + 2


def test_the_validation_between_two_epochs_is_no_slow_training() -> None:
    first = [step(number) for number in range(1, 11)]
    later = [step(number, seconds=number * BATCH / 2_000 + 60) for number in range(11, 15)]
    assert history(started(), *first, *later).images_per_second == pytest.approx(2_000)


def test_the_means_are_those_of_this_epoch() -> None:
    told = history(started(), *(step(number, loss=2.0, accuracy=0.2) for number in range(1, 11)))
    assert (told.epoch_loss, told.epoch_accuracy) == pytest.approx((2.0, 0.2))
    told.apply(step(11, loss=1.0, accuracy=0.5))
    told.apply(step(12, loss=0.5, accuracy=0.7))
    assert (told.epoch_loss, told.epoch_accuracy) == pytest.approx((0.75, 0.6))
    assert math.isnan(History().epoch_loss)


def test_the_best_epoch_is_the_earliest_of_equals() -> None:
    assert history(started(), epoch_done(1, val_accuracy=None)).best_epoch is None
    accuracies = (0.8, 0.9, 0.9, 0.7)
    epochs = [epoch_done(n, val_accuracy=value) for n, value in enumerate(accuracies, 1)]
    told = history(started(), *epochs)
    assert (told.best_epoch, told.last_epoch) == (epochs[1], epochs[3])


def test_a_finding_that_is_cleared_leaves_an_episode() -> None:
    worse = finding(evidence="worse")
    told = history(started(), step(1), finding(), step(2), worse)
    assert told.episodes == [Episode(worse, step=1, epoch=1)]
    told.apply(step(11))
    told.apply(FindingCleared(code=worse.code, step=11))
    assert told.episodes == []
    assert told.past_findings == [Episode(worse, 1, 1, cleared_step=11, cleared_epoch=2)]


def test_a_resumed_run_goes_on_from_its_checkpoint() -> None:
    told = history(started(), step(1), step(2), step(3), finished(reason="stopped"))
    assert told.is_over
    told.apply(RunResumed(step=2, epoch=1, images=200, threads=1, lines=3))
    assert (told.step, told.finished, told.is_over) == (2, None, False)
    assert len(told.train_loss) == 2
