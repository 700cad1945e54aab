"""What is compared with what, in which unit, and what is hoped for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.benchmarks.bench import ERA, SCRIPT, Bench, need_lightning
from tests.benchmarks.keys import PERCENTILES
from tests.benchmarks.measure import Figure, Pair
from tests.benchmarks.processes import ROOT, SkippedError

NUMBERS_HZ, CURVES_HZ = 4.0, 2.0
"""How often a second the window is to renew its numbers and its curves."""

ERA_PLAIN = ("--model", "era-s6", "--batch-size", "128", "--augment", "none")
SMALL = ("--model", "small", "--batch-size", "128")
COURSE = (*SCRIPT, "--augment", "course")
PRESET = ("--preset", "era-s6")
TEXTUAL = """
from textual.app import App
from textual.widgets import Static

class Least(App):
    def compose(self):
        yield Static("mnist-tui")

Least().run()
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the result.

    Attributes:
        name: ``first/second``.
        unit: The unit of both.
        goal: What is hoped for, in words; empty if nothing is.
        met: Whether a figure is as hoped for.
    """

    name: str
    unit: str
    goal: str = ""
    met: Callable[[Figure], bool] | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Contenders that run in turn.

    Attributes:
        name: What to call it on the command line.
        sentence: What is compared.
        entries: The lines of the result, in their order.
        measure: Runs one round, whose number it gets, and returns a pair for each entry it could
            measure.
    """

    name: str
    sentence: str
    entries: tuple[Entry, ...]
    measure: Callable[[Bench, int], Mapping[str, Pair]]


def select(names: list[str]) -> list[Comparison]:
    """Return the comparisons that are wanted, each with only the entries that are wanted.

    A name may be a comparison's or an entry's, or the part of either before the slash.

    Raises:
        KeyError: With the first name that is unknown.
    """
    wanted: dict[str, set[str]] = {}
    for name in names:
        hits = [(c, e) for c in COMPARISONS for e in c.entries if _is_called(name, c, e)]
        if not hits:
            raise KeyError(name)
        for comparison, entry in hits:
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


def _era_script(bench: Bench, number: int) -> Mapping[str, Pair]:
    workers = bench.workers
    ours, theirs = bench.train("engine", *COURSE), bench.train("script", *SCRIPT, *workers)
    return {"era-s6/script": (ours.epoch_seconds, theirs.epoch_seconds)}


def _small_script(bench: Bench, number: int) -> Mapping[str, Pair]:
    recipe: tuple[str, ...] = ("--batch-size", "128", "--augment", "light")
    if (ROOT / "tui_trainer" / "presets" / "fast.toml").exists():
        recipe = ("--preset", "fast")
    workers = bench.workers
    ours = bench.train("engine", *recipe, "--model", "small")
    theirs = bench.train("script", *SCRIPT, *workers)
    return {"small/script": (ours.epoch_seconds, theirs.epoch_seconds)}


