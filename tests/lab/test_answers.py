"""Questions about the model, during training and after its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.engine.runs import FakeClock, ScriptedInbox, bare_config, of, run
from tests.protocol.questions import answers, ask_field, ask_model, contents
from tests.training import train
from tui_trainer.protocol.answers import Answered, MeasuredField, ModelDescription
from tui_trainer.protocol.commands import Command, Pause, Resume, SetBaseLr, Stop
from tui_trainer.protocol.events import CommandRejected, Event, RunFinished, RunStarted, StepDone


def watched(folder: Path, *after: Sequence[Command], **settings: object) -> list[Event]:
    """Train interactively; the questions are asked after the end."""
    inbox = ScriptedInbox(paused=[*after, [Stop()]])
    config = bare_config(folder, epochs=1, **settings)
    return list(train(config, inbox, interactive=True, clock=FakeClock()))


def test_a_receptive_field_is_measured_during_training(tiny: Path) -> None:
    events = run(bare_config(tiny, epochs=1), ScriptedInbox({3: [ask_field(1, 4, 5, digit=2)]}))

    (seen,) = contents(MeasuredField, events)
    assert (seen.place, seen.row, seen.column, seen.digit) == (1, 4, 5, 2)
    assert [event.step for event in answers(events)] == [3]
    assert len(seen.image) == len(seen.measured) == len(seen.effective) == 8 * 8
    # The first layer is a 3×3 convolution that keeps the size: the nine pixels around (4, 5).
    around = {(r, c) for r in (3, 4, 5) for c in (4, 5, 6)}
    assert {divmod(i, 8) for i, one in enumerate(seen.measured) if one} == around
    assert {divmod(i, 8) for i, size in enumerate(seen.effective) if size} <= around
    assert max(seen.effective) == 255
    assert max(seen.image) > 0


def test_a_question_changes_nothing_of_the_run(tiny: Path) -> None:
    questions: list[Command] = [
        ask_field(3, 0, 0),
        ask_model("era-s6-dropout"),
        ask_field(1, 2, 2),
    ]
    config = bare_config(tiny, epochs=2, augment="light")
    asked = run(config, ScriptedInbox(dict.fromkeys((0, 1, 5, 9), questions)))
    left_alone = run(config)

    reported = [e for e in asked if not isinstance(e, Answered)]
    assert len(asked) > len(reported)
    assert reported == left_alone


def test_the_current_weights_are_used(tiny: Path) -> None:
    evaluation = [ask_field(12, 0, 0, digit=1)]
    first, later = contents(
        MeasuredField,
        run(bare_config(tiny, epochs=2), ScriptedInbox({1: evaluation, 13: evaluation})),
    )

    assert first.image == later.image
    assert first.effective != later.effective


def test_digits_wrap_around(tiny: Path) -> None:
    (seen,) = contents(
        MeasuredField, run(bare_config(tiny), ScriptedInbox({0: [ask_field(1, 0, 0, digit=13)]}))
    )
    assert seen.digit == 3  # of ten validation images


def test_without_a_validation_split_training_images_are_used(tiny: Path) -> None:
    (seen,) = contents(
        MeasuredField,
        run(bare_config(tiny, val_size=0), ScriptedInbox({0: [ask_field(1, 0, 0, digit=100)]})),
    )
    assert seen.digit == 100


def test_impossible_questions_are_rejected_and_the_run_continues(tiny: Path) -> None:
    asked = [
        (ask_field(99, 0, 0), "there is no layer 99"),
        (ask_field(-1, 0, 0), "there is no layer -1"),
        (ask_field(1, 8, 0), "no feature at 8, 0"),
        (ask_field(1, 0, -1), "no feature at 0, -1"),
        (ask_model("lenet"), "lenet"),
        (ask_model("nowhere.py:Net"), "nowhere.py"),
    ]
    inbox = ScriptedInbox({step: [question] for step, (question, _) in enumerate(asked, start=1)})
    events = run(bare_config(tiny, epochs=1), inbox)

    for rejected, (question, reason) in zip(of(CommandRejected, events), asked, strict=True):
        assert rejected.command == question.topic
        assert reason in rejected.reason
    assert of(RunFinished, events)[0].reason == "completed"


def test_another_model_is_described_for_the_same_images(tiny: Path) -> None:
    events = run(bare_config(tiny), ScriptedInbox({0: [ask_model("mlp")]}))

    (described,) = contents(ModelDescription, events)
    assert described.model == "mlp"
    assert described.about
    assert described.layers[0].output_shape == (8, 8, 1)
    assert described.layers[-1].output_shape == (1, 1, 10)
    assert described.review


def test_a_paused_run_answers_and_stays_paused(tiny: Path) -> None:
    inbox = ScriptedInbox({2: [Pause()]}, paused=[[ask_field(1, 0, 0)], [Resume()]])
    events = run(bare_config(tiny, epochs=1), inbox)

    assert inbox.waits == [2, 2]
    assert answers(events, "field")[0].step == 2


def test_answers_do_not_count_as_training_time(tiny: Path) -> None:
    clock = FakeClock()

    class Slow(ScriptedInbox):
        def take(self, step: int, *, wait: bool = False) -> list[Command]:
            clock.now += 1.0
            return super().take(step, wait=wait)

    steps = of(
        StepDone, run(bare_config(tiny, epochs=1), Slow({3: [ask_field(1, 0, 0)]}), clock=clock)
    )
    assert steps[-1].seconds < len(steps) + 1


def test_a_finished_run_answers_until_stop(tiny: Path) -> None:
    events = watched(tiny, [ask_field(2, 0, 0)], [ask_model("tiny"), SetBaseLr(0.1)])

    place = [isinstance(event, RunFinished) for event in events].index(True)
    kinds = [type(event) for event in events[place:]]
    assert kinds == [RunFinished, Answered, Answered, CommandRejected]
    assert [event.question.kind for event in answers(events)] == ["field", "model"]
    assert events[-1].reason == "the run is over"  # type: ignore[union-attr]


def test_a_question_after_a_stop_command_is_answered(tiny: Path) -> None:
    events = run(bare_config(tiny), ScriptedInbox({2: [Stop(), ask_field(1, 0, 0)]}))

    assert answers(events, "field")[0].step == 2


def test_a_forced_stop_does_not_wait_for_answers(tiny: Path) -> None:
    inbox = ScriptedInbox({2: [Stop(test=False)]})

    events = list(train(bare_config(tiny), inbox, interactive=True, clock=FakeClock()))

    assert isinstance(events[-1], RunFinished)
    assert inbox.waits == []


def test_a_diverged_run_still_answers(tiny: Path) -> None:
    events = watched(tiny, [ask_field(1, 1, 1)], [Stop()], lr=900.0, model="era-s6-plain")

    (seen,) = contents(MeasuredField, events)
    assert sum(seen.measured) == 9
    assert of(RunFinished, events)[0].reason == "diverged"


def test_the_run_starts_with_the_review_of_its_model(tiny: Path) -> None:
    (started,) = of(RunStarted, run(bare_config(tiny, epochs=1)))

    assert started.about
    assert {verdict.severity for verdict in started.review} <= {"ok", "note", "warning", "error"}
    assert len(started.review) >= 5
