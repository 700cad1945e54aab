"""Scenes whose images were judged already: with scores that are drawn, lost, or learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from tests.lab.views.conftest import session_of, set_scene
from tui_trainer.data.dataset import Split
from tui_trainer.lab.chronicle import Chronicle
from tui_trainer.lab.context import Context
from tui_trainer.lab.predictions import TEST, Predictions, PredictionStore
from tui_trainer.protocol.exhibit import Block, Exhibit, Words

ROWS = ("given", "wrong_since", "first_right", "forgotten", "times_wrong")


def judged_as(scene: Context, probabilities: Tensor, images: str = "validation") -> Context:
    """The same scene with these probabilities as its predictions."""
    predictions, split = PredictionStore(), scene.split(images)
    look = 1 if images == TEST else 0
    predictions.keep(Predictions(images, scene.step, probabilities, split.labels.cpu(), look))
    return replace(scene, predictions=predictions)


def drawn_scores(labels: Tensor, classes: int = 10, seed: int = 0, strength: float = 5.0) -> Tensor:
    """Probabilities by a fixed draw: mostly right, worse on higher classes, rather too sure."""
    chance = torch.Generator().manual_seed(seed)
    scores = torch.randn((len(labels), classes), generator=chance) * 2
    scores += functional.one_hot(labels, classes) * (strength - 2 * labels / classes).unsqueeze(1)
    return scores.softmax(dim=1)


def drawn_scene(scene: Context, images: str = "validation") -> Context:
    """A scene whose images have fixed scores."""
    labels = scene.split(images).labels.cpu()
    return judged_as(scene, drawn_scores(labels, scene.data.classes), images)


def lost_scene(scene: Context) -> Context:
    """A scene after a divergence: no probability is a number."""
    classes = scene.data.classes
    return judged_as(scene, torch.full((len(scene.digits), classes), float("nan")))


def chronicled(scene: Context, *epochs: Mapping[int, int], since: int = 1) -> Context:
    """A scene whose chronicle saw all images right, but for those told: number to class given."""
    labels = scene.digits.labels.cpu()
    chronicle = Chronicle(len(labels))
    for epoch, wrong in enumerate(epochs, since):
        given = labels.clone()
        for number, said in wrong.items():
            given[number] = said
        chronicle.note(epoch, given, labels)
    return replace(scene, chronicle=chronicle)


def other(scene: Context, number: int) -> int:
    """A class that an image of validation is not of."""
    return (int(scene.digits.labels[number]) + 1) % scene.data.classes


@cache
def trained_scene() -> Context:
    """``small`` after 300 batches of 64 real digits, with all 10,000 test images judged."""
    run = session_of("small", train_size=20_000, val_size=1_000)
    network, split = run.model.train(), run.data.train
    steps = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
    for turn in range(300):
        chosen = order[turn * 64 % 19_968 : turn * 64 % 19_968 + 64]
        scores = network(run.data.prepare(split.images[chosen]))
        loss = functional.cross_entropy(scores, split.labels[chosen])
        steps.zero_grad()
        torch.autograd.backward(loss)
        steps.step()
    assert run.evaluate_test().test_accuracy > 0.9
    return set_scene(run)


def small_split(scene: Context, images: int) -> Context:
    """A scene with the first images of validation alone."""
    val = scene.data.val
    data = replace(scene.data, val=Split(val.images[:images], val.labels[:images]))
    return replace(scene, data=data, predictions=PredictionStore())


def words(exhibit: Exhibit) -> str:
    """All paragraphs of an exhibit."""
    return " ".join(block.text for block in exhibit.blocks if isinstance(block, Words))


def only(kind: type[Any], exhibit: Exhibit) -> Any:
    """The first block of a kind."""
    found: list[Block] = [block for block in exhibit.blocks if isinstance(block, kind)]
    return found[0]


def figures(exhibit: Exhibit) -> Any:
    """The figures, as whatever they are."""
    return cast("Any", exhibit.figures)
