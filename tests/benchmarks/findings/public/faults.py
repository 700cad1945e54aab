"""Public sets of faulty trainings, re-created one by one from their descriptions.

Sources:

- ``checker``: H. Ben Braiek, F. Khomh, "Testing Feedforward Neural Networks Training Programs"
  (TheDeepChecker), ACM TOSEM 2023, arXiv 2204.00694: the twenty faulty MNIST programs of its
  replication package.
- ``crime``: N. Humbatova, G. Jahangirova, P. Tonella, "DeepCrime: Mutation Testing of Deep Learning
  Systems Based on Real Faults", ISSTA 2021: its 24 operators on its MNIST subject, those that
  apply to one training.
- ``symptoms``: X. Zhang and others, "AUTOTRAINER: An Automatic DNN Training Problem Detection and
  Repair System", ICSE 2021: its five symptoms, on MNIST.
- ``traincheck``: Y. Jiang and others, "Training with Confidence: Catching Silent Errors in Deep
  Learning Training with Automated Proactive Checks" (TrainCheck), OSDI 2025: those silent errors
  that have an effect in one process, by their effect.
- ``asked``: what people ask on StackOverflow and in the PyTorch forum, by kind.

A fault that has no counterpart here (another framework's API, several processes, regression) is
left out. Each has a clean twin: the same run without it, with the same seed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.benchmarks.findings import hooks as common
from tests.benchmarks.findings.hooks import DataHook, SessionHook
from tests.benchmarks.findings.public import hooks
from tests.benchmarks.findings.sabotage import Sabotage
from tests.benchmarks.findings.suite import TWIN, Case

MODELS = Path(__file__).with_name("models.py")
HALVES = ("public-tuning", "public-judging")
DRAWN_BY = 19
"""The seed that parts each set in two halves."""

SEEDS: Mapping[str, tuple[int, ...]] = {"public-tuning": (1, 2), "public-judging": (101, 102)}

COMMON: Mapping[str, Any] = {
    "optimizer": "sgd",
    "lr": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "batch_size": 64,
    "schedule": "constant",
    "augment": "none",
    "train_size": 10_000,
    "val_size": 2_000,
    "epochs": 3,
}

SANE = 0.80
"""The validation accuracy of every clean twin, at least; that of the linear one is near."""


@dataclass(frozen=True, slots=True)
class Base:
    """A clean program: its model and its settings."""

    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)


FEWER = {"train_size": 4_000}
"""For the slow models: a third of a minute of one core each instead of a whole one."""

PLAIN = {"lr": 0.1, "momentum": 0.0, "nesterov": False}
ADAM = {"optimizer": "adam", "lr": 0.001}

BASES: Mapping[str, Base] = {
    "base": Base("base", {**PLAIN, **FEWER, "weight_decay": 1e-5}),
    "base_wide": Base("base_wide", {**PLAIN, **FEWER, "weight_decay": 1e-5}),
    "crime": Base("crime", {**ADAM, **FEWER, "batch_size": 128}),
    "logistic": Base("Logistic", PLAIN),
    "deep": Base("deep_relu", ADAM),
    "example": Base("Example", {**ADAM, **FEWER}),
    "lenet": Base("lenet"),
    "lenet_bn": Base("lenet_bn"),
    "lenet_adam": Base("lenet", ADAM),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A faulty training.

    Attributes:
        name: Its set and what it is.
        base: The clean twin.
        causes: What names it rightly, by the names of causes that findings and check items have.
        model: The faulty model, if the model is what is faulty.
        settings: The faulty settings, if any are.
        data: What is done to the data.
        session: What is done to the parts of the run.
    """

    name: str
    base: str
    causes: tuple[str, ...]
    model: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: DataHook | None = None
    session: SessionHook | None = None

    @property
    def origin(self) -> str:
        """The set that it is of."""
        return self.name.partition("/")[0]


def _of(origin: str, *faults: Fault) -> tuple[Fault, ...]:
    return tuple(
        Fault(
            f"{origin}/{fault.name}",
            *(fault.base, fault.causes, fault.model, fault.settings, fault.data, fault.session),
        )
        for fault in faults
    )


