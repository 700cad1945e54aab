"""The source of a model whose layers say all about it: one of the zoo, or an ``nn.Sequential``."""

from __future__ import annotations

from torch import nn

from tui_trainer.export.source_code.initialization import recorded_initialization, statements
from tui_trainer.export.source_code.layers import CLASS, model_class
from tui_trainer.export.source_code.program import ModelSource
from tui_trainer.models import zoo
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.text.fmt import count, plural


def zoo_source(
    name: str, *, image_size: int, classes: int, dropout: float | None, channels: int = 1
) -> ModelSource:
    """Return the source of a model of the zoo; with a seed it has the same initial weights."""
    with preserve_rng_state(), recorded_initialization() as calls:
        model = zoo.build(
            name, image_size=image_size, classes=classes, dropout=dropout, channels=channels
        )
    size = sum(p.numel() for p in model.parameters())
    kind = f"{image_size}×{image_size}" + (f"×{channels}" if channels > 1 else "")
    doc = f"{name}: {count(size)} parameters for {kind} images."
    return ModelSource(model_class(model, doc, statements(model, calls)), f"{CLASS}()")


def layers_source(model: nn.Module) -> ModelSource:
    """Return the source of a custom ``nn.Sequential``, from its layers.

    Raises:
        NoSourceError: If it has other modules than those of PyTorch.
    """
    size = sum(p.numel() for p in model.parameters())
    code = model_class(model, plural(size, "parameter") + ".", {})
    remark = "Its initial weights are PyTorch's defaults; the code of the run may set others."
    return ModelSource(code, f"{CLASS}()", remark=remark)
