"""Models of checkpoints, cached, to compare their predictions for one image."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tui_trainer.lab.ask import single_thread
from tui_trainer.lab.saved_model import load_model
from tui_trainer.models.behavior import behavior_of, fingerprint, fixed_images
from tui_trainer.models.input_spec import InputSize, InputSpec
from tui_trainer.models.tensors import probabilities_of
from tui_trainer.protocol.class_names import class_number
from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.recording.checkpoint_head import read_metadata
from tui_trainer.text.fmt import one_line

KEPT = 12
"""Checkpoints whose models are kept in memory."""

State = tuple[Path, str | None, int, int]
"""Path, model reference, modification time and size of a checkpoint."""

_STATISTICS = re.compile(r" mean (\([^()]*\)|\S+) std (\([^()]*\)|\S+)$")


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A model of a checkpoint with its preprocessing.

    Attributes:
        model: The model, in evaluation mode, on the CPU.
        image_size: Side of its images, in pixels.
        classes: The number of classes.
        step: The training step of its weights.
        mean: Mean of the training pixels of each channel, on a scale of 0 to 1.
        std: Their standard deviation.
        cautions: Warnings that apply to all of its predictions.
        class_names: The names of the classes; empty if they have only numbers.
        fit: How pictures of other sizes were brought to this one; empty for images of one size.
    """

    model: nn.Module
    image_size: int
    classes: int
    step: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    cautions: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    fit: str = ""

    @property
    def channels(self) -> int:
        """The channels of its images."""
        return len(self.mean)

    def class_number(self, name: str) -> int | None:
        """Return the number of the class with the name of a folder; None if there is none."""
        names = self.class_names or tuple(map(str, range(self.classes)))
        plain = unicodedata.normalize("NFC", name)
        found = class_number(names, plain)
        # Control characters in the names of folders are blanks in those of classes.
        return class_number(names, one_line(plain).strip()) if found is None else found

    @property
    def is_dark_on_light(self) -> bool:
        """Whether it was trained on dark strokes on a light background, unlike MNIST."""
        return self.channels == 1 and self.mean[0] > 0.5

    def probabilities(self, image: Tensor) -> tuple[float, ...]:
        """Return the probability of each class for grays (H, H) or colors (3, H, H), 0 to 255.

        Raises:
            InputError: If the model, which may be a custom model, raises; in one line.
        """
        pixels = image.cpu().to(torch.float32).view(1, self.channels, *image.shape[-2:])
        mean, std = (torch.tensor(each).view(-1, 1, 1) for each in (self.mean, self.std))
        pixels = pixels.div(255).sub(mean).div(std)
        try:
            with torch.no_grad(), single_thread():
                return tuple(probabilities_of(self.model(pixels))[0].tolist())
        except Exception as error:
            kind = type(error).__name__
            raise InputError(f"the model fails: {kind}: {reason(error)}") from None


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
    """Return whether the checkpoint is already loaded, so that :func:`saved_model_of` is fast."""
    return _state(path, reference) in _LOADED


def saved_model_of(path: Path, reference: str | None = None) -> SavedModel:
    """Return the model of a checkpoint; an unchanged file is read only once.

    Args:
        path: The checkpoint.
        reference: The current location of a custom model, if it was moved.

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
    """Return the cache key of a checkpoint: it changes when the file changes."""
    try:
        found = path.stat()
    except OSError:
        return path, reference, 0, 0
    return path, reference, found.st_mtime_ns, found.st_size


def _load(path: Path, reference: str | None) -> SavedModel:
    metadata = read_metadata(path)
    model = load_model(path, reference)
    model.eval()  # not chained: a custom model's may return nothing
    model.requires_grad_(False)
    mean, std = _statistics(str(metadata.get("data")))
    if not std or not all(value > 0 for value in std):
        raise path_error(path, "has no normalization (mean and std) of its images")
    cautions = _cautions(path, model, InputSpec.read(metadata))
    return SavedModel(
        *(model, metadata["image_size"], metadata["classes"], metadata["step"]),
        *(mean, std, cautions),
        class_names=tuple(metadata.get("class_names", ())),
        fit=metadata.get("fit", ""),
    )


def _statistics(data: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel; none if the data has none."""
    match = _STATISTICS.search(data)
    if match is None:
        return (), ()
    try:
        mean, std = (
            tuple(float(number) for number in text.strip("()").split(","))
            for text in match.groups()
        )
    except ValueError:
        return (), ()
    return (mean, std) if len(mean) == len(std) else ((), ())


def _cautions(path: Path, model: nn.Module, image_size: InputSize) -> tuple[str, ...]:
    """Return warnings about the predictions of a model for single images.

    Raises:
        InputError: If the prediction of an image depends on the other images of the batch.
    """
    images = fixed_images(image_size)
    try:
        behavior = behavior_of(model, images)
    except Exception:  # a custom model can raise anything; reported when it predicts
        return ()
    if behavior.depends_on_batch:
        raise path_error(
            path,
            "its model predicts an image differently alone and in a batch, so it has no prediction"
            " for a single image; use no operation across the batch in forward (softmax over dim=1,"
            " not dim=0), and train again",
        )
    cautions = []
    if behavior.is_random:
        cautions.append(
            "its predictions are partly random in evaluation mode: predict more than once"
        )
    elif behavior.keeps_state:
        cautions.append("its predictions depend on the images that it has processed before")
    if behavior.is_constant and bool(fingerprint(model, image_size).isfinite().all()):
        cautions.append("it predicts the same for every image")
    return tuple(cautions)


_LOADED: dict[State, SavedModel | str] = {}
"""Loaded models, or the errors of those that could not be loaded, the oldest first."""
