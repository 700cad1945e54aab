"""The sentences about the reader's model: their figures, counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import pytest

from tests.protocol import facts
from tui_trainer.anatomy.description import layers_of
from tui_trainer.course.lesson import SLUGS, Lesson, lesson
from tui_trainer.course.model_figures import model_figures
from tui_trainer.course.placeholders import FIGURES, figures, observations, placeholders
from tui_trainer.findings.learning_rates import noise_scale
from tui_trainer.history.history import History
from tui_trainer.models.build import build_model
from tui_trainer.protocol.events import Diverged, Event
from tui_trainer.protocol.layers import LayerRow


@cache
def rows_of(model: str, dropout: float | None = None) -> tuple[LayerRow, ...]:
    """Return the layer table of a model of the zoo."""
    built = build_model(model, image_size=28, classes=10, dropout=dropout)
    return layers_of(built, (28, 28, 1), 10)


def history_of(*events: Event) -> History:
    return History.of(events)


def a_run(**changes: object) -> History:
    """Return the history of a run of the course's model after two epochs."""
    updates = [facts.update(number) for number in range(1, 9)]
    return history_of(
        facts.started(layers=rows_of("era-s6"), **changes),
        *(facts.step(number, loss=0.5) for number in range(1, 21)),
        facts.epoch_done(1, val_accuracy=0.91, val_interval=(0.88, 0.93)),
        facts.epoch_done(2, val_accuracy=0.89, val_interval=(0.86, 0.91), val_loss=0.41),
        *updates,
        facts.sample(20, batch_norm_gap=-0.0123),
    )


def lesson_with(*sentences: str) -> Lesson:
    return replace(
        lesson("softmax"), observations=sentences, no_observations="nothing is known yet"
    )


# --- the layer table


def test_the_model_of_the_course() -> None:
    known = model_figures(rows_of("era-s6"))
    assert known == {
        "layer_count": "7",
        "conv_count": "7",
        "pool_count": "2",
        "norm_count": "6",
        "dropout_count": "0",
        "transition_count": "2",
        "transition_share": f"{100 * (32 * 16 + 64 * 16) / 19_568:.1f} %",
        "kernel_sizes": "3×3 and 1×1",
        "count_1x1": "2",
        "count_3x3": "5",
        "first_kernels": "16",
        "most_kernels": "64",
        "kernels_by_layer": "16 → 32 → 16 → 16 → 64 → 16 → 10",
        "pool_places": "after layers 3 and 6 of 7",
        "pool_maps": "28×28 → 14×14 → 7×7",
        "pool_distance": "1",
        "norm_distance": "1",
        "head": "global average pooling",
        "last_map": "3×3",
        # Each 3×3 adds twice the jump, which each pool and stride doubles.
        "receptive_field": "24×24",
        "jump": "8",
        "fields_by_layer": "3 → 5 → 6 → 10 → 14 → 16 → 24",
        "multiply_adds": "6,598,880",
        "first_layer_share": f"{100 * 28 * 28 * 9 * 16 / 6_598_880:.1f} %",
    }


def test_a_model_without_convolutions_has_no_figures_of_them() -> None:
    known = model_figures(rows_of("mlp"))

    assert (known["layer_count"], known["conv_count"], known["pool_count"]) == ("2", "0", "0")
    assert (known["head"], known["receptive_field"]) == ("2 fully connected layers", "28×28")
    absent = {"kernels_by_layer", "pool_places", "pool_distance", "norm_distance", "last_map"}
    assert not absent & set(known)


def test_convolutions_and_fully_connected_layers_are_layers() -> None:
    known = model_figures(rows_of("conv-fc"))

    assert known["layer_count"] == "4"
    assert known["pool_places"] == "after layers 1 and 2 of 4"
    assert known["pool_distance"] == "2"
    assert known["fields_by_layer"] == "3 → 4 → 8 → 10 → 34"
    assert known["head"] == "2 fully connected layers"


