"""The topics of lessons 1 to 20; a diagnosis points to one of them."""

from __future__ import annotations

from collections.abc import Mapping

TOPICS: Mapping[int, str] = dict(
    enumerate(
        (
            "how many layers",
            "max pooling",
            "1×1 convolutions",
            "3×3 convolutions",
            "receptive field",
            "softmax",
            "learning rate",
            "number of kernels",
            "batch normalization",
            "image normalization",
            "position of max pooling",
            "transition layers",
            "position of transition layers",
            "dropout",
            "overfitting, and when to use dropout",
            "distance of max pooling from the prediction",
            "distance of batch norm from the prediction",
            "when to stop convolving",
            "seeing early that a network fails",
            "batch size",
        ),
        start=1,
    )
)


def lesson_label(lesson: int) -> str:
    """Return a lesson as text: ``lesson 6: softmax``."""
    return f"lesson {lesson}: {TOPICS[lesson]}" if lesson in TOPICS else f"lesson {lesson}"
