"""The differential of a symptom: what shows a cause, what points to it, and what excludes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.protocol.facts import (
    data_probe,
    epoch_done,
    layer,
    neighbors,
    sample,
    started,
    step,
    tried,
    update,
)
from tui_trainer.findings import causes, with_findings
from tui_trainer.findings.causes import Test, ranked
from tui_trainer.history.history import History
from tui_trainer.protocol.events import Diverged, Event, FindingRaised, RunStarted
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.probed import ParameterProbe, TriedRate, UpdatesTried

START = started(epochs=20)


def after(*events: Event, start: RunStarted = START) -> History:
    history = History()
    for event in (start, *events):
        history.apply(event)
    return history


def weights(**changes: object) -> tuple[ParameterProbe, ...]:
    parameters = update(2).parameters
    return tuple(replace(p, **changes) for p in parameters)  # type: ignore[arg-type]


def gradients(first: float, last: float) -> tuple[ParameterProbe, ...]:
    one, two, three = update(2).parameters
    return replace(one, gradient_norm=first), two, replace(three, gradient_norm=last)


def row(features: int) -> LayerRow:
    shape = (1, 1, features)
    return LayerRow(name="fc", kind="fully connected", kernel="", output_shape=shape, parameters=9)


def trial(*losses: float | None) -> UpdatesTried:
    """Return a trial at a hundredth to a hundred times the run's learning rate."""
    rates = (TriedRate(factor=f, loss=x) for f, x in zip(FACTORS, losses, strict=True))
    return UpdatesTried(
        step=128,
        epoch=1,
        images=8_192,
        lr=0.1,
        updates=10,
        batch_size=64,
        loss=2.3,
        rates=tuple(rates),
    )


FACTORS = (0.01, 0.1, 1.0, 10.0, 100.0)
TOO_LOW = trial(2.3, 2.3, 2.29, 1.8, None)
TOO_HIGH = trial(2.2, 1.6, 2.9, None, None)
JUST_RIGHT = trial(2.3, 2.2, 1.7, 1.5, None)
STUCK = trial(2.3, 2.3, 2.3, 2.3, 2.3)
LAST = row(10)
CASES: Sequence[tuple[Test, History, str]] = (
    (causes.labels_shuffled, after(data_probe()), ""),
    (causes.labels_shuffled, after(data_probe(neighbors=neighbors(agreeing=110))), "likely"),
    (causes.labels_shuffled, after(), "possible"),
    (causes.few_images, after(start=started(train_size=300)), "likely"),
    (causes.few_images, after(start=started(train_size=50_000)), ""),
    (causes.learning_rate_low, after(update(2, parameters=weights(update_norm=1e-6))), "likely"),
    (causes.learning_rate_low, after(update(2)), ""),
    (causes.learning_rate_high, after(update(2, parameters=weights(update_norm=0.1))), "likely"),
    (causes.learning_rate_high, after(update(2)), ""),
    (causes.learning_rate_high, after(), "possible"),
    (causes.learning_rate_low, after(TOO_LOW), "shown"),
    (causes.learning_rate_low, after(TOO_HIGH), ""),
    (causes.learning_rate_high, after(TOO_HIGH), "shown"),
    (causes.learning_rate_high, after(TOO_LOW), ""),
    *(
        (test, after(one, update(2, parameters=weights(update_norm=norm))), "")
        for one in (JUST_RIGHT, STUCK)
        for test, norm in ((causes.learning_rate_low, 1e-6), (causes.learning_rate_high, 0.1))
    ),
    (causes.momentum_high, after(start=started(momentum=0.999)), "likely"),
    (causes.momentum_high, after(start=started(momentum=0.9)), ""),
    (causes.momentum_high, after(start=started(momentum=None)), ""),
    (
        causes.weight_decay_high,
        after(update(2), update(5, parameters=weights(weight_norm=0.1))),
        "shown",
    ),
    (
        causes.weight_decay_high,
        after(
            *(update(2), update(5, parameters=weights(weight_norm=0.1))),
            start=started(weight_decay=0.0),
        ),
        "",
    ),
    (causes.dropout_high, after(start=started(dropout=0.6)), "likely"),
    (causes.dropout_high, after(start=started(dropout=0.1)), ""),
    (causes.label_smoothing_high, after(start=started(label_smoothing=0.9)), "shown"),
    (causes.label_smoothing_high, after(start=started(label_smoothing=0.1)), ""),
    (
        causes.augmentation_strong,
        after(sample(10), epoch_done(1, train_accuracy=0.5), start=started(augmentation=True)),
        "likely",
    ),
    (
        causes.augmentation_strong,
        after(sample(10), epoch_done(1, train_accuracy=0.5), start=started(augmentation=False)),
        "",
    ),
    (causes.capacity, after(start=started(layers=(row(3), LAST))), "shown"),
    (causes.capacity, after(start=started(layers=(row(64), LAST))), "possible"),
    (causes.frozen, after(update(2, parameters=weights(frozen=True))), "likely"),
    (causes.frozen, after(update(2)), ""),
    (causes.vanishing_gradients, after(update(2, parameters=gradients(1e-5, 1e-1))), "likely"),
    (causes.vanishing_gradients, after(update(2)), ""),
    (causes.saturated, after(sample(layers=(layer(saturated=0.8),))), "likely"),
    (causes.saturated, after(sample()), ""),
    (causes.dead_units, after(sample(layers=(layer(dead=12),))), "likely"),
    (causes.dead_units, after(sample()), ""),
)


