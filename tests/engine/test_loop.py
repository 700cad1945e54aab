from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.runs import FakeClock, ScriptedInbox, bare_config, of, only, run, tiny_config
from tests.training import train
from tui_trainer.data.dataset import BatchStream, Data
from tui_trainer.engine import loop
from tui_trainer.engine.evaluation import Evaluation, evaluate
from tui_trainer.engine.run import Run
from tui_trainer.protocol.commands import Inbox, SetBatchSize
from tui_trainer.protocol.config import MODELS, OPTIMIZERS, RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    CLOCK_FIELDS,
    EpochDone,
    Event,
    RunFinished,
    RunStarted,
    SettingChanged,
    StateChanged,
    StepDone,
    TestEvaluated,
)
from tui_trainer.stats.intervals import wilson


def without_clock(events: list[Event]) -> list[dict[str, Any]]:
    return [
        {"event": type(event).__name__}
        | {key: value for key, value in asdict(event).items() if key not in CLOCK_FIELDS}
        for event in events
    ]


# --- it learns


@pytest.mark.slow
def test_a_small_model_learns_real_digits() -> None:
    config = RunConfig(model="small", train_size=2_000, val_size=500, epochs=3, batch_size=32)

    events = list(train(RunConfig(**config.as_dict() | {"threads": 1, "device": "cpu"}), Inbox()))

    epochs = of(EpochDone, events)
    assert epochs[-1].val_accuracy is not None
    assert epochs[-1].val_accuracy > 0.85
    assert epochs[0].train_loss > epochs[1].train_loss > epochs[2].train_loss
    end = only(RunFinished, events)
    assert end.test_accuracy is not None
    assert end.test_accuracy > 0.85
    assert (end.test_total, end.test_evaluations) == (10_000, 1)


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [*((model, "adam") for model in MODELS), *(("small", optimizer) for optimizer in OPTIMIZERS)],
)
@pytest.mark.sampled(5)
def test_every_model_and_every_optimizer_learns(tiny: Path, model: str, optimizer: str) -> None:
    few = model in ("pico", "nano")  # few parameters learn slower
    lr = 0.05 if optimizer == "sgd" else 0.02 if few else 0.005
    config = bare_config(tiny, model=model, optimizer=optimizer, lr=lr, epochs=5, augment="none")

    first, *_, last = of(EpochDone, run(config))

    assert last.train_loss < 0.8 * first.train_loss


# --- it is reproducible


@pytest.mark.parametrize("model", [pytest.param("small", marks=pytest.mark.slow), "era-s6-dropout"])
def test_the_same_seed_gives_the_same_events(tiny: Path, model: str) -> None:
    config = tiny_config(tiny, model=model)
    torch.manual_seed(1)
    first = list(train(config, Inbox()))
    torch.manual_seed(2)
    second = list(train(config, Inbox()))

    assert without_clock(first) == without_clock(second)


def test_with_the_same_clock_everything_is_the_same(tiny: Path) -> None:
    class Ticking(FakeClock):
        def __call__(self) -> float:
            self.now += 0.25
            return self.now

    first, second = (run(tiny_config(tiny), clock=Ticking()) for _ in range(2))

    assert first == second
    assert only(RunFinished, first).seconds > 0


def test_another_seed_gives_other_losses_on_the_same_split(tiny: Path) -> None:
    first, second = (run(bare_config(tiny, seed=seed)) for seed in (0, 1))

    losses = [[step.loss for step in of(StepDone, events)] for events in (first, second)]
    assert not set(losses[0]) & set(losses[1])
    assert only(RunStarted, first).mean == only(RunStarted, second).mean


