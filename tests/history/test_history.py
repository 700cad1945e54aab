from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.protocol.facts import (
    BATCH,
    TRAIN,
    changed,
    epoch_done,
    evaluated,
    finding,
    finished,
    started,
    step,
)
from tui_trainer.history.history import LOSS_CAP, History
from tui_trainer.history.run_state import SPEED_SECONDS, Episode
from tui_trainer.history.series import CAPACITY
from tui_trainer.protocol.events import (
    CommandRejected,
    DecodeProgress,
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


def test_the_initial_state() -> None:
    run = History()
    assert (run.state, run.epoch, run.is_over) == ("preparing", 0, False)
    assert run.smoothed_loss is None
    assert run.smoothed_accuracy is None
    assert run.capped_loss is None
    assert run.seconds_left is None
    assert run.batches_left == 0
    assert run.epochs_at(500) == 0


def test_a_start_sets_the_knobs() -> None:
    knobs = {"base_lr": 0.1, "batch_size": 100, "augmentation": True}
    assert history(started()).settings == knobs
    assert history(started(dropout=0.05)).settings == {**knobs, "dropout": 0.05}


def test_a_start_ends_the_download() -> None:
    progress = DownloadProgress(dataset="kmnist", file="a.gz", done_bytes=1, total_bytes=2)
    assert history(progress).download == progress
    assert history(progress, started()).download is None


def test_the_next_state_ends_decoding() -> None:
    progress = DecodeProgress(folder="cats", done=1, total=2)
    assert history(progress).decoding == progress
    building = StateChanged(state="preparing", step=0, detail="building the model")
    assert history(progress, building).decoding is None


@pytest.mark.parametrize("state", ["preparing", "training", "paused", "validating", "testing"])
def test_the_state_is_the_last_one(state: str) -> None:
    run = history(StateChanged(state=state, step=3, detail="why"))  # type: ignore[arg-type]
    assert (run.state, run.detail) == (state, "why")


def test_how_a_run_ends() -> None:
    assert history(started(), finished()).state == "finished"
    assert history(started(), finished()).is_over
    diverged = history(started(), Diverged(step=3, epoch=1, lr=30.0))
    assert (diverged.state, diverged.is_over) == ("diverged", False)
    diverged.apply(finished(reason="diverged"))
    assert (diverged.state, diverged.is_over) == ("diverged", True)
    broken = history(started(), RunFailed(message="no memory", traceback="…"))
    assert (broken.state, broken.detail, broken.is_over) == ("failed", "no memory", True)


def test_the_x_of_curves_is_in_epochs() -> None:
    run = history(started(), *(step(number, loss=1 / number) for number in range(1, 26)))
    assert list(run.train_loss.x) == pytest.approx([n * BATCH / TRAIN for n in range(1, 26)])
    assert list(run.train_loss.low) == pytest.approx([1 / n for n in range(1, 26)])
    assert list(run.train_accuracy.high) == [0.8] * 25
    assert list(run.lr.high) == [0.1] * 25
    assert (run.epoch, run.last_step) == (3, step(25, loss=1 / 25))
    assert run.epochs_at(500) == 0.5


def test_the_moving_average_lags_and_is_recorded() -> None:
    run = history(started(), step(1, loss=2.0), step(2, loss=1.0))
    assert run.smoothed_loss is not None
    assert 1.0 < run.smoothed_loss < 2.0
    assert run.train_loss.trend[-1] == run.smoothed_loss
    assert run.smoothed_accuracy == pytest.approx(0.8)


def test_a_non_finite_loss_is_not_drawn() -> None:
    run = history(started(), step(1), step(2, loss=math.nan), step(3, loss=math.inf), step(4))
    assert list(run.train_loss.low) == [0.5, 0.5]
    assert run.smoothed_loss == pytest.approx(0.5)
    assert len(run.lr) == 4


def test_the_capped_loss_is_robust_to_one_explosion() -> None:
    sound = [step(number) for number in range(1, 51)]
    run = history(started(), *sound, step(51, loss=1e9))
    assert run.smoothed_loss is not None
    assert run.smoothed_loss > 1e6
    assert run.capped_loss is not None
    assert run.capped_loss < 1.0
    exploded = history(started(), *(step(number, loss=1e9) for number in range(1, 51)))
    assert exploded.capped_loss == pytest.approx(LOSS_CAP * math.log(10))


def test_interventions_set_the_knobs_and_are_kept() -> None:
    changes = [changed("base_lr", 0.1, 0.05), changed("batch_size", 100, 64, images=200)]
    run = history(started(), *changes)
    assert run.interventions == changes
    assert run.settings["base_lr"] == 0.05
    assert run.settings["batch_size"] == 64


@pytest.mark.parametrize(("until", "seen", "shown"), [(0.5, 49, 1), (0.5, 50, 0), (1.0, 100, 1)])
def test_augmentation_is_shown_as_off_after_its_share(until: float, seen: int, shown: int) -> None:
    run = started(train_size=50, epochs=2, augment_until=until)

    state = history(run, replace(step(1), images=seen))

    assert state.shown_settings["augmentation"] == shown
    assert state.settings["augmentation"] == 1


def test_a_finding_is_active_until_it_is_cleared() -> None:
    run = history(started(), finding(), finding(code="divergence", severity="error"))
    assert list(run.findings) == ["overfitting", "divergence"]
    run.apply(finding(advice="another"))
    assert run.findings["overfitting"].advice == "another"
    assert len(run.findings) == 2
    run.apply(FindingCleared(code="overfitting", step=9))
    run.apply(FindingCleared(code="overfitting", step=9))
    assert list(run.findings) == ["divergence"]


def test_other_events_are_kept() -> None:
    seen = evaluated()
    rejection = CommandRejected(command="SetDropout", reason="none", step=4)
    failure = RecordingFailed(path="/run", message="disk full")
    run = history(started(), seen, rejection, failure, epoch_done(1), epoch_done(2))
    assert (run.tests, run.rejection) == ([seen], rejection)
    assert run.unsaved == {"/run": "disk full"}
    run.apply(RecordingRestored(path="/run"))
    assert run.unsaved == {}
    assert run.epochs == [epoch_done(1), epoch_done(2)]


def test_batches_of_an_epoch() -> None:
    run = history(started(), *(step(number) for number in range(1, 4)))
    assert (run.batches_in_epoch, run.batches_left) == (3, 7)
    run.apply(changed("batch_size", 100, 64, images=300))
    assert run.batches_left == 11  # 700 images in batches of 64
    for number in range(4, 12):
        run.apply(step(number))
    assert (run.epoch, run.batches_in_epoch) == (2, 1)


def test_the_speed_is_measured_over_the_last_seconds() -> None:
    run = history(started())
    seconds = 0.0
    for number in range(1, 101):
        seconds += BATCH / (500 if number <= 50 else 2_000)
        run.apply(step(number, seconds=seconds))
    assert 500 < run.images_per_second < 2_000
    for number in range(101, 201):
        seconds += BATCH / 2_000
        run.apply(step(number, seconds=seconds))
    assert run.images_per_second == pytest.approx(2_000)


def test_a_stopped_clock_does_not_divide_by_zero() -> None:
    run = history(started(), *(step(number, seconds=1.0) for number in range(1, 5)))
    assert run.images_per_second == 0
    assert run.seconds_left is None


def test_the_time_left_counts_training_and_validation() -> None:
    run = history(started(epochs=3), *(step(number) for number in range(1, 11)))
    assert run.images_per_second == pytest.approx(2_000)
    # An epoch took two seconds, one of training and one of validation.
    run.apply(epoch_done(1, seconds=2.0, images_per_second=TRAIN / 1.0))
    assert run.seconds_left == pytest.approx(2 * TRAIN / 2_000 + 2 * 1.0)


def test_memory_is_bounded() -> None:
    run = history(started(train_size=10_000_000))
    for number in range(1, 50_001):
        run.apply(step(number, epoch=1, seconds=number / 100))
    for series in (run.train_loss, run.train_accuracy, run.lr):
        assert len(series) <= CAPACITY
    assert len(run._speed_marks) <= SPEED_SECONDS * 100 + 2


def test_validation_does_not_count_as_slow_training() -> None:
    first = [step(number) for number in range(1, 11)]
    later = [step(number, seconds=number * BATCH / 2_000 + 60) for number in range(11, 15)]
    assert history(started(), *first, *later).images_per_second == pytest.approx(2_000)


def test_the_means_are_those_of_this_epoch() -> None:
    run = history(started(), *(step(number, loss=2.0, accuracy=0.2) for number in range(1, 11)))
    assert (run.epoch_loss, run.epoch_accuracy) == pytest.approx((2.0, 0.2))
    run.apply(step(11, loss=1.0, accuracy=0.5))
    run.apply(step(12, loss=0.5, accuracy=0.7))
    assert (run.epoch_loss, run.epoch_accuracy) == pytest.approx((0.75, 0.6))
    assert math.isnan(History().epoch_loss)


def test_the_best_epoch_is_the_first_of_equals() -> None:
    assert history(started(), epoch_done(1, val_accuracy=None)).best_epoch is None
    accuracies = (0.8, 0.9, 0.9, 0.7)
    epochs = [epoch_done(n, val_accuracy=value) for n, value in enumerate(accuracies, 1)]
    run = history(started(), *epochs)
    assert (run.best_epoch, run.last_epoch) == (epochs[1], epochs[3])


def test_a_cleared_finding_leaves_an_episode() -> None:
    worse = finding(evidence="worse")
    run = history(started(), step(1), finding(), step(2), worse)
    assert run.episodes == [Episode(worse, step=1, epoch=1)]
    run.apply(step(11))
    run.apply(FindingCleared(code=worse.code, step=11))
    assert run.episodes == []
    assert run.past_findings == [Episode(worse, 1, 1, cleared_step=11, cleared_epoch=2)]


def test_a_resumed_run_continues_from_its_checkpoint() -> None:
    run = history(started(), step(1), step(2), step(3), finished(reason="stopped"))
    assert run.is_over
    run.apply(RunResumed(step=2, epoch=1, images=200, threads=1, lines=3))
    assert (run.step, run.finished, run.is_over) == (2, None, False)
    assert len(run.train_loss) == 2


def test_a_rewind_takes_back_a_number_of_epochs() -> None:
    run = history(started(epochs=20), changed("epochs", 20, 25, images=5 * BATCH), step(6))
    assert run.knob("epochs") == 25
    run.apply(RunResumed(step=4, epoch=1, images=4 * BATCH, threads=1, lines=None))
    assert run.knob("epochs") == 20
    assert "epochs" not in run.settings
