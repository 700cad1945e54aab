from __future__ import annotations

import math
import os
import struct
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboardX import record_writer
from tensorboardX.proto.event_pb2 import Event as Record

from tests.export.facts import STEPS, short_run
from tests.protocol import facts
from tests.protocol.facts import epoch_done, step
from tui_trainer.export.curves import write_tensorboard
from tui_trainer.protocol.diagnosis import Cause
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event


def records_in(folder: Path) -> list[Any]:
    """Read the one event file: length, its checksum, a record, its checksum, and so on."""
    (path,) = folder.iterdir()
    assert "tfevents" in path.name
    content, records, at = path.read_bytes(), [], 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        body = content[at + 12 : at + 12 + length]
        (header_sum,) = struct.unpack_from("<I", content, at + 8)
        (body_sum,) = struct.unpack_from("<I", content, at + 12 + length)
        assert header_sum == record_writer.masked_crc32c(content[at : at + 8])
        assert body_sum == record_writer.masked_crc32c(body)
        records.append(Record.FromString(body))
        at += 16 + length
    return records


def scalars_in(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found = defaultdict(list)
    for record in records_in(folder):
        for value in record.summary.value:
            if value.HasField("simple_value"):
                found[value.tag].append((record.step, value.simple_value))
    return found


def test_the_file_begins_with_its_version(tmp_path: Path) -> None:
    write_tensorboard([], tmp_path / "log")

    assert [record.file_version for record in records_in(tmp_path / "log")] == ["brain.Event:2"]


def test_every_step_and_epoch_is_there_at_its_step(tmp_path: Path) -> None:
    write_tensorboard(short_run(), tmp_path / "log")

    scalars = scalars_in(tmp_path / "log")
    assert {tag: [at for at, _ in points] for tag, points in scalars.items()} == {
        "train/loss": list(range(1, STEPS + 1)),
        "train/accuracy": list(range(1, STEPS + 1)),
        "lr": list(range(1, STEPS + 1)),
        "train_epoch/loss": [10, 20, 30],
        "train_epoch/accuracy": [10, 20, 30],
        "validation/loss": [10, 20, 30],
        "validation/accuracy": [10, 20, 30],
        "test/accuracy": [STEPS],
    }


def test_every_scalar_has_its_value(tmp_path: Path) -> None:
    events: list[Event] = [
        step(1, loss=0.1, accuracy=0.2, lr=0.3),
        epoch_done(1, train_loss=0.4, train_accuracy=0.5, val_loss=0.6, val_accuracy=0.7),
    ]
    write_tensorboard(events, tmp_path / "log")

    values = {tag: value for tag, [(_, value)] in scalars_in(tmp_path / "log").items()}
    assert values == {
        "train/loss": pytest.approx(0.1),
        "train/accuracy": pytest.approx(0.2),
        "lr": pytest.approx(0.3),
        "train_epoch/loss": pytest.approx(0.4),
        "train_epoch/accuracy": pytest.approx(0.5),
        "validation/loss": pytest.approx(0.6),
        "validation/accuracy": pytest.approx(0.7),
    }


def test_what_was_not_measured_is_left_out_and_not_a_number_is_kept(tmp_path: Path) -> None:
    events: list[Event] = [step(1, loss=math.nan), epoch_done(val_loss=None, val_accuracy=None)]
    write_tensorboard(events, tmp_path / "log")

    scalars = scalars_in(tmp_path / "log")
    assert math.isnan(scalars["train/loss"][0][1])
    assert not any(tag.startswith("validation") for tag in scalars)


def test_a_turned_knob_is_a_text_at_its_step(tmp_path: Path) -> None:
    write_tensorboard(short_run(), tmp_path / "log")

    texts = [
        (record.step, value.tensor.string_val[0].decode(), value.metadata.plugin_data.plugin_name)
        for record in records_in(tmp_path / "log")
        for value in record.summary.value
        if value.tag.startswith("interventions")
    ]
    assert texts == [(14, "learning rate 0.1 → 0.05", "text")]


def test_a_finding_is_a_text_with_its_causes_and_its_new_numbers_are_not(tmp_path: Path) -> None:
    causes = (Cause(code="a", title="few images", likelihood="shown", advice="more"),)
    found = replace(facts.finding(step=14), causes=(*causes, Cause(code="b", title="noise")))
    write_tensorboard([found, replace(found, evidence="others")], tmp_path / "log")

    (text,) = (
        (record.step, value.tensor.string_val[0].decode())
        for record in records_in(tmp_path / "log")
        for value in record.summary.value
        if value.tag.startswith("findings")
    )
    lines = ["▲ overfitting since epoch 3", "numbers", "cause: few images; try: more"]
    assert text == (14, "\n\n".join([*lines, "possible cause: noise"]))


def test_the_times_are_apart_by_the_training_time(tmp_path: Path) -> None:
    write_tensorboard([step(1, seconds=2.0), step(2, seconds=5.5)], tmp_path / "log")

    first, *_, last = (r.wall_time for r in records_in(tmp_path / "log") if r.summary.value)
    assert last - first == pytest.approx(3.5, abs=1e-5)


def test_a_second_run_does_not_get_into_the_same_folder(tmp_path: Path) -> None:
    write_tensorboard(short_run(), tmp_path)

    with pytest.raises(InputError, match="already contains a TensorBoard run"):
        write_tensorboard(short_run(), tmp_path)

    assert len(os.listdir(tmp_path)) == 1


def test_a_folder_that_cannot_be_created_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InputError, match=r"file/log: cannot be written: Not a directory"):
        write_tensorboard(short_run(), tmp_path / "file" / "log")


def test_a_full_disk_ends_the_export_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record_writer.RecordWriter, "write", full)

    for folder in (tmp_path, tmp_path / "new"):
        with pytest.raises(InputError, match="cannot be written: No space left on device"):
            write_tensorboard(short_run(), folder)

    assert os.listdir(tmp_path) == []


def test_a_loss_that_is_no_number_is_written_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_tensorboard([step(1, loss=math.nan), step(2, loss=math.inf)], tmp_path)

    assert capfd.readouterr() == ("", "")
