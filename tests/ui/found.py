"""Findings and check items for the window's tests, in texts like those of the rules."""

from __future__ import annotations

from collections.abc import Iterable

from tests.protocol import facts
from tests.ui.fakes import recording
from tui_trainer.protocol.diagnosis import Cause, Diagnosis, Severity
from tui_trainer.protocol.events import Event, FindingRaised

MID_RUN = recording("mid-run")

OVERFITTING = facts.finding(
    evidence=(
        "by epoch 9 validation loss 0.0412 → 0.0523, up 0.0111 (4.1 standard errors; noise "
        "0.0011), while training loss fell 0.0301 → 0.0102"
    ),
    cause="the model memorizes 500 images with 19,568 parameters",
    plot=(0.047, 0.0433, 0.0412, 0.0423, 0.0455, 0.049, 0.0523),
    plot_label="validation loss, epochs 3 to 9",
)
DEAD = facts.finding(
    code="dead_units",
    title="12 of 16 units of conv3 are dead",
    evidence="0 for all 512 sampled images since step 300",
    cause="a large update moved their biases far below 0",
    advice="learning rate ÷ 10, from 0.1 to 0.01",
    fix_setting="base_lr",
    fix_value=0.01,
    lesson=7,
    plot=(0, 0, 12, 4, 0, 0),
    plot_label="dead units by layer, conv1 to fc",
)
NOTE = facts.finding(
    code="validation_better",
    severity="note",
    title="validation accuracy above training accuracy",
    evidence="by 0.6 points: training accuracy is measured on augmented images",
    cause="augmentation makes the training images harder",
    advice="",
    fix_setting=None,
    fix_value=None,
    lesson=14,
)
BATCH = facts.finding(
    code="batch_size_fit",
    severity="note",
    title="a larger batch size would be as good",
    evidence="gradient noise scale 2,100 images, batch size 128",
    advice="batch size 256",
    fix_setting="batch_size",
    fix_value=256,
    lesson=20,
)
STUCK = facts.finding(
    code="not_learning",
    severity="error",
    title="not learning: loss stays at random guessing",
    evidence="loss 2.302 after 12,800 images, a uniform guess has 2.303",
    cause="the learning rate is too high",
    advice="divide the learning rate by 10 (--lr 0.3)",
    fix_setting="base_lr",
    fix_value=0.3,
    lesson=19,
    causes=(
        Cause(
            code="learning_rate_high",
            title="the learning rate is too high",
            likelihood="likely",
            evidence="update-to-weight ratio 15 %, about 0.1 % is usual",
            advice="divide the learning rate by 10 (--lr 0.3)",
            fix_setting="base_lr",
            fix_value=0.3,
        ),
        Cause(
            code="dead_units",
            title="dead ReLUs",
            likelihood="likely",
            evidence="32 of 32 units of conv4",
            advice="lower the learning rate, initialize biases to 0, or use LeakyReLU",
        ),
        Cause(
            code="labels_shuffled",
            title="images and labels do not match",
            evidence="accuracy 11.0 % [6.2, 18.6] of 100 images share the label of their "
            "nearest neighbors",
            advice="plot some images with their labels; shuffle both with the same permutation",
        ),
        Cause(
            code="input_destroyed",
            title="the images do not reach the first layer intact",
            advice="plot what the first layer receives: look for a wrong view, slice or order",
        ),
    ),
)
ALL = (NOTE, OVERFITTING, BATCH, DEAD)


def mid_run(*findings: Event) -> list[Event]:
    """Return a run in the middle of its fourth epoch, with these events at its end."""
    return [*MID_RUN[:-1], *findings, MID_RUN[-1]]


def codes(findings: Iterable[FindingRaised]) -> list[str]:
    return [found.code for found in findings]


FIGURES = (
    *("std 1.00", "loss 2.330", "61 % class 3", "from -1.3 to 0.9", "19 of 19", "0 frozen"),
    *("0 of 160", "32 of 32", "loss 4.870", "0.3 % per step", "lr 0.5", "accuracy 9.8 %"),
)


def item(number: int, severity: Severity = "ok", **changes: str) -> Diagnosis:
    """Return an item of the check; a warning or error has advice."""
    return Diagnosis(
        **{
            "code": f"item-{number}",
            "severity": severity,
            "title": f"item {number} is ok",
            "evidence": f"{number} of {number} checked",
            "advice": "" if severity == "ok" else "inspect it",
            "lesson": 19,
            "value": number / 8,
            "figure": FIGURES[number - 1],
            **changes,
        }  # type: ignore[arg-type]
    )


CHECKS = (
    item(1, title="the input is normalized", evidence="training +0.01 ± 1.00 (512 images)"),
    item(2, title="the initial loss is ln(classes)"),
    item(
        3,
        "warning",
        title="the untrained model favors one class",
        evidence="class 3 is predicted for 61 % of 512 images; 10 % is expected",
        advice="initialize the last layer with smaller weights, or without bias",
    ),
    item(4, title="the softmax is not saturated"),
    item(5, title="every parameter has a gradient"),
    item(6, title="the optimizer moves every parameter"),
    item(7, title="no dead units"),
    item(8, title="the model overfits one batch"),
    item(
        9,
        "error",
        title="the loss rises in the first 100 steps",
        evidence="from 2.31 to 4.87, mean of the last 20 batches",
        advice="use learning rate 0.05 instead of 0.5",
    ),
    item(10, title="the update-to-weight ratio is normal"),
    item(11, "warning", title="the learning rate is high"),
    item(12, title="shuffled labels stay at chance level"),
)
