"""Target and result of a step: the last checkpoint, the best epoch, and the test set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tui_trainer.headless.assignment.facts import HELD, Step
from tui_trainer.history.target import Target, Verdict, verdict_on
from tui_trainer.protocol.diagnosis import Severity
from tui_trainer.protocol.document import Part
from tui_trainer.protocol.events import EpochDone
from tui_trainer.protocol.exhibit import Table, Words
from tui_trainer.protocol.layers import totals
from tui_trainer.text import fmt

ACCURACY_HEADS = ("images", "accuracy", "95 % interval", "correct", "weights")
NO_INTERVAL = "–"


def target_parts(step: Step) -> Iterator[Part]:
    """Yield the target in words."""
    if step.target:
        yield Words(text=step.target)
    else:
        text = "No target was set. Give one with --target-accuracy when training, or --target here."
        yield Words(text=text, tone="muted")


def last_accuracy(step: Step) -> tuple[float, tuple[float, float]] | None:
    """Return the validation accuracy of the last checkpoint with its interval."""
    if not step.has_validation:
        return None
    return step.evaluation.accuracy, step.evaluation.interval


def last_epochs(step: Step) -> Verdict | None:
    """Return whether the target accuracy held in the last epochs; None without one."""
    if step.goal is None:
        return None
    return verdict_on(step.history, Target(step.goal.accuracy, step.goal.last or HELD))


def held_text(step: Step) -> str:
    """Return in how many of the last epochs the target held, for the overview."""
    verdict = last_epochs(step)
    if verdict is None:
        return NO_INTERVAL
    sign = "✓" if verdict.is_reached else "✗"
    return f"{sign} {verdict.count} of the last {verdict.target.last}"


def sealed_text(step: Step) -> str:
    """Return why there is no test accuracy of the last checkpoint."""
    evaluations = step.summary.test_evaluations
    if not evaluations:
        return "the test set is sealed: it was never evaluated"
    times = fmt.plural(evaluations, "time")
    return f"the test set was evaluated {times}, but not with the last checkpoint"


def result(step: Step) -> Iterator[Part]:
    """Yield the accuracies with their intervals, the verdict on the target, and the cost."""
    yield Table(caption="", heads=ACCURACY_HEADS, rows=tuple(_accuracies(step)))
    yield from _remarks(step)
    yield from _verdicts(step)
    yield Table(caption="", heads=("cost", "value", ""), rows=tuple(_costs(step)))


def _accuracies(step: Step) -> Iterator[tuple[str, ...]]:
    found, best, test = step.evaluation, step.history.best_epoch, step.test
    weights = f"last checkpoint, epoch {found.epoch}, step {fmt.count(found.step)}"
    if test is not None:
        figures = (test.test_accuracy, test.test_interval, test.test_correct, test.test_total)
        yield ("test", *_figures(*figures), weights)
    name = found.images if step.has_validation else f"{found.images} (no result)"
    yield (name, *_figures(found.accuracy, found.interval, found.correct, found.total), weights)
    last = step.history.last_epoch
    if step.has_validation and last is not None and last.step != found.step:
        complete = f"last complete epoch, epoch {last.epoch}, step {fmt.count(last.step)}"
        yield ("validation", *_epoch_figures(last), complete)
    if best is not None:
        picked = f"best epoch, {best.epoch} of {len(step.history.epochs)}, picked by these images"
        yield ("validation", *_epoch_figures(best), picked)


def _epoch_figures(epoch: EpochDone) -> tuple[str, str, str]:
    return _figures(epoch.val_accuracy, epoch.val_interval, epoch.val_correct, epoch.val_total)


def _figures(
    accuracy: float | None,
    interval: tuple[float, float] | None,
    correct: int | None,
    total: int | None,
) -> tuple[str, str, str]:
    return (
        fmt.percent(accuracy) if accuracy is not None else NO_INTERVAL,
        fmt.interval(interval) if interval is not None else NO_INTERVAL,
        f"{fmt.count(correct or 0)} of {fmt.count(total or 0)}",
    )


def _remarks(step: Step) -> Iterator[Words]:
    """Yield what the test accuracy is, and what it is not."""
    evaluations = step.summary.test_evaluations
    if step.test is None:
        yield Words(text=f"No test accuracy: {sealed_text(step)}.")
    elif evaluations > 1:
        text = (
            f"The test set was evaluated {evaluations} times in this run: its accuracy is no "
            "longer independent of your choices."
        )
        yield Words(text=text, tone="warning")
    else:
        yield Words(text="The test set was evaluated once.")


def _verdicts(step: Step) -> Iterator[Words]:
    """Yield the verdict on the target, and whether it held in the last epochs."""
    if step.goal is None:
        if step.target:
            text = "The target is in words: compare it with the figures yourself."
            yield Words(text=text, tone="muted")
        yield from _last_accuracies(step.history.epochs[-HELD:])
        return
    if step.goal.last is None:
        yield _verdict(verdict_on(step.history, step.goal))
    verdict = last_epochs(step)
    if verdict is not None and (step.has_validation or step.goal.last is not None):
        yield _verdict(verdict)
        yield from _last_accuracies(step.history.epochs[-(verdict.target.last or HELD) :])


def _last_accuracies(epochs: Sequence[EpochDone]) -> Iterator[Words]:
    found = [(each.epoch, each.val_accuracy) for each in epochs if each.val_accuracy is not None]
    if found:
        texts = ", ".join(f"{fmt.percent(accuracy)} (epoch {epoch})" for epoch, accuracy in found)
        yield Words(text=f"Validation accuracy of the last epochs: {texts}.")


def _verdict(verdict: Verdict) -> Words:
    tone: Severity = "ok" if verdict.is_reached else "error"
    text = verdict.line[0].upper() + verdict.line[1:]
    return Words(text=f"{text}.", tone=tone)


def _costs(step: Step) -> Iterator[tuple[str, str, str]]:
    whole, summary, started = totals(step.layers), step.summary, step.started
    share = fmt.percent(whole.parameters / started.budget, 1)
    budget = f"{share} of the budget of {fmt.count(started.budget)}"
    yield "parameters", fmt.count(whole.parameters), budget
    yield "multiply-adds", fmt.count(whole.multiply_adds), "per image"
    yield "receptive field", fmt.field(whole.receptive_field), "of a logit"
    updates = f"of {summary.epochs}, {fmt.plural(summary.step, 'update')}"
    yield "epochs", fmt.count(summary.epochs_done), updates
    yield (
        "training time",
        fmt.duration(summary.seconds),
        f"on {started.hardware}, {summary.seconds:,.1f} s",
    )
    yield "training images", fmt.count(started.train_size), "in each epoch"
