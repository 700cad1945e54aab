"""Views, lessons and probes work on any model, and change no bit of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.data.idx_files import write_dataset
from tests.engine.runs import FakeClock, ScriptedInbox, of, tiny_config
from tests.models import any_models as models
from tests.protocol.questions import ask_field, ask_lesson, ask_view
from tests.training import train
from tui_trainer.course.lesson import SLUGS
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.findings import with_findings
from tui_trainer.history.history import History
from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.models.tensors import flat_gradient, gradient_size
from tui_trainer.models.threads import choose_threads
from tui_trainer.models.unused import unused_parameters
from tui_trainer.protocol.commands import Command, Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import CommandRejected, Event
from tui_trainer.protocol.inspection import NAMES
from tui_trainer.protocol.probed import DataProbed, SampleProbed, UpdateProbed

Kind = type[nn.Module]
every = pytest.mark.parametrize("kind", models.EVERY, ids=lambda kind: kind.__name__)
repeatable = pytest.mark.parametrize(
    "kind",
    # A matrix product of bfloat16 depends on the memory addresses of its factors.
    [kind for kind in models.EVERY if kind is not models.HalfWeights],
    ids=lambda kind: kind.__name__,
)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 training images (40 validate) of 12×12 pixels."""
    return write_dataset(tmp_path_factory.mktemp("few"), size=12, train=160, test=10)


def config_of(kind: Kind, folder: Path, **settings: object) -> RunConfig:
    place = f"{models.__file__}:{kind.__name__}"
    values: dict[str, object] = {"model": place, "val_size": 40, "epochs": 1, "lr": 0.01}
    return tiny_config(folder, **{**values, **settings})


def trained(config: RunConfig, inbox: Inbox | None = None) -> tuple[list[Event], Checkpoint]:
    """Train a run from the same rng states; return its events and its last checkpoint."""
    models.GLOBAL_RNG.bit_generator.state = np.random.default_rng(5).bit_generator.state
    store = CheckpointStore()
    events = list(train(config, inbox or Inbox(), store=store, clock=FakeClock()))
    assert store.last_good is not None
    return events, store.last_good


def same(one: Checkpoint, other: Checkpoint) -> bool:
    """Return whether two checkpoints are bit-identical, without the state of the probes."""
    left, right = (
        {name: t for name, t in state.tensors.items() if not name.startswith("probe/")}
        for state in (one, other)
    )
    return left.keys() == right.keys() and all(
        torch.equal(tensor.view(torch.uint8), right[name].view(torch.uint8))
        if tensor.ndim
        else torch.equal(tensor, right[name])
        for name, tensor in left.items()
    )


@repeatable
@pytest.mark.sampled(6)
def test_a_run_with_probes_is_the_run_without(few: Path, kind: Kind) -> None:
    config = config_of(kind, few, epochs=2)
    with_probes, left = trained(config)
    without, right = trained(replace(config, probes=False))

    assert of(UpdateProbed, with_probes)
    assert of(SampleProbed, with_probes)
    assert [
        e for e in with_probes if not isinstance(e, DataProbed | UpdateProbed | SampleProbed)
    ] == without
    assert same(left, right)


def questions() -> list[Command]:
    views = [ask_view(name) for name in NAMES]
    lessons = [ask_lesson(slug) for slug in SLUGS]
    return [*views, *lessons, *(ask_field(place, 0, 0) for place in (1, 2, 3))]


