"""The document of an assignment: an overview, then a section for each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tui_trainer.headless.assignment.analysis import analysis
from tui_trainer.headless.assignment.facts import Step
from tui_trainer.headless.assignment.measurements import (
    confusion,
    curves,
    epoch_log,
    layer_table,
    misclassified,
)
from tui_trainer.headless.assignment.result import (
    held_text,
    last_accuracy,
    result,
    sealed_text,
    target_parts,
)
from tui_trainer.protocol.document import Code, Document, Items, Part, Section
from tui_trainer.protocol.exhibit import Table, Words
from tui_trainer.protocol.layers import totals
from tui_trainer.recording.compared_runs import state_verb
from tui_trainer.text import fmt
from tui_trainer.version import __version__

NOTHING = "–"

ABOUT = (
    "Accuracies are on the validation images, which no step was trained on, and have their 95 % "
    "interval (Wilson) in brackets. The result of a step is that of its last checkpoint. The best "
    "epoch is named as well, but it was picked by these images, so its accuracy is too high on the "
    "average. The test set chooses nothing: its accuracy is that of the last checkpoint, and each "
    "evaluation is counted."
)


def assignment(steps: Sequence[Step], command: str) -> Document:
    """Return the document of an assignment.

    Args:
        steps: The steps, at least one.
        command: The command that writes it again.
    """
    datasets = fmt.listed([*dict.fromkeys(step.started.dataset for step in steps)])
    is_series = len(steps) > 1
    subject = f"{len(steps)} steps" if is_series else steps[0].name
    made = f"Written by mnist-tui {__version__} with: {command}"
    return Document(
        title=f"{datasets}: {subject}",
        parts=(Words(text=ABOUT), Words(text=made, tone="muted")),
        sections=(
            *([_overview(steps)] if is_series else []),
            *map(_step, steps),
        ),
    )


# --- the overview


def _overview(steps: Sequence[Step]) -> Section:
    heads = (
        *("step", "run", "model", "parameters", "field", "epochs"),
        *("last validation", "best validation", "test", "target held", "time"),
    )
    table = Table(caption="", heads=heads, rows=tuple(map(_overview_row, steps)))
    return Section(name="overview", title="Overview", parts=(table,))


def _overview_row(step: Step) -> tuple[str, ...]:
    whole, best, test = totals(step.layers), step.history.best_epoch, step.test
    last = last_accuracy(step)
    return (
        str(step.number),
        step.name,
        step.started.model,
        fmt.count(whole.parameters),
        fmt.field(whole.receptive_field),
        f"{step.summary.epochs_done} of {step.summary.epochs}",
        fmt.accuracy_with_interval(*last) if last else NOTHING,
        f"{fmt.accuracy_with_interval(best.val_accuracy, best.val_interval)}, epoch {best.epoch}"
        if best is not None and best.val_accuracy is not None
        else NOTHING,
        fmt.accuracy_with_interval(test.test_accuracy, test.test_interval) if test else "sealed",
        held_text(step),
        fmt.duration(step.summary.seconds),
    )


# --- a step


def _step(step: Step) -> Section:
    """Return the section of a step; its parts are in the order in which a teacher reads them."""
    name, images = f"step-{step.number}", step.evaluation.images
    inner: list[tuple[str, str, tuple[Part, ...]]] = [
        ("target", "Target", tuple(target_parts(step))),
        ("result", "Result", tuple(result(step))),
        ("analysis", "Analysis (draft)", tuple(analysis(step))),
        ("network", "Network", tuple(layer_table(step))),
        ("log", "Training log", tuple(epoch_log(step))),
        ("curves", "Curves", tuple(curves(step))),
        ("confusion", f"Confusion matrix, {images} images", tuple(confusion(step))),
        ("mistakes", f"Misclassified {images} images", tuple(misclassified(step))),
        ("settings", "Settings", tuple(_settings(step))),
        ("reproduce", "How to reproduce it", tuple(_reproduce(step))),
    ]
    if step.program:
        inner.append(("pytorch", "The model in PyTorch", tuple(_program(step))))
    return Section(
        name=name,
        title=f"Step {step.number}: {step.name}",
        parts=tuple(_about(step)),
        sections=tuple(
            Section(name=f"{name}-{short}", title=title, parts=parts)
            for short, title, parts in inner
        ),
    )


def _about(step: Step) -> Iterator[Part]:
    """Yield the note and the tags, and what the reader must know of an unusual run."""
    if step.about.note:
        yield Words(text=step.about.note)
    if step.about.tags:
        yield Words(text=f"Tags: {', '.join(step.about.tags)}", tone="muted")
    state, summary = step.summary.state, step.summary
    if state != "completed":
        done = f"{summary.epochs_done} of {fmt.plural(summary.epochs, 'epoch')} are done"
        checkpoint = f"the checkpoint of step {fmt.count(step.evaluation.step)} is evaluated"
        yield Words(text=f"This run {state_verb(state)}: {done}; {checkpoint}.", tone="warning")
    if not step.has_validation:
        yield Words(text=_without_validation(step), tone="warning")


def _without_validation(step: Step) -> str:
    """Return which images are used instead of validation images."""
    result_text = (
        "Its result is the test accuracy alone."
        if step.test is not None
        else f"It has no result yet: {sealed_text(step)}."
    )
    return (
        "This run keeps no images for validation (val_size 0), so nothing could be chosen by them. "
        f"{result_text} The confusion matrix and the misclassified images are of "
        f"{fmt.count(step.evaluation.total)} {step.evaluation.images} images, which it was trained "
        "on: looking at them costs no test evaluation."
    )


def _settings(step: Step) -> Iterator[Part]:
    """Yield the settings that are not the defaults as a table, the others as a sentence."""
    texts = {
        name: (_value(used), _value(default)) for name, (used, default) in step.settings.items()
    }
    rows = tuple((name, *each) for name, each in texts.items() if each[0] != each[1])
    if rows:
        yield Table(caption="", heads=("setting", "value", "default"), rows=rows)
    others = ", ".join(f"{name} {each[0]}" for name, each in texts.items() if each[0] == each[1])
    if others:
        yield Words(text=f"As by default: {others}.")


def _value(value: object) -> str:
    match value:
        case None:
            return NOTHING
        case bool():
            return "on" if value else "off"
        case float():
            return f"{value:.10g}"
        case _:
            return str(value)


def _reproduce(step: Step) -> Iterator[Part]:
    if step.commands:
        yield Code(text="\n".join(step.commands), language="sh")
    yield Words(
        text=f"Recorded by mnist-tui {step.summary.version} on {step.started.hardware}, seed "
        f"{step.started.seed}. The same seed, device and number of threads give the same weights, "
        "bit by bit."
    )
    if step.changes:
        yield Words(text="Changed while it trained; the replay makes the same changes:")
        yield Items(texts=step.changes)
    else:
        yield Words(text="No setting was changed while it trained.")


def _program(step: Step) -> Iterator[Part]:
    for part in step.program:
        yield part if isinstance(part, Code) else Words(text=part)
