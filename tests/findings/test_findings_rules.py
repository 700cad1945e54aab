"""Each rule on a run with its problem, and on one that just does not have it.

The error rates on real runs are measured by ``tests/benchmarks/findings``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files

import pytest

from tests.protocol import facts
from tests.protocol.facts import (
    TRAIN,
    changed,
    data_probe,
    epoch_done,
    evaluated,
    even,
    layer,
    loop,
    mixed,
    neighbors,
    parameter,
    row,
    sample,
    scheduler,
    started,
    step,
    tried,
    update,
)
from tui_trainer.course.topics import TOPICS
from tui_trainer.findings import RULES, evaluable_rules, with_findings
from tui_trainer.findings.learning_rates import noise_scale
from tui_trainer.history.history import History
from tui_trainer.protocol.events import (
    EpochDone,
    Event,
    FindingCleared,
    FindingRaised,
    RunStarted,
)
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.probed import ParameterProbe
from tui_trainer.text.fmt import columns

START = started(epochs=20)
GUESSING = 2.302585


def learning(count: int, loss: float = 0.3, first: int = 1) -> list[Event]:
    """Return steps with a constant loss."""
    return [step(number, loss=loss) for number in range(first, first + count)]


def at_rates(*rates: float) -> list[Event]:
    """Return 15 steps at each learning rate, with a loss of 1."""
    return [step(number, loss=1.0, lr=rates[number // 15]) for number in range(15 * len(rates))]


def probed(**changes: object) -> list[Event]:
    """Return four consecutive sampled updates, all equal."""
    return [update(number, **changes) for number in (2, 5, 10, 20)]


def each(**changes: object) -> list[Event]:
    """Return four sampled updates with each parameter changed like this."""
    layers = tuple(replace(p, **changes) for p in update(1).parameters)  # type: ignore[arg-type]
    return probed(parameters=layers)


def accuracies(*missing: int, rest: float = 0.95) -> tuple[float, ...]:
    return tuple(0.02 if label in missing else rest for label in range(10))


def _moved(share: float) -> tuple[ParameterProbe, ...]:
    return tuple(replace(p, update_norm=share) for p in update(1).parameters)


def by_layer(*gradients: float) -> list[Event]:
    layers = (parameter(f"w{i}", gradient_norm=g) for i, g in enumerate(gradients))
    return probed(parameters=tuple(layers))


def far_updates(last: float = 0.02, **changes: object) -> list[Event]:
    """Return four large updates after the start; ``last`` is that of the last layer."""
    *hidden, end = (replace(p, **changes) for p in _moved(0.02))  # type: ignore[arg-type]
    end = replace(end, update_norm=last, radial_cosine=0.1)
    return [update(n, parameters=(*hidden, end)) for n in (150, 200, 250, 300)]


def shrinking_updates(factor: float) -> list[Event]:
    """Return four updates to weights of 0; each begins with that much of the weights."""
    return [
        update(n, shrinkage_cosine=0.5, parameters=tuple(_shrunk(factor**i)))
        for i, n in enumerate((2, 5, 10, 20))
    ]


def _shrunk(norm: float) -> list[ParameterProbe]:
    return [replace(p, weight_norm=norm) for p in update(1).parameters]


DROPOUT = LayerRow(name="drop1", kind="dropout", kernel="", output_shape=(1, 1, 64), parameters=0)
NOISY = tuple(tuple(30 if k == c else 1 for c in range(10)) for k in range(10))
PAIRS = tuple(tuple(30 if k == c else 9 * (c == k ^ 1) for c in range(10)) for k in range(10))
ONE_LABEL = tuple((30 if k == 4 else 0, *([0] * 9)) for k in range(10))
NO_SEVEN = tuple(tuple(0 if k == 7 else n for n in row) for k, row in enumerate(even()))


@dataclass(frozen=True)
class Twins:
    """A rule, events that raise its finding, and events that do not."""

    code: str
    bad: Sequence[Event]
    good: Sequence[Event]
    severity: str = "error"
    contains: str = ""
    start: RunStarted = field(default=START)


def epochs(count: int, **changes: object) -> list[Event]:
    return [epoch_done(number, **changes) for number in range(1, count + 1)]


def loops(*steps: int, **changes: object) -> list[Event]:
    """Return probes of a user's training loop after these steps, all equal."""
    return [loop(number, **changes) for number in steps or (2, 5, 10)]


def labels(**changes: object) -> list[Event]:
    """Return probes of a loop whose loss has other labels."""
    return loops(loss={"agreement": 0.1, "shift": None, "is_relabeled": False, **changes})


def scheduled(*events: Event, step: int = 50, **changes: object) -> list[Event]:
    """Return events, and the probe of a loop with a scheduler."""
    return [*events, loop(step, schedulers=(scheduler(**changes),))]


SUMMED = loops(loss={"ratio": 100.0, "guess_loss": 230.0})
SCRIPT = started(epochs=20, script="train.py")
TINY = [update(n, parameters=_moved(1e-6)) for n in (2, 5, 10)]

