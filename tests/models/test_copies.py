"""A copy shares nothing with its model, has no graph, and gives the same logits."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from tui_trainer.anatomy.trace import trace
from tui_trainer.models.copies import clone_inputs, copy_model, uncompiled


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 6 * 6, 4))


def old_weight_norm() -> nn.Module:
    net = small()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(net[0])
    return net


def old_spectral_norm() -> nn.Module:
    net = small()
    nn.utils.spectral_norm(net[3])
    return net


def parametrized() -> nn.Module:
    net = small()
    parametrizations.weight_norm(net[0])
    parametrizations.orthogonal(net[3])
    return net


def pruned() -> nn.Module:
    net = small()
    prune.l1_unstructured(net[0], "weight", 0.3)  # type: ignore[no-untyped-call]
    return net


class Kept(nn.Module):
    """Stores activations: in an attribute, a list, and a dict that a hook fills."""

    def __init__(self) -> None:
        super().__init__()
        self.body = small()
        self.kept: list[Tensor] = []
        self.seen: dict[str, Tensor] = {}
        self.body[0].register_forward_hook(lambda m, i, out: self.seen.update(conv=out))

    def forward(self, x: Tensor) -> Tensor:
        self.last = x * torch.ones(1, requires_grad=True)
        self.kept.append(self.last)
        return self.body(x)  # type: ignore[no-any-return]


class Closures(nn.Module):
    """Uses its layers through a lambda, a partial, a bound method and a default argument."""

    def __init__(self) -> None:
        super().__init__()
        self.body = small()
        self.first: Callable[[Tensor], Tensor] = lambda x: self.body[0](x).relu()
        self.then = functools.partial(self.flat, factor=1.0)
        conv = self.body[0]
        self.extra: Callable[[Tensor], Tensor] = lambda x, layer=conv: layer(x).mean()  # type: ignore[misc]

    def flat(self, x: Tensor, factor: float) -> Tensor:
        return self.body[2](x) * factor  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        return self.body[3](self.then(self.first(x))) + self.extra(x)  # type: ignore[no-any-return]


class Uncopyable(nn.Module):
    """Has a lock, a Python module and an iterator as attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = small()
        self.lock = threading.Lock()
        self.tools = functools
        self.numbers = iter(range(3))

    def forward(self, x: Tensor) -> Tensor:
        with self.lock:
            return self.body(x)  # type: ignore[no-any-return]


class Strange(nn.Module):
    """Has tensors of every kind: expanded, integer, complex, empty, from inference mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body = small()
        self.register_buffer("grid", torch.linspace(-1, 1, 8)[None].expand(8, 8))
        self.grid: Tensor
        self.order = nn.Parameter(torch.randperm(8), requires_grad=False)
        self.phase = nn.Parameter(torch.randn(2, dtype=torch.cfloat))
        self.nothing = nn.Parameter(torch.zeros(0, 3))
        self.tied = self.body[3].weight
        with torch.inference_mode():
            self.scale = torch.ones(1) * 2

    def forward(self, x: Tensor) -> Tensor:
        return self.body((x + self.grid)[..., self.order]) * self.phase.abs().sum()  # type: ignore[no-any-return]


MODELS: dict[str, Callable[[], nn.Module]] = {
    "plain": small,
    "old weight norm": old_weight_norm,
    "old spectral norm": old_spectral_norm,
    "parametrized": parametrized,
    "pruned": pruned,
    "kept activations": Kept,
    "closures": Closures,
    "uncopyable attributes": Uncopyable,
    "strange tensors": Strange,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_copy_gives_the_same_logits_and_shares_nothing(name: str) -> None:
    torch.manual_seed(0)
    model, images = MODELS[name](), torch.randn(2, 1, 8, 8)
    model(images).sum().backward()  # leaves graphs where a model stores what it computes
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]

    twin = copy_model(model)
    assert not any(
        isinstance(value, Tensor) and value.grad_fn is not None
        for module in twin.modules()
        for value in vars(module).values()
    )
    twin(images).sum().backward()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1)

    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert gradient is None or torch.equal(parameter.grad, gradient)  # type: ignore[arg-type]
    fresh = copy_model(model)
    model.eval()
    fresh.eval()
    assert torch.equal(fresh(images), model(images))
    ours = {p.data_ptr() for p in model.parameters() if p.numel()}
    assert not ours & {p.data_ptr() for p in twin.parameters() if p.numel()}


def test_modes_hooks_and_sharing_are_kept() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(2, 2), nn.Linear(2, 2)
            self.two.weight = self.one.weight
            self.one.eval()
            self.calls: list[int] = []
            self.register_forward_hook(lambda module, args, out: module.calls.append(1))

        def forward(self, x: Tensor) -> Tensor:
            return self.two(self.one(x))  # type: ignore[no-any-return]

    model = Tied()
    twin = copy_model(model)
    assert isinstance(twin, Tied)
    assert twin.one.weight is twin.two.weight
    assert (twin.training, twin.one.training, twin.two.training) == (True, False, True)
    twin(torch.zeros(1, 2))
    assert (twin.calls, model.calls) == ([1], [])


class Transposed(nn.Module):
    """A decoder with its encoder's weight, transposed; and a view that is not a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(4, 2), nn.Linear(2, 4)
        self.decoder.weight = nn.Parameter(self.encoder.weight.t())
        self.first = self.encoder.weight[0]
        self.factor = 3.0
        self.encoder.weight.register_hook(self.scaled)  # type: ignore[no-untyped-call]

    def scaled(self, gradient: Tensor) -> Tensor:
        return gradient * self.factor

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x)) + self.first  # type: ignore[no-any-return]


