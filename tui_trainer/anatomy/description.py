"""The layer table and design review of any model, custom models included."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from tui_trainer.anatomy.review import review
from tui_trainer.anatomy.table import layer_table, multiply_adds_of
from tui_trainer.models.input_spec import ImageShape, InputSpec
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.text.fmt import one_line

Shape = ImageShape


def layers_of(model: nn.Module, image: Shape | InputSpec, classes: int) -> tuple[LayerRow, ...]:
    """Return the layer table of a model that is known to run.

    A custom model may do something that the tracer cannot follow: it is then described as one
    layer, so that it can be trained anyway.

    Args:
        model: Maps (N, channels, height, width) to logits (N, classes).
        image: Height, width and channels, or an input of any shape.
        classes: Number of logits.
    """
    try:
        rows = layer_table(model, image)
        if any(row.is_layer for row in rows):
            return rows
        reason = "none of its operations can be traced"
    except Exception as error:
        reason = one_line(f"{type(error).__name__}: {error}")
    return _as_one_layer(model, image, classes, reason)


def review_of(rows: Sequence[LayerRow], budget: int) -> tuple[Diagnosis, ...]:
    """Return the design review; empty if it fails."""
    try:
        return review(rows, budget=budget)
    except Exception:  # a custom model must train even if its table cannot be reviewed
        return ()


def _as_one_layer(
    model: nn.Module, image: Shape | InputSpec, classes: int, reason: str
) -> tuple[LayerRow, ...]:
    parameters = sum(p.numel() for p in model.parameters())
    shape = image.image_shape if isinstance(image, InputSpec) else image
    return (
        LayerRow(name="input", kind="input", kernel="", output_shape=shape, parameters=0),
        LayerRow(
            name="model",
            kind="model",
            kernel="",
            type=type(model).__name__,
            input_shape=shape,
            output_shape=(1, 1, classes),
            parameters=parameters,
            multiply_adds=multiply_adds_of(model, image),
            undefined=reason,
            sources=(0,),
        ),
    )
