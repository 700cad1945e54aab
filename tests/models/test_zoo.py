from __future__ import annotations

import subprocess
import sys
import zlib
from itertools import pairwise

import pytest
import torch
from torch import nn

from tui_trainer.models import zoo
from tui_trainer.models.zoo import color
from tui_trainer.models.zoo.blocks import ResidualBlock
from tui_trainer.protocol.config import BUDGETS, MODELS, budget_of

SIZES = (8, 16, 28, 29, 64, 128)

INITIAL_WEIGHTS = {
    "mlp": (3442279232, 754656, 2.621177),
    "conv-fc": (1212699775, 128928, 2.316072),
    "conv-gap": (4204159729, 259382, 7.027533),
    "squeeze": (2384081940, 102279, -28.011686),
    "squeeze-norm": (3441245772, 102279, 113.034068),
    "squeeze-dropout": (3441245772, 102279, 113.034068),
    "under-8k": (3441245772, 694851, 92.320740),
    "pico": (280141579, 794492, 24.238109),
    "nano": (3883529209, 701778, 49.126087),
    "micro": (3177614842, 858067, 104.982488),
    "tiny": (324601421, 329515, 132.092473),
    "small": (1221247006, 392972, 122.556676),
    "pool-early": (4165129873, 457267, 110.603798),
    "pool-late": (4165129873, 457267, 110.603798),
    "era-s6-as-run": (2609797162, 989291, 177.414894),
    "era-s6": (2609797162, 989291, 177.414894),
    "era-s6-dropout": (2609797162, 989291, 177.414894),
    "era-s6-plain": (3424337448, 989291, 8.435416),
}
"""Of each model: a checksum of its names, the next number of the rng, a weighted sum.

For 28×28 gray images, 10 classes and seed 0, before the models took color.
"""


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)


def build(
    name: str,
    image_size: int = 28,
    classes: int = 10,
    dropout: float | None = None,
    channels: int = 1,
) -> nn.Module:
    torch.manual_seed(0)
    return zoo.build(
        name, image_size=image_size, classes=classes, dropout=dropout, channels=channels
    )


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def without(model: nn.Module, kind: type[nn.Module]) -> list[str]:
    return [str(module) for module in model.children() if not isinstance(module, kind)]


# --- the registry


def test_the_registry_and_the_settings_name_the_same_models() -> None:
    assert tuple(zoo.REGISTRY) == MODELS


