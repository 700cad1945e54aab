from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import optuna
import pytest

from tui_trainer.sweeps import patience
from tui_trainer.sweeps.storage import _Journal, open_storage


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[OSError]:
    """Errors of the next attempts to append to a journal; the first of them after half a line."""
    waiting: list[OSError] = []
    append = _Journal._append

    def append_logs(self: Any, logs: list[dict[str, Any]]) -> None:
        if waiting:
            with open(self._file_path, "ab") as file:
                file.write(b'{"op_code":')
            raise waiting.pop()
        append(self, logs)

    monkeypatch.setattr(_Journal, "_append", append_logs)
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.01)
    return waiting


def test_a_full_disk_is_waited_for_and_every_entry_is_kept(
    tmp_path: Path, failures: list[OSError]
) -> None:
    lines: list[str] = []
    path = tmp_path / "study.log"
    study = optuna.create_study(storage=open_storage(path, lines.append), study_name="s")
    failures += [OSError(errno.ENOSPC, "No space left on device")] * 2
    study.set_user_attr("a", 1)
    assert lines == [
        f"{path}: No space left on device; trying again for 5:00",
        f"{path}: back",
    ]
    again = optuna.load_study(study_name="s", storage=open_storage(path))
    assert again.user_attrs == {"a": 1}


def test_a_journal_that_cannot_be_written_at_its_creation_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="cannot be used: No such file or directory"):
        open_storage(tmp_path / "nowhere" / "study.log")
