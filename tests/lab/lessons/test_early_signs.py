"""The signs of a healthy model, and bugs on purpose."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.lab.conftest import Contexts, Ticking
from tui_trainer.lab import ask
from tui_trainer.lab.context import Context
from tui_trainer.lab.lessons.early_signs import bugs, experiment
from tui_trainer.lab.lessons.early_signs.bugs import BUGS, SHIFT, buggy, healthy
from tui_trainer.lab.lessons.early_signs.signs import BATCH, SAMPLE
from tui_trainer.lab.samples import drawn
from tui_trainer.protocol.exhibit import Bars, Curves, Exhibit, Table

show = ask.experiment("early-signs")


def rows(exhibit: Exhibit) -> dict[str, tuple[str, ...]]:
    (table,) = [block for block in exhibit.blocks if isinstance(block, Table)]
    return {row[0]: row[1:] for row in table.rows}


def with_weights(context: Context, value: float) -> Context:
    model = context.copy()
    for parameter in model.parameters():
        parameter.data.fill_(value)
    return dataclasses.replace(context, model=model)


def test_loss_and_accuracy_are_those_of_torch(context_of: Contexts) -> None:
    context = context_of("tiny")
    (exhibit,) = show(context, {}, False)
    split = context.sample(SAMPLE)
    with torch.no_grad():
        logits = context.copy()(context.data.prepare(split.images))
    loss = functional.cross_entropy(logits, split.labels)
    accuracy = (logits.argmax(dim=1) == split.labels).float().mean()
    signs = rows(exhibit)
    assert signs["validation loss"][0].startswith(f"{loss:.3f} ± ")
    assert signs["validation accuracy"][0].startswith(f"{100 * accuracy:.1f} % [")
    assert signs["validation loss"][1] == f"about {math.log(10):.3f}, ln 10"
    assert signs["similar healthy runs"][2] == "·"
    assert "Healthy runs: the reference has 55,000 training images, not 600." in exhibit.evidence
    assert "all signs are healthy" in exhibit.result


def test_the_gradients_are_those_of_torch(context_of: Contexts) -> None:
    context = context_of("small")
    (exhibit,) = show(context, {}, False)
    (bars,) = [block for block in exhibit.blocks if isinstance(block, Bars)]
    model = context.copy().train()
    images, labels = drawn(context, BATCH, 0)
    loss = functional.cross_entropy(model(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    for bar in bars.bars:
        weight = model.get_submodule(bar.label).weight
        assert isinstance(weight, nn.Parameter)
        assert weight.grad is not None
        rms = float(weight.grad.norm()) / weight.numel() ** 0.5
        assert bar.number == f"{rms:.1e}"
    assert max(bar.share for bar in bars.bars) == 1.0


def test_a_model_that_still_guesses_is_suspicious(context_of: Contexts) -> None:
    context = dataclasses.replace(with_weights(context_of("tiny"), 0.0), step=200)
    (exhibit,) = show(context, {}, False)
    signs = rows(exhibit)
    assert signs["validation loss"][2] == "▲"
    assert signs["validation accuracy"][2] == "▲"
    assert signs["dead units"][2] == "▲"
    assert exhibit.result.startswith("Suspicious after step 200: validation loss; vali")


def test_the_reference_is_shown_where_it_applies(context_of: Contexts) -> None:
    context = context_of("era-s6")
    many = dataclasses.replace(
        context.data,
        train=type(context.data.train)(
            context.data.train.images.repeat(100, 1, 1), context.data.train.labels.repeat(100)
        ),
    )
    config = dataclasses.replace(context.config, batch_size=128)
    for step, sign in ((0, "·"), (150, "✓▲")):
        (exhibit,) = show(
            dataclasses.replace(context, data=many, config=config, step=step), {}, False
        )
        signs = rows(exhibit)
        assert signs["loss after 100 steps"][2] in sign
        assert "at most" in signs["loss after 100 steps"][1]
        assert signs["accuracy at epoch 1"][2] == "·"


@pytest.mark.parametrize("model", ["mlp", "conv-fc"])
def test_any_model_has_signs(context_of: Contexts, model: str) -> None:
    (exhibit,) = show(context_of(model), {}, False)
    assert "dead units" in rows(exhibit)
    assert exhibit.trains


def test_a_diverged_model_does_not_raise(context_of: Contexts) -> None:
    (exhibit,) = show(with_weights(context_of("tiny"), math.nan), {}, False)
    assert "diverged" in exhibit.result
    assert rows(exhibit)["validation loss"][2] == "✗"


def test_each_bug_does_what_its_name_promises(context_of: Contexts) -> None:
    context = context_of("tiny")
    sound = healthy(context, "healthy").trial
    trials = {bug: buggy(context, bug).trial for bug in BUGS}
    assert trials["learning rate ×30"].lr == pytest.approx(30 * sound.lr)
    labels, true = trials["shuffled labels"].data.train.labels, context.data.train.labels
    assert sorted(labels.tolist()) == sorted(true.tolist())
    assert (labels == true).float().mean() < 0.3
    norms = [m for m in trials["no batch norm"].model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not norms
    shifts = [m for m in trials["dead start"].model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert shifts
    assert all(bool((m.bias == SHIFT).all()) for m in shifts)
    images = context.data.prepare(context.data.train.images[:4])
    sums = trials["softmax twice"].model(images).sum(dim=1)
    assert sums.tolist() == pytest.approx([1.0] * 4, abs=1e-5)


def test_another_seed_changes_the_initial_weights_but_not_the_images(context_of: Contexts) -> None:
    context = context_of("tiny")
    one, other = healthy(context, "a").trial, healthy(context, "b", seed=2).trial
    first, second = next(one.model.parameters()), next(other.model.parameters())
    assert not torch.equal(first, second)
    assert torch.equal(one.batch()[1], other.batch()[1])


def test_the_result_of_a_bug_has_the_rule_and_the_control(
    context_of: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "STEPS", 18)
    context = dataclasses.replace(context_of("tiny"), clock=Ticking(0.02))
    exhibits = list(show(context, {"bug": "shuffled labels"}, True))
    last = exhibits[-1]
    assert exhibits[0].progress == 0.0
    assert last.progress is None
    (curves,) = [block for block in last.blocks if isinstance(block, Curves)]
    assert [curve.name for curve in curves.curves] == [
        "healthy",
        "another seed",
        "shuffled labels",
        "guessing",
    ]
    assert set(curves.curves[-1].y) == {math.log(10)}
    assert max(curves.curves[0].x) == 18 * bugs.BATCH
    assert last.result.startswith(("Shuffled labels could be detected", "In 18 steps, shuffled"))
    assert "The rule:" in last.evidence
    assert "another seed" in last.evidence
