"""The probes report correct values, and change nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.engine.runs import FakeClock, ScriptedInbox, of, run, tiny_config
from tests.training import prepare, train
from tui_trainer.engine import loop
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.probes import EARLY_STEPS
from tui_trainer.engine.resuming import Resumption
from tui_trainer.engine.run import Run
from tui_trainer.lab.saved_model import differing_bits
from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.protocol.commands import Inbox, SetBatchSize, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, to_json
from tui_trainer.protocol.probed import (
    DataProbed,
    LayerProbe,
    SampleProbed,
    UpdateProbed,
    UpdatesTried,
)
from tui_trainer.recording.journal import from_json


def session_of(config: RunConfig) -> Run:
    """Return a run right before its first batch."""
    steps = prepare(config, Inbox(), CheckpointStore(), FakeClock())
    try:
        while True:
            next(steps)
    except StopIteration as done:
        run = done.value
        assert isinstance(run, Run)
        run.begin_epoch()
        return run


def step(run: Run) -> list[UpdateProbed]:
    """Train one batch; return the probes of its update."""
    loop.train_step(run)
    list(run.flush())
    return of(UpdateProbed, list(run.probes.after_step()))


def states(config: RunConfig) -> tuple[list[Event], Checkpoint]:
    store = CheckpointStore()
    events = list(train(config, Inbox(), store=store, clock=FakeClock()))
    assert store.last_good is not None
    return events, store.last_good


MODELS = ["small", pytest.param("era-s6-dropout", marks=pytest.mark.slow), "mlp"]


@pytest.mark.parametrize("model", MODELS)
def test_a_run_with_probes_is_the_run_without(tiny: Path, model: str) -> None:
    config = tiny_config(tiny, model=model, augment="light")
    with_probes, left = states(config)
    without, right = states(replace(config, probes=False))

    probes = of(UpdateProbed, with_probes), of(SampleProbed, with_probes)
    assert all(probes)
    assert not of(UpdateProbed, without)
    assert not of(SampleProbed, without)
    assert [
        e for e in with_probes if not isinstance(e, DataProbed | UpdateProbed | SampleProbed)
    ] == without
    assert differing_bits(left, right)[0] == 0


def test_probes_come_at_their_steps_and_survive_json(tiny: Path) -> None:
    events = run(tiny_config(tiny, epochs=8, model="mlp"))
    probes = of(UpdateProbed, events)
    last = 8 * 7
    assert [probed.step for probed in probes] == [
        s for s in sorted({*EARLY_STEPS, 50}) if s <= last
    ]
    for probe in [
        event for event in events if isinstance(event, DataProbed | UpdateProbed | SampleProbed)
    ]:
        assert from_json(to_json(probe)) == probe


def test_the_sample_is_probed_again_after_enough_training(tiny: Path) -> None:
    # 110 images, 64 in the sample: 64 × 32 images are 19 epochs; the first is always reported.
    events = run(tiny_config(tiny, epochs=60, model="mlp"))
    assert [probed.epoch for probed in of(SampleProbed, events)] == [0, 1, 20, 39, 58]


@pytest.mark.parametrize("at", [1, 4, 7, 9])
@pytest.mark.sampled(2)
def test_a_resumed_run_probes_at_the_same_steps(tiny: Path, at: int) -> None:
    config = tiny_config(tiny, epochs=2, model="mlp")
    whole = run(config)
    store = CheckpointStore()
    inbox = ScriptedInbox({at: [Stop(reason="interrupted", test=False)]})
    first = list(train(config, inbox, store=store, clock=FakeClock()))
    assert store.last_good is not None
    resumption = Resumption(store.last_good, Path("last.safetensors"))
    second = list(train(config, Inbox(), resume=resumption, clock=FakeClock()))

    for kind in (UpdateProbed, SampleProbed):
        assert of(kind, first) + of(kind, second) == of(kind, whole)


@pytest.mark.parametrize(
    ("metadata", "tensors"),
    [
        ({"probed_images": "all"}, {}),
        ({"probed_images": -2}, {}),
        ({}, {"probe/gradient": torch.zeros(3)}),
        ({}, {"probe/gradient": torch.zeros(17_890, dtype=torch.int64)}),
    ],
)
@pytest.mark.sampled(2)
def test_the_probe_state_of_a_checkpoint_is_checked(
    tiny: Path, metadata: dict[str, object], tensors: dict[str, Tensor]
) -> None:
    config = tiny_config(tiny, epochs=1)
    _, good = states(config)
    bad = Checkpoint({**good.metadata, **metadata}, {**good.tensors, **tensors})
    with pytest.raises(InputError, match=r"probed_images|probe/gradient"):
        list(train(config, Inbox(), resume=Resumption(bad, Path("x")), clock=FakeClock()))


def test_a_checkpoint_without_probes_can_be_resumed(tiny: Path) -> None:
    config = tiny_config(tiny, epochs=1)
    _, good = states(config)
    metadata = {**good.metadata, "epochs": 2}
    del metadata["probed_images"]
    older = Resumption(Checkpoint(metadata, good.tensors), Path("x"))
    assert of(SampleProbed, list(train(replace(config, epochs=2), Inbox(), resume=older)))


# --- their values


def test_a_probed_update_matches_the_weights(tiny: Path) -> None:
    run = session_of(tiny_config(tiny, optimizer="adam", augment="none"))
    assert step(run) == []
    first = {n: p.detach().clone() for n, p in run.model.named_parameters()}
    last = run.probes.last_gradient
    assert last is not None
    (probed,) = step(run)

    gradients = {n: p.grad for n, p in run.model.named_parameters()}
    flat = torch.cat([g.flatten() for g in gradients.values() if g is not None])
    moves = {n: p.detach() - first[n] for n, p in run.model.named_parameters()}
    move = torch.cat([m.flatten() for m in moves.values()])
    assert [p.name for p in probed.parameters] == list(first)
    for probe in probed.parameters:
        gradient = gradients[probe.name]
        assert gradient is not None
        assert probe.gradient_norm == pytest.approx(float(gradient.norm()), rel=1e-5)
        assert probe.update_norm == pytest.approx(float(moves[probe.name].norm()), rel=1e-5)
        assert probe.weight_norm == pytest.approx(float(first[probe.name].norm()), rel=1e-5)
        assert probe.is_weight == (first[probe.name].ndim > 1)
        assert probe.numel == first[probe.name].numel()
    assert probed.gradient_norm == pytest.approx(float(flat.norm()), rel=1e-5)
    assert probed.previous_gradient_norm == pytest.approx(float(last.norm()), rel=1e-5)
    assert probed.gradient_dot == pytest.approx(float(last @ flat), rel=1e-4)
    down = -float(move @ flat) / float(move.norm() * flat.norm())
    assert probed.descent_cosine == pytest.approx(down, rel=1e-4)
    before = torch.cat([weights.flatten() for weights in first.values()])
    inward = -float(move @ before) / float(move.norm() * before.norm())
    assert probed.shrinkage_cosine == pytest.approx(inward, rel=1e-3)
    assert (probed.batch_size, sum(probed.label_counts), probed.step) == (16, 16, 2)


def test_frozen_and_unused_parameters_are_reported(tiny: Path) -> None:
    run = session_of(tiny_config(tiny))
    names = [name for name, _ in run.model.named_parameters()]
    next(run.model.parameters()).requires_grad_(False)
    run.optimizer.parameters = run.optimizer.parameters[:-1]
    run.optimizer.momentum_buffers = run.optimizer.momentum_buffers[:-1]  # type: ignore[attr-defined]
    step(run)
    (probed,) = step(run)
    assert probed.parameters[0].gradient_norm is None
    assert probed.parameters[-1].gradient_norm
    assert [p.name for p in probed.parameters if not p.update_norm] == [names[0], names[-1]]


def test_layers_in_evaluation_mode_are_reported(tiny: Path) -> None:
    run = session_of(tiny_config(tiny, model="era-s6-dropout"))
    norms = [n for n, m in run.model.named_modules() if isinstance(m, nn.BatchNorm2d)]
    step(run)
    assert step(run)[0].eval_layers == ()
    run.model.get_submodule(norms[1]).eval()
    probes = [probed for _ in range(3) for probed in step(run)]
    assert probes[0].eval_layers == (norms[1],)


def test_the_sample_probe_agrees_with_evaluate(tiny: Path) -> None:
    run = session_of(tiny_config(tiny, model="small"))
    for _ in range(7):
        step(run)
    model, data = run.model, run.data
    modes = [module.training for module in model.modules()]
    buffers = [buffer.clone() for buffer in model.buffers()]
    (probed,) = of(SampleProbed, list(run.probes.before_training()))

    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), buffers, strict=True))
    places = torch.linspace(0, 109, 64).round().long()
    images, labels = data.prepare(data.train.images[places]), data.train.labels[places]
    model.eval()
    with torch.no_grad():
        logits = model(images)
    model.train()
    losses = functional.cross_entropy(logits, labels, reduction="none")
    assert probed.sample_size == 64
    assert probed.loss == pytest.approx(float(losses.mean()), rel=1e-5)
    assert probed.loss_error == pytest.approx(float(losses.std(correction=0)) / 8, rel=1e-4)
    assert probed.correct == int((logits.argmax(1) == labels).sum())
    assert probed.logit_min == pytest.approx(float(logits.min()))
    assert probed.logit_max == pytest.approx(float(logits.max()))
    assert probed.input_mean == pytest.approx(float(images.mean()), abs=1e-6)
    assert probed.input_std == pytest.approx(float(images.std(correction=0)), rel=1e-5)
    wanted = [[0] * 10 for _ in range(10)]
    for label, given in zip(labels.tolist(), logits.argmax(1).tolist(), strict=True):
        wanted[label][given] += 1
    assert probed.confusion == tuple(map(tuple, wanted))
    assert not probed.are_probabilities


def test_the_batch_norm_gap_compares_the_same_images(tiny: Path) -> None:
    run = session_of(tiny_config(tiny, model="small"))
    for _ in range(7):
        step(run)
    (probed,) = of(SampleProbed, list(run.probes.before_training()))
    model, data = run.model, run.data
    places = torch.linspace(0, 109, 64).round().long()
    gaps = []
    with torch.no_grad():
        for part in places.split(16):  # type: ignore[no-untyped-call]
            images, labels = data.prepare(data.train.images[part]), data.train.labels[part]
            model.train()
            expected = functional.cross_entropy(model(images), labels)
            model.eval()
            gaps.append(float(expected))
    # The running statistics have changed by now; the loss with batch statistics has not.
    running = probed.loss
    assert probed.batch_norm_gap == pytest.approx(sum(gaps) / 4 - running, abs=1e-4)


def test_the_fan_in_and_the_share_of_rounded_updates_are_reported(tiny: Path) -> None:
    run = session_of(tiny_config(tiny, model="mlp", optimizer="sgd", augment="none", lr=1e-9))
    step(run)
    (probed,) = step(run)
    weights = {p.name: p for p in probed.parameters}
    shapes = {n: p.shape for n, p in run.model.named_parameters()}
    for name, seen in weights.items():
        expected = shapes[name][1] if len(shapes[name]) == 2 else None
        assert seen.fan_in == expected
    rounded = weights["hidden.weight"]
    assert rounded.unmoved is not None
    assert rounded.unmoved > 0.9
    first = rounded.weight_norm * (rounded.fan_in or 0) ** 0.5 / rounded.numel**0.5
    assert first == pytest.approx(3**-0.5, rel=0.05)  # PyTorch's uniform initialization


def test_no_update_of_a_usual_size_is_rounded_away(tiny: Path) -> None:
    run = session_of(tiny_config(tiny, model="mlp", augment="none"))
    step(run)
    (probed,) = step(run)
    assert all((p.unmoved or 0) < 0.01 for p in probed.parameters if p.is_weight)


CONFIDENT = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 10)
    def forward(self, x):
        if self.training:
            x = {training}
        return self.head(x.flatten(1)) * 50
"""