MOVED = [update(n, parameters=_moved(0.005)) for n in (2, 5, 10, 20, 40, 80)]
SHRINKING = [
    update(n, parameters=(parameter(gradient_norm=0.1, update_norm=0.01 / n),))
    for n in (5, 10, 20, 40)
]
SCALED = tuple(layer(f"fc{i}", kind="fully connected", std=0.1) for i in (1, 2))
SPEEDS = tuple(enumerate((3_000, 3_000, 3_000, 2_900, 900, 900, 900, 300, 300), 1))
UNLEARNED = epochs(3, train_loss=1.0, train_accuracy=0.5)
STALLED = [*UNLEARNED, sample(30, confusion=even(20, 20)), UNLEARNED[-1]]


def stalled_at(lr: float) -> list[Event]:
    """Return the stalled epochs at a learning rate."""
    return [replace(event, lr=lr) if isinstance(event, EpochDone) else event for event in STALLED]


LOOP_TWINS = [
    Twins("other_parameters", loops(optimized=0, foreign=8), loops(foreign=2), "error", "0 of"),
    Twins("no_update", loops(40, updates=0, has_moved=False), loops(5, updates=0), "error", "40"),
    Twins(
        "no_loss_gradient",
        loops(is_reached=False, update_gradient_norm=0.0),
        loops(is_reached=False),
        "error",
        "no parameter",
    ),
    Twins(
        "cleared_gradients",
        loops(update_gradient_norm=0.0),
        loops(gradient_norm=0.0, update_gradient_norm=0.0),
        "error",
        "0.8 after",
    ),
    Twins(
        "step_before_backward",
        [loop(n, stale_updates=n) for n in (2, 5, 10)],
        loops(stale_updates=1),
        "warning",
        "5 of 5",
    ),
    Twins("loss_negated", loops(loss={"direction": -1}), loops(loss={"direction": 0}), "error"),
    Twins("softmax_axis", loops(loss={"axis": 0}), loops(loss={"axis": -1}), "error", "dim=0"),
    Twins(
        "loss_without_log",
        loops(loss={"is_raw": True}),
        loops(loss={"activations": ("softmax",), "is_log": True}),
        "error",
        "outputs",
    ),
    Twins("loss_labels", labels(), labels(is_relabeled=True), "error", "10 %"),
    Twins("loss_labels", labels(previous=1.0), labels(agreement=0.9), "error", "batch before"),
    Twins("loss_labels", labels(rolled=1.0), labels(agreement=None), "error", "by one example"),
    Twins(
        "loss_labels",
        labels(is_relabeled=True, shift=-1),
        labels(is_relabeled=True, shift=-1, label_range=(1, 10)),
        "error",
        "minus 1",
    ),
    Twins(
        "loss_summed",
        [*SUMMED, *learning(50, loss=200.0), *SUMMED],
        [*SUMMED, *learning(50, loss=9.0), *SUMMED],
        "warning",
        "100 times",
    ),
    Twins(
        "clipped_gradients",
        [*TINY, *loops(gradient_norm=9.0)],
        [*TINY, *loops(gradient_norm=0.8 * 2**10)],
        "warning",
        "8.9 %",
    ),
    Twins(
        "validation_in_training_mode",
        loops(is_epoch=True, training_mode_images=500, evaluated_images=500),
        loops(is_epoch=True, training_mode_images=500, evaluated_images=600),
        "warning",
        "500 of 500",
    ),
    Twins("examples_mixed", loops(is_mixed=True), loops(), "error", "since step"),
    Twins("kept_graph", loops(kept_graphs=4), loops(kept_graphs=1), "warning", "4 of the last 4"),
    Twins("double_precision", loops(dtype="float64"), loops(dtype="bfloat16"), "note"),
    Twins("scheduler_order", scheduled(is_early=True), scheduled(), "warning", "StepLR"),
    Twins("scheduler_pace", scheduled(steps=50), scheduled(steps=5), "warning", "50 times"),
    Twins(
        "scheduler_pace",
        scheduled(*epochs(3), name="OneCycleLR", steps=3, length=200, decay=None),
        scheduled(*epochs(3), name="OneCycleLR", steps=50, length=200, decay=None),
        "warning",
        "made for 200 steps",
    ),
    Twins("scheduler_unused", scheduled(*epochs(3), steps=0), scheduled(*epochs(3)), "warning"),
    Twins(
        "same_order",
        loops(sampler="SequentialSampler"),
        loops(sampler="WeightedRandomSampler"),
        "note",
    ),
    Twins(
        "probabilities",
        loops(loss={"activations": ("log_softmax", "softmax")}),
        [sample(are_probabilities=True), *loops(loss={"head": "mse", "activations": ("softmax",)})],
        "error",
        "graph of the loss",
        SCRIPT,
    ),
    Twins(
        "leak",
        loops(is_epoch=True, overlap=50, overlap_size=500),
        loops(is_epoch=True, overlap=0, overlap_size=500),
        "error",
        "50 of 500",
    ),
    Twins(
        "leak",
        loops(
            *(9, 10),
            is_epoch=True,
            shared_images=50,
            validation_sampled=500,
            training_sampled=500,
            training_size=TRAIN,
        ),
        loops(
            *(9, 10),
            is_epoch=True,
            shared_images=4,
            validation_sampled=500,
            training_sampled=500,
            training_size=TRAIN,
        ),
        "error",
        "about 20 %",
    ),
]
"""The twins of rules about a user's own training loop."""

