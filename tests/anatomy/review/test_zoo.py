from __future__ import annotations

import pytest

from tui_trainer.anatomy.review import review
from tui_trainer.anatomy.table import layer_table
from tui_trainer.models import zoo
from tui_trainer.protocol.config import BUDGETS, budget_of
from tui_trainer.protocol.diagnosis import Diagnosis

FLAWED = {"era-s6-as-run": {"activation-before-logits"}}


def reviewed(name: str, image: int = 28, channels: int = 1) -> dict[str, Diagnosis]:
    model = zoo.build(name, image_size=image, classes=10, channels=channels)
    rows = layer_table(model, (image, image, channels))
    return {found.code: found for found in review(rows, budget=budget_of(name))}


@pytest.mark.parametrize("name", zoo.REGISTRY)
def test_only_the_courses_original_model_has_errors_in_the_zoo(name: str) -> None:
    wrong = {rule for rule, reported in reviewed(name).items() if reported.severity == "error"}

    assert wrong == FLAWED.get(name, set())


@pytest.mark.parametrize("image", [8, 29, pytest.param(64, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", zoo.REGISTRY)
@pytest.mark.sampled(3)
def test_every_zoo_model_can_be_reviewed_at_any_size(name: str, image: int) -> None:
    assert len(reviewed(name, image)) >= 5


def test_the_courses_original_model_fails_with_its_numbers() -> None:
    found = reviewed("era-s6-as-run")

    assert "3×3 on 5×5: 16 of 25 features dropped" in found["average-pool-coverage"].evidence
    assert found["average-pool-coverage"].layers == ("average",)
    assert "shrink1 1×1 turns 28×28 into 30×30" in found["idle-padding"].evidence
    assert found["activation-before-logits"].layers == ("logits_relu",)
    assert found["norm-before-activation"].layers == ("shrink2_norm",)
    assert "15×15" in found["dropped-edge"].evidence


def test_the_courses_model_passes_the_rules_that_it_teaches() -> None:
    found = reviewed("era-s6")
    taught = ["first-pooling", "transition-layer", "transition-position", "kernel-growth"]
    taught += ["norm-presence", "norm-distance", "activation-before-logits", "late-convolution"]

    assert {rule: found[rule].severity for rule in taught} == dict.fromkeys(taught, "ok")
    assert "24×24 of 28×28" in found["final-receptive-field"].evidence
    assert found["budget"].evidence.startswith("19,568 of 20,000")


def test_depthwise_and_pointwise_count_as_one_and_a_pool_may_stand_before_the_norm() -> None:
    found = reviewed("tiny")

    assert found["norm-presence"].evidence.startswith("7 of 7")
    assert "point3 20 → point4 20" in found["kernel-growth"].evidence
    assert "transition-layer" not in found  # its 1×1 before a pool completes a depthwise one
    assert reviewed("small")["norm-presence"].severity == "ok"


def test_early_and_late_pooling_get_different_verdicts() -> None:
    early, late = reviewed("pool-early"), reviewed("pool-late")

    assert (early["first-pooling"].severity, late["first-pooling"].severity) == ("note", "ok")
    assert early["final-receptive-field"].severity == "ok"
    assert late["final-receptive-field"].severity == "note"


# --- the models for color


@pytest.mark.parametrize("name", BUDGETS)
def test_no_rule_objects_to_the_models_for_color(name: str) -> None:
    found = reviewed(name, 32, 3)

    assert {code for code, each in found.items() if each.severity != "ok"} == set()
    assert f"of {BUDGETS[name]:,}" in found["budget"].evidence


def test_group_and_layer_norm_are_norms_but_no_batch_norms() -> None:
    batch, group, layer = (reviewed(f"norm-{kind}", 32, 3) for kind in ("batch", "group", "layer"))

    assert batch["norm-presence"].title == "batch norm after every convolution but the last"
    for found in (group, layer):
        assert found["norm-presence"].title == "a norm after every convolution but the last"
        assert found["norm-presence"].evidence == batch["norm-presence"].evidence
        # Rules about running statistics and about the batch do not apply.
        assert set(batch) - set(found) == {
            "norm-distance",
            "norm-before-activation",
            "bias-with-norm",
            "norm-momentum",
        }


def test_the_reviews_fields_know_dilation_and_shortcuts() -> None:
    assert "point6: 47×47 of 32×32" in reviewed("dilated", 32, 3)["final-receptive-field"].evidence
    found = reviewed("residual", 32, 3)
    assert "block6.conv2: 68×68" in found["final-receptive-field"].evidence
    assert "block1.conv1 32 → block1.conv2 32" in found["kernel-growth"].evidence
    # The shortcut of block6 adds the 64 pooled maps: fewer would not fit.
    assert "transition-layer" not in found