def test_an_empty_container_of_the_model_is_another_one_in_its_copy() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)
            self.calls: list[int] = []
            self.inner.calls = self.calls  # type: ignore[assignment]
            self.seen: set[int] = set()

        def forward(self, x: Tensor) -> Tensor:
            self.seen.add(len(x))
            return self.inner(x)  # type: ignore[no-any-return]

    model = Counts()
    twin = copy_model(model)
    assert isinstance(twin, Counts)
    twin.register_forward_hook(lambda module, args, out: module.calls.append(1))
    twin.inner.register_forward_pre_hook(lambda module, args: module.calls.append(0))
    twin(torch.zeros(1, 2))

    assert (model.calls, model.seen) == ([], set())
    assert not [*model._forward_hooks, *model.inner._forward_pre_hooks]
    assert vars(twin.inner)["calls"] is twin.calls
    assert (twin.calls, twin.seen) == ([0, 1], {1})


def test_tensors_of_one_storage_still_change_together() -> None:
    torch.manual_seed(0)
    model, images = Transposed(), torch.randn(3, 4)
    twin = copy_model(model)
    assert isinstance(twin, Transposed)
    twin.factor = 5.0
    for net in (model, twin):
        net(images).sum().backward()
    ours, copied = model.encoder.weight.grad, twin.encoder.weight.grad
    assert ours is not None
    assert copied is not None
    assert torch.allclose(copied, ours * 5 / 3)
    with torch.no_grad():
        twin.encoder.weight.fill_(7)
    assert float(twin.decoder.weight.mean()) == float(twin.first.mean()) == 7
    assert float(model.decoder.weight.detach().abs().max()) < 1


class OptimizedModule(nn.Module):
    """What ``torch.compile`` returns has this name and this attribute; making one takes seconds."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self._orig_mod = inner

    def __deepcopy__(self, memo: object) -> OptimizedModule:
        raise AssertionError("a compiled module must not be copied as such")


def test_a_compiled_module_is_copied_as_what_was_compiled() -> None:
    inner = small()
    assert uncompiled(OptimizedModule(OptimizedModule(inner))) is inner
    assert isinstance(copy_model(OptimizedModule(inner)), nn.Sequential)
    twin = copy_model(nn.Sequential(OptimizedModule(inner), nn.ReLU()))
    assert isinstance(twin[0], nn.Sequential)  # type: ignore[index]


def test_errors_of_a_custom_deepcopy_are_raised() -> None:
    class Refuses(nn.Module):
        def __deepcopy__(self, memo: object) -> Refuses:
            raise TypeError("not this one")

    with pytest.raises(TypeError, match="not this one"):
        copy_model(Refuses())


# --- input


class InPlace(nn.Module):
    """Normalizes its input in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.sub_(0.5).div_(0.5)).flatten(1)  # type: ignore[no-any-return]


def test_the_callers_images_are_unchanged() -> None:
    model = clone_inputs(copy_model(InPlace()))
    images = torch.rand(2, 1, 4, 4)
    before = images.clone()
    assert torch.equal(model(images), model(images))
    assert torch.equal(images, before)


def test_gradients_with_respect_to_images_can_be_computed() -> None:
    images = torch.rand(2, 1, 4, 4, requires_grad=True)
    model = clone_inputs(InPlace())
    (slope,) = torch.autograd.grad(model(images).sum(), images)
    assert slope.abs().sum() > 0


def test_layers_are_seen_as_before_and_a_copy_of_a_copy_clones_once() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten())
    twin = clone_inputs(copy_model(clone_inputs(copy_model(plain))))
    images = torch.rand(1, 1, 4, 4)
    assert len(twin._forward_pre_hooks) == 1
    assert [s.call.name for s in trace(twin, images)] == [s.call.name for s in trace(plain, images)]
    assert [s.sources for s in trace(twin, images)] == [s.sources for s in trace(plain, images)]


def test_a_scripted_module_stays_as_it_is() -> None:
    scripted = torch.jit.script(nn.Linear(2, 2))
    assert clone_inputs(scripted) is scripted
