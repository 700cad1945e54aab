"""Mutated pictures of every format never end in a traceback: they are used, or left out."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.data.pictures import FORMS, picture, write_tree
from tui_trainer.data.idx import RawDataset
from tui_trainer.data.picture_folder import read_class_folders
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import DatasetWarning

COUNT = 500


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("pictures"), each=3)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return a file with flipped bytes, a part missing, twice or in another place."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        start, end = sorted(rng.randrange(len(changed) + 1) for _ in range(2))
        match rng.choice(("flip", "header", "cut", "remove", "repeat", "swap", "fill")):
            case "flip":
                for _ in range(rng.choice((1, 3, 30))):
                    changed[rng.randrange(len(changed))] = rng.randrange(256)
            case "header":
                changed[rng.randrange(min(len(changed), 64))] = rng.choice((0, 1, 127, 128, 255))
            case "cut":
                changed = changed[: max(1, start)]
            case "remove":
                changed[start:end] = b""
            case "repeat":
                changed[end:end] = changed[start:end] * rng.choice((1, 2, 20))
            case "swap":
                middle = rng.randrange(start, end + 1)
                changed[start:end] = changed[middle:end] + changed[start:middle]
            case "fill":
                changed[start:end] = bytes([rng.choice((0, 255))]) * (end - start)
        if not changed:
            changed = bytearray(b"\0")
    return bytes(changed)


@pytest.mark.sampled(12)
@pytest.mark.parametrize("seed", range(COUNT))
def test_a_mutated_picture_is_used_or_left_out(
    seed: int,
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    rng = random.Random(seed)
    name = [*FORMS][seed % len(FORMS)]
    path = tree / "train" / "cat" / f"mutated-{name}"
    size = rng.choice(((32, 32), (7, 50), (90, 60)))
    FORMS[name](picture(seed, seed, size), path)
    path.write_bytes(mutated(path.read_bytes(), rng))

    reading = read_class_folders(tree, RunConfig())
    warnings: list[DatasetWarning] = []
    try:
        while True:
            event = next(reading)
            if isinstance(event, DatasetWarning):
                warnings.append(event)
    except StopIteration as end:
        raw: RawDataset = end.value
    finally:
        path.unlink()

    assert raw.train_total + len(warnings) == 7
    assert all(each.message.isprintable() for each in warnings)
    assert capfd.readouterr() == ("", "")
