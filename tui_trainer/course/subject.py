"""Which data a lesson speaks of: its examples are digits of MNIST, a run may train on others."""

from __future__ import annotations

from tui_trainer.protocol.events import RunStarted
from tui_trainer.text.fmt import one_line, plural, printable

DIGIT, OBJECT = "digit", "object"
"""What an image shows, in texts."""

OF_DIGITS = ("mnist", "qmnist", "emnist-digits", "emnist-mnist")
"""The datasets of handwritten digits, by name."""

SIZE = 28
"""Height and width of MNIST's images in pixels."""


def shows_digits(dataset: str) -> bool:
    """Whether the images of a dataset are known to be digits."""
    return dataset in OF_DIGITS


def object_of(dataset: str) -> str:
    """Return what the images of a dataset show: a digit, or an object of unknown kind."""
    return DIGIT if shows_digits(dataset) else OBJECT


def data_words(name: str, size: tuple[int, int], channels: int, classes: int) -> str:
    """Return a dataset in words: ``cifar10, 32×32 pixels in 3 channels, 10 classes``."""
    depth = "" if channels == 1 else f" in {plural(channels, 'channel')}"
    shown = one_line(printable(name))
    return f"{shown}, {size[0]}×{size[1]} pixels{depth}, {plural(classes, 'class', 'es')}"


def words_of(started: RunStarted) -> str:
    """Return the dataset of a run in words."""
    size = started.image_size
    return data_words(started.dataset, (size, size), started.channels, started.classes)


def name_of(started: RunStarted) -> str:
    """Return the dataset of a run by its name, with its shape and classes if it is not MNIST's."""
    return words_of(started) if unusual_shape(started) else one_line(printable(started.dataset))


def unusual_shape(started: RunStarted) -> str:
    """Return height, width and channels of the images, ``32×32×3``; empty for those of MNIST."""
    size, channels = started.image_size, started.channels
    return f"{size}×{size}×{channels}" if size and (size, channels) != (SIZE, 1) else ""


def is_like_lessons(dataset: str, size: int, channels: int) -> bool:
    """Whether data are such as the lessons speak of: digits, 28×28 pixels in one channel."""
    return shows_digits(dataset) and (size, channels) == (SIZE, 1)


def data_note(started: RunStarted | None) -> str:
    """Return which data a lesson speaks of, if the run has others; empty if it has the same.

    The data of a script are not known before its first batch, and have no size if they are no
    images.
    """
    if started is None or not started.image_size:
        return ""
    if is_like_lessons(started.dataset, started.image_size, started.channels):
        return ""
    return (
        f"The examples of this lesson are of MNIST: digits, {SIZE}×{SIZE} pixels in one channel. "
        f"This run has {words_of(started)}."
    )
