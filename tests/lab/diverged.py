"""A bench whose network diverged."""

from __future__ import annotations

import dataclasses

from tui_trainer.lab.context import Context


def diverged(context: Context) -> Context:
    """Return the bench with a network of which no weight is a number."""
    model = context.copy()
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    return dataclasses.replace(context, model=model)
