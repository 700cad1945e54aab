from __future__ import annotations

import pytest

from tui_trainer.models.custom import script_model


@pytest.fixture(autouse=True)
def _copies_little_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run copies the code that its model can reach, for these the whole package of the tests.

    All tests together would write 500 files for each run, which takes most of its time.
    """
    monkeypatch.setattr(script_model, "MOST_CODE", 1 << 14)
