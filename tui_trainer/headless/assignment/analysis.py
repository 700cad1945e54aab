"""A draft of the analysis of a step, from what was measured; its author edits it."""

from __future__ import annotations

from collections.abc import Iterator

from tui_trainer.headless.assignment.facts import Step
from tui_trainer.headless.event_text import finding_lines
from tui_trainer.protocol.config import SETTINGS
from tui_trainer.protocol.diagnosis import SIGNS, Diagnosis, by_severity, tally
from tui_trainer.protocol.document import Items, Part
from tui_trainer.protocol.exhibit import Words
from tui_trainer.protocol.settings import RECORD
from tui_trainer.recording.comparison import CHANGED, RunComparison
from tui_trainer.recording.comparison_text import (
    caution_text,
    setting_text,
    verdict,
    without_folders,
)
from tui_trainer.text import fmt

DRAFT = (
    "Draft, made from measurements: edit it, then delete this line. It does not know what you "
    "expected of this step, why you made it, and what you do next."
)

POINTS = 100
"""Percentage points of a fraction."""


def analysis(step: Step) -> Iterator[Part]:
    """Yield the draft."""
    yield Words(text=DRAFT, tone="warning")
    if step.comparison is not None:
        yield Words(text=f"Compared with step {step.number - 1}", tone="title")
        yield Items(texts=tuple(_compared(step, step.comparison)))
    yield Words(text="Training", tone="title")
    yield Items(texts=(*_training(step), *_findings(step)))
    yield Words(text="Design", tone="title")
    yield Items(texts=tuple(_design(step)))
    yield Words(text="Next step", tone="title")
    yield Items(texts=("… (yours)",))


def _compared(step: Step, found: RunComparison) -> Iterator[str]:
    """Yield the changed settings, and the paired difference with its test."""
    settings = [(name, without_folders(values)) for name, values in found.settings]
    changes = [
        f"{name} {setting_text(name, values[0])} → {setting_text(name, values[1])}"
        for name, values in settings
        if name in SETTINGS and SETTINGS[name].group != RECORD  # those train nothing else
    ]
    yield f"Changed: {', '.join(changes)}." if changes else "The settings are the same."
    for name, values in settings:
        for label, changed in zip(found.labels, values, strict=True):
            if name == CHANGED and changed:
                yield f"{_capital(label)} was changed while it trained: {', '.join(changed)}."
    for difference in found.differences:
        yield _capital(verdict(found, difference))
    if caution := caution_text(found):
        yield caution
    yield from found.notes


def _training(step: Step) -> Iterator[str]:
    """Yield the gap between training and validation, and the best epoch against the last one."""
    last, best = step.history.last_epoch, step.history.best_epoch
    if last is None or last.val_accuracy is None:
        return
    gap = POINTS * (last.train_accuracy - last.val_accuracy)
    augmented = ", on augmented images" if step.started.augmentation else ""
    relation = "above" if gap > 0 else "below"
    yield (
        f"In the last epoch, training accuracy is {fmt.percent(last.train_accuracy)}{augmented}, "
        f"{abs(gap):.2f} points {relation} validation accuracy."
    )
    if best is not None and best.val_accuracy is not None and best.epoch != last.epoch:
        ahead = POINTS * (best.val_accuracy - last.val_accuracy)
        yield (
            f"The best epoch is {best.epoch}, {ahead:.2f} points above the last one: that much is "
            "expected of the luckiest of several epochs, and no reason to report it."
        )


def _findings(step: Step) -> Iterator[str]:
    """Yield the active findings with cause and advice, and the titles of those that cleared."""
    active = step.history.most_severe_first
    for found in active:
        yield f"{_sign(found)}{_capital(' — '.join(finding_lines(found)))}"
    if not active:
        yield "✓ No active findings at the end."
    cleared = [*dict.fromkeys(each.finding.title for each in step.history.past_findings)]
    if cleared:
        yield f"Cleared during the training: {fmt.listed(cleared)}."


def _design(step: Step) -> Iterator[str]:
    """Yield the errors, warnings and notes of the review; the rest is counted."""
    if not step.review:
        yield "The design could not be reviewed."
        return
    yield f"Design review: {tally(step.review)}."
    for found in by_severity(step.review):
        if found.severity != "ok":
            advice = f" Try: {found.advice}." if found.advice else ""
            yield f"{_sign(found)}{_capital(found.title)}: {found.evidence}.{advice}"


def _sign(found: Diagnosis) -> str:
    """Return the sign of an error or a warning; that of a note would look like another bullet."""
    return f"{SIGNS[found.severity]} " if found.severity in ("error", "warning") else ""


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