def test_listing_the_registry_does_not_load_torch() -> None:
    code = (
        "import sys; from tui_trainer.models.zoo import REGISTRY;"
        "assert all(entry.summary for entry in REGISTRY.values());"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_registry_states_correctly_which_models_have_dropout() -> None:
    for name, entry in zoo.REGISTRY.items():
        shares = [m.p for m in build(name).modules() if isinstance(m, nn.Dropout)]
        assert set(shares) == (set() if entry.dropout is None else {entry.dropout})


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        build("lenet")


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = build("era-s6"), build("era-s6")

    for mine, yours in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(mine, yours)


@pytest.mark.parametrize("name", INITIAL_WEIGHTS)
def test_gray_models_keep_their_initial_weights(name: str) -> None:
    """Recorded runs and written programs build a model again from its name and seed."""
    model = build(name)

    names = ",".join(model.state_dict()).encode()
    # Each value counts with its position, so that no two can change places; a rounding error of
    # another processor's logarithm is below the tolerance.
    weights = torch.cat([weight.detach().flatten() for weight in model.parameters()]).double()
    value = float((weights * torch.linspace(0.5, 1.5, len(weights)).double()).sum())
    expected = INITIAL_WEIGHTS[name]
    assert (zlib.crc32(names), torch.randint(10**6, ()).item()) == expected[:2]
    assert value == pytest.approx(expected[2], rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_color_changes_the_first_layer_alone(name: str) -> None:
    gray, color = (build(name, channels=channels).state_dict() for channels in (1, 3))

    assert list(gray) == list(color)
    changed = [key for key in gray if gray[key].shape != color[key].shape]
    assert len(changed) == 1
    assert color[changed[0]].shape[1] == 3 * gray[changed[0]].shape[1]


# --- every model, every size


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.sampled(5)
def test_any_image_gives_a_logit_for_each_class(name: str, size: int) -> None:
    for classes, channels in ((2, 3), (10, 1), (1_000, 3)):
        model = build(name, size, classes, channels=channels)
        model.eval()
        with torch.inference_mode():
            logits = model(torch.rand(2, channels, size, size))
        assert logits.shape == (2, classes)
        assert bool(torch.isfinite(logits).all())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.sampled(5)
def test_a_batch_of_one_image_trains_every_weight(name: str, size: int) -> None:
    model = build(name, size)
    model.train()

    nn.functional.cross_entropy(model(torch.rand(1, 1, size, size)), torch.tensor([3])).backward()  # type: ignore[no-untyped-call]

    for weight in model.parameters():
        assert weight.grad is not None
        assert bool(torch.isfinite(weight.grad).all())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.sampled(3)
def test_channels_last_changes_the_speed_alone(name: str) -> None:
    """As in the engine: the model is channels_last, the images are contiguous.

    https://github.com/pytorch/pytorch/issues/82060: wrong output in this case.
    """
    images, labels = torch.rand(16, 1, 28, 28), torch.arange(16) % 10
    plain, channels_last = build(name, dropout=0.0), build(name, dropout=0.0)
    channels_last = channels_last.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    losses = []
    for model in (plain, channels_last):
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(float(loss.detach()))

    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for mine, yours in zip(plain.parameters(), channels_last.parameters(), strict=True):
        assert mine.grad is not None
        assert yours.grad is not None
        # Rounding is amplified at the kink of a ReLU or max pool; a wrong gradient is off by its
        # full size.
        assert float((mine.grad - yours.grad).norm()) < 0.05 * float(mine.grad.norm())


# --- single models


def test_the_courses_model_has_19_568_parameters_and_no_bias() -> None:
    model = build("era-s6")

    assert parameters(model) == 19_568
    assert not any("bias" in name for name, _ in model.named_parameters() if "norm" not in name)


def test_batch_norm_and_relu_follow_every_convolution_but_the_last() -> None:
    layers = list(build("era-s6").children())

    convolutions = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 7
    for i in convolutions[:-1]:
        assert isinstance(layers[i + 1], nn.BatchNorm2d)
        assert isinstance(layers[i + 2], nn.ReLU)
    assert isinstance(layers[convolutions[-1] + 1], nn.AvgPool2d)


def test_plain_is_the_same_without_batch_norm() -> None:
    assert without(build("era-s6"), nn.BatchNorm2d) == list(
        map(str, build("era-s6-plain").children())
    )


def test_dropout_is_the_same_with_dropout_after_each_3x3_convolution_but_the_last() -> None:
    model = build("era-s6-dropout", dropout=0.2)

    assert without(model, nn.Dropout) == list(map(str, build("era-s6").children()))
    layers = list(model.named_children())
    behind = [
        before for (before, _), (_, layer) in pairwise(layers) if isinstance(layer, nn.Dropout)
    ]
    assert behind == ["conv1_relu", "conv2_relu", "conv3_relu", "conv4_relu"]
    assert {layer.p for _, layer in layers if isinstance(layer, nn.Dropout)} == {0.2}


def test_dropout_hides_in_training_alone() -> None:
    model, images = build("era-s6-dropout", dropout=0.5), torch.rand(8, 1, 28, 28)

    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("conv-fc", 18_748),
        ("conv-gap", 16_662),
        ("squeeze", 17_880),
        ("squeeze-norm", 18_176),
        ("squeeze-dropout", 18_176),
        ("under-8k", 7_496),
        ("pool-early", 16_418),
        ("pool-late", 16_418),
        ("era-s6-as-run", 19_568),
    ],
)
def test_they_have_the_documented_number_of_parameters(name: str, count: int) -> None:
    assert parameters(build(name)) == count


def test_each_keeps_its_budget() -> None:
    budgets = {"under-8k": 8_000, "tiny": 5_000}
    for name in MODELS:
        size, channels = (32, 3) if name in BUDGETS else (28, 1)
        count = parameters(build(name, size, channels=channels))
        assert count <= budgets.get(name, budget_of(name)), name


@pytest.mark.parametrize(
    ("name", "count"),
    [("small", 19_810), ("tiny", 4_714), ("micro", 3_198), ("nano", 992), ("pico", 559)],
)
def test_the_quick_ones_keep_their_budgets(name: str, count: int) -> None:
    assert parameters(build(name)) == count


def test_the_quick_ones_pool_before_they_normalize() -> None:
    kinds = [type(layer).__name__ for layer in build("small").children()]

    assert kinds[:4] == ["Conv2d", "MaxPool2d", "BatchNorm2d", "ReLU"]
    assert kinds.count("MaxPool2d") == 2
    assert kinds[-3:] == ["AdaptiveAvgPool2d", "Flatten", "Linear"]


