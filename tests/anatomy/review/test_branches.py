from __future__ import annotations

import torch
from torch import nn

from tests.anatomy.review.branches import (
    Fire,
    Functional,
    Residual,
    ResidualModel,
    Squeezed,
    TwoBranches,
)
from tests.anatomy.review.networks import problems, verdicts
from tui_trainer.anatomy.table import layer_table


def test_a_residual_model_with_norms_on_both_paths_is_sound() -> None:
    found = verdicts(ResidualModel())

    assert problems(found) == {"stride-skips": "note"}  # the 1×1 of each shortcut
    assert found["stride-skips"].layers == ("block1.shortcut", "block2.shortcut")
    assert found["norm-presence"].evidence.startswith("7 of 7")


def test_a_shortcut_without_norm_is_found() -> None:
    reported = verdicts(ResidualModel(shortcut_norm=False))["norm-presence"]

    assert (reported.severity, reported.layers) == ("note", ("block2.shortcut",))
    assert reported.evidence.startswith("6 of 7")


def test_a_norm_after_the_addition_serves_both_paths() -> None:
    model = nn.Sequential(
        Residual(1, 8, shortcut_norm=False, final_relu=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )

    assert verdicts(model)["norm-presence"].severity == "ok"


def test_the_distance_is_that_of_the_longest_path() -> None:
    reported = verdicts(ResidualModel())["max-pool-distance"]

    assert reported.severity == "ok"
    assert (
        "pool 5" in reported.evidence
    )  # 2 + 2 convolutions and the output layer; only 3 via the shortcuts


def test_a_sum_is_bounded_only_where_both_its_branches_are() -> None:
    reported = [verdicts(TwoBranches(relus=n))["activation-before-logits"] for n in range(3)]

    assert [one.severity for one in reported] == ["ok", "ok", "error"]
    assert reported[0].layers == ("left", "right")
    assert reported[2].layers == ("relu", "relu_2")


def test_a_softmax_that_weights_the_logits_is_not_their_softmax() -> None:
    assert verdicts(TwoBranches(gated=True))["softmax-output"].severity == "ok"


def test_a_dilated_stride_reads_no_more_than_its_taps() -> None:
    def reported(dilation: int) -> str:
        conv = nn.Conv2d(1, 10, 3, stride=2, padding=dilation, dilation=dilation)
        return verdicts(nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten()))[
            "stride-skips"
        ].severity

    assert [reported(1), reported(2), reported(3)] == ["ok", "warning", "ok"]


def test_a_maximum_of_two_branches_or_over_channels_is_no_pooling() -> None:
    class Maxout(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(1, 10, 28), nn.Conv2d(1, 10, 28)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features = images.amax(1, keepdim=True)
            logits: torch.Tensor = torch.max(self.left(features), self.right(features))
            return logits.flatten(1)

    assert {"max-pool-distance", "first-pooling"}.isdisjoint(verdicts(Maxout()))


def test_a_bias_is_redundant_even_with_a_pool_before_the_norm() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 10, 12),
        nn.Flatten(),
    )
    reported = verdicts(model)["bias-with-norm"]

    assert (reported.severity, reported.layers) == ("note", ("0",))
    assert "8 redundant parameters" in reported.evidence


def test_a_layer_that_is_used_again_is_not_counted_again() -> None:
    conv, pool = nn.Conv2d(8, 8, 3, padding=1), nn.MaxPool2d(2)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        *[nn.ReLU(), conv, nn.BatchNorm2d(8), nn.ReLU(), pool] * 3,
        nn.Conv2d(8, 10, 3),
        nn.Flatten(),
    )
    found = verdicts(model)

    total = sum(p.numel() for p in model.parameters())
    assert found["budget"].evidence.startswith(f"{total:,} of")
    assert ": 8 redundant parameters" in found["bias-with-norm"].evidence


def test_a_stride_beyond_its_kernel_is_a_warning_only_where_no_other_layer_reads_the_map() -> None:
    alone = nn.Sequential(nn.Conv2d(1, 8, 1, stride=2), Residual(8, 8), nn.Flatten())

    reported = verdicts(alone)["stride-skips"]

    assert (reported.severity, reported.layers) == ("warning", ("0",))
    assert "25 %" in reported.evidence


def test_functions_are_judged_like_modules() -> None:
    found = verdicts(Functional())

    assert found["dropout-before-logits"].severity == "warning"
    assert found["softmax-output"].severity == "note"
    assert found["norm-presence"].layers == ("conv1", "conv2")
    assert found["first-pooling"].severity == "ok"
    assert found["max-pool-distance"].severity == "ok"
    assert found["activation-between"].severity == "ok"
    assert found["fully-connected-share"].layers == ("hidden", "logits")


def test_the_last_features_are_those_of_the_layer_that_reads_the_flattened_map() -> None:
    reported = verdicts(Functional())["final-receptive-field"]

    assert (reported.severity, reported.layers) == ("ok", ("hidden",))


def test_a_squeeze_that_branches_is_no_transition() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2),
        nn.ReLU(),
        Fire(16, 4, 16),
        Fire(16, 4, 16),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 10, 14),
        nn.Flatten(),
    )

    assert {"transition-position", "transition-layer"}.isdisjoint(verdicts(model))


def test_a_gate_widens_the_field_at_once_and_is_not_called_too_deep() -> None:
    found = verdicts(Squeezed(), image=9)
    deep = nn.Sequential(*[nn.Conv2d(1, 1, 5, padding=2) for _ in range(7)], nn.Flatten())

    assert found["final-receptive-field"].severity == "ok"
    rows = {row.name: row for row in layer_table(Squeezed(), (9, 9, 1))}
    assert min(rows["conv2_3"].receptive_field or (0, 0)) > 3 * 9
    assert not any("gate" in name for name in found["norm-presence"].layers)  # they are at 1×1
    assert verdicts(deep, image=9)["final-receptive-field"].severity == "note"
    assert "3.2 times" in verdicts(deep, image=9)["final-receptive-field"].evidence


def test_an_undefined_field_is_reported_with_its_reason() -> None:
    class Upsampled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(1, 4, 3)
            self.pool = nn.MaxPool2d(2)
            self.conv2 = nn.Conv2d(4, 10, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            larger = nn.functional.interpolate(self.conv1(images), scale_factor=2)
            logits: torch.Tensor = self.conv2(self.pool(larger)).mean((2, 3))
            return logits

    found = verdicts(Upsampled())

    for rule, layer in (("final-receptive-field", "conv2"), ("first-pooling", "pool")):
        assert (found[rule].severity, found[rule].layers) == ("note", (layer,))
        assert "it makes the map larger" in found[rule].evidence
