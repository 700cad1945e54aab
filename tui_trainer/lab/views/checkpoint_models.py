"""What saved states of a network say of a digit, side by side."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tui_trainer.engine.evaluation import probabilities_of
from tui_trainer.lab.ask import single_thread
from tui_trainer.lab.saved_model import load_model
from tui_trainer.models.behaviour import behaviour_of, fingerprint, fixed_images
from tui_trainer.protocol.errors import InputError, fault, reason
from tui_trainer.recording.checkpoint_head import read_metadata

KEPT = 12
"""Checkpoints whose networks are kept in memory."""

State = tuple[Path, str | None, int, int]
"""A checkpoint, the place of its model, when its file was changed, and its size."""

_STATISTICS = re.compile(r" mean (\S+) std (\S+)$")


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A saved network and how it takes its images.

    Attributes:
        model: The network, in evaluation mode, on the CPU.
        image_size: Side of its images, in pixels.
        classes: How many scores it gives.
        step: After how many batches its weights were so.
        mean: Of the pixels that it was trained on, on a scale of 0 to 1.
        std: Their standard deviation.
        cautions: What holds for all that it says.
    """

    model: nn.Module
    image_size: int
    classes: int
    step: int
    mean: float
    std: float
    cautions: tuple[str, ...] = ()

    @property
    def is_dark_on_light(self) -> bool:
        """Whether it was trained on dark ink on light paper, unlike MNIST's."""
        return self.mean > 0.5

    def probabilities(self, digit: Tensor) -> tuple[float, ...]:
        """Return the probability of each class for greys (H, H), 0 to 255.

        Raises:
            InputError: If the network, which may be one's own, fails; in one line.
        """
        pixels = digit.cpu().to(torch.float32)[None, None].div(255).sub(self.mean).div(self.std)
        try:
            with torch.no_grad(), single_thread():
                return tuple(probabilities_of(self.model(pixels))[0].tolist())
        except Exception as error:
            kind = type(error).__name__
            raise InputError(f"the network fails: {kind}: {reason(error)}") from None


def chosen(checkpoints: Iterable[str], most: int) -> list[str]:
    """Return the names of the checkpoints to compare: best and last, then epochs evenly apart."""
    names = set(checkpoints)
    first = [name for name in ("best", "last") if name in names]
    others = sorted(names.difference(first), key=_by_number)
    room = max(0, most - len(first))
    if len(others) > room:
        others = [others[len(others) * (place + 1) // room - 1] for place in range(room)]
    return first + others


def _by_number(name: str) -> tuple[int, str]:
    digits = re.search(r"\d+", name)
    return (int(digits[0]) if digits else 0, name)


def is_loaded(path: Path, reference: str | None = None) -> bool:
    """Say whether :func:`saved_model_of` knows the checkpoint already: it answers at once then."""
    return _state(path, reference) in _LOADED


def saved_model_of(path: Path, reference: str | None = None) -> SavedModel:
    """Return the network of a checkpoint; as long as the file stays as it is, it is read once.

    Args:
        path: The checkpoint.
        reference: Where the model is now, if it is not where it was.

    Raises:
        InputError: If the checkpoint cannot be used.
    """
    state = _state(path, reference)
    if state not in _LOADED:
        try:
            _LOADED[state] = _load(path, reference)
        except InputError as error:
            _LOADED[state] = str(error)
        while len(_LOADED) > KEPT:
            del _LOADED[next(iter(_LOADED))]
    found = _LOADED[state]
    if isinstance(found, str):
        raise InputError(found)
    return found


def _state(path: Path, reference: str | None) -> State:
    """Return what tells a file from what it was before: when it was changed, and its size."""
    try:
        found = path.stat()
    except OSError:
        return path, reference, 0, 0
    return path, reference, found.st_mtime_ns, found.st_size


def _load(path: Path, reference: str | None) -> SavedModel:
    facts = read_metadata(path)
    model = load_model(path, reference)
    model.eval()  # not chained: a custom model's may return nothing
    model.requires_grad_(False)
    told = _STATISTICS.search(str(facts.get("data")))
    try:
        mean, std = (float(number) for number in told.groups()) if told else (0.0, 0.0)
    except ValueError:
        std = 0.0
    if not std > 0:
        raise fault(path, "does not tell how its images were made")
    cautions = _cautions(path, model, facts["image_size"])
    return SavedModel(
        model, facts["image_size"], facts["classes"], facts["step"], mean, std, cautions
    )


def _cautions(path: Path, model: nn.Module, image_size: int) -> tuple[str, ...]:
    """Return what is to be known of a network's answers to single images.

    Raises:
        InputError: If there are none: an image's answer depends on the others of its batch.
    """
    images = fixed_images(image_size)
    try:
        behaviour = behaviour_of(model, images)
    except Exception:  # whatever a custom model raises: told when it is asked
        return ()
    if behaviour.depends_on_batch:
        raise fault(
            path,
            "its model answers one image differently alone and among others, so it has no answer to"
            " a single picture; let no operation in forward join the images (softmax over dim=1,"
            " not dim=0), and train again",
        )
    cautions = []
    if behaviour.is_random:
        cautions.append("its answers are random, in part, in evaluation mode: ask more than once")
    elif behaviour.keeps_state:
        cautions.append("its answers depend on the images that it has seen before")
    if behaviour.is_constant and bool(fingerprint(model, image_size).isfinite().all()):
        cautions.append("it answers every image alike, whatever it shows")
    return tuple(cautions)


_LOADED: dict[State, SavedModel | str] = {}
"""What was read, or why it could not be, the oldest first."""
