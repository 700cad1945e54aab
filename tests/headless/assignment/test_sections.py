"""The document of an assignment: which figure is called what, and what is missing is named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tests.headless.fakes import BATCH, TEST, TRAIN, VAL, epoch_done, finished, started, step
from tests.protocol import facts
from tui_trainer.headless.assignment.facts import Step
from tui_trainer.headless.assignment.measurements import seen_field
from tui_trainer.headless.assignment.sections import assignment
from tui_trainer.headless.evaluation_text import Evaluation
from tui_trainer.headless.view_questions import Shown
from tui_trainer.history.history import History
from tui_trainer.history.target import Target
from tui_trainer.protocol.document import Document, Items
from tui_trainer.protocol.events import Event, TestEvaluated
from tui_trainer.protocol.exhibit import Exhibit, Table, Words
from tui_trainer.protocol.inspection import find_view
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.recording.about import NOTHING
from tui_trainer.recording.summary import summary_of
from tui_trainer.stats.intervals import wilson

PER_EPOCH = TRAIN // BATCH
LAYERS = (
    LayerRow(
        name="input",
        kind="input",
        kernel="",
        output_shape=(28, 28, 1),
        parameters=0,
        receptive_field=(1, 1),
        jump=(1, 1),
        start=(0.0, 0.0),
    ),
    LayerRow(
        name="conv1",
        kind="conv",
        kernel="3×3",
        input_shape=(28, 28, 1),
        output_shape=(26, 26, 16),
        kernel_size=(3, 3),
        parameters=19_568,
        receptive_field=(3, 3),
        jump=(1, 1),
        start=(1.0, 1.0),
        sources=(0,),
    ),
)


def trained(*correct: int | None, epochs: int | None = None) -> list[Event]:
    """Return epochs with these numbers of correct validation images, without an end."""
    val = VAL if any(each is not None for each in correct) else 0
    events: list[Event] = [started(epochs=epochs or len(correct), val_size=val)]
    for epoch, each in enumerate(correct, start=1):
        first = (epoch - 1) * PER_EPOCH + 1
        events += [step(number) for number in range(first, first + PER_EPOCH)]
        events.append(epoch_done(epoch, correct=each))
    return events


def evaluated(at: int, correct: int, evaluation: int = 1) -> TestEvaluated:
    return facts.evaluated(
        evaluation=evaluation,
        step=at,
        test_accuracy=correct / TEST,
        test_correct=correct,
        test_total=TEST,
        test_interval=wilson(correct, TEST),
    )


def step_of(events: Iterable[Event], *, correct: int, **changes: Any) -> Step:
    history = History.of(events)
    assert history.started is not None
    images = "validation" if history.started.val_size else "training"
    evaluation = Evaluation(
        run="mine",
        checkpoint="last",
        epoch=history.epoch,
        step=history.step,
        started=history.started,
        images=images,
        total=VAL,
        correct=correct,
        test_evaluations=0,
        views=(Shown(find_view("confusion"), Exhibit(blocks=(Words(text="the matrix"),))),),
    )
    fields: dict[str, Any] = {
        "number": 1,
        "name": "mine",
        "about": NOTHING,
        "started": history.started,
        "summary": summary_of(history),
        "history": history,
        "settings": {"lr": (0.05, None), "momentum": (0.9, 0.9)},
        "evaluation": evaluation,
        "mistakes": Exhibit(blocks=(Words(text="No validation image is misclassified."),)),
        "layers": LAYERS,
        "measured": ("1×1", "3×3"),
        "review": (),
        **changes,
    }
    return Step(**fields)


def written(*steps: Step) -> Document:
    return assignment(steps, "mnist-tui export mine")


def texts_of(document: Document, *names: str) -> list[str]:
    """Return the texts of a section; each row of a table is one text."""
    found = []
    for _, section in document.walk():
        if section.name in names:
            for part in section.parts:
                match part:
                    case Words():
                        found.append(part.text)
                    case Items():
                        found += part.texts
                    case Table():
                        found += [" | ".join(row) for row in part.rows]
    return found


def result_of(one: Step) -> list[str]:
    return texts_of(written(one), "step-1-result")


# --- the accuracies


def test_the_result_is_the_last_checkpoint_and_the_best_epoch_is_picked() -> None:
    events = [*trained(480, 490, 470), evaluated(30, 9_500), finished(correct=9_500)]
    texts = result_of(step_of(events, correct=470))

    assert texts[:3] == [
        "test | 95.00 % | [94.56, 95.41] | 9,500 of 10,000 | last checkpoint, epoch 3, step 30",
        "validation | 94.00 % | [91.56, 95.77] | 470 of 500 | last checkpoint, epoch 3, step 30",
        "validation | 98.00 % | [96.36, 98.91] | 490 of 500 | "
        "best epoch, 2 of 3, picked by these images",
    ]
    assert "The test set was evaluated once." in texts


def test_the_test_accuracy_of_other_weights_is_no_result() -> None:
    events = [*trained(480, 490, 470), evaluated(20, 9_800), evaluated(20, 9_800, 2)]
    texts = result_of(step_of(events, correct=470))

    assert not any(text.startswith("test |") for text in texts)
    assert not any("98.00 % | [97.71" in text for text in texts)
    assert (
        "No test accuracy: the test set was evaluated 2 times, but not with the last checkpoint."
        in texts
    )


def test_test_evaluations_are_counted() -> None:
    events = [*trained(480), evaluated(10, 9_000), evaluated(10, 9_000, 2)]
    assert any(
        text.startswith("The test set was evaluated 2 times in this run: its accuracy is no longer")
        for text in result_of(step_of(events, correct=480))
    )


def test_a_checkpoint_within_an_epoch_is_not_taken_for_that_epoch() -> None:
    events = [*trained(480, epochs=3), step(11), step(12)]
    texts = result_of(step_of(events, correct=460))

    assert texts[0].endswith("460 of 500 | last checkpoint, epoch 2, step 12")
    assert texts[1].endswith("480 of 500 | last complete epoch, epoch 1, step 10")


def test_without_validation_images_only_the_test_set_can_judge() -> None:
    events = trained(None, None)
    sealed = written(step_of(events, correct=450))
    tested = written(step_of([*events, evaluated(20, 9_000)], correct=450))

    rows = texts_of(sealed, "step-1-result")
    assert rows[0].startswith("training (no result) | 90.00 %")
    assert any("It has no result yet: the test set" in text for text in texts_of(sealed, "step-1"))
    assert any("the test accuracy alone" in text for text in texts_of(tested, "step-1"))
    assert not any("best epoch" in text for text in rows)


# --- the target


def test_whether_the_target_held_in_the_last_five_epochs() -> None:
    events = [*trained(400, 490, 488, 491, 489, 492), finished()]
    goal = Target(0.97, 5)
    held = result_of(step_of(events, correct=492, goal=goal, target="97 %"))
    assert any(
        text.startswith("Target reached: validation at least 97.00 % in each") for text in held
    )

    missed = written(step_of(events, correct=492, goal=Target(0.978, 5), target="97.8 %"))
    texts = texts_of(missed, "step-1-result")
    assert any("in 4 of the last 5 epochs; lowest 97.60 % (epoch 3)" in text for text in texts)


def test_a_run_of_few_epochs_cannot_hold_its_target() -> None:
    events = [*trained(490, 491), finished()]
    texts = result_of(step_of(events, correct=491, goal=Target(0.9, 5), target="90 %"))
    assert any("only 2 epochs of the last 5 are done" in text for text in texts)


def test_a_target_of_the_test_set_is_judged_by_it_and_by_the_last_epochs() -> None:
    events = [*trained(480, 480, 480, 480, 480), evaluated(50, 9_931), finished()]
    texts = result_of(step_of(events, correct=480, goal=Target(0.99), target="99 %"))
    assert "Target reached: test 99.31 % reaches the target of 99.00 %." in texts
    assert any("validation at least 99.00 % in 0 of the last 5 epochs" in text for text in texts)


def test_a_target_in_words_is_not_judged() -> None:
    events = [*trained(480, 481), finished()]
    texts = result_of(step_of(events, correct=481, target="as small as it gets"))
    assert not any(text.startswith("Target") for text in texts)
    assert "Validation accuracy of the last epochs: 96.00 % (epoch 1), 96.20 % (epoch 2)." in texts


# --- analysis, overview, settings


def test_the_analysis_is_a_draft_with_its_evidence() -> None:
    events = [*trained(490, 480), facts.finding(severity="warning"), finished()]
    review = (
        replace(facts.finding(), code="a", title="a bias", evidence="1", severity="warning"),
        replace(facts.finding(), code="b", title="fine", evidence="2", severity="ok"),
    )
    texts = texts_of(written(step_of(events, correct=480, review=review)), "step-1-analysis")

    assert texts[0].startswith("Draft, made from measurements: edit it")
    assert any("The best epoch is 1, 2.00 points above the last one" in text for text in texts)
    assert any(text.startswith("▲ Overfitting since epoch 3") for text in texts)
    assert "Design review: 0 errors, 1 warning, 1 ok." in texts
    assert not any("fine" in text for text in texts)


def test_the_overview_has_a_line_for_each_step() -> None:
    first = step_of([*trained(480, 490), finished()], correct=490)
    second = replace(step_of(trained(None), correct=450), number=2, name="other")
    document = written(first, second)

    rows = texts_of(document, "overview")
    assert [row.split(" | ")[:3] for row in rows] == [
        ["1", "mine", "era-s6"],
        ["2", "other", "era-s6"],
    ]
    assert "98.00 % [96.36, 98.91], epoch 2" in rows[0]
    assert "sealed" in rows[1]
    assert [section.title for section in document.sections][1:] == ["Step 1: mine", "Step 2: other"]
    assert [section.name for section in written(first).sections] == ["step-1"]


def test_settings_are_compared_with_their_defaults() -> None:
    texts = texts_of(written(step_of(trained(480), correct=480)), "step-1-settings")
    assert texts == ["lr | 0.05 | –", "As by default: momentum 0.9."]


def test_what_changed_while_it_trained_is_part_of_how_to_reproduce_it() -> None:
    one = step_of(trained(480), correct=480, changes=("learning rate 0.1 → 0.05 after step 5",))
    texts = texts_of(written(one), "step-1-reproduce")
    assert "learning rate 0.1 → 0.05 after step 5" in texts
    texts = texts_of(written(step_of(trained(480), correct=480)), "step-1-reproduce")
    assert "No setting was changed while it trained." in texts


# --- the network


def test_a_measured_field_that_is_smaller_is_named() -> None:
    assert not any(
        "smaller" in text
        for text in texts_of(written(step_of(trained(480), correct=480)), "step-1-network")
    )
    one = step_of(trained(480), correct=480, measured=("1×1", "2×3"))
    texts = texts_of(written(one), "step-1-network")
    assert "Measured fields that are smaller: conv1." in texts
    assert texts[1].split(" | ")[-3:] == ["2×3", "19,568", "0"]


def test_a_field_ends_at_the_edge_of_the_image() -> None:
    wide = replace(LAYERS[1], receptive_field=(40, 40), start=(0.0, 0.0))
    assert seen_field(wide, LAYERS[0]) == (28, 28)
    assert seen_field(LAYERS[1], LAYERS[0]) == (3, 3)
    assert seen_field(replace(wide, receptive_field=None), LAYERS[0]) is None
