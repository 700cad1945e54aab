"""Corrupted datasets: an input error or success, within limits of time and memory."""

from __future__ import annotations

import gzip
import random
import resource
import shutil
import struct
from pathlib import Path

import pytest

from tests.data.idx_files import write_dataset
from tests.faults.batches import REFUSED, WENT_ON, try_all
from tests.faults.mutations import BYTES, Rng
from tui_trainer.data.idx import read_folder
from tui_trainer.protocol.errors import InputError

MOST_MEMORY = 256 << 20
"""Peak bytes that a process may use beyond those at its start."""


def edit_header(content: bytes, rng: Rng) -> bytes:
    """Change the type, the number of dimensions or one of the lengths."""
    dimensions = content[3]
    place = rng.randrange(-1, dimensions)
    if place < 0:
        kind = rng.choice((8, 9, 11, 12, 13, 14, 255))
        return bytes([0, 0, kind, rng.randrange(6)]) + content[4:]
    at = 4 + 4 * place
    claimed = rng.choice((0, 1, 7, 9, 59, 61, 128, 129, 2**16, 2**24, 2**31, 2**32 - 1))
    return content[:at] + struct.pack(">I", claimed) + content[at + 4 :]


def edit_numbers(content: bytes, rng: Rng) -> bytes:
    """Change some of the pixels or labels."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 5, 500))):
        changed[rng.randrange(8, len(changed))] = rng.choice((0, 9, 10, 26, 128, 255))
    return bytes(changed)


def bomb(content: bytes, rng: Rng) -> bytes:
    """Announce little data, and contain a lot."""
    return content + bytes(rng.choice((1, 1 << 16, 64 << 20)))


INSIDE = (*BYTES, edit_header, edit_header, edit_header, edit_numbers, bomb)
"""Mutations of an unpacked file."""


def gone_bad(path: Path, rng: Rng) -> bytes:
    """Return the content of a corrupted file of a dataset."""
    content = path.read_bytes()
    if path.suffix != ".gz":
        return rng.choice(INSIDE)(content, rng)
    if rng.randrange(2):
        return rng.choice(BYTES)(content, rng)
    inside = rng.choice(INSIDE)(gzip.decompress(content), rng)
    return gzip.compress(inside, compresslevel=1, mtime=0)


@pytest.mark.parametrize(
    "files", [100, pytest.param(1_000, marks=pytest.mark.slow)], ids=["100", "1000"]
)
def test_mutated_files_are_refused_or_read(files: int, tmp_path: Path) -> None:
    whole = [write_dataset(tmp_path / kind, size=8, gzip=kind == "gz") for kind in ("gz", "plain")]

    def attempt(number: int) -> str:
        rng = random.Random(number)
        folder = tmp_path / "tried"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole[number % 2], folder)
        path = sorted(folder.iterdir())[number // 2 % 4]
        path.write_bytes(gone_bad(path, rng))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        outcome = tried(folder)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY >> 10
        return outcome

    outcomes = try_all(files, attempt, tmp_path / "said")
    print(f"\nmutated IDX files: {outcomes}")
    assert not outcomes.bad, "\n".join(outcomes.bad[:20])
    assert outcomes.count[REFUSED] > files / 2
    assert outcomes.count[WENT_ON]


def tried(folder: Path) -> str:
    """Read a dataset; the result must be consistent."""
    try:
        data = read_folder(folder, name="tried")
    except InputError as error:
        problem = str(error)
    else:
        problem = ""
    if problem:
        assert problem.isprintable()
        assert str(folder) in problem
        return REFUSED
    assert len(data.train_images) == data.size**2 * data.train_total
    assert len(data.test_images) == data.size**2 * data.test_total
    assert set(data.train_labels) | set(data.test_labels) <= set(range(data.classes))
    return WENT_ON