TWINS = [
    *LOOP_TWINS,
    Twins(
        "labels_shuffled",
        [data_probe(neighbors=neighbors(agreeing=110, linear_agreeing=100))],
        [
            data_probe(),
            data_probe(neighbors=neighbors(agreeing=400)),
            data_probe(neighbors=neighbors(agreeing=110, linear_agreeing=180)),
        ],
        "warning",
        "11.00 %",
    ),
    Twins(
        "label_confusion",
        [data_probe(neighbors=neighbors(core_votes=mixed(7, 1, 0.4)))],
        [data_probe(neighbors=neighbors(core_votes=mixed(7, 1, 0.1)))],
        "warning",
        "class 7",
    ),
    Twins(
        "classes_overlap",
        [data_probe(relabeled_images=400)],
        [data_probe(relabeled_images=10), data_probe(relabeled_images=400, blank_images=400)],
        "warning",
        "400",
    ),
    Twins(
        "test_below_validation",
        [*epochs(2), evaluated(step=100, test_accuracy=0.8, test_correct=8_000, test_total=10_000)],
        [*epochs(2), evaluated(step=100)],
        "warning",
        "points less",
    ),
    Twins("leak", [data_probe(shared_images=900)], [data_probe(shared_images=4)], contains="900"),
    Twins(
        "class_imbalance",
        [data_probe(train_counts=(1_000,) * 9 + (20,))],
        [data_probe(train_counts=(1_000,) * 9 + (0,)), data_probe(train_counts=(900, 300) * 5)],
        "warning",
        "20 of class 9",
    ),
    Twins("blank_images", [data_probe(blank_images=2_000)], [data_probe(blank_images=100)]),
    Twins(
        "gradient_sign",
        [tried(gradient_ratio=-1.0)],
        [tried(gradient_ratio=0.6), tried(gradient_ratio=None)],
        contains="-1 times",
    ),
    Twins(
        "loss_function",
        [tried(gradient_ratio=40.3)],
        [tried(gradient_ratio=1.2), tried(gradient_ratio=-40.0)],
        "warning",
        "40.3 times",
    ),
    Twins("equal_units", [tried(equal_units=("fc1.weight",))], [tried()], contains="1 layer"),
    Twins(
        "not_registered", [tried(not_registered=("_l.0.weight",))], [tried()], contains="1 tensor"
    ),
    Twins(
        "not_registered",
        [tried(not_registered=("a tensor of shape (3,)",), random_gap=0.3)],
        [tried(random_gap=0.3)],
        contains="built in forward()",
    ),
    Twins("input_destroyed", [tried(first_input_std=0.0)], [tried(first_input_std=0.1)]),
    Twins(
        "input_destroyed",
        [tried(pixels_used=0.1)],
        [tried(pixels_used=0.25), tried(pixels_used=0.0, image_gap=0.0)],
        "warning",
        "10 %",
    ),
    Twins(
        "input_destroyed",
        [tried(first_input_smoothness=0.1)],
        [tried(first_input_smoothness=0.9)],
        "note",
        "0.10 times",
    ),
    Twins(
        "input_destroyed",
        [tried(first_input_smoothness=0.1, random_gap=0.5)],
        [tried(first_input_smoothness=0.1)],
    ),
    Twins("bn_momentum", [tried(frozen_statistics=("bn1",))], [tried()], "warning", "bn1"),
    Twins(
        "logits_bounded",
        [tried(logit_range=(-1.0, 1.0), logits_at_bound=0.8), sample()],
        [
            tried(logit_range=(-30.0, 30.0), logits_at_bound=0.8),
            tried(logit_range=(-400.0, 0.0), logits_at_bound=0.1),
            tried(logit_range=(0.0, 0.0), logits_at_bound=1.0),
            tried(logit_range=(-1.0, 1.0), logits_at_bound=0.8, image_gap=1e-6),
            sample(),
        ],
        "warning",
        "below 0.80",
    ),
    Twins(
        "logits_bounded",
        [tried(logit_range=(0.0, 76.0), logits_at_bound=0.5), sample()],
        [tried(logit_range=(-76.0, 76.0), logits_at_bound=0.01), sample()],
        "warning",
        "exactly 0",
    ),
    Twins(
        "hidden_softmax", [tried(hidden_softmax=("act1",))], [tried()], "warning", "1 softmax over"
    ),
    Twins(
        "linear_model",
        [tried()],
        [started(layers=(row("fc1"), row("relu", "relu"), row("fc2"))), tried()],
        "warning",
        "2 layers with weights",
        start=started(layers=(row("fc1"), row("fc2"))),
    ),
    Twins("linear_model", [tried(is_linear=True)], [tried(is_linear=False)], "note", "affine"),
    Twins(
        "not_updated",
        [update(2, parameters=(parameter("a", optimized=True), parameter("b", optimized=False)))],
        probed(parameters=(parameter("a", optimized=True, update_norm=0.0),)),
        contains="the optimizer does not have it",
    ),
    Twins(
        "no_zero_grad",
        probed(accumulated=True),
        [update(2, accumulated=True), update(5), update(10, accumulated=True)],
        contains="zero_grad",
    ),
    Twins(
        "weights_replaced",
        [update(n, parameters=(parameter("fc.weight", replaced=True),)) for n in (5, 10)],
        [update(n, parameters=(parameter("fc.weight", replaced=n == 10),)) for n in (5, 10)],
        contains="2 times",
    ),
    Twins(
        "weights_replaced",
        [update(5, parameters=(parameter("fc.weight", replaced=True),))],
        [update(2, parameters=(parameter("fc.weight", replaced=True),))],
        "warning",
        "1 time",
    ),
    Twins(
        "train_transform",
        [tried(training_gap=0.4), *learning(100), sample(100, confusion=even(8, 32))],
        [
            *(tried(training_gap=0.4), *learning(100), sample(100)),
            *(tried(training_gap=0.4, training_random_gap=0.3), sample(100, confusion=even(8, 32))),
        ],
        contains="40 % of the range",
    ),
    Twins(
        "augmentation_labels",
        [tried(mirrored=0.7), sample()],
        [tried(mirrored=0.0), sample()],
        "warning",
        "70 %",
    ),
    Twins(
        "augmentation_strong",
        [sample(100, known=200, known_augmented=140)],
        [sample(100, known=200, known_augmented=160), sample(100, known=20, known_augmented=10)],
        "warning",
        "30 %",
    ),
    Twins(
        "augmentation_strong",
        [
            tried(training_gap=0.4, training_random_gap=0.3),
            sample(100, known=200, known_in_training=160),
        ],
        [tried(training_gap=0.4), sample(100, known=200, known_in_training=160)],
        "note",
        "20 %",
    ),
    Twins(
        "logits_scaled",
        [sample(layers=SCALED, logit_min=-0.002, logit_max=0.002)],
        [sample(layers=SCALED, logit_min=-0.2, logit_max=0.2)],
        "warning",
        start=started(layers=(row("fc1"), row("fc2"), row("div", "div"))),
    ),
    Twins(
        "init_small",
        [sample(layers=tuple(layer(f"c{i}", kind="conv", std=10.0**-i) for i in range(9)))],
        [sample(layers=tuple(layer(f"c{i}", kind="conv", std=2.0**-i) for i in range(9)))],
        "warning",
        "1.0e-07",
    ),
    Twins(
        "low_precision",
        [*learning(10, 1.0), *each(unmoved=0.8, eps=2**-7)],
        [*learning(10, 1.0), *each(unmoved=0.8, update_norm=0.0), *each(unmoved=0.3, eps=2**-7)],
        "warning",
        "80 %",
    ),
    Twins(
        "schedule",
        [*learning(10, 1.0), *probed(lr=1e-6)],
        [*learning(10, 1.0), *probed(lr=1e-3)],
        "warning",
        "1e-06",
    ),
    Twins(
        "schedule",
        [*learning(10, 1.0), *SHRINKING],
        [*learning(10, 1.0), *SHRINKING[::-1]],
        "warning",
        "and shrink",
    ),
    Twins(
        "depends_on_batch",
        [tried(batch_gap=0.4)],
        [tried(batch_gap=0.005), tried(batch_gap=0.4, random_gap=0.4), tried(state_gap=0.4)],
        contains="40 %",
    ),
    Twins(
        "depends_on_batch",
        [tried(batch_gap=float("nan"))],
        [tried(image_gap=0.0)],
        contains="nan times",
    ),
    Twins(
        "random_in_evaluation",
        [tried(random_gap=0.3, batch_gap=0.3)],
        [tried(random_gap=0.001, batch_gap=0.3)],
        "warning",
        "dropout",
    ),
    Twins("probabilities", [sample(are_probabilities=True)], [sample()], contains="softmax"),
    Twins(
        "evaluation_mode",
        probed(eval_layers=("bn1", "bn2")),
        [update(2, eval_layers=("bn1",)), update(5), update(10, eval_layers=("bn1",))],
        contains="bn1, bn2",
    ),
    Twins(
        "evaluation_mode",
        probed(eval_layers=("bn1",), is_training=True),
        probed(is_training=True),
        "note",
        "bn1",
    ),
    Twins(
        "no_gradient",
        probed(
            parameters=(
                parameter("conv1.weight", gradient_norm=None, update_norm=0.0),
                parameter("b"),
            )
        ),
        probed(parameters=(parameter("a"), parameter("bias", gradient_norm=0.0, is_weight=False))),
        "warning",
        "conv1.weight",
    ),
    Twins(
        "no_gradient",
        [
            sample(unused_parameters=()),
            *probed(parameters=(parameter("cut", gradient_norm=None), parameter("b"))),
        ],
        [
            sample(unused_parameters=("idle",)),
            *probed(
                parameters=(
                    parameter("idle", gradient_norm=None),
                    parameter("still", gradient_norm=None, frozen=True),
                )
            ),
        ],
        contains="detach()",
    ),
    Twins(
        "frozen_parameters",
        probed(parameters=(parameter("a", gradient_norm=None, frozen=True), parameter("b"))),
        probed(parameters=(parameter("a", gradient_norm=None), parameter("b"))),
        "note",
        "1 parameter tensor frozen",
    ),
    Twins(
        "unused_parameters",
        [sample(unused_parameters=("bn3.weight",)), *probed(parameters=(parameter("bn3.weight"),))],
        [sample(unused_parameters=()), *probed(parameters=(parameter("bn3.weight"),))],
        "note",
        "bn3.weight",
    ),
    Twins(
        "not_updated",
        probed(parameters=(parameter("conv1.weight"), parameter("out.bias", update_norm=0.0))),
        probed(parameters=(parameter("conv1.bias", update_norm=0.0, gradient_norm=1e-9),)),
        contains="out.bias",
    ),
    Twins(
        "not_updated",
        probed(parameters=(parameter("conv1.weight"), parameter("out.bias", update_norm=0.0))),
        probed(parameters=(parameter("a", update_norm=0.0),), lr=0.0),
        contains="out.bias",
    ),
    Twins(
        "uphill",
        probed(descent_cosine=-0.9),
        [*probed(descent_cosine=-0.1), update(30, descent_cosine=-0.9)],
    ),
    Twins(
        "uphill",
        [*learning(10, 0.3), *learning(10, 0.9, 11), *probed(descent_cosine=-0.9)],
        [*learning(20, 0.3), *probed(descent_cosine=-0.9)],
    ),
    Twins(
        "input_scale",
        [sample(input_mean=33.0, input_std=79.0)],
        [sample(input_std=1.9)],
        "warning",
        "79",
    ),
    Twins("input_scale", [sample(input_mean=0.13, input_std=0.31)], [sample()], "note"),
    Twins(
        "validation_differs",
        [sample(val_std=0.5)],
        [sample(val_mean=0.2, val_std=0.8)],
        contains="0.5",
    ),
    Twins("validation_differs", [sample(val_mean=1.0)], [sample(val_mean=None, val_std=None)]),
    Twins("constant_labels", [sample(confusion=ONE_LABEL)], [sample()], contains="4"),
    Twins(
        "not_shuffled",
        [sample(), *probed(label_counts=(0, 0, 100, 0, 0, 0, 0, 0, 0, 0))],
        [sample(), *probed(label_counts=(4, 16, 8, 13, 10, 7, 12, 9, 11, 10))],
        contains="100 of 100 images",
    ),
    Twins(
        "exploding_logits",
        [sample(loss=40.0, logit_max=900.0), *learning(10, 30.0), update(10)],
        [sample(loss=40.0), *learning(1, 7.0), *learning(9, 2.0, 2), update(10)],
        contains="40",
    ),
    Twins(
        "exploding_logits",
        [sample(loss=400.0), *learning(1, 400.0), update(2)],
        [sample(loss=400.0), *learning(1, 2.3), update(2)],
    ),
    Twins("dead_units", [sample(layers=(layer(dead=16),))], [sample(layers=(layer(dead=7),))]),
    Twins(
        "dead_units",
        [sample(10, layers=(layer(dead=9),)), sample(20, layers=(layer(dead=9),))],
        [sample(10, layers=(layer(dead=9),)), sample(20, layers=(layer(dead=7),))],
        "note",
        "9 of 16 ReLUs dead in relu1",
    ),
    Twins(
        "dead_units",
        [sample(n, layers=(layer(dead=9), layer("relu2", dead=9))) for n in (10, 20)],
        [sample(n, layers=(layer(dead=9), layer("relu2", dead=3))) for n in (10, 20)],
        "warning",
    ),
    Twins(
        "saturated",
        [sample(layers=(layer("s1", kind="activation", saturated=0.9),))],
        [sample(layers=(layer("s1", kind="activation", saturated=0.5),))],
        "warning",
    ),
    Twins(
        "vanishing_gradients",
        [*learning(10, 2.3), *by_layer(1e-6, 1e-4, 0.1)],
        [*learning(10, 2.3), *by_layer(1e-3, 1e-2, 0.1)],
    ),
    Twins(  # weight norm's scale before a norm: its gradient cancels
        "vanishing_gradients",
        [*learning(10, 2.3), *by_layer(1e-6, 1e-4, 0.1)],
        [
            *learning(10, 2.3),
            *probed(
                parameters=(
                    parameter("conv.weight_g", gradient_norm=1e-7, fan_in=1),
                    *(parameter(f"w{i}", gradient_norm=0.1) for i in range(3)),
                )
            ),
        ],
    ),
    Twins(
        "learning_rate_high",
        [*learning(10, 2.3), *each(update_norm=0.06)],
        [*learning(10, 2.2), *each(update_norm=0.06)],
    ),
    Twins(
        "learning_rate_high",
        [*learning(160, 1.3), *far_updates()],
        [*learning(160, 1.1), *far_updates()],  # it still learns, if slowly
    ),
    Twins(
        "learning_rate_high",
        [*learning(310, 0.3), *far_updates()],
        [*learning(150, 0.3), *learning(160, 0.25, 151), *far_updates()],
        "warning",
        "13 % of random guessing's and does not fall",
    ),
    Twins(
        "learning_rate_high",
        [*learning(310, 0.3), *far_updates(radial_cosine=0.1)],
        [*learning(310, 0.3), *far_updates(radial_cosine=1e-6, last=0.001)],
        "warning",
    ),
    Twins(
        "learning_rate_low",
        [*learning(10, 2.3), *each(update_norm=1e-6)],
        [*learning(10, 0.2), *each(update_norm=1e-6)],
        "warning",
        "by 1000 (--lr 100)",
    ),
    Twins(
        "learning_rate_low",
        [*learning(10, 2.3), *each(update_norm=2e-4)],
        [*learning(10, 2.3), *each(update_norm=6e-4)],
        "warning",
        "200 steps move the weights by 4 % of their norm",
    ),
    Twins(
        "loss_rising",
        [*learning(100, 0.1), *learning(100, 3.2, 101)],
        [*learning(100, 0.1), *learning(100, 0.4, 101)],
    ),
    Twins(
        "loss_rising",
        [*learning(100, 0.1), *learning(100, 1.5, 101)],
        [*learning(100, 0.1), *learning(100, 0.4, 101)],
        "note",
    ),
    Twins(
        "loss_rising",
        [*learning(100, 0.1), *learning(700, 1.5, 101)],
        [*learning(100, 0.1), *learning(700, 0.4, 101)],
        contains="1.5",
    ),
    Twins(
        "not_learning",
        [*MOVED, *learning(700, GUESSING)],
        [*MOVED, *learning(700, 2.1)],
        contains="ln 10",
    ),
    Twins(
        "not_learning",
        [*probed(), *learning(1_100, GUESSING)],
        [*probed(), *learning(900, GUESSING)],
        start=started(epochs=200),
    ),
    Twins(
        "dropout_high",
        epochs(1, train_accuracy=0.5),
        epochs(1, train_accuracy=0.8),
        "warning",
        start=started(dropout=0.9),
    ),
    Twins(
        "dropout_high",
        [tried(dropout=0.95)],
        [tried(dropout=0.8), *epochs(1, train_accuracy=0.8)],
        "warning",
        "95 %",
    ),
    Twins(
        "few_steps",
        [*learning(20, 1.8), *epochs(2)],
        [*learning(20, 0.3), *epochs(2)],
        "warning",
        "20 steps",
        start=started(epochs=2),
    ),
    Twins(
        "chance_level",
        epochs(12, train_accuracy=0.9, val_accuracy=0.1, val_interval=(0.08, 0.13)),
        epochs(9, train_accuracy=0.9, val_accuracy=0.1, val_interval=(0.08, 0.13)),
        contains="chance",
    ),
    Twins(
        "labels_noisy",
        [
            sample(20, confusion=NOISY, confidence_p90=0.8),
            sample(30, confusion=NOISY, confidence_p90=0.8),
        ],
        [
            sample(20, confusion=PAIRS, confidence_p90=0.8),
            sample(30, confusion=NOISY, confidence_p90=0.8),
        ],
        "warning",
        "23 %",
    ),
    Twins(
        "class_missing",
        epochs(3, val_class_accuracy=accuracies(3)),
        epochs(2, val_class_accuracy=accuracies(3)),
        "warning",
        "class 3",
    ),
    Twins(
        "class_missing",
        [sample(confusion=NO_SEVEN), *epochs(1, val_class_accuracy=accuracies(7, rest=0.7))],
        [sample(confusion=NO_SEVEN), *epochs(1, val_class_accuracy=accuracies(rest=0.7))],
        contains="class 7",
    ),
    Twins(
        "batch_too_small",
        [update(n, gradient_dot=0.0, parameters=_moved(0.01)) for n in (150, 200, 250, 300)],
        [
            *learning(10, 0.2),
            *(update(n, gradient_dot=0.0, parameters=_moved(0.01)) for n in (150, 200, 250, 300)),
        ],
        "warning",
        start=started(batch_size=4),
    ),
    Twins(
        "batch_norm_gap",
        [sample(150, batch_norm_gap=-0.9), sample(200, batch_norm_gap=-0.9)],
        [
            sample(50, batch_norm_gap=-0.9),
            sample(100, batch_norm_gap=-0.9),
            sample(200, batch_norm_gap=-0.1),
        ],
        "note",
    ),
    Twins(
        "batch_norm_gap",
        [sample(n, batch_norm_gap=-0.9) for n in (150, 200, 250, 300, 350)],
        [sample(n, batch_norm_gap=-0.9) for n in (150, 200, 250, 300)],
        "warning",
    ),
    Twins(
        "weight_decay_high",
        [*learning(10, 1.0), *shrinking_updates(0.93)],
        [*learning(10, 0.1), *shrinking_updates(0.93)],
        "warning",
        "to 86 % of their norm",
    ),
    Twins(
        "weight_decay_high",
        [*learning(10, 1.0), *shrinking_updates(0.93)],
        [*learning(10, 1.0), *shrinking_updates(0.99)],
        "warning",
        "3.7 times as much as the gradient",
        start=started(epochs=20, weight_decay=0.5),
    ),
    Twins(
        "underfitting",
        [*learning(30, 1.0), *STALLED],
        [*learning(30, 1.0), *UNLEARNED, sample(30, confusion=even(38, 2)), UNLEARNED[-1]],
        "warning",
    ),
    *(
        Twins(
            "underfitting",
            [*at_rates(0.1, 0.01), *stalled_at(0.02)],
            [*at_rates(*rates), *stalled_at(first)],
            "warning",
            start=started(epochs=20, schedule="one-cycle"),
        )
        # At its peak, early, rising, and where half is reached in the last of three epochs.
        for *rates, first in (
            (0.1, 0.1, 0.1),
            (0.1, 0.06, 0.07),
            (0.01, 0.04, 0.03),
            (0.1, 0.04, 0.06),
        )
    ),
    Twins(
        "validation_better",
        epochs(2, train_accuracy=0.8, val_interval=(0.87, 0.92)),
        epochs(2, train_accuracy=0.88, val_interval=(0.87, 0.92)),
        "note",
        "augmented",
    ),
    Twins(
        "plateau",
        facts.epochs([0.3, *[0.301] * 6], [0.3] * 7, error=0.01),
        facts.epochs([0.3, *[0.301] * 4, 0.29], [0.3] * 7, error=0.01),
        "note",
    ),
    Twins(
        "batch_size_fit",
        [update(n, gradient_dot=0.0399 - n * 1e-7) for n in range(1, 10)],
        [update(n, gradient_dot=0.02 - n * 1e-7) for n in range(1, 10)],
        "note",
        "noise scale",
    ),
    Twins(
        "slower",
        [epoch_done(n, seconds=60.0, images_per_second=3_000.0 / n) for n in range(1, 5)],
        [epoch_done(n, seconds=1.0, images_per_second=3_000.0 / n) for n in range(1, 5)],
        "note",
    ),
    Twins(
        "slower",
        [epoch_done(n, seconds=60.0, images_per_second=v) for n, v in SPEEDS],
        [epoch_done(n, seconds=60.0, images_per_second=v) for n, v in SPEEDS[:-2]],
        "note",
        start=started(epochs=20, resize_until=0.16, resize_to=14),  # in the first 3.2 epochs
    ),
    Twins(
        "input_bound",
        [update(n, input_share=0.7) for n in range(1, 10)],
        [update(n, input_share=None) for n in range(1, 10)],
        "note",
    ),
    Twins(
        "memory_short",
        [sample(memory_left=0.05), sample(10, memory_left=0.04)],
        [sample(memory_left=0.05), sample(10)],
        "warning",
    ),
]


