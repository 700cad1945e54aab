"""The comparisons: what runs against what, the units, the goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.benchmarks import rounds
from tests.benchmarks.contender_runner import ContenderRunner
from tests.benchmarks.keys import PERCENTILES
from tests.benchmarks.measure import Figure, Pair


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the result.

    Attributes:
        name: ``first/second``.
        unit: The unit of both.
        goal: The goal as text; empty without one.
        met: Whether a figure meets the goal.
    """

    name: str
    unit: str
    goal: str = ""
    met: Callable[[Figure], bool] | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Contenders that run in turn.

    Attributes:
        name: Its name on the command line.
        sentence: A description.
        entries: The lines of the result, in order.
        measure: Runs one round, given its number, and returns a pair for each entry it could
            measure.
    """

    name: str
    sentence: str
    entries: tuple[Entry, ...]
    measure: Callable[[ContenderRunner, int], Mapping[str, Pair]]


def select(names: list[str]) -> list[Comparison]:
    """Return the selected comparisons, each with only the selected entries.

    A name is that of a comparison or an entry, or its part before the slash.

    Raises:
        KeyError: With the first unknown name.
    """
    wanted: dict[str, set[str]] = {}
    for name in names:
        matches = [(c, e) for c in COMPARISONS for e in c.entries if _is_called(name, c, e)]
        if not matches:
            raise KeyError(name)
        for comparison, entry in matches:
            wanted.setdefault(comparison.name, set()).add(entry.name)
    if not names:
        return list(COMPARISONS)
    return [
        Comparison(
            c.name,
            c.sentence,
            tuple(entry for entry in c.entries if entry.name in wanted[c.name]),
            c.measure,
        )
        for c in COMPARISONS
        if c.name in wanted
    ]


def _is_called(name: str, comparison: Comparison, entry: Entry) -> bool:
    whole = (comparison.name, entry.name)
    return name in whole or name in [called.partition("/")[0] for called in whole]


def _ratio(goal: str, met: Callable[[float], bool]) -> tuple[str, Callable[[Figure], bool]]:
    return f"ratio {goal}", lambda figure: met(figure.ratio)


def _first(goal: str, met: Callable[[float], bool]) -> tuple[str, Callable[[Figure], bool]]:
    return f"a {goal}", lambda figure: met(figure.a)


SPEED, CPU_SPEED, MEMORY, EPOCH = "images/s", "img/CPU s", "MB", "s/epoch"
WATCHED = _ratio("≥ 0.99", lambda r: r >= 0.99)
KEY_SCREEN = {95: _first("≤ 50", lambda a: a <= 50)}
KEY_EFFECT = {95: ("a ≤ b + 20", lambda figure: figure.a <= figure.b + 20)}

COMPARISONS = (
    Comparison(
        "era-s6/script",
        "one epoch of the course's model: the engine (also --precision auto) against the script",
        (
            Entry("era-s6/script", EPOCH, *_ratio("≤ 1/3", lambda r: r <= 1 / 3)),
            Entry("era-s6-auto/script", EPOCH, *_ratio("≤ 1/3", lambda r: r <= 1 / 3)),
        ),
        rounds.era_script,
    ),
    Comparison(
        "small/script",
        "one epoch of the small model: the engine (also --precision auto) against the script",
        (
            Entry("small/script", EPOCH, *_ratio("≤ 1/15", lambda r: r <= 1 / 15)),
            Entry("small-auto/script", EPOCH, *_ratio("≤ 1/15", lambda r: r <= 1 / 15)),
        ),
        rounds.small_script,
    ),
    Comparison(
        "plain/bare",
        (
            "PyTorch's own example with PIL pictures from a DataLoader against a bare loop over "
            "tensors"
        ),
        (Entry("plain/bare", SPEED),),
        rounds.plain_bare,
    ),
    Comparison(
        "augmented/plain",
        (
            "a bare loop over the small model, where it shows most: augmented images against plain "
            "ones"
        ),
        (Entry("augmented/plain", SPEED, *_ratio("≥ 0.90", lambda r: r >= 0.90)),),
        rounds.augmented_plain,
    ),
    Comparison(
        "saved/unsaved",
        "the engine with the small model, whose step is shortest: saved against not saved",
        (Entry("saved/unsaved", SPEED),),
        rounds.saved_unsaved,
    ),
    Comparison(
        "headless/bare",
        "the engine without the window against a bare loop that does the same work",
        (Entry("headless/bare", SPEED, *_ratio("≥ 0.98", lambda r: r >= 0.98)),),
        rounds.headless_bare,
    ),
    Comparison(
        "app/bare",
        "the app in a terminal against a bare loop that does the same work",
        (
            Entry("app/bare", SPEED, *_ratio("≥ 0.97", lambda r: r >= 0.97)),
            Entry("app-numbers/target", "Hz"),
            Entry("app-curves/target", "Hz"),
        ),
        rounds.app_bare,
    ),
    Comparison(
        "watched/unwatched",
        (
            "the engine on one core: shown by an attached window on another core, against not "
            "shown; per second, and per second of CPU time"
        ),
        (
            Entry("watched/unwatched", SPEED, *WATCHED),
            Entry("watched-cpu/unwatched", CPU_SPEED),
            Entry("watched-small/unwatched", SPEED, *WATCHED),
            Entry("watched-small-cpu/unwatched", CPU_SPEED),
        ),
        rounds.watched_unwatched,
    ),
    Comparison(
        "watching/headless",
        (
            "the engine with two threads: shown by an attached window, and by the app that trains, "
            "against not shown"
        ),
        (Entry("attached/headless", SPEED), Entry("window/headless", SPEED)),
        rounds.watching_headless,
    ),
    Comparison(
        "loop-watched/loop",
        "the training loop of a script over tensors: with tui_trainer.watch against without",
        (
            Entry("loop-watched/loop", SPEED, *_ratio("≥ 0.98", lambda r: r >= 0.98)),
            Entry("loop-watched-small/loop", SPEED, *_ratio("≥ 0.98", lambda r: r >= 0.98)),
        ),
        rounds.loop_watched,
    ),
    Comparison(
        "lightning/bare",
        "Lightning with its progress bar, over tensors, against a bare loop over tensors",
        (Entry("lightning/bare", SPEED),),
        rounds.lightning_bare,
    ),
    Comparison(
        "version/python",
        "mnist-tui --version against a Python process that does nothing",
        (Entry("version/python", "s", *_first("≤ 0.3", lambda a: a <= 0.3)),),
        rounds.version_python,
    ),
    Comparison(
        "first-frame/textual",
        "time to the first frame: the app against a minimal Textual app",
        (Entry("first-frame/textual", "s", *_first("≤ 1.0", lambda a: a <= 1.0)),),
        rounds.first_frame,
    ),
    Comparison(
        "first-step/bare",
        "time to the first training step: the app against the bare loop",
        (Entry("first-step/bare", "s", *_first("≤ 4", lambda a: a <= 4)),),
        rounds.first_step,
    ),
    Comparison(
        "memory/bare",
        "peak memory with batch size 128: the app against the bare loop",
        (Entry("memory/bare", MEMORY, *_first("< 700", lambda a: a < 700)),),
        rounds.memory,
    ),
    Comparison(
        "memory-512/bare",
        "peak memory with batch size 512: the engine without the window against the bare loop",
        (Entry("memory-512/bare", MEMORY, *_first("< 700", lambda a: a < 700)),),
        rounds.memory_512,
    ),
    Comparison(
        "key-screen/paused",
        "from a key to its effect on the screen: while training against while paused",
        tuple(Entry(f"key-screen-p{p}/paused", "ms", *KEY_SCREEN.get(p, ())) for p in PERCENTILES),
        rounds.key_screen,
    ),
    Comparison(
        "key-effect/batch",
        "from a key to the engine's response against the duration of one batch",
        tuple(Entry(f"key-effect-p{p}/batch", "ms", *KEY_EFFECT.get(p, ())) for p in PERCENTILES),
        rounds.key_effect,
    ),
)
