from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.anatomy.comparing import bounds
from tests.anatomy.networks import SHAPE, Student, branched
from tui_trainer.anatomy.measured import (
    MAX_CHANNELS,
    effective_field,
    measured_field,
    measured_fields,
)
from tui_trainer.anatomy.table import layer_table
from tui_trainer.models import zoo
from tui_trainer.protocol.layers import Box


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)


def build(name: str = "era-s6") -> nn.Sequential:
    model = zoo.build(name, image_size=28, classes=10)
    assert isinstance(model, nn.Sequential)
    return model


def one_by_one(layers: nn.Sequential, image: Tensor, row: int, column: int) -> Tensor:
    """Return the mean over channels of the absolute gradient, with one backward per channel."""
    layers.eval()
    image = image.clone().requires_grad_()
    result = layers(image)
    channels = result[0, :, row, column] if result.dim() == 4 else result[0]
    sizes = [
        torch.autograd.grad(channel, image, retain_graph=True)[0].abs()[0, 0]
        for channel in channels
    ]
    return torch.stack(sizes).mean(dim=0)


@pytest.mark.parametrize("place", [1, 2, 6, 10, 18, 21, 23])
@pytest.mark.sampled(3)
def test_the_effective_field_is_the_mean_size_of_each_channels_gradient(place: int) -> None:
    model, image = build(), torch.rand(1, 1, 28, 28)
    height, width, channels = layer_table(model, SHAPE)[place].output_shape
    assert channels <= MAX_CHANNELS

    field = effective_field(model, image, place, height // 2, width // 2)

    layers = nn.Sequential(*list(model)[:place])
    expected = one_by_one(layers, image, height // 2, width // 2)
    assert field.shape == (28, 28)
    assert float(expected.max()) > 0
    torch.testing.assert_close(field, expected, rtol=1e-3, atol=1e-3 * float(expected.max()))


def test_it_is_zero_beyond_the_measured_field() -> None:
    model, image = build(), torch.rand(1, 1, 28, 28)
    for place, at in product((4, 10, 15), ((0, 0), (3, 5), (13, 13))):
        beyond = ~measured_field(model, SHAPE, place, *at)

        assert float(effective_field(model, image, place, *at)[beyond].abs().sum()) == 0


def test_the_image_sees_itself() -> None:
    model = build()
    expected = torch.zeros(28, 28)
    expected[3, 4] = 1

    assert torch.equal(effective_field(model, torch.rand(1, 1, 28, 28), 0, 3, 4), expected)
    assert torch.equal(measured_field(model, SHAPE, 0, 3, 4), expected > 0)


def test_many_channels_are_subsampled_evenly() -> None:
    model = nn.Conv2d(1, 4 * MAX_CHANNELS, 1)
    image = torch.ones(1, 1, 5, 5)
    with torch.no_grad():
        model.weight[:] = torch.arange(4.0 * MAX_CHANNELS)[:, None, None, None]

    field = effective_field(model, image, 1, 2, 2)

    # Each channel's gradient is its number: from the first to the last, evenly, the mean is half.
    assert float(field[2, 2]) == pytest.approx((4 * MAX_CHANNELS - 1) / 2, rel=1e-3)


@pytest.mark.parametrize("what", branched())
@pytest.mark.sampled(2)
def test_its_positions_are_those_of_the_table(what: str) -> None:
    """Each map's last corner can be measured; a position beyond it cannot."""
    model, image = branched()[what], torch.rand(1, 1, 28, 28)
    rows = layer_table(model, SHAPE)

    for place, row in enumerate(rows):
        height, width, _ = row.output_shape
        assert effective_field(model, image, place, height - 1, width - 1).shape == (28, 28)
        if (height, width) != (1, 1):
            with pytest.raises(IndexError):
                measured_field(model, SHAPE, place, height, width)
    with pytest.raises(IndexError):
        measured_field(model, SHAPE, len(rows), 0, 0)


def test_a_feature_that_does_not_depend_on_the_image_sees_nothing() -> None:
    class Blind(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x.detach() * 2).flatten(1)

    assert not measured_field(Blind(), SHAPE, 1, 3, 3).any()
    assert not effective_field(Blind(), torch.rand(1, 1, 28, 28), 1, 3, 3).any()


@pytest.mark.parametrize("outside", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_it_is_the_same_under_no_grad_and_inference_mode(outside: type[torch.no_grad]) -> None:
    model, image = build(), torch.rand(1, 1, 28, 28)
    expected = effective_field(model, image, 18, 7, 7), measured_field(model, SHAPE, 18, 7, 7)

    with outside():
        other = torch.empty_like(image).copy_(image)
        assert torch.equal(effective_field(model, other, 18, 7, 7), expected[0])
        assert torch.equal(measured_field(model, SHAPE, 18, 7, 7), expected[1])


def test_channels_last_changes_nothing() -> None:
    model, image = build(), torch.rand(1, 1, 28, 28)
    expected = effective_field(model, image, 18, 7, 7)

    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    torch.testing.assert_close(effective_field(model, image, 18, 7, 7), expected)
    assert measured_field(model, SHAPE, 18, 7, 7).sum() == 14 * 14


@pytest.mark.parametrize(
    "make", [pytest.param(lambda: build("era-s6-dropout"), marks=pytest.mark.slow), Student]
)
def test_measuring_does_not_change_training(make: type[nn.Module]) -> None:
    """Weights, statistics, gradients, modes, hooks and random state, in the middle of a step."""

    def step(model: nn.Module, measures: bool) -> list[Tensor]:
        torch.manual_seed(3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        images = torch.rand(4, 1, 28, 28)
        for _ in range(2):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), torch.arange(4)).backward()  # type: ignore[no-untyped-call]
            if measures:
                layer_table(model, SHAPE)
                effective_field(model, images[:1], 4, 3, 3)
                measured_field(model, SHAPE, 4, 3, 3)
            optimizer.step()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        return [*model.state_dict().values(), *gradients, torch.get_rng_state()]

    torch.manual_seed(0)
    first = make()
    second = make()
    second.load_state_dict(first.state_dict())
    mixed = next(iter(second.children()))
    for model in (first, second):
        next(iter(model.children())).eval()

    seen, unseen = step(second, measures=True), step(first, measures=False)

    assert len(seen) > len(list(first.parameters()))
    assert all(torch.equal(*pair) for pair in zip(seen, unseen, strict=True))
    assert second.training
    assert not mixed.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in second.modules())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_model_on_the_gpu_is_measured_there() -> None:
    model, image = build(), torch.rand(1, 1, 28, 28)
    expected = effective_field(model, image, 18, 7, 7), measured_field(model, SHAPE, 18, 7, 7)
    rng = torch.cuda.get_rng_state()

    model.cuda()

    torch.testing.assert_close(
        effective_field(model, image, 18, 7, 7), expected[0], rtol=0.05, atol=1e-4
    )
    assert torch.equal(measured_field(model, SHAPE, 18, 7, 7), expected[1])
    assert torch.equal(torch.cuda.get_rng_state(), rng)


# --- where a gradient would vanish


class Deep(nn.Module):
    """Sixteen convolutions with a test's layers in between."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, stride=4, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(16))
        self.head = nn.Linear(4, 10)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for conv in self.body:
            x = self.between(conv(x))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


@pytest.mark.parametrize(
    "between",
    [
        lambda x: x * x.sigmoid(),
        lambda x: x * torch.tanh(F.softplus(x)),
        lambda x: (x * 1e-6).relu(),
        lambda x: torch.sigmoid(x * 1e6),
        lambda x: F.relu(-x.abs()),
        lambda x: x.sign(),
        lambda x: x / x.sum().sqrt(),
        lambda x: x.clamp(0, 0),
        lambda x: x - x.detach(),
        lambda x: torch.where(x > 0, x, x * 0),
    ],
)
@pytest.mark.parametrize("spoil", [None, float("nan")])
@pytest.mark.sampled(3)
def test_a_field_does_not_vanish_with_the_gradient(
    between: Callable[[Tensor], Tensor], spoil: float | None
) -> None:
    model = Deep(between)
    if spoil is not None:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(spoil)
    rows = layer_table(model, SHAPE)

    for place in (2, len(rows) // 2, len(rows) - 1):
        height, width, _ = rows[place].output_shape
        box = rows[place].box(height // 2, width // 2)
        seen = bounds(measured_field(model, SHAPE, place, height // 2, width // 2))

        assert box is not None
        assert seen == box.within(26, 26)  # the stem does not reach the last two pixels


@pytest.mark.parametrize(
    "do",
    [
        lambda x: torch.linalg.vector_norm(x - x, dim=1),
        lambda x: torch.sqrt(x - x) + torch.special.entr(x - x),
        lambda x: torch.acos(x * 1e9) + x.logcumsumexp(1),
        lambda x: torch.special.xlogy(x - x, x - x),
    ],
)
def test_a_nan_gradient_does_not_count_as_seen(do: Callable[[Tensor], Tensor]) -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3), Does(do))
    place = len(layer_table(model, SHAPE)) - 1

    seen = bounds(measured_field(model, SHAPE, place, 13, 13))

    assert seen in (None, Box(13, 13, 16, 16))


class Does(nn.Module):
    """A model that applies a function of the test."""

    def __init__(self, do: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.do = do

    def forward(self, x: Tensor) -> Tensor:
        return self.do(x)


def test_one_forward_measures_all_layers_like_separate_ones() -> None:
    for model in (build(), *branched().values()):
        rows = layer_table(model, SHAPE)
        middles = {
            at: (r.output_shape[0] // 2, r.output_shape[1] // 2) for at, r in enumerate(rows)
        }

        found = dict(measured_fields(model, SHAPE, middles))

        assert list(found) == list(middles)
        for place, field in found.items():
            assert field is not None
            assert torch.equal(field, measured_field(model, SHAPE, place, *middles[place]))


def test_the_center_of_a_flattened_map_is_measured() -> None:
    model = nn.Sequential(
        nn.ZeroPad2d(2), nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Unflatten(1, (2, 30, 30))
    )

    fields = dict(measured_fields(model, SHAPE, dict.fromkeys(range(5))))

    assert [bounds(seen) for seen in fields.values() if seen is not None] == [
        Box(14, 14, 15, 15),
        Box(14, 14, 15, 15),
        *[Box(13, 13, 16, 16)] * 3,
    ]


def test_a_model_that_raises_is_measured_up_to_there() -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.conv(x)
            if out.requires_grad and not self.conv.weight.requires_grad:
                raise RuntimeError("only while it is measured")
            return out.flatten(1)

    model = Fails()
    fields = dict(measured_fields(model, SHAPE, {1: (3, 3), 2: (0, 0)}))

    assert list(fields) == [1]
    assert model.conv.weight.requires_grad


def test_frozen_and_no_grad_parts_are_measured() -> None:
    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3).requires_grad_(False)
            self.head = nn.Linear(2, 10)

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                x = self.conv(x)
            logits: Tensor = self.head(x.mean((2, 3)))
            return logits

    model = Backbone()

    assert measured_field(model, SHAPE, 3, 0, 0).all()
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_step_of_a_sequence_depends_on_the_steps_before_it(
    layer: Callable[..., nn.RNNBase],
) -> None:
    for both in (False, True):
        model = Sequence(layer(28, 4, 2, batch_first=True, bidirectional=both))
        rows = layer_table(model, SHAPE)

        seen = measured_field(model, SHAPE, len(rows) - 1, 0, 0)

        assert seen[:10].all()
        assert bool(seen[10:].any()) is both


class Sequence(nn.Module):
    """The tenth step of a recurrent layer over the image's rows."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x.squeeze(1))[0][:, 9]
        return found