def found(twin: Twins, events: Sequence[Event]) -> list[FindingRaised]:
    raised = with_findings(iter([twin.start, *events]))
    return [e for e in raised if isinstance(e, FindingRaised) and e.code == twin.code]


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.code)
def test_the_bad_twin_is_reported_and_the_good_one_is_not(twin: Twins) -> None:
    raised = found(twin, twin.bad)
    assert raised
    last = raised[-1]
    assert last.severity == twin.severity
    assert twin.contains in f"{last.title} {last.evidence} {last.advice} {last.cause}"
    good = found(twin, twin.good)
    assert not [e for e in good if e.severity == twin.severity]


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.code)
def test_every_finding_has_its_evidence_and_its_topic(twin: Twins) -> None:
    for event in found(twin, twin.bad):
        assert any(c.isdigit() for c in event.evidence + event.title)
        assert event.cause or event.code in ("divergence", "overfitting")
        assert event.lesson in TOPICS
        assert columns(event.title) <= 48, "it is cut in a panel of 50 columns"
        assert bool(event.plot) == bool(event.plot_label)
        assert (event.fix_setting is None) == (event.fix_value is None)
        assert event.advice or event.severity == "note"
        if event.fix_setting is not None:
            assert event.fix_setting in History().settings or event.fix_setting in (
                *("base_lr", "batch_size", "dropout", "augmentation"),
            )


