from __future__ import annotations

from tests.engine.conftest import _one_thread, mnist, tiny

__all__ = ["_one_thread", "mnist", "tiny"]
