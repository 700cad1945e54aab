"""Corrupted files of a run: one line and exit code 2, and no other effect."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.data.idx_files import write_dataset
from tests.faults.batches import ENDS_WELL, REFUSED, called, digest, judged, try_all
from tests.faults.forks import call, command
from tests.faults.mutations import TEXTS, mutated_checkpoint
from tests.faults.runs import COMMANDS, CommandInbox, begin, small_run
from tui_trainer.models.checkpoints import read_checkpoint
from tui_trainer.protocol.commands import Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.schema import SCHEMA
from tui_trainer.recording.folder import RunFolder

LEFT_AT = 15
"""Two steps before the end of the last epoch."""

ABSENT = "--checkpoint last: not in run; choose "


@pytest.fixture(scope="module")
def half_run(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was stopped in its last epoch."""
    path = tmp_path_factory.mktemp("half") / "run"
    commands = {**COMMANDS, LEFT_AT: [Stop(reason="interrupted", test=False)]}
    for _ in begin(path, config, CommandInbox(commands)):
        pass
    return path


@pytest.fixture
def run(half_run: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(half_run, tmp_path / "run"))


def refusal(run: Path, *words: str) -> str:
    """Resume a run that must be refused; return the message."""
    before = digest(run)
    ended = call(command(*(words or ("resume", run, "--no-ui"))), run.with_name("said"), 30.0)
    assert judged(ended.code, ended.err) == REFUSED, ended
    assert ended.out == ""
    assert digest(run) == before
    return ended.err.splitlines()[-1].removeprefix("mnist-tui: error: ")


def all_refused(
    run: Path, damages: Sequence[Callable[[], object]], ends: str | tuple[str, ...] = ""
) -> None:
    """Apply each damage; each is refused in a line about the checkpoint or its absence.

    All in one forked process, in which none may hang: a fork takes longer than a refusal.
    """

    def attempt(number: int) -> str:
        damages[number]()
        before = digest(run)
        code, out, err = called("resume", run, "--no-ui")
        assert (judged(code, err), out) == (REFUSED, "")
        assert digest(run) == before
        message = err.splitlines()[-1].removeprefix("mnist-tui: error: ")
        assert message.startswith(f"{last(run)}: " if last(run).is_file() else ABSENT), message
        assert message.endswith(ends), message
        return REFUSED

    outcomes = try_all(len(damages), attempt, run.with_name("said"))
    assert not outcomes.bad, "\n".join(outcomes.bad)
    assert outcomes.count[REFUSED] == len(damages)


def test_an_intact_checkpoint_is_not_refused(run: Path) -> None:
    ended = call(command("resume", run, "--no-ui"), run.with_name("said"))
    assert ended.code == 0, ended.err


def last(run: Path) -> Path:
    return RunFolder(run).checkpoint("last")


