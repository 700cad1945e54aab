"""The findings of a run without the window."""

from __future__ import annotations

import io
from dataclasses import replace

from tests.headless.fakes import Engine, epoch_done, finished, started, step
from tests.protocol import facts
from tui_trainer.headless.event_text import body_lines
from tui_trainer.headless.runner import run_headless
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.diagnosis import Cause
from tui_trainer.protocol.events import (
    Diverged,
    Event,
    FindingCleared,
    RecordingStarted,
    RunResumed,
    to_json,
)

FOUND = facts.finding(evidence="gap 0.02", cause="few images", step=20)
RANKED = replace(
    FOUND,
    causes=(
        Cause(
            code="few_images",
            title="few images",
            likelihood="shown",
            evidence="500 images",
            advice="switch augmentation on",
        ),
        Cause(code="label_noise", title="much noise", likelihood="likely"),
        Cause(code="capacity", title="a large model"),
        Cause(code="few_steps", title="many epochs"),
    ),
)
NOTE = replace(FOUND, code="note", severity="note", title="batch norm is fine", advice="", cause="")


def run(*events: Event, json_lines: bool = False) -> tuple[list[str], list[str]]:
    """Return the lines on stdout and on stderr."""
    out, err = io.StringIO(), io.StringIO()
    run_headless(Engine(events), Inbox(), json_lines=json_lines, stdout=out, stderr=err)
    return out.getvalue().splitlines(), err.getvalue().splitlines()


def test_a_finding_has_its_evidence_its_cause_and_what_to_try() -> None:
    assert run(FOUND, finished())[1] == [
        "▲ overfitting since epoch 3, since step 20: gap 0.02",
        "  likely cause: few images → switch augmentation on",
    ]


def test_other_causes_share_one_line() -> None:
    assert run(RANKED, finished())[1] == [
        "▲ overfitting since epoch 3, since step 20: gap 0.02",
        "  cause: few images (500 images) → switch augmentation on",
        "  also likely: much noise · also possible: a large model; many epochs",
    ]


def test_a_cause_that_repeats_the_title_or_the_evidence_is_not_printed_twice() -> None:
    only = Cause(code="few", title=FOUND.title, evidence=FOUND.evidence, advice="go on")
    assert run(replace(FOUND, causes=(only,)), finished())[1][1:] == ["  try: go on"]
    assert run(replace(FOUND, causes=(replace(only, advice=""),)), finished())[1][1:] == []


def test_what_the_finding_is_about_is_no_other_cause_of_it() -> None:
    itself = Cause(code=FOUND.code, title="overfitting", likelihood="shown", advice="stop early")
    found = replace(RANKED, causes=(RANKED.causes[0], itself))
    assert run(found, finished())[1][1:] == [run(RANKED, finished())[1][1]]
    assert "  or try: stop early" in body_lines(found)


def test_a_new_first_cause_is_news_and_a_new_tail_is_not() -> None:
    first, second, *others = RANKED.causes
    tail = replace(RANKED, causes=(first, *others))
    figures = replace(RANKED, causes=(replace(first, evidence="501 images"), second))
    likelier = replace(RANKED, causes=(replace(first, likelihood="possible"), second))
    turned = replace(RANKED, causes=(second, first, *others))
    err = run(RANKED, tail, RANKED, figures, likelier, turned, turned)[1]
    assert [line.split(" (")[0] for line in err if "cause:" in line] == [
        "  cause: few images",
        "  likely cause: much noise",
    ]


def test_a_note_has_a_different_sign_when_raised_and_when_cleared() -> None:
    _, err = run(NOTE, FindingCleared(code="note", step=30))
    assert err[0] == "· batch norm is fine, since step 20: gap 0.02"
    assert err[1] == "· cleared at step 30: batch norm is fine"


def test_only_new_numbers_are_not_reported() -> None:
    renewed = replace(FOUND, evidence="gap 0.03", plot=(1.0, 2.0), cause="fewer images")
    worse = replace(renewed, severity="error")
    numbered = replace(worse, title="overfitting since epoch 2")
    titled = replace(worse, title="overfitting in conv3")
    advised = replace(titled, advice="dropout 0.1")
    raised = [FOUND, renewed, FOUND, worse, numbered, titled, advised, advised]
    _, err = run(*raised, FindingCleared(code="overfitting", step=30), advised, finished())
    heads = [line for line in err if not line.startswith(" ")]
    assert [line[0] for line in heads] == ["▲", "✗", "✗", "✗", "✓", "✗"]
    assert [line.count("gap 0.03") for line in heads] == [0, 1, 1, 1, 0, 1]


def test_json_has_every_event_as_it_is() -> None:
    renewed = replace(FOUND, evidence="gap 0.03")
    out, err = run(FOUND, renewed, finished(), json_lines=True)
    assert out[:2] == [to_json(FOUND), to_json(renewed)]
    assert sum("overfitting" in line for line in err) == 1


def test_the_divergence_finding_gives_the_command_to_resume() -> None:
    diverged = Diverged(step=2, epoch=1, lr=0.1, last_good_step=1)
    fix = {"fix_setting": "base_lr", "severity": "error"}
    divergence = replace(FOUND, code="divergence", fix_value=0.01, **fix)  # type: ignore[arg-type]
    low = replace(FOUND, code="learning_rate_low", fix_setting="base_lr", fix_value=1.0)
    events: list[Event] = [
        RecordingStarted(folder="runs/one"),
        started(),
        step(1),
        diverged,
        divergence,
        low,
    ]
    _, err = run(*events, finished("diverged", correct=None))
    assert err[-1].endswith("mnist-tui resume runs/one --lr 0.01")


def test_events_before_a_resume_are_not_reported_again() -> None:
    resumed = RunResumed(step=20, epoch=2, images=2_000, threads=1, lines=None)
    out, err = io.StringIO(), io.StringIO()
    events: list[Event] = [
        started(),
        step(20),
        epoch_done(1),
        FOUND,
        resumed,
        replace(FOUND, evidence="more"),
    ]
    run_headless(Engine(events), Inbox(), resuming=True, stdout=out, stderr=err)
    assert "overfitting" not in err.getvalue()