def test_order_and_augmentation_do_not_depend_on_the_model(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each use of randomness has its own rng, so two models see the same images."""
    met: list[list[torch.Tensor]] = []
    prepare = Data.prepare

    def noting(data: Data, images: torch.Tensor, *augmentation: Any) -> torch.Tensor:
        pixels = prepare(data, images, *augmentation)
        if augmentation:
            met[-1].append(pixels.clone())
        return pixels

    monkeypatch.setattr(Data, "prepare", noting)
    for model in ("small", "era-s6-dropout"):
        met.append([])
        run(bare_config(tiny, model=model, probes=False))

    assert len(met[0]) == 14
    assert all(torch.equal(mine, yours) for mine, yours in zip(*met, strict=True))


# --- every image once an epoch


def test_twenty_changes_of_the_batch_size_skip_and_repeat_nothing(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[list[int]] = []
    begin_epoch, take = BatchStream.begin_epoch, BatchStream.take

    def noting_epoch(stream: BatchStream) -> None:
        met.append([])
        begin_epoch(stream)

    def noting(stream: BatchStream, count: int) -> torch.Tensor:
        indices = take(stream, count)
        met[-1] += indices.tolist()
        return indices

    monkeypatch.setattr(BatchStream, "begin_epoch", noting_epoch)
    monkeypatch.setattr(BatchStream, "take", noting)
    sizes = [1, 9, 2, 7, 3, 8, 1, 6, 4, 5, 2, 9, 3, 1, 7, 2, 8, 4, 1, 6]
    script = {step: [SetBatchSize(size)] for step, size in enumerate(sizes)}

    events = run(bare_config(tiny), ScriptedInbox(script))

    assert len(of(SettingChanged, events)) == 20
    steps = of(StepDone, events)
    assert [step.batch_size for step in steps[:20]] == sizes
    assert steps[19].epoch == 1
    assert len(met) == 2
    for epoch in (1, 2):
        assert sorted(met[epoch - 1]) == list(range(110))
        assert sum(step.batch_size for step in steps if step.epoch == epoch) == 110


# --- the order of the events and their values


def test_events_come_in_order(tiny: Path) -> None:
    events = run(tiny_config(tiny))

    def name(event: Event) -> str:
        return event.state if isinstance(event, StateChanged) else type(event).__name__

    story = [name(event) for event in events]
    seven = ["StepDone"] * 7
    first, second = [*seven[:2], "UpdateProbed", *seven[2:5], "UpdateProbed", *seven[5:]], seven[:]
    second.insert(3, "UpdateProbed")  # steps 2, 5 and 10
    wanted = [
        "preparing",
        "preparing",
        "RunStarted",
        "DataProbed",
        "training",
        "SampleProbed",
        *first,
    ]
    wanted += ["validating", "SampleProbed", "EpochDone"]
    wanted += ["training", *second, "validating", "EpochDone"]
    assert story == [*wanted, "testing", "TestEvaluated", "RunFinished"]


def test_run_started_describes_the_run(tiny: Path) -> None:
    started = only(RunStarted, run(tiny_config(tiny, model="era-s6-dropout", seed=5)))

    assert (started.train_size, started.val_size, started.test_size) == (110, 10, 40)
    assert (started.classes, started.image_size, started.dataset) == (10, 8, tiny.name)
    assert (started.model, started.seed, started.device) == ("era-s6-dropout", 5, "cpu")
    assert (started.batch_size, started.base_lr, started.threads) == (16, 0.05, 1)
    assert (started.augmentation, started.dropout) == (True, 0.05)
    assert sum(layer.parameters for layer in started.layers) == started.parameters == 19_568


def test_steps_count_batches_and_images(tiny: Path) -> None:
    steps = of(StepDone, run(bare_config(tiny)))

    assert [step.step for step in steps] == list(range(1, 15))
    assert [step.epoch for step in steps] == [1] * 7 + [2] * 7
    assert [step.batch_size for step in steps] == [16] * 6 + [14] + [16] * 6 + [14]
    assert [step.epoch_images for step in steps] == [16, 32, 48, 64, 80, 96, 110] * 2
    assert [step.images for step in steps] == [*range(16, 97, 16), 110, *range(126, 207, 16), 220]
    assert all(
        step.accuracy * step.batch_size == round(step.accuracy * step.batch_size, 9)
        for step in steps
    )


def test_an_epochs_training_figures_are_means_over_its_images(tiny: Path) -> None:
    events = run(bare_config(tiny))

    for epoch in of(EpochDone, events):
        steps = [step for step in of(StepDone, events) if step.epoch == epoch.epoch]
        loss = math.fsum(step.loss * step.batch_size for step in steps) / 110
        correct = round(math.fsum(step.accuracy * step.batch_size for step in steps))
        assert epoch.train_loss == pytest.approx(loss, rel=1e-12)
        assert epoch.train_accuracy == correct / 110
        assert epoch.step == steps[-1].step
        assert epoch.lr == steps[-1].lr


def test_validation_reports_interval_class_accuracies_and_rise(tiny: Path) -> None:
    events = run(bare_config(tiny, epochs=6, val_size=60, lr=0.2))

    epochs = of(EpochDone, events)
    losses = [epoch.val_loss for epoch in epochs if epoch.val_loss is not None]
    assert len(losses) == 6
    for index, epoch in enumerate(epochs):
        best = min(losses[: index + 1])
        assert epoch.val_correct is not None
        assert epoch.val_class_accuracy is not None
        assert epoch.val_total == 60
        assert epoch.val_accuracy == epoch.val_correct / 60
        assert epoch.val_interval == wilson(epoch.val_correct, 60)
        assert sum(share * 6 for share in epoch.val_class_accuracy if share) == pytest.approx(
            epoch.val_correct
        )
        assert epoch.val_loss_rise == pytest.approx(losses[index] - best, abs=1e-9)
        assert (epoch.val_loss_rise == 0) == (losses[index] == best)
        assert (epoch.val_loss_rise_error == 0) == (losses[index] == best)
    assert any(epoch.val_loss_rise for epoch in epochs), "a rise should have been seen"
    assert only(RunFinished, events).val_accuracy == epochs[-1].val_accuracy


def test_without_a_validation_split_its_fields_are_none(tiny: Path) -> None:
    events = run(bare_config(tiny, val_size=0))

    for epoch in of(EpochDone, events):
        reported = asdict(epoch)
        assert {reported[name] for name in reported if name.startswith("val_")} == {None}
    assert not [event for event in of(StateChanged, events) if event.state == "validating"]
    assert only(RunFinished, events).val_accuracy is None
    assert only(RunStarted, events).train_size == 120


def test_a_run_without_the_test_ends_in_order(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr("tui_trainer.data.dataset.HeldOutTest.open", opened.append)

    events = run(tiny_config(tiny, epochs=1, test=False))

    end = only(RunFinished, events)
    assert (end.reason, end.test_accuracy, end.test_evaluations) == ("completed", None, 0)
    assert (opened, of(TestEvaluated, events)) == ([], [])


def test_the_test_set_is_read_once_at_the_end(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Event] = []
    evaluated_after: list[Event] = []
    evaluation = Run.evaluate_test

    def noting(run: Run) -> TestEvaluated:
        evaluated_after.append(reported[-1])
        return evaluation(run)

    monkeypatch.setattr(Run, "evaluate_test", noting)
    for event in train(tiny_config(tiny), Inbox(), clock=FakeClock()):
        reported.append(event)

    assert evaluated_after == [StateChanged(state="testing", step=14)]
    test, end = only(TestEvaluated, reported), only(RunFinished, reported)
    assert (test.evaluation, test.step, test.images, test.test_total) == (1, 14, 220, 40)
    assert test.test_accuracy == test.test_correct / 40
    assert test.test_interval == wilson(test.test_correct, 40)
    assert end.test_evaluations == 1
    wanted = {key: value for key, value in asdict(test).items() if key.startswith("test_")}
    assert {key: asdict(end)[key] for key in wanted} == wanted


def test_label_smoothing_is_trained_on_but_not_reported(tiny: Path) -> None:
    plain, smooth = (
        of(StepDone, run(bare_config(tiny, label_smoothing=share))) for share in (0.0, 0.5)
    )

    assert smooth[0].loss == plain[0].loss  # the same weights, the same images
    assert smooth[1].loss != plain[1].loss  # one update later


def test_bf16_trains_float32_weights_with_coarser_gradients(tiny: Path) -> None:
    first, second, again = (
        list(run(bare_config(tiny, precision=name))) for name in ("float32", "bf16", "bf16")
    )
    exact, coarse = (of(StepDone, events) for events in (first, second))

    assert coarse[0].loss != exact[0].loss
    assert coarse[0].loss == pytest.approx(exact[0].loss, rel=0.01)
    losses = [step.loss for step in of(StepDone, again)]
    assert [step.loss for step in coarse] == losses  # the same bits


def test_tf32_is_refused_without_a_cuda_gpu(tiny: Path) -> None:
    with pytest.raises(InputError, match=r"--precision tf32: cpu has no TF32; use .*bf16"):
        list(run(tiny_config(tiny, precision="tf32", device="cpu")))


def test_run_finished_sums_up_a_completed_run(tiny: Path) -> None:
    *_, end = run(tiny_config(tiny, epochs=3))

    assert isinstance(end, RunFinished)
    assert (end.reason, end.epochs, end.step, end.parameters) == ("completed", 3, 21, 19_810)


# --- time


def test_seconds_are_training_time_and_speed_leaves_validation_out(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    train_step = loop.train_step

    def slow_step(run: Run) -> None:
        clock.now += 2
        train_step(run)

    def slow_validation(*args: Any) -> Evaluation:
        clock.now += 5
        return evaluate(*args)

    monkeypatch.setattr(loop, "train_step", slow_step)
    monkeypatch.setattr("tui_trainer.engine.run.evaluate", slow_validation)

    events = run(tiny_config(tiny), clock=clock)

    assert [step.seconds for step in of(StepDone, events)] == [*range(2, 15, 2), *range(21, 34, 2)]
    for epoch in of(EpochDone, events):
        assert epoch.seconds == 19
        assert epoch.images_per_second == pytest.approx(110 / 14)
    assert only(RunFinished, events).seconds == 38