def test_depthwise_pairs_are_not_transitions_and_long_sequences_are_shortened() -> None:
    known = model_figures(rows_of("tiny"))

    assert known["transition_count"] == "0"
    assert (known["conv_count"], known["layer_count"]) == ("13", "14")
    assert known["kernels_by_layer"] == "8 → 8 → 16 → 16 → 20 → 20 → … → 28 → 28 → 28"
    assert known["head"] == "global average pooling and a fully connected layer"
    assert (known["last_map"], known["receptive_field"]) == ("7×7", "40×40")
    assert known["pool_distance"] == "7"


def test_dropout_layers_are_counted() -> None:
    known = model_figures(rows_of("squeeze-dropout", 0.1))
    kinds = [row.kind for row in rows_of("squeeze-dropout", 0.1)]
    assert known["dropout_count"] == str(kinds.count("dropout")) != "0"


def test_rows_of_an_older_record_give_the_figures_they_can() -> None:
    old = [
        LayerRow(
            name=row.name,
            kind=row.kind,
            kernel=row.kernel,
            output_shape=row.output_shape,
            parameters=row.parameters,
        )
        for row in rows_of("era-s6")
    ]
    now, then = model_figures(rows_of("era-s6")), model_figures(old)
    lacking = {"receptive_field", "jump", "fields_by_layer", "multiply_adds", "first_layer_share"}
    assert then == {name: text for name, text in now.items() if name not in lacking}


def test_the_longest_path_counts() -> None:
    def row(name: str, kind: str, sources: tuple[int, ...], channels: int = 4) -> LayerRow:
        return LayerRow(
            name=name,
            kind=kind,
            kernel="3×3" if kind == "conv" else "",
            output_shape=(8, 8, channels),
            parameters=0,
            sources=sources,
        )

    rows = [
        row("input", "input", ()),
        row("pool", "max pool", (0,)),
        row("long1", "conv", (1,)),
        row("long2", "conv", (2,)),
        row("short", "conv", (1,)),
        row("add", "add", (3, 4)),
    ]
    assert model_figures(rows)["pool_distance"] == "2"
    assert model_figures(rows)["pool_places"] == "before layer 1 of 3"


def test_a_table_without_layers_has_no_figures() -> None:
    assert model_figures([]) == {}
    assert model_figures(rows_of("era-s6")[:1]) == {}


# --- the run


def test_before_a_run_there_are_no_figures() -> None:
    assert figures(History()) == {}


def test_every_figure_is_known_in_a_run_and_no_other() -> None:
    assert set(figures(a_run(dropout=0.1))) == FIGURES


def test_settings_are_the_current_ones() -> None:
    history = a_run(dropout=0.1)
    history.apply(facts.changed("base_lr", 0.1, 0.02, images=2_000))
    history.apply(facts.changed("batch_size", 100, 300, images=2_000))
    history.apply(facts.changed("augmentation", 1, 0, images=2_000))
    known = figures(history)

    assert (known["base_lr"], known["lr"]) == ("0.02", "0.1")
    assert (known["batch_size"], known["steps_per_epoch"]) == ("300", "4")
    assert (known["augmentation"], known["dropout"]) == ("off", "0.1")
    assert (known["mean"], known["std"], known["schedule"]) == ("0.1300", "0.3100", "constant")
    assert (known["train_size"], known["classes"]) == ("1,000", "10")
    assert known["guessing_loss"] == f"{math.log(10):.3f}"


@pytest.mark.parametrize(
    ("parameters", "share"),
    [(19_568, "98 %"), (19_999, "99 %"), (20_000, "100 %"), (41_000, "205 %")],
)
def test_the_budget_is_not_full_before_it_is(parameters: int, share: str) -> None:
    known = figures(history_of(facts.started(parameters=parameters)))
    assert known["budget_share"] == f"{share} of a budget of 20,000"


def test_the_figures_of_the_training() -> None:
    known = figures(a_run())

    assert known["step"] == "20"
    assert (known["train_loss"], known["true_class_probability"]) == ("0.5000", "60.7 %")
    assert (known["train_accuracy"], known["val_loss"]) == ("80.00 %", "0.4100")
    assert known["val_accuracy"] == "89.00 % [86.00, 91.00]"
    assert known["gap"] == "−9.00"
    assert known["first_epoch_accuracy"] == "91.00 % [88.00, 93.00]"
    assert known["best_epoch"] == "1"
    assert known["speed"] == "2,000 img/s"
    assert known["findings"] == "none"


