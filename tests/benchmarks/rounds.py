"""One round of each comparison: what runs in turn, and which values it returns."""

from __future__ import annotations

from collections.abc import Mapping

from tests.benchmarks.contender_runner import (
    ERA,
    SCRIPT,
    ContenderRunner,
    need_lightning,
    two_cores,
)
from tests.benchmarks.keys import PERCENTILES
from tests.benchmarks.measure import Pair
from tests.benchmarks.processes import SkippedError

NUMBERS_HZ, CURVES_HZ = 4.0, 2.0
"""The target refresh rates of the window's numbers and curves, in Hz."""

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


def era_script(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    return _script(runner, "era-s6", *COURSE)


def small_script(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    return _script(runner, "small", "--preset", "fast")


def _script(runner: ContenderRunner, name: str, *recipe: str) -> Mapping[str, Pair]:
    """An epoch of the engine, in float32 and in bf16 where the processor has it; the script's."""
    float32, auto = (
        runner.train("engine", *recipe, "--precision", precision)
        for precision in ("float32", "auto")
    )
    theirs = runner.train("script", *SCRIPT, *runner.workers)
    return {
        f"{name}/script": (float32.epoch_seconds, theirs.epoch_seconds),
        f"{name}-auto/script": (auto.epoch_seconds, theirs.epoch_seconds),
    }


def plain_bare(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    threads = runner.threads
    theirs = runner.train("plain", *ERA_PLAIN, *threads)
    bare = runner.train("bare", *ERA_PLAIN, *threads)
    return {"plain/bare": (theirs.images_per_second, bare.images_per_second)}


def lightning_bare(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    need_lightning()
    threads = runner.threads
    theirs = runner.train("lightning", *ERA_PLAIN, *threads)
    bare = runner.train("bare", *ERA_PLAIN, *threads)
    return {"lightning/bare": (theirs.images_per_second, bare.images_per_second)}


def augmented_plain(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    threads = runner.threads
    with_moves = runner.train("bare", *SMALL, "--augment", "light", *threads)
    without = runner.train("bare", *SMALL, "--augment", "none", *threads)
    return {"augmented/plain": (with_moves.images_per_second, without.images_per_second)}


def saved_unsaved(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    threads = runner.threads
    saved = runner.train("engine", *SMALL, *threads)
    unsaved = runner.train("unsaved", *SMALL, *threads)
    return {"saved/unsaved": (saved.images_per_second, unsaved.images_per_second)}


def headless_bare(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    threads = runner.threads
    ours, bare = runner.train("engine", *ERA, *threads), runner.train("bare", *ERA, *threads)
    return {"headless/bare": (ours.images_per_second, bare.images_per_second)}


def loop_watched(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    pairs = {}
    for name, model in (("loop-watched", ERA), ("loop-watched-small", SMALL)):
        options = (*model, *runner.threads)
        watched, alone = runner.train("loop-watched", *options), runner.train("loop", *options)
        pairs[f"{name}/loop"] = (watched.images_per_second, alone.images_per_second)
    return pairs


def app_bare(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    threads = runner.threads
    ours, shown = runner.window(*ERA, *threads)
    bare = runner.train("bare", *ERA, *threads)
    pairs = {"app/bare": (ours.images_per_second, bare.images_per_second)}
    if shown is not None:
        pairs["app-numbers/target"] = (shown.numbers, NUMBERS_HZ)
        pairs["app-curves/target"] = (shown.curves, CURVES_HZ)
    return pairs


def watched_unwatched(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    pinned = two_cores()
    pairs = {}
    for name, model in (("watched", ERA), ("watched-small", (*SMALL, "--augment", "light"))):
        options = (*model, "--threads", "1")
        watched = runner.watched(*options, pinned=pinned)
        alone = runner.train("engine", *options, core=pinned[0])
        pairs[f"{name}/unwatched"] = (watched.images_per_second, alone.images_per_second)
        pairs[f"{name}-cpu/unwatched"] = (
            watched.images_per_cpu_second,
            alone.images_per_cpu_second,
        )
    return pairs


def watching_headless(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    options = (*ERA, "--threads", "2")
    headless = runner.train("engine", *options)
    attached = runner.watched(*options)
    window, _ = runner.window(*options)
    return {
        "attached/headless": (attached.images_per_second, headless.images_per_second),
        "window/headless": (window.images_per_second, headless.images_per_second),
    }


def version_python(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    ours, python = ("-m", "tui_trainer", "--version"), ("-c", "pass")
    if number == 0:  # once without measuring, to fill the disk cache
        runner.launch(*ours)
    return {"version/python": (runner.launch(*ours), runner.launch(*python))}


def first_frame(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    ours, least = ("-m", "tui_trainer"), ("-c", TEXTUAL)
    if number == 0:
        runner.first_frame(*ours)
    return {"first-frame/textual": (runner.first_frame(*ours), runner.first_frame(*least))}


def first_step(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    threads = runner.threads
    ours = runner.first_step("app", *ERA, *threads)
    return {"first-step/bare": (ours, runner.first_step("bare", *ERA, *threads))}


def memory(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    threads = runner.threads
    ours, _ = runner.window(*ERA, *threads)
    bare = runner.train("bare", *ERA, *threads)
    return {"memory/bare": (ours.rss_mb, bare.rss_mb)}


def memory_512(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    threads = runner.threads
    ours, bare = runner.train("engine", *PRESET, *threads), runner.train("bare", *PRESET, *threads)
    return {"memory-512/bare": (ours.rss_mb, bare.rss_mb)}


def key_screen(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    if not runner.has_pyte:
        raise SkippedError("pyte is not installed, so the screen cannot be read")
    waits = runner.waits(number)
    return {
        f"key-screen-p{share}/paused": (waits.training[share], waits.paused[share])
        for share in waits.training
    }


def key_effect(runner: ContenderRunner, number: int) -> Mapping[str, Pair]:
    waits = runner.waits(number)
    return {
        f"key-effect-p{share}/batch": (waits.answer[share], waits.step) for share in PERCENTILES
    }