def test_a_cut_checkpoint(run: Path) -> None:
    content = last(run).read_bytes()
    head = 8 + int.from_bytes(content[:8], "little")
    sizes = (0, 7, head // 2, head, len(content) // 2, len(content) - 1)
    cuts = [partial(last(run).write_bytes, content[:size]) for size in sizes]
    all_refused(run, cuts, ("is empty", "is not a safetensors file, or is corrupted"))


def test_a_flipped_bit(run: Path) -> None:
    content = last(run).read_bytes()

    def flip(place: int) -> None:
        flipped = bytearray(content)
        flipped[place] ^= 4
        last(run).write_bytes(flipped)

    flips = [partial(flip, place) for place in (-1, -5_000, len(content) // 2)]
    all_refused(run, flips, "is corrupted: its checksum does not match its content")


def test_one_of_another_model_and_one_of_other_data(run: Path, tmp_path: Path) -> None:
    other = write_dataset(tmp_path / "other", size=8, train=120, test=40, seed=5)
    same = Path(RunFolder(run).read_config().data_dir or "")
    for message, config in (
        ("is a checkpoint of another model: small", small_run(same, epochs=1, model="small")),
        ("was trained on other data: other", small_run(other, epochs=1)),
    ):
        strange = tmp_path / config.model
        for _ in begin(strange, config, CommandInbox({})):
            pass
        shutil.copy(last(strange), last(run))
        state = read_checkpoint(last(run))
        metadata = {**state.metadata, "lines": 30}
        last(run).write_bytes(replace(state, metadata=metadata).to_bytes())
        assert message in refusal(run)


def test_one_of_a_newer_version(run: Path) -> None:
    content = last(run).read_bytes()
    newer = content.replace(f'"format":"{SCHEMA}"'.encode(), f'"format":"{SCHEMA + 1}"'.encode())
    last(run).write_bytes(newer)
    assert "was written by a newer mnist-tui" in refusal(run)


class Malice:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self._path),)


def test_a_pickle_is_not_loaded(run: Path, tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    last(run).write_bytes(pickle.dumps(Malice(harm)))
    assert refusal(run).endswith("is not a safetensors file, or is corrupted")
    assert not harm.exists()
    pickle.loads(last(run).read_bytes())
    assert harm.exists()


def head_of(head: object) -> bytes:
    raw = json.dumps(head).encode()
    return len(raw).to_bytes(8, "little") + raw


METADATA = {"format": "1", "metadata": "{}", "sha256": "", "version": "1"}
HUGE = {"dtype": "F32", "shape": [2**30, 2**30], "data_offsets": [0, 2**62]}


OTHER_THINGS = {
    "huge tensors": head_of({"__metadata__": METADATA, "model/a": HUGE}),
    "huge head": (2**63).to_bytes(8, "little") + b"{}",
    "a head of brackets": (2**24).to_bytes(8, "little") + b"{" * 2**24,
    "deep nesting": (10**6).to_bytes(8, "little") + b"[" * 10**6,
    "deep nesting in facts": head_of({"__metadata__": {**METADATA, "metadata": "[" * 10**6}}),
    "no metadata": head_of({"a": 1}),
    "noise": b"\x80\x02." * 100,
    "a zip, as torch.save writes": b"PK\x03\x04" + bytes(1_000),
}


def test_other_things_in_its_place(run: Path) -> None:
    all_refused(run, [partial(last(run).write_bytes, thing) for thing in OTHER_THINGS.values()])


def test_files_that_are_no_checkpoints(run: Path) -> None:
    """A pipe, a loop, a device, a broken link, a folder."""
    path = last(run)
    puts: list[Callable[[], object]] = [
        partial(os.mkfifo, path),
        *(partial(path.symlink_to, target) for target in (path, "/dev/zero", run / "nowhere")),
        path.mkdir,
    ]

    def replace_by(put: Callable[[], object]) -> None:
        path.unlink()
        put()

    all_refused(run, [partial(replace_by, put) for put in puts])


def test_a_pipe_in_the_place_of_another_file_holds_nothing_up(
    half_run: Path, tmp_path: Path
) -> None:
    """A summary is not needed to resume: it is written again."""
    names = ("config.toml", "events.jsonl", "summary.json", ".lock")

    def attempt(number: int) -> str:
        run = restored(half_run, tmp_path / "all" / "run")
        (run / names[number]).unlink(missing_ok=True)
        os.mkfifo(run / names[number])
        resume = called("resume", run, "--no-ui")
        for code, _, err in (
            resume,
            called("runs", run.parent),
            called("runs", run.parent, "--json"),
        ):
            judged(code, err)
        return names[number]

    outcomes = try_all(len(names), attempt, tmp_path / "said")
    assert not outcomes.bad, "\n".join(outcomes.bad)
    assert outcomes.count == dict.fromkeys(names, 1)


def test_a_name_that_is_no_name(tmp_path: Path) -> None:
    names = ("x" * 5_000, "a\0b", "~nobody-of-that-name", "", "/")

    def attempt(number: int) -> str:
        code, _, err = called("resume", names[number], "--no-ui")
        return judged(code, err)

    outcomes = try_all(len(names), attempt, tmp_path / "said")
    assert outcomes.count == {REFUSED: len(names)}, outcomes.bad


def restored(half_run: Path, path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    return Path(shutil.copytree(half_run, path))


def checked(run: Path, *words: object) -> str:
    """Call a command on a run; it must not change what it refuses."""
    before = digest(run)
    code, _, err = called(*words)
    outcome = judged(code, err)
    assert outcome in ENDS_WELL.values() or digest(run) == before, err
    return outcome


@pytest.mark.parametrize(
    "files", [8, pytest.param(1_000, marks=pytest.mark.slow)], ids=["8", "1000"]
)
def test_mutated_checkpoints_are_refused_or_trained(
    files: int, half_run: Path, tmp_path: Path
) -> None:
    content, state = last(half_run).read_bytes(), read_checkpoint(last(half_run))

    def attempt(number: int) -> str:
        run = restored(half_run, tmp_path / "run")
        how, bad = mutated_checkpoint(content, state, random.Random(number))
        last(run).write_bytes(bad)
        try:
            return checked(run, "resume", run, "--no-ui")
        except AssertionError as error:
            raise AssertionError(f"{how}: {error}") from None

    outcomes = try_all(files, attempt, tmp_path / "said")
    print(f"\nmutated checkpoints: {outcomes}")
    assert not outcomes.bad, "\n".join(outcomes.bad[:20])
    assert outcomes.count[REFUSED] > files / 2


@pytest.mark.parametrize("files", [3, pytest.param(300, marks=pytest.mark.slow)], ids=["3", "300"])
def test_the_other_files_of_a_run_are_refused_or_used(
    files: int, config: RunConfig, tmp_path: Path
) -> None:
    """Each is tried with ``runs``, ``replay`` and ``resume``."""
    quick_run = tmp_path / "half" / "run"
    commands = {**COMMANDS, LEFT_AT: [Stop(reason="interrupted", test=False)]}
    for _ in begin(quick_run, replace(config, model="mlp"), CommandInbox(commands)):
        pass

    def attempt(number: int) -> str:
        rng = random.Random(number)
        name = list(TEXTS)[number % len(TEXTS)]
        mutation = rng.choice(TEXTS[name])
        run = restored(quick_run, tmp_path / "all" / "run")
        (run / name).write_bytes(mutation((run / name).read_bytes(), rng))
        try:
            for words in (("runs", run.parent), ("runs", run.parent, "--json")):
                assert checked(run, *words) != REFUSED
            checked(run, "replay", run, "--no-ui")
            return checked(run, "resume", run, "--no-ui")
        except AssertionError as error:
            raise AssertionError(f"{name}, {mutation.__name__}: {error}") from None

    outcomes = try_all(files, attempt, tmp_path / "said")
    print(f"\nmutated config.toml, events.jsonl, summary.json: {outcomes}")
    assert not outcomes.bad, "\n".join(outcomes.bad[:20])
    assert outcomes.count[REFUSED]