def test_every_rule_has_twins() -> None:
    elsewhere = {"divergence", "overfitting", "memorizing"}  # test_findings, test_memorizing
    assert {rule.code for rule in RULES} == {twin.code for twin in TWINS} | elsewhere


def test_rules_yield_to_existing_rules() -> None:
    codes = [rule.code for rule in RULES]
    assert len(set(codes)) == len(codes)
    for rule in RULES:
        assert set(rule.yields_to) <= set(codes)


def test_a_finding_that_another_explains_is_cleared() -> None:
    stuck: list[Event] = [*MOVED, *learning(700, GUESSING)]
    (first,) = [e for e in with_findings(iter([START, *stuck])) if isinstance(e, FindingRaised)]
    assert first.code == "not_learning"
    later: list[Event] = [*stuck, *probed(eval_layers=("bn1",)), *learning(10, GUESSING, 701)]
    raised = list(with_findings(iter([START, *later])))
    cleared = [e.code for e in raised if isinstance(e, FindingCleared)]
    assert cleared == ["not_learning"]


def test_numbers_are_updated_with_each_sample() -> None:
    samples = [sample(n, layers=(layer(dead=15 + (n > 10)),)) for n in (0, 10, 20, 30)]
    raised = [
        e
        for e in with_findings(iter([START, *samples]))
        if isinstance(e, FindingRaised) and e.code == "dead_units"
    ]
    assert [e.title[:8] for e in raised] == ["15 of 16", "16 of 16"]


