"""Grad-CAM: the maps match Captum's, nothing of the model changes, and the limits are stated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor, nn

from tests.lab.views.conftest import Contexts, Seen
from tui_trainer.lab.context import Context
from tui_trainer.lab.views.grad_cam import (
    GradCam,
    grad_cam,
    last_convolution,
    layers_with_maps,
    place_of,
)
from tui_trainer.protocol.exhibit import Exhibit, Pictures, Words

CUSTOM = '''
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class Base(nn.Module):
    """Two convolutions, global average pooling, a fully connected layer."""

    def __init__(self, classes=10):
        super().__init__()
        self.one = nn.Conv2d(1, 6, 3, padding=1)
        self.two = nn.Conv2d(6, 8, 3, padding=1)
        self.last = nn.Linear(8, classes)
        self.calls = 0

    def ends(self, x):
        return self.last(x.mean(dim=(2, 3)))


class InPlace(Base):
    """What follows a convolution overwrites its maps."""

    def forward(self, x):
        self.calls += 1
        x = F.max_pool2d(F.relu_(self.one(x)), 2)
        x = self.two(x)
        x *= 2
        x += 0.1
        return self.ends(F.relu_(x))


class OutOfPlace(Base):
    """The same without in-place operations."""

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.one(x)), 2)
        return self.ends(F.relu(self.two(x) * 2 + 0.1))


class Tuple(OutOfPlace):
    """Returns its features, too."""

    def forward(self, x):
        logits = super().forward(x)
        return logits, x


class Recomputed(OutOfPlace):
    """Recomputes its activations in the backward pass."""

    def forward(self, x):
        return checkpoint(super().forward, x, use_reentrant=False)


class Shared(nn.Module):
    """One convolution that is called twice."""

    def __init__(self, classes=10):
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, stride=2, padding=1)
        self.twice = nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Linear(6, classes)

    def forward(self, x):
        x = torch.tanh(self.twice(self.stem(x)))
        x = torch.sigmoid(self.twice(x))
        return self.last(x.amax(dim=(2, 3)))


class Flat(Base):
    """A fully connected layer on all positions."""

    def __init__(self, classes=10):
        super().__init__()
        self.last = nn.Linear(8 * 7 * 7, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.one(x)), 2)
        x = F.max_pool2d(F.relu(self.two(x)), 2)
        return self.last(x.flatten(1))


class Detached(Base):
    """No gradient reaches its first convolution."""

    def forward(self, x):
        return self.ends(self.two(self.one(x).detach()))


class Rows(nn.Module):
    """An LSTM over the rows of the image."""

    def __init__(self, classes=10):
        super().__init__()
        self.rnn = nn.LSTM(28, 16, batch_first=True)
        self.last = nn.Linear(16, classes)

    def forward(self, x):
        return self.last(self.rnn(x[:, 0])[0][:, -1])


class Vit(nn.Module):
    """Patches of 7×7 pixels, a transformer layer, the mean of the tokens."""

    def __init__(self, classes=10):
        super().__init__()
        self.embed = nn.Linear(49, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.last = nn.Linear(16, classes)

    def forward(self, x):
        x = x.unfold(2, 7, 7).unfold(3, 7, 7).reshape(len(x), 16, 49)
        return self.last(self.layer(self.embed(x)).mean(dim=1))
'''


@pytest.fixture(scope="module")
def custom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("custom") / "nets.py"
    path.write_text(CUSTOM, encoding="utf-8")
    return path


def seeded(context: Context) -> nn.Module:
    """Return a copy of the model with normally distributed weights: maps that are not tiny."""
    model = context.copy()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
    return model


def ours(context: Context, model: nn.Module, layer: str, class_: int = 3) -> GradCam:
    image = context.digit(5, "validation").model_input
    found = grad_cam(model, place_of(context.layers, layer), image, (class_, 8))
    assert found is not None
    return found[class_]


def captums(context: Context, model: nn.Module, layer: str, class_: int = 3) -> Tensor:
    """Return Captum's map (h, w) at the module of a layer's output."""
    row = context.layers[place_of(context.layers, layer)]
    module = dict(model.named_modules())[row.name]
    image = context.digit(5, "validation").model_input.clone().requires_grad_(True)
    found = LayerGradCam(model, module).attribute(image, target=class_, relu_attributions=True)
    return found.detach()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["small", "pico", "conv-fc", "era-s6", "pool-late"])
@pytest.mark.sampled(2)
def test_zoo_models_match_captum_at_every_convolution(context_of: Contexts, name: str) -> None:
    context = context_of(name)
    model = seeded(context)
    names = [row.name for row in context.layers if row.kind == "conv"]
    assert names[-1] == last_convolution(context.layers)
    largest = 0.0
    for layer in {names[0], names[len(names) // 2], names[-1]}:
        cam, theirs = ours(context, model, layer), captums(context, model, layer)
        scale = float(theirs.abs().max()) or 1.0
        assert torch.allclose(cam.values, theirs[0, 0], rtol=1e-4, atol=1e-5 * scale)
        large = LayerAttribution.interpolate(theirs, (28, 28), "bilinear")[0, 0]
        assert torch.allclose(cam.enlarged((28, 28)), large, rtol=1e-4, atol=1e-5 * scale)
        largest = max(largest, float(cam.values.max()))
    assert largest > 0


@pytest.mark.parametrize("layer", ["one", "two"])
def test_in_place_operations_do_not_change_the_map(
    custom: Path, context_of: Contexts, layer: str
) -> None:
    context, plain = (context_of(f"{custom}:{name}") for name in ("InPlace", "OutOfPlace"))
    model, twin = seeded(context), seeded(plain)
    cam = ours(context, model, layer)
    assert float(cam.values.max()) > 0
    assert torch.allclose(cam.values, ours(plain, twin, layer).values, rtol=1e-5, atol=1e-7)
    if layer == "two":  # the module's own output; after "one", the ReLU is no module
        assert torch.allclose(cam.values, captums(plain, twin, layer)[0, 0], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["Tuple", pytest.param("Recomputed", marks=pytest.mark.slow)])
def test_forms_of_output_and_of_backward_give_the_same_map(
    custom: Path, context_of: Contexts, name: str
) -> None:
    plain = context_of(f"{custom}:OutOfPlace")
    wanted = ours(plain, seeded(plain), "two").values
    odd_class = _loaded(custom, name)
    odd = odd_class()
    odd.load_state_dict(seeded(plain).state_dict())
    assert torch.allclose(ours(plain, odd.eval(), "two").values, wanted, rtol=1e-5, atol=1e-7)


def _loaded(path: Path, name: str) -> type[nn.Module]:
    names: dict[str, type[nn.Module]] = {}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    return names[name]


def test_frozen_parameters_and_channels_last_give_the_same_map(context_of: Contexts) -> None:
    context = context_of("small")
    wanted = ours(context, seeded(context), "conv6").values
    frozen = ours(context, seeded(context).requires_grad_(False), "conv6").values
    assert torch.equal(frozen, wanted)
    last = seeded(context).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert torch.allclose(ours(context, last, "conv6").values, wanted, rtol=1e-4, atol=1e-6)


def test_each_call_of_a_shared_layer_has_a_map(custom: Path, context_of: Contexts) -> None:
    context = context_of(f"{custom}:Shared")
    model = seeded(context)
    image = context.digit(5, "validation").model_input.clone().requires_grad_(True)
    first = torch.tanh(model.get_submodule("twice")(model.get_submodule("stem")(image)))
    second = torch.sigmoid(model.get_submodule("twice")(first))
    logit = model.get_submodule("last")(second.amax(dim=(2, 3)))[0, 3]
    slopes = torch.autograd.grad(logit, (first, second))
    names = [name for name in layers_with_maps(context.layers) if name.startswith("twice")]
    assert len(names) == 2
    for name, maps, slope in zip(names, (first, second), slopes, strict=True):
        weights = slope[0].mean(dim=(1, 2))
        wanted = (weights[:, None, None] * maps[0]).sum(dim=0).relu()
        cam = ours(context, model, name)
        assert torch.allclose(cam.values, wanted, rtol=1e-4, atol=1e-7)
        assert torch.allclose(cam.weights, weights, rtol=1e-4, atol=1e-8)


def hooks_of(model: nn.Module) -> list[list[object]]:
    return [
        [*module._forward_hooks, *module._forward_pre_hooks, *module._backward_hooks]
        for module in model.modules()
    ]


def test_nothing_of_the_model_changes(custom: Path, context_of: Contexts) -> None:
    for name in ("small", f"{custom}:InPlace"):
        context = context_of(name)
        model = seeded(context).train()
        state = {key: value.clone() for key, value in model.state_dict().items()}
        rng, hooks = torch.get_rng_state(), hooks_of(model)
        ours(context, model, last_convolution(context.layers))
        assert torch.equal(torch.get_rng_state(), rng)
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
        assert all(parameter.grad is None for parameter in model.parameters())
        assert all(module.training for module in model.modules())
        assert hooks_of(model) == hooks
        assert getattr(model, "calls", 0) == 0


def test_the_gradient_that_is_left_shows_whether_the_average_loses_anything(
    custom: Path, context_of: Contexts
) -> None:
    averaged, flat = context_of(f"{custom}:OutOfPlace"), context_of(f"{custom}:Flat")
    last = averaged.layers[-3].name
    assert ours(averaged, seeded(averaged), last).kept == pytest.approx(1.0, abs=1e-5)
    kept = ours(flat, seeded(flat), "two").kept
    assert 0 < kept < 0.5


# --- the exhibit


def notes(exhibit: Exhibit) -> str:
    return " ".join(block.text for block in exhibit.blocks if isinstance(block, Words))


def test_the_exhibit_has_both_maps_and_their_size(context_of: Contexts, seen: Seen) -> None:
    context = context_of("small")
    exhibit = seen(context, "attribution", method="Grad-CAM")
    layer = next(each for each in exhibit.controls if each.name == "layer")
    assert layer.value == "conv6"
    assert layer.steps[0] == "conv1"
    assert "relu1" not in layer.steps
    pictures = exhibit.blocks[0]
    assert isinstance(pictures, Pictures)
    assert len(pictures.items) == 3
    assert exhibit.figures["size"] == [7, 7]
    assert "has 7×7 values, enlarged to 28×28 pixels; each value depends on 42×42" in notes(exhibit)
    assert "100 % of the squared gradient is left" in notes(exhibit)
    assert "relu6" in exhibit.evidence
    first = seen(context, "attribution", method="Grad-CAM", layer="conv1")
    assert first.figures["size"] == [28, 28]
    assert first.figures["maps"] != exhibit.figures["maps"]


@pytest.mark.parametrize("name", ["mlp", "Rows", "Vit"])
def test_without_a_convolution_the_other_methods_are_offered(
    custom: Path, context_of: Contexts, seen: Seen, name: str
) -> None:
    context = context_of(name if name == "mlp" else f"{custom}:{name}")
    exhibit = seen(context, "attribution", method="Grad-CAM")
    assert "Grad-CAM needs a convolution" in notes(exhibit)
    for other in ("occlusion", "saliency", "input × gradient", "integrated gradients"):
        assert other in notes(exhibit)
    assert "layer" not in [control.name for control in exhibit.controls]
    assert exhibit.progress is None


def test_a_layer_without_a_gradient_is_reported(
    custom: Path, context_of: Contexts, seen: Seen
) -> None:
    context = context_of(f"{custom}:Detached")
    exhibit = seen(context, "attribution", method="Grad-CAM", layer="one")
    assert "No gradient flows from the logits to the maps of one." in notes(exhibit)
    assert "maps" in seen(context, "attribution", method="Grad-CAM", layer="two").figures


def test_ignored_positions_are_reported(custom: Path, context_of: Contexts, seen: Seen) -> None:
    exhibit = seen(context_of(f"{custom}:Flat"), "attribution", method="Grad-CAM")
    warnings = [b.text for b in exhibit.blocks if isinstance(b, Words) and b.tone == "warning"]
    assert len(warnings) == 1
    assert "treat each position differently" in warnings[0]


@pytest.fixture(autouse=True)
def _no_hidden_randomness() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)