@pytest.mark.parametrize(
    ("training", "falls"), [("x", False), ("torch.randn_like(x) * 9", True), ("x.flip(3)", True)]
)
def test_known_images_are_classified_again(
    tiny: Path, tmp_path: Path, training: str, falls: bool
) -> None:
    path = tmp_path / "net.py"
    path.write_text(CONFIDENT.format(training=training), encoding="utf-8")
    config = tiny_config(tiny, model=f"{path}:Net", augment="light", rotate=45.0)
    run = session_of(config)
    head = run.model.head
    assert isinstance(head, nn.Linear)
    places = torch.linspace(0, 109, 64).round().long()
    inputs = run.data.prepare(run.data.train.images[places]).flatten(1)
    targets = functional.one_hot(run.data.train.labels[places], 10).float()
    with torch.no_grad():
        head.bias.zero_()
        head.weight.copy_(torch.linalg.lstsq(inputs, targets).solution.T)
    rng = torch.get_rng_state()
    (probed,) = of(SampleProbed, list(run.probes.before_training()))

    assert torch.equal(torch.get_rng_state(), rng)
    assert probed.known == 64
    assert probed.known_in_training is not None
    assert (probed.known_in_training < 40) is falls
    assert probed.known_augmented is not None
    assert probed.known_augmented < 60


