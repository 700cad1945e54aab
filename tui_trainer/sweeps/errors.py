"""What can go wrong between the workers of a sweep and its storage."""

from __future__ import annotations

from tui_trainer.protocol.errors import InputError


class StorageError(InputError):
    """The storage of a sweep cannot be used: the sweep ends, its trials wait."""


class TakenOverError(Exception):
    """Another worker has taken the trial over."""
