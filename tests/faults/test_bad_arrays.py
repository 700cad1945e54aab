"""Corrupted CIFAR, NumPy and MATLAB files: an input error or success, in little memory."""

from __future__ import annotations

import io
import random
import re
import resource
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data.binary_files import write_binary
from tests.data.matlab_files import write_svhn
from tests.faults.batches import REFUSED, WENT_ON, try_all
from tests.faults.mutations import BYTES, Rng
from tui_trainer.data.binary_files import CIFAR10, CIFAR100, read_binary_folder
from tui_trainer.data.idx import RawDataset
from tui_trainer.data.image_store import ImageStore
from tui_trainer.data.matlab_file import read_svhn
from tui_trainer.data.npz_files import read_arrays_of
from tui_trainer.protocol.errors import InputError

MOST_MEMORY = 512 << 20
"""Peak bytes that a process may use beyond those at its start."""

Reader = Callable[[Path, ImageStore], RawDataset]


def write_arrays(folder: Path) -> Path:
    """Write a small archive; its members are not compressed, so that mutations reach them."""
    rng = np.random.default_rng(0)
    arrays: dict[str, object] = {"class_names": np.array(["cat", "dog", "owl"])}
    for split, total in (("train", 30), ("test", 9)):
        arrays[f"x_{split}"] = rng.integers(0, 256, (total, 8, 8, 3), np.uint8)
        arrays[f"y_{split}"] = np.arange(total) % 3
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "a.npz", **arrays)  # type: ignore[arg-type]
    return folder


def edit_member(content: bytes, rng: Rng) -> bytes:
    """Write an archive again with a corrupted member, and the checksum of that."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        names = old.namelist()
        bad = rng.choice(names)
        for name in names:
            member = old.read(name)
            if name == bad:
                member = rng.choice((*BYTES, edit_header, edit_header))(member, rng)
            new.writestr(name, member, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    return buffer.getvalue()


def edit_header(content: bytes, rng: Rng) -> bytes:
    """Change the type, the order or the shape in the header of an array, keeping its length."""
    claims: tuple[tuple[bytes, tuple[bytes, ...]], ...] = (
        (rb"'descr': '[^']*'", (b"'descr': '|O'", b"'descr': '<f4'", b"'descr': '>U2'")),
        (rb"False", (b"True ", b"None ", b"9" * 5)),
        (rb"\([0-9, ]*\)", (b"()", b"(-1,)", b"(9,9,9,9,9)", b"(%d,)" % 10**14, b"(1e9,)")),
    )
    pattern, others = rng.choice(claims)
    head = content[:128]
    changed = re.sub(pattern, lambda _: rng.choice(others), head, count=1)
    return changed[:128].ljust(128) + content[128:]


def edit_records(content: bytes, rng: Rng) -> bytes:
    """Change labels, or remove and repeat whole records."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 5))):
        place = rng.randrange(max(1, len(changed) // 3073)) * 3073
        changed[place : place + 1] = bytes([rng.choice((0, 9, 10, 255))])
    return bytes(changed[: len(changed) // 2] if rng.randrange(4) == 0 else changed)


READERS: dict[str, tuple[Callable[[Path], Path], Reader, Callable[[bytes, Rng], bytes]]] = {
    "cifar10": (
        lambda folder: write_binary(folder, CIFAR10),
        lambda folder, store: read_binary_folder(folder, name="tried", store=store),
        edit_records,
    ),
    "cifar100": (
        lambda folder: write_binary(folder, CIFAR100),
        lambda folder, store: read_binary_folder(folder, name="tried", store=store),
        edit_records,
    ),
    "npz": (
        write_arrays,
        lambda folder, store: read_arrays_of(folder, name="tried", store=store).raw,
        edit_member,
    ),
    "mat": (
        lambda folder: write_svhn(folder, is_packed=False),
        lambda folder, store: read_svhn(folder, name="tried", store=store),
        edit_records,
    ),
}


@pytest.mark.parametrize(
    "files", [60, pytest.param(1_000, marks=pytest.mark.slow)], ids=["60", "1000"]
)
@pytest.mark.parametrize("kind", READERS)
def test_mutated_files_are_refused_or_read(kind: str, files: int, tmp_path: Path) -> None:
    write, read, edit = READERS[kind]
    whole = write(tmp_path / "whole")

    def attempt(number: int) -> str:
        rng = random.Random(number)
        folder = tmp_path / "tried"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        path = rng.choice(sorted(folder.iterdir()))
        mutate = rng.choice((*BYTES, edit, edit, edit))
        try:
            path.write_bytes(mutate(path.read_bytes(), rng))
        except (zipfile.BadZipFile, ValueError, IndexError):
            path.write_bytes(b"")
        store = ImageStore(tmp_path / "decoded", rng.choice((None, 0)))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        outcome = tried(folder, lambda place: read(place, store))
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY >> 10
        return outcome

    outcomes = try_all(files, attempt, tmp_path / "said")
    print(f"\nmutated {kind} files: {outcomes}")
    assert not outcomes.bad, "\n".join(outcomes.bad[:20])
    assert outcomes.count[REFUSED] > files / 10
    assert outcomes.count[WENT_ON]


def tried(folder: Path, read: Callable[[Path], RawDataset]) -> str:
    """Read a dataset; the result must be consistent."""
    try:
        data = read(folder)
    except InputError as error:
        problem = str(error)
    else:
        problem = ""
    if problem:
        assert problem.isprintable()
        assert str(folder) in problem
        return REFUSED
    area = data.channels * data.size**2
    assert len(data.train_images) == area * data.train_total
    assert len(data.test_images) == area * data.test_total
    assert set(data.train_labels) | set(data.test_labels) <= set(range(data.classes))
    return WENT_ON
