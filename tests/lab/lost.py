"""A bench whose network diverged."""

from __future__ import annotations

import dataclasses

from tui_trainer.lab.context import Context


def lost(bench: Context) -> Context:
    """Return the bench with a network of which no weight is a number."""
    network = bench.copy()
    for parameter in network.parameters():
        parameter.data.fill_(float("nan"))
    return dataclasses.replace(bench, network=network)