def _plain_bare(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    theirs = bench.train("plain", *ERA_PLAIN, *threads)
    bare = bench.train("bare", *ERA_PLAIN, *threads)
    return {"plain/bare": (theirs.images_per_second, bare.images_per_second)}


def _lightning_bare(bench: Bench, number: int) -> Mapping[str, Pair]:
    need_lightning()
    threads = bench.threads
    theirs = bench.train("lightning", *ERA_PLAIN, *threads)
    bare = bench.train("bare", *ERA_PLAIN, *threads)
    return {"lightning/bare": (theirs.images_per_second, bare.images_per_second)}


def _augmented_plain(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    with_moves = bench.train("bare", *SMALL, "--augment", "light", *threads)
    without = bench.train("bare", *SMALL, "--augment", "none", *threads)
    return {"augmented/plain": (with_moves.images_per_second, without.images_per_second)}


def _headless_bare(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    ours, bare = bench.train("engine", *ERA, *threads), bench.train("bare", *ERA, *threads)
    return {"headless/bare": (ours.images_per_second, bare.images_per_second)}


def _app_bare(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    ours, shown = bench.window(*ERA, *threads)
    bare = bench.train("bare", *ERA, *threads)
    pairs = {"app/bare": (ours.images_per_second, bare.images_per_second)}
    if shown is not None:
        pairs["app-numbers/target"] = (shown.numbers, NUMBERS_HZ)
        pairs["app-curves/target"] = (shown.curves, CURVES_HZ)
    return pairs


def _version_python(bench: Bench, number: int) -> Mapping[str, Pair]:
    ours, python = ("-m", "tui_trainer", "--version"), ("-c", "pass")
    if number == 0:  # once unmeasured, for the disk's sake
        bench.launch(*ours)
    return {"version/python": (bench.launch(*ours), bench.launch(*python))}


def _first_frame(bench: Bench, number: int) -> Mapping[str, Pair]:
    ours, least = ("-m", "tui_trainer"), ("-c", TEXTUAL)
    if number == 0:
        bench.first_frame(*ours)
    return {"first-frame/textual": (bench.first_frame(*ours), bench.first_frame(*least))}


def _first_step(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    ours = bench.first_step("app", *ERA, *threads)
    return {"first-step/bare": (ours, bench.first_step("bare", *ERA, *threads))}


def _memory(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    ours, _ = bench.window(*ERA, *threads)
    bare = bench.train("bare", *ERA, *threads)
    return {"memory/bare": (ours.rss_mb, bare.rss_mb)}


def _memory_512(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    ours, bare = bench.train("engine", *PRESET, *threads), bench.train("bare", *PRESET, *threads)
    return {"memory-512/bare": (ours.rss_mb, bare.rss_mb)}


def _key_screen(bench: Bench, number: int) -> Mapping[str, Pair]:
    if not bench.has_pyte:
        raise SkippedError("pyte is not installed, so the screen cannot be read")
    waits = bench.waits(number)
    return {
        f"key-screen-p{share}/paused": (waits.training[share], waits.paused[share])
        for share in waits.training
    }


def _key_effect(bench: Bench, number: int) -> Mapping[str, Pair]:
    waits = bench.waits(number)
    return {
        f"key-effect-p{share}/batch": (waits.answer[share], waits.step) for share in PERCENTILES
    }


SPEED, MEMORY, EPOCH = "images/s", "MB", "s/epoch"
KEY_SCREEN = {95: _first("≤ 50", lambda a: a <= 50)}
KEY_EFFECT = {95: ("a ≤ b + 20", lambda figure: figure.a <= figure.b + 20)}

COMPARISONS = (
    Comparison(
        "era-s6/script",
        "an epoch of the course's network: the engine, and the course's own script",
        (Entry("era-s6/script", EPOCH, *_ratio("≤ 1/3", lambda r: r <= 1 / 3)),),
        _era_script,
    ),
    Comparison(
        "small/script",
        "an epoch of the small network in the engine, and one of the course's own script",
        (Entry("small/script", EPOCH, *_ratio("≤ 1/15", lambda r: r <= 1 / 15)),),
        _small_script,
    ),
    Comparison(
        "plain/bare",
        "PyTorch's own example, pictures from a DataLoader, and a bare loop over tensors",
        (Entry("plain/bare", SPEED),),
        _plain_bare,
    ),
    Comparison(
        "augmented/plain",
        "a bare loop over the small network, the quickest to feel it: images moved, and not moved",
        (Entry("augmented/plain", SPEED, *_ratio("≥ 0.90", lambda r: r >= 0.90)),),
        _augmented_plain,
    ),
    Comparison(
        "headless/bare",
        "the engine without a window, and a bare loop that does the same work",
        (Entry("headless/bare", SPEED, *_ratio("≥ 0.98", lambda r: r >= 0.98)),),
        _headless_bare,
    ),
    Comparison(
        "app/bare",
        "the app in a terminal, and a bare loop that does the same work",
        (
            Entry("app/bare", SPEED, *_ratio("≥ 0.97", lambda r: r >= 0.97)),
            Entry("app-numbers/target", "Hz"),
            Entry("app-curves/target", "Hz"),
        ),
        _app_bare,
    ),
    Comparison(
        "lightning/bare",
        "Lightning's loop with its progress bar over tensors, and a bare loop over tensors",
        (Entry("lightning/bare", SPEED),),
        _lightning_bare,
    ),
    Comparison(
        "version/python",
        "mnist-tui --version, and a Python that does nothing",
        (Entry("version/python", "s", *_first("≤ 0.3", lambda a: a <= 0.3)),),
        _version_python,
    ),
    Comparison(
        "first-frame/textual",
        "from the start to the first frame: the app, and the least Textual app",
        (Entry("first-frame/textual", "s", *_first("≤ 1.0", lambda a: a <= 1.0)),),
        _first_frame,
    ),
    Comparison(
        "first-step/bare",
        "from the start to the first training step: the app, and the bare loop",
        (Entry("first-step/bare", "s", *_first("≤ 4", lambda a: a <= 4)),),
        _first_step,
    ),
    Comparison(
        "memory/bare",
        "the most memory with batches of 128: the app, and the bare loop",
        (Entry("memory/bare", MEMORY, *_first("< 700", lambda a: a < 700)),),
        _memory,
    ),
    Comparison(
        "memory-512/bare",
        "the most memory with batches of 512: the engine without a window, and the bare loop",
        (Entry("memory-512/bare", MEMORY, *_first("< 700", lambda a: a < 700)),),
        _memory_512,
    ),
    Comparison(
        "key-screen/paused",
        "from a key to its effect on the screen: while training, and while paused",
        tuple(Entry(f"key-screen-p{p}/paused", "ms", *KEY_SCREEN.get(p, ())) for p in PERCENTILES),
        _key_screen,
    ),
    Comparison(
        "key-effect/batch",
        "from a key to the engine's answer, and the duration of one batch",
        tuple(Entry(f"key-effect-p{p}/batch", "ms", *KEY_EFFECT.get(p, ())) for p in PERCENTILES),
        _key_effect,
    ),
)
