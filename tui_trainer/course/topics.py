"""The twenty topics of the course; a diagnosis points to one of them."""

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


def topic(lesson: int) -> str:
    """Return a topic as text: ``topic 6: softmax``."""
    return f"topic {lesson}: {TOPICS[lesson]}" if lesson in TOPICS else f"topic {lesson}"