SEED = 5
_LARGE = ("learning_rate_high",)
_SMALL = ("learning_rate_low",)
_LABELS = ("labels_shuffled",)
_NOISE = ("label_noise",)
_LOSS = ("loss_function",)

CHECKER = _of(
    "checker",
    Fault("missing-normalization", "base", ("input_scale",), "base_missing_normalization"),
    Fault("double-normalization", "base", ("input_scale",), "base_double_normalization"),
    Fault("constant-init", "base_wide", ("equal_units",), "base_constant"),
    Fault("random-init", "base_wide", ("init_large",), "base_random"),
    Fault("high-lr", "base_wide", _LARGE, settings={"lr": 0.5}),
    Fault("low-lr", "base_wide", _SMALL, settings={"lr": 0.001}),
    Fault("low-adam-epsilon", "base", _LARGE, settings={"optimizer": "adam", "lr": 0.1}),
    Fault("over-regularization", "base", ("weight_decay_high",), settings={"weight_decay": 0.1}),
    Fault("missing-regularization", "base", (), settings={"weight_decay": 1e-12}),
    Fault("flipped-sign", "base", ("gradient_sign",), "base_flipped_sign"),
    Fault("redundant-softmax", "base", ("softmax_before_loss",), "base_redundant_softmax"),
    Fault("wrong-softmax", "base_wide", ("depends_on_batch",), "base_wrong_softmax"),
    Fault("missing-softmax", "base", _LOSS, "base_missing_softmax"),
    Fault("wrong-activation", "base", ("hidden_softmax",), "base_hidden_softmax"),
    Fault("mean-sum", "base_wide", (*_LOSS, *_LARGE), "base_mean_sum"),
    Fault("mean-squared-error", "base", _LOSS, "base_mse"),
    Fault(
        "unbalanced",
        "base",
        ("class_imbalance",),
        data=hooks.on_splits(hooks.unbalanced({c: 0.5**c for c in range(10)}), SEED),
    ),
    Fault(
        "wrong-labels",
        "base",
        _LABELS,
        data=hooks.on_splits(hooks.shuffled_labels, SEED, val=True),
    ),
    Fault("wrong-augmentation", "base", ("augmentation_strong",), "BaseErase"),
)

CRIME = _of(
    "crime",
    *(
        Fault(
            f"TCL-{share:.0%}",
            "crime",
            _NOISE,
            data=hooks.on_splits(hooks.wrong_labels(share), SEED),
        )
        for share in (0.05, 0.10, 0.25, 0.50)
    ),
    Fault("TRD-95%", "crime", ("few_images",), settings={"train_size": 500}),
    Fault(
        "TUD",
        "crime",
        ("class_imbalance",),
        data=hooks.on_splits(hooks.unbalanced(dict.fromkeys((1, 3, 5, 7, 9), 0.05)), SEED),
    ),
    Fault(
        "TAN",
        "crime",
        ("validation_differs", "train_transform"),
        data=hooks.on_splits(hooks.noisy_pixels(1.0), SEED),
    ),
    Fault(
        "TCO",
        "crime",
        ("classes_overlap",),
        data=hooks.on_splits(hooks.twice(3, 8), SEED),
    ),
    Fault("HBS", "crime", (), settings={"batch_size": 512}),
    Fault("HLR-low", "crime", _SMALL, settings={"lr": 3e-6}),
    Fault("HLR-high", "crime", _LARGE, settings={"lr": 0.1}),
    Fault("HNE", "crime", ("few_steps",), settings={"epochs": 1, "train_size": 640}),
    Fault("HDB", "crime", ("few_steps",), settings={"batch_size": 4_000}),
    Fault("ACH-softmax", "crime", ("hidden_softmax",), "crime_softmax_hidden"),
    Fault("ACH-sigmoid", "crime", ("vanishing_gradients",), "crime_sigmoid"),
    Fault("ACH-exponential", "crime", ("init_large", "learning_rate_high"), "crime_exponential"),
    Fault("ARM", "crime", (), "crime_no_activation"),
    Fault("ARM-all", "crime", ("linear_model",), "crime_linear"),
    Fault("RCD", "crime", ("dropout_high",), "crime_dropout_all"),
    Fault("RAW", "crime", ("weight_decay_high",), settings={"weight_decay": 1.0}),
    Fault("WCI-zeros", "crime", ("equal_units",), "crime_zeros"),
    Fault("WCI-ones", "crime", ("equal_units", "init_large"), "crime_ones"),
    Fault("WRB", "crime", (), "crime_no_bias"),
    Fault("LCH-mae", "crime", _LOSS, "crime_mae"),
    Fault("LCH-mse", "crime", _LOSS, "crime_mse"),
    Fault("LCH-poisson", "crime", _LOSS, "crime_poisson"),
    Fault("LCH-hinge", "crime", _LOSS, "crime_hinge"),
    Fault("OCH-sgd", "crime", _SMALL, settings={"optimizer": "sgd", **PLAIN, "lr": 0.0001}),
    Fault("OCG", "logistic", _SMALL, session=hooks.clipped(1e-4)),
    Fault("logistic-lr", "logistic", _LARGE, settings={"lr": 100.0}),
)