@pytest.mark.parametrize(("test", "history", "likelihood"), CASES)
def test_a_cause_is_shown_suggested_or_excluded(
    test: Test, history: History, likelihood: str
) -> None:
    found = test(history)
    assert (found.likelihood if found else "") == likelihood
    if found is not None and found.likelihood != "possible":
        assert any(c.isdigit() for c in found.evidence)
        assert found.advice


def test_the_most_likely_cause_comes_first() -> None:
    history = after(
        *(update(2), update(5, parameters=weights(weight_norm=0.1, update_norm=0.1))),
    )
    found = ranked(
        *(history, causes.capacity, causes.learning_rate_high, causes.weight_decay_high),
        causes.learning_rate_low,
    )
    assert [cause.code for cause in found] == [
        *("weight_decay_high", "learning_rate_high", "capacity"),
    ]


def test_a_note_on_a_cause_makes_it_likely() -> None:
    history = after()
    test = causes.from_finding("linear_model")
    assert test(history) is None
    found = FindingRaised(
        code="linear_model", severity="note", title="linear", evidence="1 layer", step=0, lesson=1
    )
    history.apply(replace(found, causes=(causes.cause("linear_model", "shown"),)))
    cause = test(history)
    assert cause is not None
    assert (cause.likelihood, cause.evidence) == ("likely", "1 layer")


def test_a_trial_gives_the_learning_rate() -> None:
    found = causes.learning_rate_high(after(TOO_HIGH))
    assert found is not None
    assert (found.fix_setting, found.fix_value) == ("base_lr", 0.01)
    assert "2.300 → 2.900 at learning rate 0.1, → 1.600 at 0.01" in found.evidence


def test_a_measured_cause_of_a_divergence_comes_before_the_learning_rate() -> None:
    diverged = Diverged(epoch=1, step=80, lr=0.1, last_good_step=0)
    events: list[Event] = [tried(gradient_ratio=20.0), *(step(n) for n in range(1, 80)), diverged]
    raised = [
        event
        for event in with_findings(iter([START, *events]))
        if isinstance(event, FindingRaised) and event.code == "divergence"
    ]
    assert [cause.code for cause in raised[-1].causes] == ["loss_function", "learning_rate_high"]
    assert raised[-1].fix_setting == "base_lr"
    assert raised[-1].advice.startswith("go back to step 0")
