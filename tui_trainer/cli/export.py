"""``mnist-tui export``: what a run leaves for other programs."""

from __future__ import annotations


def export() -> None:
    """Write a run for other programs."""
