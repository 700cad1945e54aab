"""The records of the presets: a seed is recorded once, and an interrupted series continues."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import presets
from tests.benchmarks.preset_records import Record, append, path_of, read, settings_of
from tests.benchmarks.presets import Series, main, started_and_end
from tui_trainer.protocol.errors import InputError

RECORD = Record(
    preset="fast",
    settings=settings_of("fast"),
    seed=100,
    parameters=19_810,
    epochs=5,
    test_correct=9_950,
    test_total=10_000,
    seconds=40.0,
    threads=2,
    jobs=1,
    device="cpu",
    torch="2.13.0",
    processor="a processor",
    commit="0123456789ab",
)


def record(seed: int, **more: Any) -> Record:
    return dataclasses.replace(RECORD, seed=seed, **more)


def test_a_seed_is_recorded_once(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    assert append(record(101), folder)
    assert append(record(100), folder)
    assert not append(record(101, test_correct=9_000), folder)
    assert read("fast", folder) == [record(100), record(101)]
    assert read("tiny", folder) == []


def test_a_line_that_a_kill_interrupted_is_replaced(tmp_path: Path) -> None:
    append(record(100), tmp_path)
    path = path_of("fast", tmp_path)
    path.write_bytes(path.read_bytes() + path.read_bytes()[:80])
    assert read("fast", tmp_path) == [record(100)]
    append(record(101), tmp_path)
    assert read("fast", tmp_path) == [record(100), record(101)]
    assert path.read_bytes().count(b"\n") == 2


def test_records_of_other_settings_do_not_count(tmp_path: Path) -> None:
    append(record(100, settings={**RECORD.settings, "lr": 0.1}), tmp_path)
    assert read("fast", tmp_path) == []
    assert append(record(100), tmp_path)
    assert read("fast", tmp_path) == [record(100)]


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    path_of("fast", tmp_path).write_text('{"preset": "fast"}\n')
    with pytest.raises(InputError, match=r"fast\.jsonl, line 1: not a record"):
        read("fast", tmp_path)


def test_a_series_runs_what_is_not_recorded_and_keeps_what_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    training = set[int]()
    ran, most = list[int](), 0

    async def trained(series: Series, seed: int) -> Record | None:
        nonlocal most
        training.add(seed)
        most = max(most, len(training))
        await asyncio.sleep(0.001)
        training.remove(seed)
        ran.append(seed)
        return None if seed == 12 else record(seed)

    monkeypatch.setattr(presets, "trained", trained)
    append(record(11), tmp_path)
    arguments = ["fast", "--from", "10", "--seeds", "4", "--jobs", "2", "--records", str(tmp_path)]

    assert main(arguments) == 1
    assert sorted(ran) == [10, 12, 13]
    assert most == 2
    assert [each.seed for each in read("fast", tmp_path)] == [10, 11, 13]
    written = capsys.readouterr()
    assert "seed 12: failed" in written.err
    assert "mean test accuracy 99.500% [99.500%, 99.500%] over 3 seeds" in written.out


def test_an_unknown_preset_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["nope"])
    assert caught.value.code == 2
    assert "unknown preset 'nope'" in capsys.readouterr().err


def test_the_start_and_the_end_of_a_run_are_read_from_its_events() -> None:
    events = [
        {"event": "RunStarted", "threads": 2},
        {"event": "StepDone"},
        {"event": "RunFinished"},
    ]
    code = f"print({chr(10).join(map(json.dumps, events))!r})"

    async def read_events() -> tuple[dict[str, Any], dict[str, Any]]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
        )
        return await started_and_end(process)

    assert asyncio.run(read_events()) == (events[0], events[2])