SYMPTOMS = _of(
    "symptoms",
    Fault("vanishing-sigmoid", "deep", ("vanishing_gradients",), "deep_sigmoid"),
    Fault("vanishing-tanh", "deep", ("init_small", "vanishing_gradients"), "deep_tanh_small"),
    Fault("exploding", "deep", ("init_large",), "deep_exploding"),
    Fault("dying-relu", "deep", ("dead_units",), "deep_dying"),
    Fault("dying-bias", "deep", ("dead_units",), "deep_negative_bias"),
    Fault("oscillating", "deep", _LARGE, settings={"lr": 0.05}),
    Fault("oscillating-batch", "deep", _LARGE, settings={"lr": 0.02, "batch_size": 4}),
    Fault("slow", "deep", _SMALL, settings={"lr": 1e-6}),
    Fault("slow-sgd", "lenet", _SMALL, settings={"lr": 1e-5}),
)

TRAINCHECK = _of(
    "traincheck",
    Fault("so-60335387", "example", ("softmax_before_loss", "logits_bounded"), "ExampleSoftmax"),
    Fault("forum-84911", "example", ("frozen",), "ExampleFrozenBackbone"),
    Fault("no-zero-grad", "example", ("no_zero_grad",), session=hooks.without_zero_grad),
    Fault("pytorch-115607", "example", ("no_gradient",), "ExampleDetached"),
    Fault("transformers-33844", "example", ("init_large",), "ExampleRandomInit"),
    Fault("lightning-thunder-725", "example", ("low_precision",), "ExampleHalf"),
    Fault(
        "master-copy",
        "lenet",
        ("low_precision",),
        settings={"lr": 0.0005},
        session=hooks.rounded_weights,
    ),
    Fault("deepspeed-1801", "example", ("not_updated",), session=hooks.of_a_copy),
    Fault("half-of-updates", "lenet", (), session=hooks.half_of_updates_dropped),
    Fault("mmpretrain-702", "lenet", (), session=hooks.same_order),
    Fault("wrong-reshape", "example", ("depends_on_batch",), "ExampleWrongReshape"),
)