def test_the_figures_of_the_probes() -> None:
    history = a_run()
    first = facts.parameter("conv1.weight", gradient_norm=0.002, numel=4)
    last = facts.parameter("conv9.weight", gradient_norm=0.1, numel=100)
    history.apply(facts.update(20, parameters=(first, facts.parameter("norm.bias"), last)))
    relus = (facts.layer(dead=2), facts.layer(dead=1, units=48), facts.layer(kind="conv", dead=9))
    history.apply(facts.sample(20, layers=relus, batch_norm_gap=0.02))
    known = figures(history)

    assert known["update_ratio"] == "0.1 %"
    assert known["gradient_ratio"] == "0.1"  # 0.002 / 2 to 0.1 / 10
    assert known["dead_share"] == "4.7 %"
    assert known["batch_gap"] == "+0.0200"
    scale = noise_scale(history)
    assert scale is not None
    assert float(known["noise_scale"].replace(",", "")) == pytest.approx(scale, rel=0.05)


def test_findings_are_listed_by_title() -> None:
    history = a_run()
    history.apply(facts.finding())
    history.apply(facts.finding(code="speed", severity="error", title="it stands still"))
    assert figures(history)["findings"] == "it stands still, overfitting since epoch 3"


def test_a_nonfinite_loss_has_no_figure() -> None:
    history = a_run()
    history.apply(facts.step(21, loss=math.nan))
    history.apply(Diverged(step=21, epoch=3, lr=9.0))
    known = figures(history)

    assert not {"train_loss", "true_class_probability", "train_accuracy", "gap"} & set(known)
    assert known["val_accuracy"]


def test_nonfinite_numbers_have_no_figures() -> None:
    bad = facts.parameter(gradient_norm=math.nan, update_norm=math.nan, weight_norm=math.nan)
    history = history_of(
        facts.started(layers=rows_of("era-s6")),
        facts.step(1, loss=math.nan),
        facts.epoch_done(1, val_loss=math.nan),
        *(facts.update(number, parameters=(bad, bad, bad)) for number in range(1, 9)),
        facts.sample(1, batch_norm_gap=math.nan),
    )
    known = figures(history)

    assert not {"val_loss", "update_ratio", "gradient_ratio", "batch_gap"} & set(known)
    assert not any("nan" in text for text in known.values())


# --- the sentences


def test_sentences_are_shown_if_all_their_figures_are_known() -> None:
    wanted = lesson_with(
        "{model} has {parameters} parameters.", "Its loss is {train_loss}.", "Always."
    )

    assert observations(wanted, a_run()) == (
        "era-s6 has 19,568 parameters.",
        "Its loss is 0.5000.",
        "Always.",
    )
    assert observations(wanted, history_of(facts.started())) == (
        "era-s6 has 19,568 parameters.",
        "Always.",
    )


def test_a_noun_agrees_with_its_figure() -> None:
    wanted = lesson_with(
        "{norm_distance:layer}, {conv_count:convolution}, {dropout_count:dropout}."
    )
    assert observations(wanted, a_run()) == ("1 layer, 7 convolutions, 0 dropouts.",)


def test_without_figures_the_lesson_shows_its_fallback() -> None:
    assert observations(lesson_with("{model}"), History()) == ("nothing is known yet",)


def test_every_placeholder_of_a_lesson_exists(lessons_there: list[Lesson]) -> None:
    for each in lessons_there:
        for sentence in each.observations:
            assert placeholders(sentence) <= FIGURES, (each.slug, sentence)


def test_every_sentence_of_a_lesson_can_be_filled(lessons_there: list[Lesson]) -> None:
    history = a_run(dropout=0.1)
    for each in lessons_there:
        sentences = observations(each, history)
        assert len(sentences) == len(each.observations) > 0
        assert not any("{" in sentence or "}" in sentence for sentence in sentences)


@pytest.fixture(scope="module")
def lessons_there() -> list[Lesson]:
    return [lesson(slug) for slug in SLUGS]