def test_the_fully_connected_one_stays_within_the_same_budget() -> None:
    model = build("mlp")

    assert parameters(model) == 19_090
    assert not any(isinstance(module, nn.Conv2d) for module in model.modules())


# --- the models of the course in order


def test_the_fully_connected_layers_eat_nine_tenths_of_their_budget() -> None:
    model = build("conv-fc")
    connected = [m for m in model.modules() if isinstance(m, nn.Linear)]

    assert sum(map(parameters, connected)) == 17_500
    assert sum(map(parameters, connected)) > 0.9 * parameters(model)
    assert parameters(build("conv-fc", 56)) > 3 * parameters(model)
    assert parameters(build("conv-gap", 56)) == parameters(build("conv-gap"))


def test_the_first_convolutions_are_the_same_with_and_without_a_fully_connected_layer() -> None:
    front = [list(map(str, build(name).children()))[:6] for name in ("conv-fc", "conv-gap")]

    assert front[0] == front[1]
    assert front[0][0].startswith("Conv2d(1, 8")


def test_each_squeeze_model_differs_in_one_thing() -> None:
    plain, norm, dropout = (build(f"squeeze{kind}") for kind in ("", "-norm", "-dropout"))

    assert without(norm, nn.BatchNorm2d) == list(map(str, plain.children()))
    assert without(dropout, nn.Dropout) == list(map(str, norm.children()))
    kinds = [[type(m) for m in net.children()] for net in (build("under-8k"), norm)]
    assert kinds[0] == kinds[1]
    for model in (plain, norm, dropout):
        assert not any(m.bias is not None for m in model.modules() if isinstance(m, nn.Conv2d))


def test_kernels_grow_within_a_block_and_shrink_at_its_end() -> None:
    layers = dict(build("squeeze").named_children())
    names = list(layers)

    def width(name: str) -> int:
        layer = layers[name]
        assert isinstance(layer, nn.Conv2d)
        return layer.out_channels

    for block, (first, second) in enumerate((("conv1", "conv2"), ("conv3", "conv4")), start=1):
        assert width(first) < width(second)
        assert width(f"shrink{block}") <= width(second) // 2
        assert names.index(f"pool{block}") == names.index(f"shrink{block}_relu") + 1
    assert width("conv5") < width("conv6")


def test_the_twins_differ_in_the_places_of_their_pools_alone() -> None:
    early, late = build("pool-early"), build("pool-late")

    assert without(early, nn.MaxPool2d) == without(late, nn.MaxPool2d)
    places = [
        [before for (before, _), (name, _) in pairwise(net.named_children()) if "pool" in name]
        for net in (early, late)
    ]
    assert places == [["conv1_relu", "conv2_relu"], ["conv4_relu", "conv5_relu"]]


# --- the later sessions: color


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("norm-batch", 46_602),
        ("norm-group", 46_602),
        ("norm-layer", 46_602),
        ("dilated", 85_234),
        ("residual", 191_130),
    ],
)
def test_those_for_color_have_the_documented_number_of_parameters(name: str, count: int) -> None:
    model = build(name, 32, channels=3)
    factory = zoo.REGISTRY[name].factory.partition(":")[2]

    assert parameters(model) == count
    if factory not in ("norm_group", "norm_layer"):  # which say that they have the same
        assert f"{count:,}\n" in (getattr(color, factory).__doc__ or "").replace(" p", "\np")


def test_the_three_norms_differ_in_nothing_else() -> None:
    batch, group, layer = (
        build(f"norm-{kind}", 32, channels=3) for kind in ("batch", "group", "layer")
    )

    for other in (group, layer):
        assert without(other, nn.GroupNorm) == without(batch, nn.BatchNorm2d)
        assert parameters(other) == parameters(batch)
        for (name, mine), (key, theirs) in zip(
            batch.named_parameters(), other.named_parameters(), strict=True
        ):
            assert name == key
            assert torch.equal(mine, theirs), name
    groups = [m.num_groups for m in group.modules() if isinstance(m, nn.GroupNorm)]
    assert set(groups) == {color.GROUPS}
    assert len(groups) == sum(isinstance(m, nn.BatchNorm2d) for m in batch.modules()) == 10


