"""What a view works with: a network as it was between two batches, its images, and its past."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tui_trainer.data.dataset import Split
from tui_trainer.engine.evaluation import probabilities_of
from tui_trainer.lab.chronicle import Chronicle
from tui_trainer.lab.context import Bench, Digit
from tui_trainer.lab.views.desk import TEST, VALIDATION, Desk, Judgement
from tui_trainer.models import zoo
from tui_trainer.models.build import build_network
from tui_trainer.models.rng import seed_all
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exhibit import Choices, Control, chosen_word

IMAGES = Control(name="images", label="images", value=VALIDATION, steps=(VALIDATION, TEST))
"""Which images are judged. The test set is opened by enter alone, and each look is counted."""

MOST_TRAINING = 5_000
"""Training images that are judged where there is no validation split."""

PATIENCE = 20.0
"""Seconds that a judgement will do while batches are trained, unless it is of the same step."""

PART_PIXELS = 128 * 28 * 28
"""Pixels that are judged in one part."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a view works with. It changes nothing of it.

    Attributes:
        bench: The run's settings and images; its network is a copy of its own, in evaluation
            mode, which stays as it is while the run goes on.
        chronicle: What became of each validation image.
        desk: What was found before.
        seed: The seed that the run's network was built with.
        built_dropout: The dropout that it was built with.
        checkpoints: The saved states of the run, by name: where each is.
        test: The test images; only to be shown once they were judged.
        began: When the view was begun, by the run's clock in seconds.
        patience: How many seconds old a judgement may be: while batches are trained, what a person
            has opened is to fit what it was opened from.
        follows: Whether nobody waits: any judgement will do that was not told yet.
    """

    bench: Bench
    chronicle: Chronicle
    desk: Desk
    seed: int
    built_dropout: float | None
    checkpoints: Mapping[str, Path]
    test: Split
    began: float = 0.0
    patience: float = 0.0
    follows: bool = False

    @property
    def network(self) -> nn.Module:
        """The network, in evaluation mode. What changes it, or hooks into it, takes a copy."""
        return self.bench.network

    @property
    def step(self) -> int:
        """After how many batches its weights were so."""
        return self.bench.step

    def control(self, choices: Choices) -> Control:
        """Return the control of the images that are judged, where it stands.

        Where there is no validation split, the training images stand in.
        """
        first = self.bench.split_name
        control = Control(name=IMAGES.name, label=IMAGES.label, value=first, steps=(first, TEST))
        word = chosen_word(choices, control)
        return Control(name=IMAGES.name, label=IMAGES.label, value=word, steps=control.steps)

    def split(self, images: str) -> Split:
        """Return the images of a judgement; of training images the first few thousand."""
        if images == TEST:
            return self.test
        digits = self.bench.digits
        if images == VALIDATION:
            return digits
        return Split(digits.images[:MOST_TRAINING], digits.labels[:MOST_TRAINING])

    def digit(self, images: str, number: int) -> Digit:
        """Return one of them; beyond the last one it begins anew."""
        split = self.split(images)
        number %= len(split)
        pixels = split.images[number]
        return Digit(
            number=number,
            label=int(split.labels[number]),
            pixels=pixels,
            network_input=self.bench.data.prepare(pixels.unsqueeze(0)),
        )

    def judged(self, images: str) -> Generator[None, None, Judgement | None]:
        """Return what the network says of all images of a split; after each part it breathes.

        Of the test set it is what the latest look has found, whenever that was; None before one.
        """
        found = self.desk.judged.get(images)
        if images == TEST or (found is not None and self._will_do(found)):
            return self.desk.told(found)
        split = self.split(images)
        parts: list[Tensor] = []
        size = max(1, PART_PIXELS // self.bench.data.image_size**2)
        for start in range(0, len(split), size):
            parts.append(self.probabilities(split.images[start : start + size]))
            yield
        judgement = Judgement(
            images, self.step, torch.cat(parts), split.labels.cpu(), at=self.began
        )
        self.desk.keep(judgement)
        return self.desk.told(judgement)

    def _will_do(self, found: Judgement) -> bool:
        """Return whether a judgement is new enough."""
        if found.step == self.step:
            return True
        if self.follows:
            return found.step > self.desk.told_steps.get(found.images, -1)
        return self.began - found.at < self.patience

    def probabilities(self, images: Tensor, network: nn.Module | None = None) -> Tensor:
        """Return the probabilities (N, classes) of images (N, H, H) of greys, on the CPU."""
        with torch.no_grad():
            scores = (network or self.network)(self.bench.data.prepare(images))
        return probabilities_of(scores).cpu()

    def at_start(self) -> nn.Module:
        """Return the network as it was before its first batch, on the CPU.

        Raises:
            InputError: If it cannot be built, or a custom model is another one each time.
            NetworkError: If a custom model raises; it says where.
        """
        network = self._built()
        if self.bench.config.model not in zoo.REGISTRY and not _are_alike(network, self._built()):
            raise InputError(
                "the model draws its initial weights from a random generator other than torch's, "
                "NumPy's and Python's global ones; seed that generator in __init__"
            )
        return network

    def _built(self) -> nn.Module:
        """Return a network as a run of the seed begins with."""
        seed_all(self.seed)
        data = self.bench.data
        network = build_network(
            self.bench.config.model,
            image_size=data.image_size,
            classes=data.classes,
            dropout=self.built_dropout,
        )
        network.eval()
        return network


def _are_alike(one: nn.Module, other: nn.Module) -> bool:
    """Say whether two models have the same state, bit by bit."""
    state, again = one.state_dict(), other.state_dict()
    return state.keys() == again.keys() and all(
        torch.equal(_bits(tensor), _bits(again[name])) for name, tensor in state.items()
    )


def _bits(tensor: Tensor) -> Tensor:
    """Return a tensor of any kind as bytes: NaN equals itself there."""
    dense = tensor.to_dense() if tensor.layout != torch.strided else tensor
    return dense.resolve_conj().contiguous().reshape(-1).view(torch.uint8)
