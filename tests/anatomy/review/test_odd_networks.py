from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from torch import Tensor, nn

from tests.anatomy.review.networks import assert_short_with_numbers, problems, sound, swap, verdicts
from tui_trainer.anatomy.review import RULES, review
from tui_trainer.anatomy.review.design import Design
from tui_trainer.anatomy.review.reporter import Reporter
from tui_trainer.anatomy.table import layer_table
from tui_trainer.models.torchvision_compat import import_torchvision
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import BUDGET, LayerRow

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")  # of an even kernel

LINEAR = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
ONE_CONVOLUTION = nn.Sequential(nn.Conv2d(1, 10, 28), nn.Flatten())
POINTS = nn.Sequential(
    nn.Conv2d(1, 8, 1), nn.ReLU(), nn.Conv2d(8, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
)
NO_WEIGHTS = nn.Sequential(nn.AvgPool2d(7), nn.Flatten())
NO_POOLS = nn.Sequential(
    nn.Conv2d(1, 4, 9), nn.ReLU(), nn.Conv2d(4, 4, 9), nn.ReLU(), nn.Conv2d(4, 10, 12), nn.Flatten()
)


def test_a_single_linear_layer_is_linear() -> None:
    found = verdicts(LINEAR)

    assert problems(found) == {"fully-connected-share": "note", "nonlinearity": "warning"}
    assert "1: 28×28 of 28×28" in found["final-receptive-field"].evidence


def test_one_convolution_over_the_whole_image_is_linear() -> None:
    assert problems(verdicts(ONE_CONVOLUTION)) == {"nonlinearity": "warning"}


def test_pointwise_convolutions_see_no_digit() -> None:
    found = verdicts(POINTS)

    assert problems(found) == {"final-receptive-field": "warning", "norm-presence": "note"}
    assert "1×1 of 28×28" in found["final-receptive-field"].evidence


def test_few_rules_apply_to_a_model_without_weights() -> None:
    found = verdicts(NO_WEIGHTS)

    assert "final-receptive-field" not in found
    assert "activation-before-logits" not in found
    assert found["budget"].evidence.startswith("0 of 20,000")


def test_without_pools_no_pooling_rule_applies() -> None:
    found = verdicts(NO_POOLS)

    pooling = ("first-pooling", "max-pool-distance", "transition-layer", "average-pool-coverage")
    assert found.keys().isdisjoint((*pooling, "dropped-edge", "stride-skips"))
    assert problems(found) == {"norm-presence": "note"}


def test_pooling_of_pixels_is_a_warning() -> None:
    verdict = {
        pool: verdicts(nn.Sequential(pool(2), nn.Conv2d(1, 10, 14), nn.Flatten()))["first-pooling"]
        for pool in (nn.MaxPool2d, nn.AvgPool2d)
    }

    assert [reported.severity for reported in verdict.values()] == ["warning", "warning"]


def test_the_verdict_depends_on_the_image_size() -> None:
    at = {side: verdicts(sound(), side)["final-receptive-field"] for side in (9, 28, 40, 56)}

    assert [reported.severity for reported in at.values()] == ["note", "ok", "note", "warning"]
    assert at[9].evidence.endswith("3.6 times the image, 9×9")
    assert "32×32 of 40×40 pixels; a digit of MNIST takes 29×29" in at[40].evidence
    assert "32×32 of 56×56 pixels; a digit of MNIST takes 40×40" in at[56].evidence


def test_a_wide_map_may_be_convolved_though_its_features_see_everything() -> None:
    def reported(side: int) -> str:
        model = nn.Sequential(
            nn.AdaptiveAvgPool2d(side),
            nn.Conv2d(1, 8, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 10),
        )
        return verdicts(model, side)["late-convolution"].severity

    assert [reported(7), reported(8)] == ["note", "ok"]


def test_few_channels_may_be_pooled_without_a_transition() -> None:
    def reported(channels: int) -> set[str]:
        model = nn.Sequential(
            nn.Conv2d(1, channels, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(channels, 10, 12)
        )
        return problems(verdicts(nn.Sequential(model, nn.Flatten()))).keys() & {"transition-layer"}

    assert [reported(63), reported(64)] == [set(), {"transition-layer"}]


def test_dropping_the_last_row_of_a_large_map_is_fine() -> None:
    def reported(side: int) -> str:
        model = nn.Sequential(
            nn.Conv2d(1, 4, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(4, 10, 3),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        return verdicts(model, side)["dropped-edge"].severity

    assert [reported(29), reported(28), reported(128)] == ["ok", "note", "ok"]


def test_a_colored_image_is_not_assumed_to_show_a_digit() -> None:
    colored = sound(swap(conv1=nn.Conv2d(3, 8, 3, padding=1, bias=False)))

    reported = verdicts(colored, 56, channels=3)["final-receptive-field"]

    assert reported.severity == "note"
    assert "digit" not in reported.evidence + reported.title


def test_the_budget_is_the_callers() -> None:
    parameters = sum(p.numel() for p in sound().parameters())

    at = {
        limit: verdicts(sound(), budget=limit)["budget"] for limit in (parameters, parameters - 1)
    }

    assert [reported.severity for reported in at.values()] == ["ok", "warning"]
    assert at[parameters].evidence == f"{parameters:,} of {parameters:,} parameters, 100 %"


def test_an_invalid_budget_or_table_raises() -> None:
    rows = layer_table(sound(), (28, 28, 1))

    with pytest.raises(ValueError, match="budget is 0"):
        review(rows, budget=0)
    for nothing in ((), rows[:1]):
        with pytest.raises(ValueError, match="table is empty"):
            review(nothing)


def test_rectangular_images_and_kernels_are_judged_by_their_worse_side() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 8, (1, 5), stride=(1, 2)), nn.ReLU(), nn.Conv2d(8, 10, (3, 3)), nn.Flatten()
    )

    (reported,) = (
        verdict
        for verdict in review(layer_table(model, (28, 14, 1)))
        if verdict.code == "final-receptive-field"
    )

    assert reported.severity == "warning"
    assert "3×9 of 28×14" in reported.evidence


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("resnet18", set()),
        ("mobilenet_v3_small", set()),
        ("squeezenet1_0", {"activation-before-logits"}),  # it ends in conv, ReLU, mean
    ],
)
def test_large_models_are_only_over_the_budget(name: str, wrong: set[str]) -> None:
    import_torchvision()
    from torchvision import models

    rows = layer_table(getattr(models, name)(weights=None), (224, 224, 3))
    for budget, over in ((BUDGET, "warning"), (100_000_000, "ok")):
        found = review(rows, budget=budget)
        assert {reported.code for reported in found if reported.severity == "error"} == wrong
        assert [r.severity for r in found if r.code == "budget"] == [over]
        assert all(len(reported.evidence) < 400 for reported in found)