def test_a_warm_up_is_neither_a_low_learning_rate_nor_a_stuck_model() -> None:
    warm = [step(n, loss=GUESSING, lr=0.004) for n in range(1, 200)]
    samples = [update(n, lr=0.004, parameters=_moved(1e-6)) for n in (2, 5, 10)]
    raised = list(with_findings(iter([START, *warm, *samples])))
    assert not [e for e in raised if isinstance(e, FindingRaised)]


def test_after_a_knob_change_the_loss_may_rise_for_a_while() -> None:
    run: list[Event] = [*learning(100, 0.1), changed("augmentation", 0, 1, images=10_000)]
    raised = with_findings(iter([START, *run, *learning(60, 1.5, 101)]))
    assert not [e for e in raised if isinstance(e, FindingRaised) and e.code == "loss_rising"]


def test_a_noisier_gradient_is_estimated_from_more_probes() -> None:
    history = History.of([START])
    for number in range(1, 33):
        dot = 0.06 if number % 2 else -0.02  # 0.02 ± 0.04: not significant in the last 8
        history.apply(update(number, gradient_dot=dot))
        scale = noise_scale(history)
        assert (scale is None) == (number < 32)
    # The squared norm of a batch's gradient is 0.04: half of it is noise.
    assert scale == pytest.approx(update(1).batch_size)


