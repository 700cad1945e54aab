"""Complete events; a test changes only the fields it is about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tui_trainer.findings import with_findings
from tui_trainer.protocol.events import (
    EpochDone,
    Event,
    FindingCleared,
    FindingRaised,
    RunFinished,
    RunStarted,
    SettingChanged,
    StepDone,
    TestEvaluated,
)
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.loop_probed import LoopProbed, LossProbe, SchedulerProbe
from tui_trainer.protocol.probed import (
    DataProbed,
    LayerProbe,
    ModelProbed,
    NeighborLabels,
    ParameterProbe,
    SampleProbed,
    UpdateProbed,
)

TRAIN = 1_000
BATCH = 100

_STARTED = RunStarted(
    model="era-s6",
    dataset="mnist",
    classes=10,
    image_size=28,
    parameters=19_568,
    layers=(
        LayerRow(
            name="conv1", kind="conv", kernel="3×3", output_shape=(28, 28, 16), parameters=144
        ),
    ),
    train_size=TRAIN,
    val_size=500,
    test_size=200,
    mean=(0.13,),
    std=(0.31,),
    epochs=20,
    batch_size=BATCH,
    base_lr=0.1,
    optimizer="sgd",
    schedule="constant",
    augmentation=True,
    dropout=None,
    seed=0,
    device="cpu",
    threads=1,
)

_FINISHED = RunFinished(
    reason="completed",
    epochs=2,
    step=20,
    test_loss=0.03,
    test_accuracy=0.99,
    test_correct=198,
    test_total=200,
    test_interval=(0.96, 0.998),
    test_evaluations=1,
    val_accuracy=0.98,
    parameters=19_568,
    seconds=12.5,
)

_EPOCH = EpochDone(
    epoch=1,
    step=10,
    lr=0.1,
    train_loss=0.5,
    train_accuracy=0.85,
    val_loss=0.4,
    val_accuracy=0.9,
    val_correct=450,
    val_total=500,
    val_interval=(0.87, 0.92),
    val_class_accuracy=None,
    val_loss_rise=0.0,
    val_loss_rise_error=0.0,
    seconds=2.0,
    images_per_second=1_000.0,
)

_FINDING = FindingRaised(
    code="overfitting",
    severity="warning",
    title="overfitting since epoch 3",
    evidence="numbers",
    advice="switch augmentation on",
    step=30,
    lesson=15,
    fix_setting="augmentation",
    fix_value=1,
)


_EVALUATION = TestEvaluated(
    evaluation=1,
    step=1,
    images=100,
    test_loss=0.1,
    test_accuracy=0.9,
    test_correct=9,
    test_total=10,
    test_interval=(0.6, 0.98),
)


def evaluated(**changes: Any) -> TestEvaluated:
    return replace(_EVALUATION, **changes)


def started(**changes: Any) -> RunStarted:
    return replace(_STARTED, **changes)


def finished(**changes: Any) -> RunFinished:
    return replace(_FINISHED, **changes)


def finding(**changes: Any) -> FindingRaised:
    return replace(_FINDING, **changes)


def epoch_done(epoch: int = 1, **changes: Any) -> EpochDone:
    return replace(_EPOCH, **{"epoch": epoch, "step": epoch * TRAIN // BATCH, **changes})


def changed(setting: str, old: float, new: float, *, images: int = 0) -> SettingChanged:
    return SettingChanged(
        setting=setting,
        old=old,
        new=new,
        step=images // BATCH,
        epoch=images // TRAIN + 1,
        images=images,
    )


def step(number: int, *, loss: float = 0.5, batch: int = BATCH, **changes: Any) -> StepDone:
    """Return a step of a run with batches of constant size, trained at 2,000 images/s."""
    images = number * batch
    record = StepDone(
        step=number,
        epoch=(images - 1) // TRAIN + 1,
        epoch_images=(images - 1) % TRAIN + 1,
        images=images,
        batch_size=batch,
        loss=loss,
        accuracy=0.8,
        lr=0.1,
        seconds=images / 2_000,
    )
    return replace(record, **changes)


def epochs(val: Sequence[float | None], train: Sequence[float], *, error: float) -> list[EpochDone]:
    """Return epochs with these losses; ``error`` is the standard error of every rise."""
    made, best = [], math.inf
    for number, (val_loss, train_loss) in enumerate(zip(val, train, strict=False), 1):
        rise = None
        if val_loss is not None:
            best = min(best, val_loss)
            rise = val_loss - best
        rise_error = None if rise is None else error if rise else 0.0
        made.append(
            epoch_done(
                number,
                train_loss=train_loss,
                val_loss=val_loss,
                val_loss_rise=rise,
                val_loss_rise_error=rise_error,
            )
        )
    return made


def findings(events: Sequence[Event], codes: Sequence[str]) -> list[FindingRaised | FindingCleared]:
    """Return the events of these rules, without updates of their numbers only."""
    made: list[FindingRaised | FindingCleared] = []
    active: dict[str, FindingRaised] = {}
    for event in with_findings(iter(events)):
        if isinstance(event, FindingCleared):
            active.pop(event.code)
        elif isinstance(event, FindingRaised):
            before = active.get(event.code)
            active[event.code] = event
            if before and (before.title, before.advice) == (event.title, event.advice):
                continue
        if isinstance(event, FindingRaised | FindingCleared) and event.code in codes:
            made.append(event)
    return made


def parameter(name: str = "conv1.weight", **changes: Any) -> ParameterProbe:
    """Return a healthy parameter, with an update-to-weight ratio of 0.001."""
    probe = ParameterProbe(
        name=name, numel=100, is_weight=True, weight_norm=1.0, gradient_norm=0.1, update_norm=0.001
    )
    return replace(probe, **changes)


def update(number: int, **changes: Any) -> UpdateProbed:
    """Return a probe of a healthy update."""
    layers = tuple(parameter(f"conv{layer}.weight") for layer in (1, 2, 3))
    probe = UpdateProbed(
        step=number,
        epoch=(number * BATCH - 1) // TRAIN + 1,
        images=number * BATCH,
        lr=0.1,
        batch_size=BATCH,
        label_counts=(BATCH // 10,) * 10,
        eval_layers=(),
        gradient_norm=0.2,
        previous_gradient_norm=0.2,
        gradient_dot=0.02,
        descent_cosine=0.8,
        parameters=layers,
        input_share=0.1,
    )
    return replace(probe, **changes)


def loop(number: int = 50, **changes: Any) -> LoopProbed:
    """Return a probe of a healthy training loop; ``loss`` can be the fields of its loss."""
    loss = LossProbe(
        head="nll",
        activations=("log_softmax",),
        axis=1,
        has_graph=True,
        guess_loss=math.log(10),
        ratio=1.0,
        direction=1,
        agreement=1.0,
        shift=0,
        label_range=(0, 9),
        is_relabeled=True,
    )
    return replace(
        LoopProbed(
            step=number,
            epoch=1,
            images=number * BATCH,
            optimizer="SGD",
            updates=number,
            backwards=number,
            gradient_norm=0.8,
            update_gradient_norm=0.8,
            parameters=8,
            optimized=8,
            loss=replace(loss, **changes.pop("loss", {})),
            mode_layers=("norm1",),
            kept_graphs=0,
            sampled_graphs=4,
            sampler="RandomSampler",
        ),
        **changes,
    )


def scheduler(**changes: Any) -> SchedulerProbe:
    """Return a scheduler that was stepped once."""
    return replace(SchedulerProbe(name="StepLR", steps=1, length=5, decay=0.63), **changes)


def even(correct: int = 38, wrong: int = 2) -> tuple[tuple[int, ...], ...]:
    """Return a confusion matrix of ten classes: ``correct`` on the diagonal, errors next to it."""
    return tuple(
        tuple(correct if c == k else wrong if c == (k + 1) % 10 else 0 for c in range(10))
        for k in range(10)
    )


def layer(name: str = "relu1", **changes: Any) -> LayerProbe:
    probe = LayerProbe(name=name, kind="relu", units=16, dead=0, saturated=0.0, mean=0.3, std=0.5)
    return replace(probe, **changes)


def row(name: str, kind: str = "fully connected", **changes: Any) -> LayerRow:
    """Return a row of the layer table."""
    layer_row = LayerRow(name=name, kind=kind, kernel="", output_shape=(1, 1, 10), parameters=100)
    return replace(layer_row, **changes)


def tried(**changes: Any) -> ModelProbed:
    """Return the checks of a healthy model."""
    probe = ModelProbed(batch_gap=1e-6, random_gap=0.0, state_gap=0.0, image_gap=0.4)
    return replace(probe, **changes)


def votes(per_class: int = 1_000) -> tuple[tuple[int, ...], ...]:
    """Return the labels of neighbors that all agree with the image."""
    return tuple(tuple(per_class if c == k else 0 for c in range(10)) for k in range(10))


def mixed(
    label: int, other: int, share: float, per_class: int = 250
) -> tuple[tuple[int, ...], ...]:
    """Return the same, but for a share of one class's neighbors that have another label."""
    rows = [list(row) for row in votes(per_class)]
    rows[label][other] = round(per_class * share)
    rows[label][label] -= rows[label][other]
    return tuple(map(tuple, rows))