def test_a_zoo_model_is_classified_again_only_if_images_are_augmented(tiny: Path) -> None:
    run = session_of(tiny_config(tiny, model="mlp", augment="none"))
    (probed,) = of(SampleProbed, list(run.probes.before_training()))
    assert (probed.known_in_training, probed.known_augmented) == (None, None)


def test_updates_are_tried_once_if_nothing_is_learned(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_trainer.engine.probes.EARLY_IMAGES", 100)
    config = tiny_config(tiny, model="mlp", epochs=2, optimizer="sgd", lr=1e-7)
    events = run(config)
    (tried,) = of(UpdatesTried, events)
    assert tried.images == 110
    assert from_json(to_json(tried)) == tried
    losses = {trial.factor: trial.loss for trial in tried.rates}
    assert losses[1] == pytest.approx(tried.loss, abs=1e-3)
    assert losses[1e4] is not None
    assert losses[1e4] < tried.loss - 1e-3
    assert tried.without_decay is not None
    without, left = states(replace(config, probes=False))
    assert differing_bits(states(config)[1], left)[0] == 0
    assert not of(UpdatesTried, without)
    monkeypatch.setattr("tui_trainer.engine.probes.STUCK", 1.5)
    assert not of(UpdatesTried, run(config))


def test_a_command_interrupts_the_trial_of_updates_which_is_made_again(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_trainer.engine.probes.EARLY_IMAGES", 100)
    config = tiny_config(tiny, model="mlp", epochs=2, optimizer="sgd", lr=1e-7)

    class Busy(Inbox):
        waiting = 2

        @property
        def is_urgent(self) -> bool:
            self.waiting -= 1
            return self.waiting >= 0

    (tried,) = of(UpdatesTried, run(config, Busy()))
    assert tried.images == 110 + 2 * 16, "one step later after each of two interruptions"


def layers_of(run: Run) -> dict[str, LayerProbe]:
    (probed,) = of(SampleProbed, list(run.probes.before_training()))
    return {layer.name: layer for layer in probed.layers}


def test_dead_units_are_counted_one_by_one(tiny: Path) -> None:
    run = session_of(tiny_config(tiny, model="mlp"))
    first = next(m for m in run.model.modules() if isinstance(m, nn.Linear))
    with torch.no_grad():
        first.bias[:5] = -1_000.0
    found = [layer for layer in layers_of(run).values() if layer.kind == "relu"]
    assert found[0].dead == 5
    assert found[0].units == first.out_features


def test_saturated_sigmoids_are_reported(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def net(classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.Sigmoid(),"
        " nn.Linear(20, classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    run = session_of(tiny_config(tiny, model="net.py:net"))
    assert layers_of(run)["2"].saturated < 0.1
    run = session_of(tiny_config(tiny, model="net.py:net"))
    with torch.no_grad():
        run.model.get_parameter("1.bias").fill_(50.0)
    assert layers_of(run)["2"].saturated == 1.0


def test_outputs_that_are_probabilities_are_recognized(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def net(classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes), nn.Softmax(dim=1))\n"
    )
    monkeypatch.chdir(tmp_path)
    run = session_of(tiny_config(tiny, model="net.py:net"))
    (probed,) = of(SampleProbed, list(run.probes.before_training()))
    assert probed.are_probabilities


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_a_model_that_cannot_be_traced_is_still_probed(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def net(classes):\n"
        "    return torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(64, classes)))\n"
    )
    monkeypatch.chdir(tmp_path)
    events = run(tiny_config(tiny, model="net.py:net", epochs=1))
    assert [probed.sample_size for probed in of(SampleProbed, events)] == [64, 64]
    assert of(UpdateProbed, events)


def test_the_current_batch_size_is_reported(tiny: Path) -> None:
    events = run(tiny_config(tiny), ScriptedInbox({3: [SetBatchSize(8)]}))
    sizes = {probed.step: probed.batch_size for probed in of(UpdateProbed, events)}
    assert (sizes[2], sizes[5]) == (16, 8)


def test_the_gradient_noise_matches_a_sampled_estimate() -> None:
    """Gradients of known signal and noise reproduce their noise scale."""
    from tui_trainer.findings.learning_rates import noise_scale
    from tui_trainer.history.history import History

    torch.manual_seed(0)
    numbers, batch, spread = 2_000, 64, 30.0
    signal = torch.ones(numbers) / math.sqrt(numbers)
    history = History()
    for number in range(1, 9):
        noise = torch.randn(2, numbers) * spread / math.sqrt(batch * numbers)
        pair = [signal + one for one in noise]
        history.apply(_probed(number, batch, pair))
    wanted = spread**2  # the trace of the covariance of one image's gradient
    found = noise_scale(history)
    assert found == pytest.approx(wanted, rel=0.1)


def _probed(number: int, batch: int, pair: Sequence[Tensor]) -> UpdateProbed:
    first, second = pair
    return UpdateProbed(
        step=number,
        epoch=1,
        images=number * batch,
        lr=0.1,
        batch_size=batch,
        label_counts=(batch,),
        eval_layers=(),
        gradient_norm=float(second.norm()),
        previous_gradient_norm=float(first.norm()),
        gradient_dot=float(first @ second),
        descent_cosine=1.0,
        parameters=(),
    )