def test_the_evaluable_rules_depend_on_what_was_recorded() -> None:
    history = History()
    assert evaluable_rules(history) == ()
    history.apply(started(val_size=0))
    few = evaluable_rules(history)
    assert "labels that similar images do not share" not in few  # an epoch clears it, no more
    assert {"divergence", "underfitting", "slowdown"} <= set(few)
    assert "overfitting" not in few
    assert "dead ReLUs" not in few
    history.apply(sample())
    history.apply(update(2))
    history.apply(tried())
    assert set(few) < set(evaluable_rules(history))
    assert "dead ReLUs" in evaluable_rules(history)
    full = History()
    for event in (START, data_probe(), tried(), sample(), update(2), loop(2)):
        full.apply(event)
    assert len(evaluable_rules(full)) == len(RULES)


def test_every_rule_has_its_texts_and_no_text_is_left_over() -> None:
    texts = tomllib.loads((files("tui_trainer.findings") / "texts.toml").read_text("utf-8"))

    assert list(texts) == [rule.code for rule in RULES]
    assert all(text["lesson"] in TOPICS for text in texts.values() if "lesson" in text)


def test_a_divergence_is_explained_by_what_was_found_before() -> None:
    run: list[Event] = [tried(gradient_ratio=0.01), *learning(100, 40.0)]
    raised = [e for e in with_findings(iter([START, *run])) if isinstance(e, FindingRaised)]
    diverged = next(e for e in raised if e.code == "divergence")
    assert [cause.code for cause in diverged.causes] == ["loss_function", "learning_rate_high"]


def test_units_that_die_in_training_were_killed_by_large_updates() -> None:
    dead = [sample(layers=(layer(),)), *each(update_norm=0.5), sample(20, layers=(layer(dead=16),))]
    narrow = started(layers=(row("fc1", output_shape=(1, 1, 2)), row("fc2")))
    for start, codes in ((START, ["learning_rate_high", "dead_units"]), (narrow, ["capacity"])):
        raised = [e for e in with_findings(iter([start, *dead])) if isinstance(e, FindingRaised)]
        found_dead = next(e for e in raised if e.code == "dead_units")
        assert [cause.code for cause in found_dead.causes][: len(codes)] == codes
