"""Findings: rules that diagnose a run from its history, with evidence.

A rule maps the history to a finding or None. It requires persistence and more than sampling noise.
Only ``test_below_validation`` reads a test result, once the user has opened the test set.
``tests/benchmarks/findings`` measures the error rates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tui_trainer.findings import (
    data_checks,
    gradients,
    images,
    inactive_units,
    initialization,
    label_counts,
    learning,
    learning_rates,
    loop_checks,
    loop_loss,
    loop_updates,
    mode_gaps,
    model_checks,
    overfitting,
    speed,
    updates,
)
from tui_trainer.findings.rule import (
    CHECK_EVERY,
    DATA,
    EPOCHS,
    LOOPS,
    SAMPLES,
    STEPS,
    TESTS,
    TRIED,
    UPDATES,
    Rule,
    RuleFunction,
)
from tui_trainer.history.history import History
from tui_trainer.protocol.events import (
    Diverged,
    EpochDone,
    Event,
    FindingCleared,
    FindingRaised,
    StepDone,
)
from tui_trainer.protocol.probed import SampleProbed

__all__ = ["RULES", "Findings", "Rule", "RuleFunction", "evaluable_rules", "with_findings"]

_BROKEN = (
    *("divergence", "no_gradient", "not_updated", "evaluation_mode", "probabilities"),
    "depends_on_batch",
)
"""Errors that explain many other findings, which are not raised while one of these is."""

_STUCK = ("dead_units", "saturated", "vanishing_gradients", "exploding_logits", "constant_labels")

_CAUSES = (
    *("gradient_sign", "loss_function", "equal_units", "not_registered", "hidden_softmax"),
    *("logits_bounded", "input_destroyed", "input_scale", "init_small", "logits_scaled"),
    *("no_zero_grad", "weights_replaced", "low_precision", "schedule"),
    *("other_parameters", "no_update", "no_loss_gradient", "cleared_gradients"),
    *("step_before_backward", "loss_negated", "loss_labels", "loss_without_log", "softmax_axis"),
    *("loss_summed", "clipped_gradients", "scheduler_pace", "frozen_parameters", "examples_mixed"),
)
"""Causes that a measurement shows: they explain a run that does not learn, or loses what it has."""

_NOT_COMPARABLE = (
    *("validation_differs", "train_transform", "bn_momentum"),
    "not_learning",
    "dropout_high",
    "labels_noisy",
    "dead_units",
)
"""Findings that make a comparison of training and validation meaningless."""

RULES: tuple[Rule, ...] = (
    # A user's own training loop.
    Rule(loop_updates.other_parameters, LOOPS, "an optimizer of other parameters"),
    Rule(loop_updates.no_update, LOOPS, "missing optimizer.step()", ("other_parameters",)),
    Rule(
        loop_updates.no_loss_gradient,
        LOOPS,
        "a loss without a gradient",
        ("other_parameters", "no_update"),
    ),
    Rule(loop_updates.cleared_gradients, LOOPS, "gradients cleared before the update"),
    Rule(loop_updates.step_before_backward, LOOPS, "updates before the backward pass"),
    Rule(loop_loss.loss_negated, LOOPS, "a negated loss"),
    Rule(loop_loss.softmax_axis, LOOPS, "softmax over the batch"),
    Rule(loop_loss.loss_without_log, LOOPS, "a likelihood without a logarithm"),
    Rule(loop_loss.loss_labels, LOOPS, "other labels in the loss"),
    Rule(
        loop_loss.loss_summed,
        (*LOOPS, *UPDATES, *SAMPLES, Diverged),
        "a loss that is summed",
        ("loss_negated", "loss_without_log", "softmax_axis"),
    ),
    Rule(
        loop_updates.clipped_gradients,
        (*LOOPS, *UPDATES),
        "clipping in every update",
        ("loss_summed",),
    ),
    Rule(loop_checks.examples_mixed, LOOPS, "mixed examples"),
    Rule(loop_checks.validation_in_training_mode, LOOPS, "validation in training mode"),
    Rule(loop_checks.kept_graph, LOOPS, "graphs that stay in memory"),
    Rule(loop_checks.scheduler_order, LOOPS, "a scheduler before the optimizer"),
    Rule(loop_checks.scheduler_pace, LOOPS, "a scheduler stepped at the wrong pace"),
    Rule(loop_checks.scheduler_unused, LOOPS, "a scheduler that is not stepped"),
    Rule(loop_checks.double_precision, LOOPS, "double precision"),
    # The data, before the first step.
    Rule(label_counts.constant_labels, (*DATA, *SAMPLES), "constant labels"),
    Rule(data_checks.classes_overlap, DATA, "identical images with different labels"),
    Rule(
        data_checks.labels_shuffled, DATA, "labels that similar images do not share", again=EPOCHS
    ),
    Rule(
        data_checks.label_confusion,
        (*DATA, *SAMPLES),
        "classes with mixed labels",
        ("labels_shuffled", "classes_overlap"),
    ),
    Rule(
        data_checks.leak,
        (*DATA, *LOOPS, *EPOCHS),
        "validation images in the training split",
        needs_validation=True,
    ),
    Rule(data_checks.class_imbalance, DATA, "rare classes"),
    Rule(data_checks.blank_images, DATA, "blank images"),
    # Errors that show at once.
    Rule(model_checks.gradient_sign, TRIED, "gradient with the wrong sign"),
    Rule(model_checks.loss_function, TRIED, "gradient of another loss"),
    Rule(model_checks.equal_units, TRIED, "equal units"),
    Rule(model_checks.not_registered, TRIED, "unregistered weights"),
    Rule(model_checks.input_destroyed, TRIED, "images that do not reach the first layer"),
    Rule(
        mode_gaps.random_in_evaluation,
        TRIED,
        "random logits in evaluation mode",
        ("input_destroyed",),
    ),
    Rule(mode_gaps.depends_on_batch, TRIED, "logits that depend on the batch"),
    Rule(model_checks.bn_momentum, TRIED, "batch norm without running statistics"),
    Rule(mode_gaps.probabilities, (*SAMPLES, *LOOPS), "softmax before the loss"),
    Rule(model_checks.logits_bounded, SAMPLES, "bounded logits", ("probabilities",)),
    Rule(model_checks.hidden_softmax, TRIED, "softmax in a hidden layer"),
    Rule(model_checks.linear_model, TRIED, "linear model"),
    Rule(mode_gaps.evaluation_mode, UPDATES, "evaluation mode while training"),
    Rule(
        updates.not_updated,
        UPDATES,
        "parameters missing from the optimizer",
        ("other_parameters",),
    ),
    Rule(updates.no_zero_grad, UPDATES, "missing zero_grad()"),
    Rule(updates.weights_replaced, UPDATES, "replaced weights"),
    Rule(images.input_scale, SAMPLES, "unnormalized input"),
    Rule(
        images.validation_differs,
        (*DATA, *SAMPLES),
        "validation images that differ from training",
        ("labels_shuffled", "leak"),
    ),
    Rule(model_checks.train_transform, SAMPLES, "a transform of training images alone"),
    Rule(model_checks.augmentation_labels, TRIED, "mirrored training images"),
    Rule(
        model_checks.augmentation_strong,
        SAMPLES,
        "strong augmentation",
        (*_BROKEN, "augmentation_labels"),
    ),
    Rule(label_counts.not_shuffled, UPDATES, "unshuffled data", ("constant_labels",)),
    Rule(loop_checks.same_order, LOOPS, "the same order in every epoch", ("not_shuffled",)),
    # The layers.
    Rule(
        initialization.logits_scaled,
        SAMPLES,
        "scaled logits",
        ("input_scale", "logits_bounded", "probabilities", "depends_on_batch"),
    ),
    Rule(
        initialization.exploding_logits,
        (*SAMPLES, *UPDATES),
        "exploding logits",
        ("input_scale", "equal_units"),
    ),
    Rule(inactive_units.dead_units, SAMPLES, "dead ReLUs", ("not_shuffled", *_CAUSES)),
    Rule(inactive_units.saturated, SAMPLES, "saturated units", _CAUSES),
    Rule(
        initialization.init_small, SAMPLES, "small initial weights", ("dead_units", "equal_units")
    ),
    Rule(
        gradients.no_gradient,
        UPDATES,
        "parameters without a gradient",
        ("dead_units", "learning_rate_high", *_CAUSES),
    ),
    Rule(gradients.frozen_parameters, UPDATES, "frozen parameters"),
    Rule(gradients.unused_parameters, UPDATES, "unused parameters"),
    Rule(
        gradients.vanishing_gradients,
        UPDATES,
        "vanishing gradients",
        ("dead_units", "learning_rate_high", *_CAUSES),
    ),
    # Optimization.
    Rule(gradients.uphill, UPDATES, "gradient ascent", ("learning_rate_high", "gradient_sign")),
    Rule(updates.schedule, UPDATES, "learning rate near 0", ("not_updated", "scheduler_pace")),
    Rule(
        updates.low_precision, UPDATES, "updates that are rounded away", ("not_updated", "schedule")
    ),
    Rule(learning_rates.divergence, STEPS, "divergence"),
    Rule(
        learning_rates.learning_rate_high,
        UPDATES,
        "learning rate too high",
        ("divergence", "not_shuffled", *_CAUSES),
    ),
    Rule(
        learning_rates.learning_rate_low,
        UPDATES,
        "learning rate too low",
        (*_BROKEN, *_CAUSES, *_STUCK),
    ),
    Rule(
        learning_rates.loss_rising,
        STEPS,
        "rising training loss",
        ("divergence", "not_shuffled", "uphill", *_CAUSES),
    ),
    Rule(
        learning.not_learning,
        STEPS,
        "not learning",
        (
            *(*_BROKEN, *_CAUSES, *_STUCK, "learning_rate_low", "learning_rate_high"),
            *("dropout_high", "not_shuffled"),
        ),
    ),
    Rule(
        learning.weight_decay_high,
        UPDATES,
        "weight decay too high",
        ("learning_rate_high", "not_shuffled", "depends_on_batch", *_CAUSES, *_STUCK),
    ),
    Rule(
        learning.few_steps,
        EPOCHS,
        "too few steps",
        (*_BROKEN, *_CAUSES, *_STUCK, "learning_rate_low", "learning_rate_high"),
    ),
    Rule(mode_gaps.dropout_high, (*TRIED, *EPOCHS), "dropout too high"),
    Rule(
        learning.chance_level,
        EPOCHS,
        "validation at chance level",
        (*_BROKEN, "validation_differs", "train_transform", "bn_momentum"),
        needs_validation=True,
    ),
    Rule(
        label_counts.labels_noisy,
        (*DATA, *SAMPLES),
        "label noise",
        ("not_learning", "labels_shuffled", "label_confusion", "classes_overlap"),
    ),
    Rule(
        label_counts.class_missing,
        (*DATA, *EPOCHS),
        "classes that are not learned",
        ("not_shuffled", *_CAUSES),
    ),
    Rule(
        mode_gaps.batch_too_small,
        UPDATES,
        "batch too small for the learning rate",
        ("learning_rate_high",),
    ),
    Rule(mode_gaps.batch_norm_gap, SAMPLES, "lagging batch norm statistics", ("bn_momentum",)),
    Rule(
        learning.underfitting,
        EPOCHS,
        "underfitting",
        (*_BROKEN, *_CAUSES, "labels_noisy", "not_learning", "dropout_high", "not_shuffled"),
    ),
    # Generalization.
    Rule(overfitting.overfitting, EPOCHS, "overfitting", _NOT_COMPARABLE, needs_validation=True),
    Rule(
        overfitting.memorizing,
        EPOCHS,
        "memorized training images",
        _NOT_COMPARABLE,
        needs_validation=True,
    ),
    Rule(overfitting.test_below_validation, TESTS, "test accuracy below validation accuracy"),
    Rule(
        overfitting.validation_better,
        EPOCHS,
        "validation above training accuracy",
        needs_validation=True,
    ),
    Rule(learning.plateau, EPOCHS, "plateau", ("overfitting", "memorizing"), needs_validation=True),
    Rule(
        learning_rates.batch_size_fit,
        UPDATES,
        "batch size far from the gradient noise scale",
        ("no_zero_grad",),
    ),
    # Speed and memory.
    Rule(speed.slower, EPOCHS, "slowdown"),
    Rule(speed.input_bound, UPDATES, "input-bound training"),
    Rule(speed.memory_short, SAMPLES, "low memory"),
)
"""All rules in the order of evaluation: those that explain other findings come first."""


_RULES_AFTER = {
    kind: tuple(rule for rule in RULES if kind in (*rule.on, *rule.again))
    for kind in {kind for rule in RULES for kind in (*rule.on, *rule.again)}
}
"""The rules that are evaluated after each type of event."""


def evaluable_rules(history: History) -> tuple[str, ...]:
    """Return the labels of the rules that can be evaluated on this run."""
    return tuple(rule.label for rule in RULES if rule.can_evaluate(history))


class Findings:
    """Evaluates the rules after each event of a run.

    Args:
        past: The events from before it was resumed, findings included.
    """

    def __init__(self, past: Iterable[Event] = ()) -> None:
        self._history = History()
        self._steps: list[StepDone] = []
        for event in past:
            self._history.apply(event)

    @property
    def _is_script(self) -> bool:
        return self._history.started is not None and bool(self._history.started.script)

    def after(self, event: Event) -> Iterator[Event]:
        """Yield the findings that an event raises or clears."""
        if isinstance(event, StepDone) and event.step % CHECK_EVERY:
            self._steps.append(event)  # applied together: that is faster than after each step
            return
        for step in self._steps:
            self._history.apply(step)
        self._steps.clear()
        self._history.apply(event)
        refreshes = isinstance(event, EpochDone | SampleProbed | Diverged)
        for rule in _RULES_AFTER.get(type(event), ()):
            for change in _update(self._history, rule, refreshes=refreshes):
                if isinstance(change, FindingRaised) and self._is_script:
                    change = _without_options(change)
                self._history.apply(change)
                yield change


def with_findings(events: Iterator[Event], past: Iterable[Event] = ()) -> Iterator[Event]:
    """Yield a run's events, each followed by the findings that it raises or clears.

    Window, script and journal all read this stream, so they see the same findings.

    Args:
        events: The run.
        past: As in :class:`Findings`.
    """
    findings = Findings(past)
    for event in events:
        yield event
        yield from findings.after(event)


def _without_options(found: FindingRaised) -> FindingRaised:
    """Return a finding whose advice has no command line options, which a script does not take."""
    causes = tuple(replace(one, advice=_OPTION.sub("", one.advice)) for one in found.causes)
    return replace(found, advice=_OPTION.sub("", found.advice), causes=causes)


_OPTION = re.compile(r",? ?\((?:--)[^)]*\)|, or use --[a-z-]+ [a-z]+")


def _update(history: History, rule: Rule, *, refreshes: bool) -> Iterator[Event]:
    """Raise a rule's finding once it holds, update its numbers, and clear it once it does not."""
    current = history.findings.get(rule.code)
    explaining = (history.findings.get(code) for code in rule.yields_to)
    is_explained = any(found is not None and found.severity != "note" for found in explaining)
    found = None if is_explained else rule.evaluate(history)
    if found is None and current is not None:
        last = history.last_step or history.last_epoch or current
        yield FindingCleared(code=rule.code, step=last.step)
    elif found is not None and current is None:
        yield found
    elif found is not None and current is not None:
        # A finding with the same title keeps the step since which it holds.
        same = found.title == current.title
        found = replace(found, step=min(found.step, current.step)) if same else found
        if found != current if refreshes else found.is_news_after(current):
            yield found
