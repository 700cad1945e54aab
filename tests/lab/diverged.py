"""A context whose model diverged."""

from __future__ import annotations

import dataclasses

from tui_trainer.lab.context import Context


def diverged(context: Context) -> Context:
    """Return the context with a model whose weights are all NaN."""
    model = context.copy()
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    return dataclasses.replace(context, model=model)