def test_group_and_layer_norm_do_not_depend_on_the_batch() -> None:
    images = torch.rand(6, 3, 32, 32)
    for name, depends in (("norm-batch", True), ("norm-group", False), ("norm-layer", False)):
        model = build(name, 32, channels=3).train()
        with torch.no_grad():
            alone, together = model(images[:1]), model(images)[:1]
        assert torch.allclose(alone, together, atol=1e-4) is not depends, name


def test_layer_norm_is_that_of_ba_and_others() -> None:
    maps = torch.rand(2, 16, 5, 7) * 3 - 1
    norm = build("norm-layer").get_submodule("conv1_norm")

    assert torch.allclose(norm(maps), nn.functional.layer_norm(maps, maps.shape[1:]), atol=1e-5)


def test_the_dilated_one_pools_only_at_the_end_and_separates_most_kernels() -> None:
    layers = dict(build("dilated", 32, channels=3).named_modules())
    wide = {k: m for k, m in layers.items() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)}

    assert not any(isinstance(layer, nn.MaxPool2d) for layer in layers.values())
    assert [k for k, m in wide.items() if m.stride == (2, 2)] == ["down1", "down2"]
    assert [k for k, m in wide.items() if m.dilation == (2, 2)] == ["depth4", "depth6"]
    depthwise = [k for k, m in wide.items() if m.groups == m.in_channels]
    assert depthwise == ["depth3", "depth4", "depth5", "depth6"]


def test_a_residual_block_adds_to_its_input_and_passes_the_gradient_on() -> None:
    block = ResidualBlock(4)
    nn.init.zeros_(block.norm2.weight)
    maps = torch.rand(2, 4, 6, 6, requires_grad=True)

    result = block(maps)
    assert torch.equal(result, maps)
    result.sum().backward()
    assert maps.grad is not None
    assert torch.equal(maps.grad, torch.ones_like(maps))


def test_the_residual_stages_are_at_full_half_and_quarter_size() -> None:
    shapes = shapes_of(build("residual", 32, channels=3), 32, channels=3)

    assert [shapes[name][1] for name in ("conv1", "block5", "block6")] == [32, 16, 8]
    assert shapes["block6"][0] == shapes["conv3"][0]


# --- the course's code


def shapes_of(
    model: nn.Module, image_size: int = 28, channels: int = 1
) -> dict[str, tuple[int, ...]]:
    """Return the output shape (channels, height, width) of each layer."""
    shapes, images = {}, torch.rand(1, channels, image_size, image_size)
    model.eval()
    with torch.inference_mode():
        for name, layer in model.named_children():
            images = layer(images)
            shapes[name] = tuple(images.shape[1:])
    return shapes


def test_the_course_ran_it_with_a_padded_1x1_and_a_partial_average() -> None:
    shapes = shapes_of(build("era-s6-as-run"))

    assert shapes["conv2"] == (32, 28, 28)
    assert shapes["shrink1"] == (16, 30, 30)
    assert shapes["pool1"] == (16, 15, 15)
    assert shapes["shrink2"] == (16, 15, 15)
    assert shapes["pool2"] == (16, 7, 7)
    assert shapes["logits"] == (10, 5, 5)
    assert shapes["average"] == (10, 1, 1)
    assert build("era-s6-as-run").get_submodule("average").kernel_size == 3


def test_the_course_averaged_only_the_top_left_of_the_map() -> None:
    model = build("era-s6-as-run").eval()
    seen = nn.Sequential(*list(model.children())[-2:])
    logits = torch.rand(1, 10, 5, 5, requires_grad=True)
    seen(logits).sum().backward()

    assert logits.grad is not None
    used = logits.grad[0, 0] != 0
    assert bool(used[:3, :3].all())
    assert int(used.sum()) == 9


def test_the_course_had_one_relu_before_its_batch_norm_and_one_before_the_average() -> None:
    names = [name for name, _ in build("era-s6-as-run").named_children()]

    assert names[names.index("shrink2") + 1 :][:2] == ["shrink2_relu", "shrink2_norm"]
    assert names[-4:] == ["logits", "logits_relu", "average", "output"]
    for conv in ("conv1", "conv2", "shrink1", "conv3", "conv4"):
        assert names[names.index(conv) + 1 :][:2] == [f"{conv}_norm", f"{conv}_relu"]


@pytest.mark.parametrize("size", SIZES)
def test_the_partial_average_gives_one_place_whatever_the_size(size: int) -> None:
    shapes = shapes_of(build("era-s6-as-run", size), size)

    assert shapes["average"] == (10, 1, 1)
    assert shapes["output"] == (10,)
