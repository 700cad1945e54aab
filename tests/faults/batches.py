"""Many bad files one after the other, in a process that must not crash, hang or leak memory."""

from __future__ import annotations

import hashlib
import io
import json
import resource
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.forks import Child
from tui_trainer import cli
from tui_trainer.protocol.commands import Command, Inbox, Stop

ROOM = 1 << 30
"""Bytes of address space that a process may use beyond those at its start."""

LONGEST = 30
"""Seconds that one file may take."""

MOST_STEPS = 40

REFUSED, WENT_ON = "refused", "went on"
ENDS_WELL = {0: WENT_ON, 4: WENT_ON, 8: WENT_ON}
"""Exit codes: finished, diverged, replayed with other weights."""


@dataclass
class Outcomes:
    """The outcomes of many files.

    Attributes:
        count: The number of each outcome.
        bad: The forbidden outcomes, one text per file.
    """

    count: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """The number of files."""
        return self.count.total()

    def __str__(self) -> str:
        hangs = sum(text.startswith("hang") for text in self.bad)
        falls = sum(text.startswith("fall") for text in self.bad)
        outcomes = ", ".join(f"{count} {what}" for what, count in sorted(self.count.items()))
        return (
            f"{self.tried} ({outcomes}); {len(self.bad) - hangs - falls} bad outputs, "
            f"{hangs} hangs, {falls} crashed processes"
        )


def try_all(total: int, attempt: Callable[[int], str], place: Path) -> Outcomes:
    """Try ``count`` files by number; ``attempt`` returns the outcome, or raises."""
    outcomes = Outcomes()
    place.mkdir(parents=True, exist_ok=True)
    log = place / "outcomes.jsonl"
    following = 0
    while following < total:
        log.write_text("")
        first = following
        child = Child(lambda first=first: _work(first, total, attempt, log), place)  # type: ignore[misc]
        ended = child.wait(LONGEST * total)
        for number, kind, what in (json.loads(line) for line in log.read_text().splitlines()):
            following = number + 1
            outcomes.count[kind] += 1
            if kind == "bad":
                outcomes.bad.append(f"bad {number}: {what}")
        if following < total:
            word = "hang" if ended.signal == signal.SIGALRM else "fall"
            outcomes.count[word] += 1
            outcomes.bad.append(f"{word} {following}: {ended.code} {ended.err[-500:]}")
            following += 1
    return outcomes


def _work(first: int, total: int, attempt: Callable[[int], str], log: Path) -> None:
    _limit_memory()
    _limit_steps()
    with log.open("a", buffering=1) as file:
        for number in range(first, total):
            signal.alarm(LONGEST)
            try:
                kind, what = attempt(number), ""
            except BaseException:
                kind, what = "bad", traceback.format_exc()
            file.write(json.dumps([number, kind, what]) + "\n")
    signal.alarm(0)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _limit_steps() -> None:
    """Stop every run after some steps: a corrupted number can make it last for years."""
    take = Inbox.take
    steps: dict[int, int] = {}

    def limited(self: Inbox, step: int, *, wait: bool = False) -> list[Command]:
        steps[id(self)] = steps.get(id(self), 0) + 1
        if steps[id(self)] > MOST_STEPS:
            steps.pop(id(self))
            return [Stop(test=False)]
        return take(self, step, wait=wait)

    Inbox.take = limited  # type: ignore[method-assign]


def called(*arguments: object) -> tuple[int, str, str]:
    """Call the command line in this process; return its exit code and output."""
    sys.argv = ["mnist-tui", *map(str, arguments)]
    before = sys.stdout, sys.stderr
    out, err = io.StringIO(), io.StringIO()
    sys.stdout, sys.stderr = out, err
    code: object = None
    try:
        cli.main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout, sys.stderr = before
    assert isinstance(code, int), "the command line did not exit"
    return code, out.getvalue(), err.getvalue()


def judged(code: int, err: str) -> str:
    """Return the outcome of a call.

    Raises:
        AssertionError: If it neither succeeded nor ended with a one-line error message.
    """
    assert "Traceback" not in err, err
    assert code == 2 or code in ENDS_WELL, f"exit code {code}\n{err}"
    if code != 2:
        return ENDS_WELL[code]
    lines = [line for line in err.splitlines() if not line.startswith("preparing: ")]
    assert len(lines) == 1, err
    assert lines[0].startswith("mnist-tui: error: "), err
    assert lines[0].isprintable(), err
    return REFUSED


def digest(folder: Path) -> str:
    """Return a digest of the files in a folder, without the lock."""
    sha256 = hashlib.sha256()
    for path, content in _contents(folder):
        sha256.update(f"{path}\0{len(content)}\0".encode() + content)
    return sha256.hexdigest()


def _contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != ".lock":
            yield path.relative_to(folder), path.read_bytes()
