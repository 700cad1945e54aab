"""Inputs of any shape with their labels, kept from the batches of a training loop."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from tui_trainer.data.dataset import Data, HeldOutTest, Split
from tui_trainer.models.input_spec import InputSize, InputSpec, shape_words
from tui_trainer.models.tensors import mean_and_std
from tui_trainer.protocol.config import Augmentation
from tui_trainer.protocol.errors import path_error
from tui_trainer.recording.atomic import read_at_most, write_atomically

MOST_TRAINING = 512
"""Training examples that are kept …"""

MOST_VALIDATION = 5_000
"""… and validation examples …"""

MOST_BYTES = 32 << 20
"""… and the most bytes of each."""

FILE = "examples.safetensors"
"""The file in the folder of recorded inputs."""

_DAMAGED = "is corrupted, or holds no recorded inputs"


@dataclass(frozen=True, slots=True)
class RecordedInputs(Data):
    """Inputs (N, ...) of a model as a training loop passed them, with their labels (N).

    Floats or integers of any shape; :meth:`prepare` returns them unchanged. There is no test set.
    ``mean`` and ``std`` are of the training inputs, in their own units. Several tensors of the same
    shape are the rows of one input (N, arguments, ...), for the arguments ``names`` of the model.
    """

    names: tuple[str, ...] = ()

    @property
    def spec(self) -> InputSpec:
        """Shape, dtype and range of one input."""
        spec = InputSpec.of(self._examples.images, self.names)
        if not spec.limits or not len(self.val):
            return spec
        others = InputSpec.of(self.val.images, self.names).limits
        return replace(spec, limits=tuple(map(max, spec.limits, others)))

    @property
    def input_size(self) -> InputSize:
        """The input of the model."""
        return self.spec

    @property
    def values(self) -> int:
        """The number of values of an example."""
        return self.spec.values

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image; see :attr:`InputSpec.image_shape`."""
        return self.spec.image_shape

    @property
    def example(self) -> InputSpec:
        """One input, for the layer table."""
        return self.spec

    @property
    def is_image(self) -> bool:
        """Whether the inputs are images."""
        return self.spec.is_image

    @property
    def is_color(self) -> bool:
        """Whether the inputs are images with three channels."""
        return self.is_image and self.spec.shape[0] == 3

    def prepare(
        self,
        images: Tensor,
        augmentation: Augmentation | None = None,
        rng: torch.Generator | None = None,
        size: int | None = None,
        part: tuple[int, slice] | None = None,
    ) -> Tensor:
        """Return a copy of inputs (N, ...), unchanged: the training loop prepared them."""
        return images.clone()

    @property
    def black(self) -> Tensor:
        """The smallest value of the inputs; (3, 1, 1) of images in color, one of each channel."""
        images = self._examples.images
        return images.amin(dim=(0, 2, 3)).view(-1, 1, 1) if self.is_color else images.min()

    @property
    def white(self) -> Tensor:
        """The largest value of the inputs; (3, 1, 1) of images in color, one of each channel."""
        images = self._examples.images
        return images.amax(dim=(0, 2, 3)).view(-1, 1, 1) if self.is_color else images.max()

    def pictures(self, images: Tensor) -> Tensor:
        """Return inputs as grays (N, H, W) or colors (N, 3, H, W) from 0 to 255.

        Three channels are red, green and blue, each from its smallest to its largest value: that
        undoes a normalization of each channel. Of another number, the mean is drawn. A sequence has
        a row for each step, other inputs are one row.
        """
        grays = images.float()
        if self.is_color:
            darkest, span = self.black, self.white - self.black
            return (grays - darkest) * (255 / span.where(span > 0, 1.0))
        if self.is_image:
            grays = grays.mean(dim=1)
        elif len(self.spec.shape) != 2:
            grays = grays.reshape(len(images), 1, -1)
        low, high = float(self.black), float(self.white)
        return (grays - low) * (255 / (high - low or 1.0))

    @property
    def about_pictures(self) -> str:
        """What a picture of an input shows; empty for images with one channel."""
        shape, words = self.spec.shape, shape_words(self.spec.shape)
        if self.is_image:
            if self.is_color:
                return (
                    "The three channels of the inputs are drawn as red, green and blue, each from "
                    "its smallest to its largest value."
                )
            channels = f"The inputs have {shape[0]} channels: pictures show their mean."
            return channels if shape[0] > 1 else ""
        if len(shape) == 2:
            return f"The inputs are no images: pictures have {shape[0]} rows of {shape[1]} values."
        return f"The inputs are no images: pictures are a row of their {words} values."

    def save(self, folder: Path) -> None:
        """Write the inputs to a folder, which is created if needed; :func:`read_inputs` reads it.

        Raises:
            OSError: If it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"{name}/{kind}": tensor.contiguous().cpu()
            for name, split in (("train", self.train), ("val", self.val))
            for kind, tensor in (("inputs", split.images), ("labels", split.labels))
        }
        about = {"name": self.name, "classes": self.classes, "names": self.names}
        header = {"recorded": json.dumps(about)}
        write_atomically(folder / FILE, safetensors.torch.save(tensors, header))

    @property
    def _examples(self) -> Split:
        return self.train if len(self.train) else self.val


def recorded_inputs(
    name: str, classes: int, train: Split, val: Split, names: tuple[str, ...] = ()
) -> RecordedInputs:
    """Return recorded inputs on the device of their splits."""
    mean, std = 0.0, 1.0
    if train.images.is_floating_point() and train.images.numel():
        mean, std = mean_and_std(train.images)
    spec = InputSpec.of((train if len(train) else val).images, names)
    empty = Split(train.images[:0], train.labels[:0])
    image_size = max(spec.image_shape[:2])
    return RecordedInputs(
        name=name,
        classes=classes,
        image_size=image_size,
        train=train,
        val=val,
        test=HeldOutTest(empty),
        mean=(mean,),
        std=(std or 1.0,),
        channels=spec.image_shape[2] if spec.is_image else 1,
        names=names,
    )


def holds_inputs(folder: Path) -> bool:
    """Return whether a folder holds recorded inputs."""
    with suppress(OSError, ValueError):
        return (folder / FILE).is_file()
    return False


def read_inputs(folder: Path, device: torch.device) -> RecordedInputs:
    """Read the inputs that :meth:`RecordedInputs.save` wrote.

    Raises:
        InputError: If they cannot be read.
    """
    path = folder / FILE
    content = read_at_most(path, 4 * MOST_BYTES)
    try:
        head = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about = json.loads(head["__metadata__"]["recorded"])
        found = safetensors.torch.load(content)
        train, val = (
            Split(found[f"{name}/inputs"], found[f"{name}/labels"]).to(device)
            for name in ("train", "val")
        )
        fits = all(len(split.images) == len(split.labels) for split in (train, val))
        if fits and (len(train) or len(val)) and type(about["classes"]) is int:
            names = tuple(map(str, about["names"]))
            return recorded_inputs(str(about["name"]), about["classes"], train, val, names)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, AttributeError):
        pass
    raise path_error(path, _DAMAGED)


@dataclass(slots=True)
class _Kept:
    """The examples of one split that have passed by."""

    most: int
    inputs: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    count: int = 0
    bytes: int = 0
    is_closed: bool = False

    def add(self, inputs: Tensor, labels: Tensor) -> None:
        room = min(self.most - self.count, (MOST_BYTES - self.bytes) // max(1, inputs[:1].nbytes))
        inputs, labels = inputs[:room], labels[:room]
        self.is_closed = len(inputs) == room
        self.inputs.append(inputs.detach().to("cpu", copy=True))
        self.labels.append(labels.detach().to("cpu", torch.int64, copy=True))
        self.count += len(inputs)
        self.bytes += inputs.nbytes

    def split(self, like: Tensor) -> Split:
        return Split(torch.cat([like[:0], *self.inputs]), torch.cat(self.labels or [_NO_LABELS]))


_NO_LABELS = torch.empty(0, dtype=torch.int64)


class InputCollector:
    """Keeps inputs and labels of the batches that pass by, up to a bound, as copies on the CPU.

    Only examples with the shape and dtype of the first batch are kept. It never raises.

    Args:
        name: The name of the dataset.
        classes: The number of classes; None for the largest label + 1.

    Attributes:
        unavailable: Why no inputs can be recorded; empty if they can.
        left_out: How many examples had another shape or dtype, or no class.
    """

    def __init__(self, name: str = "script", classes: int | None = None) -> None:
        self.name, self.classes = name, classes
        self.unavailable = ""
        self.left_out = 0
        self._train, self._val = _Kept(MOST_TRAINING), _Kept(MOST_VALIDATION)
        self._like: Tensor | None = None
        self._names: tuple[str, ...] = ()

    def describe(self, name: str, classes: int) -> None:
        """Set the name of the dataset and the number of classes."""
        self.name, self.classes = name, classes

    @property
    def wants_training(self) -> bool:
        """Whether it keeps the next training batch."""
        return not (self.unavailable or self._train.is_closed)

    @property
    def wants_validation(self) -> bool:
        """Whether it keeps the next validation batch."""
        return not (self.unavailable or self._val.is_closed)

    @property
    def size(self) -> int:
        """The number of examples that it has."""
        return self._train.count + self._val.count

    def training_batch(self, inputs: object, labels: object) -> None:
        """Keep a training batch, as the model receives it."""
        self._add(self._train, inputs, labels)

    def validation_batch(self, inputs: object, labels: object) -> None:
        """Keep a validation batch, as the model receives it."""
        self._add(self._val, inputs, labels)

    def take_validation(self, other: InputCollector) -> None:
        """Take the validation examples of another collector; there are no more after them."""
        like = other._like
        if like is not None and (self._like is None or self._fits(like, other._names)):
            self._like, self._names, self._val = like, other._names, other._val
            self._val.is_closed = True

    def end_training(self) -> None:
        """End the training examples after an epoch: the next one repeats them."""
        self._train.is_closed = self._train.is_closed or self._train.count > 0

    def end_validation(self) -> None:
        """End the validation examples after a pass: the next one repeats them."""
        self._val.is_closed = self._val.is_closed or self._val.count > 0

    def recorded(self) -> RecordedInputs | None:
        """Return what it has kept so far; None if that is nothing."""
        if self.unavailable or not self.size:
            return None
        assert self._like is not None
        train, val = self._train.split(self._like), self._val.split(self._like)
        classes = 1 + max(int(labels.max()) for labels in (train.labels, val.labels) if len(labels))
        classes = max(classes, self.classes or 0)
        return recorded_inputs(self.name, classes, train, val, self._names)

    def _add(self, kept: _Kept, inputs: object, labels: object) -> None:
        if self.unavailable or kept.is_closed:
            return
        tensor, names, problem = packed(inputs)
        classes = class_labels(labels)
        if tensor is not None and classes is None:
            problem = f"its labels, {_described(labels)}, are not one class per example"
        elif tensor is not None and classes is not None and len(classes) != len(tensor):
            problem = f"a batch has {len(tensor)} inputs, but {len(classes)} labels"
        if self._like is None:
            self.unavailable = problem
        fits = tensor is not None and self._fits(tensor, names)
        if tensor is None or classes is None or problem or not fits:
            self.left_out += 0 if tensor is None else len(tensor)
        elif len(tensor):
            self._like = tensor[:0].detach().cpu() if self._like is None else self._like
            self._names = names
            kept.add(tensor, classes)

    def _fits(self, inputs: Tensor, names: tuple[str, ...]) -> bool:
        """Return whether inputs have shape, dtype and arguments of the first ones."""
        like = self._like
        if like is None:
            return True
        is_alike = inputs.shape[1:] == like.shape[1:] and inputs.dtype == like.dtype
        return is_alike and names == self._names


LABELS = ("labels", "label")
"""Arguments of a model that are no inputs: the models of transformers compute their own loss."""


def packed(inputs: object) -> tuple[Tensor | None, tuple[str, ...], str]:
    """Return the inputs of a batch as one tensor, or why they cannot be recorded.

    Args:
        inputs: A tensor, or the arguments of a model: by position, or by name.

    Returns:
        The tensor (N, ...), or several of the same shape as (N, arguments, ...); if there are
        several, their names, or their numbers where they have none; the reason.
    """
    parts = inputs if isinstance(inputs, dict) else {"0": inputs}
    if isinstance(inputs, list | tuple):
        parts = {str(number): value for number, value in enumerate(inputs)}
    parts = {str(k): v for k, v in parts.items() if k not in LABELS and v is not None}
    names, values = tuple(parts), list(parts.values())
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors or len(tensors) < len(values):
        return None, (), f"the model's input is {_described(inputs)}, not tensors alone"
    first = tensors[0]
    if not first.dim():
        return None, (), "the model's input has no batch dimension"
    for tensor in tensors:
        if tensor.layout != torch.strided or tensor.is_complex() or tensor.is_nested:
            return None, (), f"the model's input is {_described(tensor)}, not a dense real tensor"
    if len(tensors) == 1:
        return first, (), ""
    if any((t.shape, t.dtype) != (first.shape, first.dtype) for t in tensors):
        listed = ", ".join(names)
        return None, (), f"the model takes {len(tensors)} tensors ({listed}) of different shapes"
    return torch.stack([tensor.detach() for tensor in tensors], dim=1), names, ""


def class_labels(labels: object) -> Tensor | None:
    """Return the classes (N) of a batch's labels; None if they are not one class per example.

    Labels are classes (N) or (N, 1), as integers or whole floats, or one-hot or probabilities
    (N, classes).
    """
    if not isinstance(labels, Tensor) or not 1 <= labels.dim() <= 2:
        return None
    found = labels.detach()
    if found.dim() == 2 and found.shape[1] > 1:
        return found.argmax(dim=1) if _is_one_hot(found.to(torch.float32)) else None
    found = found.reshape(-1)
    whole = found.round().to(torch.int64) if found.is_floating_point() else found.to(torch.int64)
    is_class = bool((whole == found).all()) and bool((whole >= 0).all())
    return whole if is_class else None


def _is_one_hot(rows: Tensor) -> bool:
    """Return whether each row (N, classes) is a distribution, or has one value above equal ones."""
    if bool((rows >= 0).all()) and bool(((rows.sum(dim=1) - 1).abs() < 1e-3).all()):
        return True
    is_largest = rows == rows.amax(dim=1, keepdim=True)
    is_smallest = rows == rows.amin(dim=1, keepdim=True)
    return bool((is_largest.sum(dim=1) == 1).all()) and bool((is_largest | is_smallest).all())


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {shape_words(tuple(value.shape))}"
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__} of {len(value)} values"
    return f"a {type(value).__name__}"