@pytest.mark.parametrize("model", [LINEAR, ONE_CONVOLUTION, POINTS, NO_WEIGHTS, NO_POOLS])
def test_the_texts_are_short_and_carry_numbers(model: nn.Module) -> None:
    assert_short_with_numbers(verdicts(model))


def test_the_verdicts_come_in_the_order_of_the_rules() -> None:
    order = [reported.code for reported in review(layer_table(sound(), (28, 28, 1)))]

    assert order == [rule for rule in RULES if rule in order]


def test_the_review_needs_the_graph_and_not_the_order_of_the_table() -> None:
    """Two branches may be in any order in the table, as long as rows read earlier rows."""
    rows = (
        row("input", "input", (28, 28, 1)),
        conv("left", 0, (28, 28, 8)),
        conv("right", 0, (28, 28, 8)),
        row("left_norm", "batch norm", (28, 28, 8), 1),
        row("right_norm", "batch norm", (28, 28, 8), 2),
        row("add", "add", (28, 28, 8), 3, 4),
        conv("logits", 5, (28, 28, 10)),
        row("average", "average pool", (1, 1, 10), 6),
    )
    found = {reported.code: reported for reported in review(rows)}
    astray = (
        *rows[:4],
        replace(rows[4], sources=(1,)),
        replace(rows[5], sources=(3, 2)),
        *rows[6:],
    )
    bare = {reported.code: reported for reported in review(astray)}

    assert found["norm-presence"].severity == "ok"
    assert bare["norm-presence"].layers == ("right",)


def row(name: str, kind: str, shape: tuple[int, int, int], *sources: int) -> LayerRow:
    return LayerRow(
        name=name, kind=kind, kernel="", output_shape=shape, parameters=0, sources=sources
    )


def conv(name: str, source: int, shape: tuple[int, int, int]) -> LayerRow:
    return replace(
        row(name, "conv", shape, source),
        kernel="3×3",
        kernel_size=(3, 3),
        stride=(1, 1),
        padding=(1, 1),
        dilation=(1, 1),
        parameters=72,
        receptive_field=(3, 3),
    )


def test_reviewing_needs_no_torch() -> None:
    code = "import sys, tui_trainer.anatomy.review; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_a_rule_that_raises_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(design: Design, voice: Reporter) -> Diagnosis | None:
        raise KeyError("kernel")

    rows = layer_table(sound(), (28, 28, 1))
    expected = [verdict for verdict in review(rows) if verdict.code != "budget"]
    monkeypatch.setitem(RULES, "budget", (8, fails))

    assert list(review(rows)) == expected


@pytest.mark.parametrize(
    ("layer", "verdict"),
    [
        (nn.Softmax(dim=0), "error"),
        (nn.Softmax(dim=-2), "error"),
        (nn.LogSoftmax(dim=0), "error"),
        (nn.Softmin(dim=0), "error"),
        (nn.LogSoftmax(dim=1), "note"),
        (nn.LogSoftmax(dim=-1), "note"),
    ],
)
def test_a_softmax_over_the_batch_is_wrong_in_every_spelling(
    layer: nn.Module, verdict: str
) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), layer)
    (reported,) = (v for v in review(layer_table(model, (28, 28, 1))) if v.code == "softmax-output")

    assert reported.severity == verdict
    assert ("depend on other images" in reported.title) is (verdict == "error")


def test_attention_over_the_batch_is_found_and_over_positions_is_not() -> None:
    class Gate(nn.Module):
        def __init__(self, dim: int) -> None:
            super().__init__()
            self.conv, self.dim = nn.Conv2d(1, 10, 3), dim

        def forward(self, x: Tensor) -> Tensor:
            maps = self.conv(x).flatten(2)
            weights = maps.softmax(dim=self.dim)
            self.entropy = (weights * weights.log()).mean(0)  # for a loss; no score depends on it
            logits: Tensor = (maps * weights).sum(-1)
            return logits

    for dim, titles in ((0, ["softmax over the batch: outputs depend on other images"]), (2, [])):
        found = review(layer_table(Gate(dim), (28, 28, 1)))
        assert [
            v.title for v in found if v.code == "softmax-output" and v.severity == "error"
        ] == titles
