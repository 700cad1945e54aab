"""Contexts with given predictions: random, non-finite, or of a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from tests.lab.views.conftest import open_context, session_of
from tui_trainer.data.dataset import Split
from tui_trainer.lab.context import Context
from tui_trainer.lab.example_forgetting import ExampleForgetting
from tui_trainer.lab.predictions import TEST, Predictions, PredictionStore
from tui_trainer.protocol.exhibit import Block, Exhibit, Words

ROWS = ("predicted", "wrong_since", "first_correct", "forgetting_events", "times_wrong")


def with_predictions(
    context: Context, probabilities: Tensor, images: str = "validation"
) -> Context:
    """Return the context with these probabilities as its predictions."""
    predictions, split = PredictionStore(), context.split(images)
    evaluation = 1 if images == TEST else 0
    predictions.keep(
        Predictions(images, context.step, probabilities, split.labels.cpu(), evaluation)
    )
    return replace(context, prediction_store=predictions)


def random_probabilities(
    labels: Tensor, classes: int = 10, seed: int = 0, strength: float = 5.0
) -> Tensor:
    """Seeded random probabilities: mostly correct, worse on higher classes, overconfident."""
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn((len(labels), classes), generator=rng) * 2
    logits += functional.one_hot(labels, classes) * (strength - 2 * labels / classes).unsqueeze(1)
    return logits.softmax(dim=1)


def random_context(context: Context, images: str = "validation") -> Context:
    """Return the context with seeded random predictions."""
    labels = context.split(images).labels.cpu()
    return with_predictions(context, random_probabilities(labels, context.data.classes), images)


def diverged_context(context: Context) -> Context:
    """Return the context with NaN probabilities."""
    classes = context.data.classes
    return with_predictions(context, torch.full((len(context.digits), classes), float("nan")))


def with_history(context: Context, *epochs: Mapping[int, int], since: int = 1) -> Context:
    """Return the context with a history: per epoch, misclassified image to predicted class."""
    labels = context.digits.labels.cpu()
    forgetting = ExampleForgetting(len(labels))
    for epoch, wrong in enumerate(epochs, since):
        predicted = labels.clone()
        for number, class_ in wrong.items():
            predicted[number] = class_
        forgetting.update(epoch, predicted, labels)
    return replace(context, forgetting=forgetting)


def other(context: Context, number: int) -> int:
    """Return a wrong class of a validation image."""
    return (int(context.digits.labels[number]) + 1) % context.data.classes


@cache
def trained_context() -> Context:
    """``small`` after 300 batches of 64 real digits, evaluated on the 10,000 test images."""
    run = session_of("small", train_size=20_000, val_size=1_000)
    model, split = run.model.train(), run.data.train
    steps = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
    for turn in range(300):
        chosen = order[turn * 64 % 19_968 : turn * 64 % 19_968 + 64]
        logits = model(run.data.prepare(split.images[chosen]))
        loss = functional.cross_entropy(logits, split.labels[chosen])
        steps.zero_grad()
        torch.autograd.backward(loss)
        steps.step()
    assert run.evaluate_test().test_accuracy > 0.9
    return open_context(run)


def small_split(context: Context, images: int) -> Context:
    """Return the context with only the first validation images."""
    val = context.data.val
    data = replace(context.data, val=Split(val.images[:images], val.labels[:images]))
    return replace(context, data=data, prediction_store=PredictionStore())


def words(exhibit: Exhibit) -> str:
    """Return all paragraphs of an exhibit."""
    return " ".join(block.text for block in exhibit.blocks if isinstance(block, Words))


def only(kind: type[Any], exhibit: Exhibit) -> Any:
    """Return the first block of a kind."""
    found: list[Block] = [block for block in exhibit.blocks if isinstance(block, kind)]
    return found[0]


def figures(exhibit: Exhibit) -> Any:
    """Return the figures, untyped."""
    return cast("Any", exhibit.figures)