ASKED = _of(
    "asked",
    Fault("relu-out", "lenet", ("logits_bounded",), "LeNetReluOut"),
    Fault("sigmoid-out", "lenet", ("logits_bounded",), "LeNetSigmoidOut"),
    Fault("tanh-out", "lenet", ("logits_bounded",), "LeNetTanhOut"),
    Fault("softmax-over-batch", "lenet", ("depends_on_batch",), "LeNetSoftmaxOverBatch"),
    Fault("dropout-out", "lenet", (), "LeNetDropoutOut"),
    Fault("dropout-always", "lenet", ("random_in_evaluation",), "LeNetDropoutAlways"),
    Fault("flip", "lenet", ("augmentation_labels",), "LeNetFlip"),
    Fault("rotate", "lenet", ("augmentation_labels",), "LeNetRotate"),
    Fault("train-scale", "lenet", ("train_transform", "validation_differs"), "LeNetTrainOnlyScale"),
    Fault(
        "train-invert", "lenet", ("train_transform", "validation_differs"), "LeNetTrainOnlyInvert"
    ),
    Fault("scrambled", "lenet", ("input_destroyed",), "LeNetScrambled"),
    Fault("wrong-view", "lenet", ("depends_on_batch", "input_destroyed"), "LeNetWrongView"),
    Fault("slice", "lenet", ("input_destroyed",), "LeNetSlice"),
    Fault("black", "lenet", ("input_destroyed",), "LeNetBlack"),
    Fault("detached", "lenet", ("no_gradient",), "LeNetDetached"),
    Fault("no-grad", "lenet", ("no_gradient",), "LeNetNoGrad"),
    Fault("tiny-init", "lenet", ("init_small",), "LeNetTiny"),
    Fault("equal-units", "lenet", ("equal_units",), "LeNetEqualUnits"),
    Fault("rebuilt-layer", "lenet", ("weights_replaced",), "LeNetRebuilt"),
    Fault("rebuilt-model", "lenet", ("weights_replaced",), session=hooks.rebuilt_each_epoch),
    Fault("list-of-layers", "lenet", ("not_registered",), "LeNetListOfLayers"),
    Fault("bottleneck", "lenet", ("capacity",), "LeNetBottleneck"),
    Fault("temperature", "lenet", ("init_small", "logits_scaled"), "LeNetHardTemperature"),
    Fault("loud", "lenet", ("init_large", "logits_scaled"), "LeNetLoud"),
    Fault("linear", "lenet", ("linear_model",), "lenet_linear"),
    Fault("bn-momentum-0", "lenet_bn", ("bn_momentum",), "lenet_bn_momentum_0"),
    Fault("bn-momentum-1", "lenet_bn", ("bn_momentum",), "lenet_bn_momentum_1"),
    Fault("always-eval", "lenet_bn", ("evaluation_mode",), session=common.never_training),
    Fault(
        "eval-after-epoch", "lenet_bn", ("evaluation_mode",), session=hooks.eval_after_validation
    ),
    Fault("last-layer-only", "lenet", ("not_updated",), session=hooks.only_last_layers(2)),
    Fault("no-zero-grad-sgd", "lenet", ("no_zero_grad",), session=hooks.without_zero_grad),
    Fault("schedule-each-batch", "lenet", ("schedule",), session=hooks.decayed_every_batch(0.95)),
    Fault("schedule-zero", "lenet", ("schedule",), session=hooks.decayed_every_batch(0.5)),
    Fault("lr-1", "lenet", _LARGE, settings={"lr": 1.0}),
    Fault("lr-0.2", "lenet", _LARGE, settings={"lr": 0.2}),
    Fault("adam-0.1", "lenet_adam", _LARGE, settings={"lr": 0.1}),
    Fault("adam-0.02", "lenet_adam", _LARGE, settings={"lr": 0.03}),
    Fault(
        "momentum-0.999",
        "lenet",
        ("momentum_high", "learning_rate_high"),
        settings={"momentum": 0.999},
    ),
    Fault("sorted", "lenet", ("not_shuffled",), session=common.sorted_by_class),
    Fault("one-class-batches", "lenet", ("not_shuffled",), session=hooks.one_class_a_batch),
    Fault(
        "label-smoothing-0.9", "lenet", ("label_smoothing_high",), settings={"label_smoothing": 0.9}
    ),
    Fault(
        "shifted-labels",
        "lenet",
        _LABELS,
        data=hooks.on_splits(hooks.shifted_labels, SEED, val=True),
    ),
    Fault(
        "train-labels-shuffled",
        "lenet",
        (*_LABELS, "label_noise"),
        data=hooks.on_splits(hooks.shuffled_labels, SEED),
    ),
    Fault(
        "half-of-7-is-1",
        "lenet",
        ("label_confusion",),
        data=hooks.on_splits(hooks.relabel(7, 1, 0.5), SEED),
    ),
    Fault(
        "half-of-4-is-0-both",
        "lenet",
        ("label_confusion",),
        data=hooks.on_splits(hooks.relabel(4, 0, 0.5), SEED, val=True),
    ),
    Fault(
        "exchange-4-9",
        "lenet",
        ("label_confusion",),
        data=hooks.on_splits(hooks.exchange(4, 9, 0.3), SEED, val=True),
    ),
    Fault(
        "exchange-3-5-all",
        "lenet",
        ("label_confusion", "validation_differs"),
        data=hooks.on_splits(hooks.exchange(3, 5, 1.0), SEED),
    ),
    Fault(
        "rare-class",
        "lenet",
        ("class_imbalance", "class_missing"),
        data=hooks.on_splits(hooks.keep_of_class(8, 0.02), SEED),
    ),
    Fault(
        "missing-class",
        "lenet",
        ("class_missing",),
        data=hooks.on_splits(hooks.keep_of_class(8, 0.0), SEED),
    ),
    Fault("one-label", "lenet", ("constant_labels",), data=common.one_label(3)),
    Fault(
        "val-transposed",
        "lenet",
        ("validation_differs",),
        data=hooks.on_splits(hooks.transposed, SEED, train=False, val=True),
    ),
    Fault(
        "val-inverted",
        "lenet",
        ("validation_differs",),
        data=hooks.on_splits(hooks.inverted, SEED, train=False, val=True),
    ),
    Fault(
        "val-labels",
        "lenet",
        ("validation_differs", "labels_shuffled"),
        data=hooks.on_splits(hooks.shifted_labels, SEED, train=False, val=True),
    ),
    Fault("leak", "lenet", ("leak",), data=hooks.leaked),
    Fault("five-steps", "lenet", ("few_steps",), settings={"train_size": 320, "epochs": 1}),
    Fault("few-images", "lenet", ("few_images",), settings={"train_size": 300, "epochs": 60}),
    Fault(
        "batch-1",
        "lenet",
        ("batch_small", "learning_rate_high"),
        settings={"batch_size": 1, "lr": 0.02, "train_size": 3_000},
    ),
)