@pytest.mark.slow
@repeatable
def test_every_view_and_lesson_works_in_a_run_and_leaves_it_as_it_is(few: Path, kind: Kind) -> None:
    config = config_of(kind, few, probes=False)
    asked = {step: [question] for step, question in enumerate(questions(), start=1)}
    config = replace(config, epochs=1 + len(asked) // 8)
    events, left = trained(config, ScriptedInbox(asked))
    plain, right = trained(config)

    assert same(left, right)
    assert len(events) > len(plain)
    rejected = [e.reason for e in of(CommandRejected, events) if e.command != "field"]
    assert not rejected


ASKED: Sequence[Command] = (
    *(ask_view("maps"), ask_view("histograms"), ask_field(1, 0, 0)),
    *(ask_lesson("learning-rate"), ask_lesson("early-signs")),
)


@pytest.mark.parametrize(
    "kind",
    [
        *(models.ComplexWeights, models.SparseGradient, models.EmptyParameter),
        *(models.RunningMean, models.PrivateRngs, models.GlobalRng, models.OverridesTrain),
    ],
    ids=lambda kind: kind.__name__,
)
@pytest.mark.sampled(2)
def test_questions_leave_the_run_as_it_is(few: Path, kind: Kind) -> None:
    config = config_of(kind, few, probes=False)
    asked = {step: [question] for step, question in enumerate(ASKED, start=1)}
    events, left = trained(config, ScriptedInbox(asked))

    assert same(left, trained(config)[1])
    assert not [e for e in of(CommandRejected, events) if e.command != "field"]


@every
@pytest.mark.sampled(3)
def test_choosing_threads_leaves_the_model_as_it_is(kind: Kind) -> None:
    torch.manual_seed(1)
    model = kind(image_size=12)
    before = [(p.detach().clone(), p.requires_grad) for p in model.parameters()]
    images, labels = torch.rand(4, 1, 12, 12), torch.tensor([0, 1, 2, 3])
    drawn = torch.get_rng_state(), str(np.random.get_state()), models.GLOBAL_RNG.bit_generator.state
    threads = torch.get_num_threads()
    try:
        assert choose_threads(model, images, labels) >= 1
    finally:
        torch.set_num_threads(threads)

    after = [(p.detach(), p.requires_grad) for p in model.parameters()]
    for (old, was), (new, now) in zip(before, after, strict=True):
        assert torch.equal(old, new)
        assert was == now
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(drawn[0], torch.get_rng_state())
    assert drawn[1:] == (str(np.random.get_state()), models.GLOBAL_RNG.bit_generator.state)


class Fails(nn.Module):
    """Raises in training mode, gives no gradient, or gives a tuple."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.head = nn.Linear(144, 10).requires_grad_(how != "frozen")

    def forward(self, x: torch.Tensor) -> object:
        if self.how == "raises" and self.training:
            raise ValueError("not so")
        logits = self.head(x.flatten(1))
        return (logits, logits) if self.how == "tuple" else logits


@pytest.mark.parametrize("how", ["raises", "frozen", "tuple"])
def test_a_model_that_cannot_take_a_step_keeps_all_threads(how: str) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert choose_threads(Fails(how), torch.rand(4, 1, 12, 12), torch.tensor([0, 1, 2, 3])) == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


# --- findings


def codes(kind: Kind, few: Path, **settings: object) -> dict[str, str]:
    """Return code and severity of each open finding at the end of a short run."""
    history = History()
    config = config_of(kind, few, **{"epochs": 2, **settings})
    for event in with_findings(train(config, Inbox(), clock=FakeClock())):
        history.apply(event)
    return {code: found.severity for code, found in history.findings.items()}


INSIDE = {
    *("no_gradient", "not_updated", "evaluation_mode", "frozen_parameters", "unused_parameters"),
    *("depends_on_batch", "random_in_evaluation"),
}
"""The findings about the structure of a model."""


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (models.Frozen, {"frozen_parameters": "note"}),
        (models.IntegerParameter, {}),
        (models.UnusedLayer, {"unused_parameters": "note"}),
        (models.EmptyParameter, {}),
        (models.OverridesTrain, {"evaluation_mode": "note"}),
        (models.FrozenNorm, {"evaluation_mode": "note"}),
        (models.Detached, {"no_gradient": "error"}),
        (models.NoGrad, {"no_gradient": "error"}),
        (models.Item, {"no_gradient": "error"}),
        (models.DataOfWeight, {"no_gradient": "error"}),
        (models.SparseGradient, {}),
        (models.ComplexWeights, {}),
        (models.SoftmaxOverBatch, {"depends_on_batch": "error"}),
        (models.BatchMean, {"depends_on_batch": "error"}),
        (models.AlwaysDropped, {"random_in_evaluation": "warning"}),
        (models.ZeroHead, {}),
        (models.InPlaceInput, {}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.sampled(4)
def test_findings_of_a_short_run(few: Path, kind: Kind, expected: dict[str, str]) -> None:
    found = codes(kind, few)

    assert {code: severity for code, severity in found.items() if code in INSIDE} == expected


@every
def test_the_flat_gradient_has_all_numbers_that_learn(kind: Kind) -> None:
    torch.manual_seed(1)
    model = kind(image_size=12)
    model(torch.rand(4, 1, 12, 12)).float().square().sum().backward()
    flat = flat_gradient(model)

    assert flat.dtype == torch.float32
    assert flat.shape == (gradient_size(model),)
    assert bool(torch.isfinite(flat).all())


def test_complex_gradients_count_as_two_numbers_and_integers_as_none() -> None:
    model = models.ComplexWeights(image_size=12)
    plain = sum(p.numel() for p in model.parameters() if not p.is_complex())
    assert gradient_size(model) == plain + 2 * 7
    ordered = models.IntegerParameter(image_size=12)
    floats = sum(p.numel() for p in ordered.parameters() if p.is_floating_point())
    assert gradient_size(ordered) == floats


@pytest.mark.parametrize(
    ("kind", "unused"),
    [
        (models.UnusedLayer, ("idle.weight", "idle.bias")),
        (models.Detached, ()),
        (models.Item, ()),
        (models.DataOfWeight, ()),
        (models.OldWeightNorm, ()),
        (models.Parametrized, ()),
        (models.Pruned, ()),
        (models.Hooked, ()),
        (models.EmptyParameter, ()),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_which_parameters_forward_does_not_use(kind: Kind, unused: tuple[str, ...]) -> None:
    model = kind(image_size=12)

    assert unused_parameters(model, torch.rand(4, 1, 12, 12)) == unused


class Recurrent(nn.Module):
    """Layers that pass their weights to kernels as lists, and a scripted module."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.LSTM(12, 4, batch_first=True)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.idle = nn.GRU(4, 4)
        self.head = torch.jit.script(nn.Linear(4, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.rows(x.squeeze(1))[0]
        mixed = self.attention(rows, rows, rows)[0]
        return self.head(mixed[:, -1])  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("training", [True, False])
def test_weights_of_fused_kernels_count_as_used(training: bool) -> None:
    model = Recurrent().train(training)

    unused = unused_parameters(model, torch.rand(2, 1, 12, 12))

    assert {name.split(".")[0] for name in unused} == {"idle"}
