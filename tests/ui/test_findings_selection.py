"""The selection of findings: which are shown, which is chosen."""

from __future__ import annotations

from dataclasses import replace

from tests.ui.found import ALL, BATCH, DEAD, MID_RUN, NOTE, OVERFITTING, codes
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Diverged, Event, FindingCleared, FindingRaised, StepDone
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.recorded_run import RecordedRun

CLEARED = FindingCleared(code=OVERFITTING.code, step=900)
WORSE = replace(OVERFITTING, severity="error")
STEPS = [event for event in MID_RUN if isinstance(event, StepDone)]


def live(*events: Event) -> LiveRun:
    run = LiveRun(RunConfig(), lambda config, inbox: iter(()), lambda message: None)
    run.apply((*MID_RUN, *events))
    return run


def chosen(run: LiveRun | RecordedRun) -> str | None:
    found = run.selection.chosen
    return found.code if found is not None else None


def test_the_most_severe_come_first_then_those_that_a_knob_fixes() -> None:
    wrong = replace(OVERFITTING, code="error", severity="error", fix_setting=None)
    run = live(*ALL, wrong)
    assert codes(run.selection.shown) == [
        "error",
        "overfitting",
        "dead_units",
        "batch_size_fit",
        "validation_better",
    ]
    assert (run.selection.warnings, run.selection.notes) == (3, 2)


def test_a_key_fixes_the_chosen_finding_and_no_other() -> None:
    run = live(*ALL)
    assert run.fixable() == OVERFITTING
    assert not run.selection.choose(-1)
    assert run.selection.choose(1)
    assert run.fixable() == DEAD
    assert run.selection.choose(1)
    assert run.fixable() == BATCH
    assert run.selection.choose(1)
    assert (chosen(run), run.fixable()) == (NOTE.code, None)
    assert not run.selection.choose(1)


def test_a_choice_survives_new_numbers_but_not_a_more_severe_finding() -> None:
    run = live(*ALL)
    run.selection.choose(1)
    run.apply((replace(DEAD, evidence="13 of 16"), replace(OVERFITTING, evidence="worse")))
    assert chosen(run) == DEAD.code
    run.apply((replace(NOTE, code="another"),))
    assert chosen(run) == DEAD.code
    run.apply((replace(OVERFITTING, code="divergence", severity="error"),))
    assert chosen(run) == "divergence"


def test_a_cleared_choice_is_replaced_by_the_most_severe_finding() -> None:
    run = live(*ALL)
    run.selection.choose(1)
    run.apply((FindingCleared(code=DEAD.code, step=900),))
    assert chosen(run) == OVERFITTING.code


def test_a_snoozed_finding_stays_hidden_while_its_numbers_change() -> None:
    run = live(*ALL)
    run.selection.snooze()
    run.apply((replace(OVERFITTING, evidence="other numbers"),))
    assert codes(run.selection.shown) == [DEAD.code, BATCH.code, NOTE.code]
    assert run.selection.snoozed == 1
    assert run.fixable() == DEAD
    assert OVERFITTING.code in run.history.findings, "the run knows nothing of it"


def test_it_comes_back_when_it_is_cleared_and_raised_again() -> None:
    run = live(OVERFITTING)
    run.selection.snooze()
    run.apply((CLEARED,))
    assert (run.selection.shown, run.selection.snoozed) == ([], 0)
    run.apply((OVERFITTING,))
    assert run.selection.shown == [OVERFITTING]


def test_it_comes_back_when_it_gets_worse() -> None:
    run = live(OVERFITTING)
    run.selection.snooze()
    run.apply((WORSE,))
    assert run.selection.shown == [WORSE]


def test_a_key_unsnoozes_all() -> None:
    run = live(*ALL)
    run.selection.snooze()
    run.selection.snooze()
    assert run.selection.snoozed == 2
    run.selection.unsnooze()
    assert (run.selection.snoozed, len(run.selection.shown)) == (0, len(ALL))


def test_snoozing_where_there_is_nothing_does_nothing() -> None:
    run = live()
    run.selection.snooze()
    assert not run.selection.choose(1)
    run.apply((OVERFITTING,))
    assert run.selection.shown == [OVERFITTING]


def test_a_diverged_run_is_fixed_by_a_learning_rate_for_any_choice() -> None:
    diverged = Diverged(step=1_000, epoch=4, lr=0.1, last_good_step=900)
    divergence = replace(DEAD, code="divergence", severity="error")
    high = replace(divergence, code="learning_rate_high")
    run = live(replace(OVERFITTING, severity="error"), high, diverged, divergence)
    run.selection.choose(1)
    run.selection.snooze()
    run.bridge.start()  # it has nothing to say, and ends
    assert run.has_diverged
    assert run.fixable() == divergence


def recorded() -> RecordedRun:
    """Return a run in which a finding came, went and came again."""
    events: list[Event] = list(MID_RUN[: MID_RUN.index(STEPS[0]) + 1])
    for number, event in enumerate(STEPS[1:400], 1):
        marks: dict[int, FindingRaised | FindingCleared] = {
            100: OVERFITTING,
            200: CLEARED,
            300: replace(OVERFITTING, step=300),
        }
        events += [event, *([marks[number]] if number in marks else [])]
    return RecordedRun("one", RunConfig(), events)


def at(run: RecordedRun, step: int) -> list[str]:
    run.seek(STEPS[step].seconds)
    return codes(run.selection.shown)


def test_in_a_replay_a_snooze_holds_only_for_its_time() -> None:
    run = recorded()
    assert at(run, 350) == ["overfitting"]
    run.selection.snooze()
    assert at(run, 390) == at(run, 310) == []
    assert run.selection.snoozed == 1
    assert at(run, 150) == ["overfitting"], "that was another time"
    assert at(run, 250) == []
    assert run.selection.snoozed == 0
    assert at(run, 350) == []


def test_a_recorded_run_cannot_be_fixed() -> None:
    run = recorded()
    assert at(run, 150) == ["overfitting"]
    assert run.fixable() is None