FAULTS: Mapping[str, Fault] = {
    fault.name: fault for fault in (*CHECKER, *CRIME, *SYMPTOMS, *TRAINCHECK, *ASKED)
}


def half_of(name: str) -> str:
    """Return which half of its set a fault is in: drawn once, by a seed."""
    origin = name.partition("/")[0]
    names = [fault for fault in FAULTS if fault.startswith(f"{origin}/")]
    random.Random(f"{DRAWN_BY} {origin}").shuffle(names)
    return HALVES[names.index(name) % 2]


def public_cases(half: str) -> list[Case]:
    """Return the runs of one half: its faults, and every clean twin, over the half's seeds."""
    cases = []
    for seed in SEEDS[half]:
        for name, base in BASES.items():
            twin = _case(f"{TWIN}/{name}", base.model, base.settings, seed)
            cases.append(replace(twin, sane=SANE))
        for fault in FAULTS.values():
            if half_of(fault.name) == half:
                base = BASES[fault.base]
                settings = {**base.settings, **fault.settings}
                cases.append(_case(fault.name, fault.model or base.model, settings, seed))
    return cases


def _case(name: str, model: str, settings: Mapping[str, Any], seed: int) -> Case:
    return Case(
        name.replace("/", "."),
        seed,
        {**COMMON, **settings, "model": f"{MODELS}:{model}", "seed": seed},
    )


def public_sabotage(kind: str) -> Sabotage | None:
    """Return what is done in a run of these sets; None if it is of another."""
    origin, _, name = kind.partition(".")
    if origin == TWIN:
        return Sabotage()
    fault = FAULTS.get(f"{origin}/{name}")
    return Sabotage(data=fault.data, session=fault.session) if fault else None
