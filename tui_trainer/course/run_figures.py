"""The figures of a run that lesson texts can use: its settings and its progress, formatted."""

from __future__ import annotations

import math

from tui_trainer.findings.learning_rates import noise_scale
from tui_trainer.findings.rule import update_ratio, weights
from tui_trainer.history.history import History
from tui_trainer.protocol.events import EpochDone, RunStarted
from tui_trainer.protocol.reference import model_name
from tui_trainer.text import fmt


def setting_figures(history: History, started: RunStarted) -> dict[str, str]:
    """Return the figures that are known before the first batch."""
    share = started.parameters / started.budget
    batch = int(history.settings["batch_size"])
    found = {
        "model": model_name(started.model),
        "parameters": fmt.count(started.parameters),
        "budget_share": f"{fmt.percent(share, 0)} of a budget of {fmt.count(started.budget)}",
        "image_size": fmt.field((started.image_size, started.image_size)),
        "base_lr": fmt.learning_rate(history.settings["base_lr"]),
        "schedule": started.schedule,
        "optimizer": started.optimizer,
        "batch_size": fmt.count(batch),
        "steps_per_epoch": fmt.count(math.ceil(started.train_size / batch)),
        "train_size": fmt.count(started.train_size),
        "classes": fmt.count(started.classes),
        "guessing_loss": f"{history.guessing_loss:.3f}",
        "mean": fmt.by_channel(started.mean),
        "std": fmt.by_channel(started.std),
        "augmentation": fmt.knob("augmentation", history.settings["augmentation"]),
    }
    if "dropout" in history.settings:
        found["dropout"] = fmt.knob("dropout", history.settings["dropout"])
    return found


def training_figures(history: History) -> dict[str, str]:
    """Return the figures of the training so far; none before the first batch.

    The training loss and accuracy are smoothed, as in the curves, and missing once the loss is not
    finite. The gap is training accuracy minus the latest validation accuracy, in percentage points.
    """
    step = history.last_step
    if step is None:
        return {}
    titles = [finding.title for finding in history.most_severe_first]
    found = {
        "lr": fmt.learning_rate(step.lr),
        "step": fmt.count(step.step),
        "findings": ", ".join(titles) or "none",
    }
    if history.images_per_second:
        found["speed"] = fmt.speed(history.images_per_second)
    loss, accuracy = history.smoothed_loss, history.smoothed_accuracy
    if history.divergence is None and loss is not None and accuracy is not None:
        found["train_loss"] = fmt.loss(loss).strip()
        found["true_class_probability"] = fmt.percent(math.exp(-loss), 1)
        found["train_accuracy"] = fmt.percent(accuracy)
    return {**found, **_epoch_figures(history), **_probe_figures(history)}


def _epoch_figures(history: History) -> dict[str, str]:
    if not history.epochs:
        return {}
    first, last = history.epochs[0], history.epochs[-1]
    found = {}
    if first.epoch == 1:
        of_training = fmt.percent(first.train_accuracy)
        found["first_epoch_accuracy"] = _validated(first) or of_training
    if last.val_loss is not None and math.isfinite(last.val_loss):
        found["val_loss"] = fmt.loss(last.val_loss).strip()
    if last.val_accuracy is None:
        return found
    found["val_accuracy"] = _validated(last)
    if history.best_epoch is not None:
        found["best_epoch"] = fmt.count(history.best_epoch.epoch)
    if history.smoothed_accuracy is not None and history.divergence is None:
        # From the rounded figures, so that the reader can check the subtraction.
        gap = round(100 * history.smoothed_accuracy, 2) - round(100 * last.val_accuracy, 2)
        found["gap"] = f"{gap + 0.0:.2f}".replace("-0.00", "0.00").replace("-", "−")
    return found


def _validated(epoch: EpochDone) -> str:
    """Return an epoch's validation accuracy with its interval; empty without validation."""
    if epoch.val_accuracy is None:
        return ""
    return fmt.accuracy_with_interval(epoch.val_accuracy, epoch.val_interval)


def _probe_figures(history: History) -> dict[str, str]:
    """Return the figures of the latest probes."""
    found = {}
    if history.updates:
        update = history.updates[-1]
        ratio, layers = update_ratio(update), weights(update)
        if math.isfinite(ratio) and ratio > 0:
            found["update_ratio"] = f"{100 * ratio:.2g} %"
        if len(layers) > 1 and layers[0].gradient_norm and layers[-1].gradient_norm:
            first, last = (
                p.gradient_norm / p.numel**0.5 for p in (layers[0], layers[-1]) if p.gradient_norm
            )
            if math.isfinite(first / last):
                found["gradient_ratio"] = f"{first / last:.2g}"
    if history.samples:
        sample = history.samples[-1]
        relus = [layer for layer in sample.layers if layer.kind == "relu"]
        if units := sum(layer.units for layer in relus):
            found["dead_share"] = fmt.percent(sum(layer.dead for layer in relus) / units, 1)
        if sample.batch_norm_gap is not None and math.isfinite(sample.batch_norm_gap):
            found["batch_gap"] = f"{sample.batch_norm_gap:+.4f}".replace("-", "−")
    scale = noise_scale(history)
    if scale is not None:
        found["noise_scale"] = fmt.count(round(float(f"{scale:.2g}")))
    return found