def neighbors(**changes: Any) -> NeighborLabels:
    """Return the labels of a clean dataset's neighbors."""
    clean = NeighborLabels(
        images=1_000,
        agreeing=940,
        unanimous=800,
        contradicted=6,
        largest_pair=2,
        votes=votes(),
        references=8_000,
        core_votes=votes(250),
        linear_agreeing=850,
    )
    return replace(clean, **changes)


def data_probe(**changes: Any) -> DataProbed:
    """Return the checks of a clean dataset."""
    probe = DataProbed(
        train_counts=(1_000,) * 10,
        val_counts=(200,) * 10,
        shared_images=0,
        relabeled_images=0,
        blank_images=0,
        neighbors=neighbors(),
        val_neighbors=neighbors(agreeing=930),
    )
    return replace(probe, **changes)


def sample(number: int = 0, **changes: Any) -> SampleProbed:
    """Return a healthy probe of the sample after a number of steps."""
    confusion = changes.get("confusion", even())
    probe = SampleProbed(
        step=number,
        epoch=0 if not number else (number * BATCH - 1) // TRAIN + 1,
        images=number * BATCH,
        sample_size=sum(map(sum, confusion)),
        loss=0.2 if number else 2.3,
        loss_error=0.01,
        correct=sum(row[label] for label, row in enumerate(confusion)),
        batch_norm_gap=0.0,
        batch_norm_gap_error=0.001,
        confidence=0.9,
        confidence_p90=0.99,
        confusion=confusion,
        logit_min=-5.0,
        logit_max=9.0,
        are_probabilities=False,
        input_mean=0.0,
        input_std=1.0,
        val_mean=0.01,
        val_std=1.01,
        layers=(layer(),),
    )
    return replace(probe, **changes)
