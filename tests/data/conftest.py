from __future__ import annotations

from tests.engine.conftest import mnist, tiny

__all__ = ["mnist", "tiny"]
