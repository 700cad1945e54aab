"""One round of each comparison: what runs in turn, and what is read from it."""

from __future__ import annotations

from collections.abc import Mapping

from tests.benchmarks.bench import ERA, SCRIPT, Bench, need_lightning
from tests.benchmarks.keys import PERCENTILES
from tests.benchmarks.measure import Pair
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


def era_script(bench: Bench, number: int) -> Mapping[str, Pair]:
    workers = bench.workers
    ours, theirs = bench.train("engine", *COURSE), bench.train("script", *SCRIPT, *workers)
    return {"era-s6/script": (ours.epoch_seconds, theirs.epoch_seconds)}


def small_script(bench: Bench, number: int) -> Mapping[str, Pair]:
    recipe: tuple[str, ...] = ("--batch-size", "128", "--augment", "light")
    if (ROOT / "tui_trainer" / "presets" / "fast.toml").exists():
        recipe = ("--preset", "fast")
    workers = bench.workers
    ours = bench.train("engine", *recipe, "--model", "small")
    theirs = bench.train("script", *SCRIPT, *workers)
    return {"small/script": (ours.epoch_seconds, theirs.epoch_seconds)}


def plain_bare(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    theirs = bench.train("plain", *ERA_PLAIN, *threads)
    bare = bench.train("bare", *ERA_PLAIN, *threads)
    return {"plain/bare": (theirs.images_per_second, bare.images_per_second)}


def lightning_bare(bench: Bench, number: int) -> Mapping[str, Pair]:
    need_lightning()
    threads = bench.threads
    theirs = bench.train("lightning", *ERA_PLAIN, *threads)
    bare = bench.train("bare", *ERA_PLAIN, *threads)
    return {"lightning/bare": (theirs.images_per_second, bare.images_per_second)}


def augmented_plain(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    with_moves = bench.train("bare", *SMALL, "--augment", "light", *threads)
    without = bench.train("bare", *SMALL, "--augment", "none", *threads)
    return {"augmented/plain": (with_moves.images_per_second, without.images_per_second)}


def saved_unsaved(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    saved = bench.train("engine", *SMALL, *threads)
    unsaved = bench.train("unsaved", *SMALL, *threads)
    return {"saved/unsaved": (saved.images_per_second, unsaved.images_per_second)}


def headless_bare(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    ours, bare = bench.train("engine", *ERA, *threads), bench.train("bare", *ERA, *threads)
    return {"headless/bare": (ours.images_per_second, bare.images_per_second)}


def app_bare(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    ours, shown = bench.window(*ERA, *threads)
    bare = bench.train("bare", *ERA, *threads)
    pairs = {"app/bare": (ours.images_per_second, bare.images_per_second)}
    if shown is not None:
        pairs["app-numbers/target"] = (shown.numbers, NUMBERS_HZ)
        pairs["app-curves/target"] = (shown.curves, CURVES_HZ)
    return pairs


def version_python(bench: Bench, number: int) -> Mapping[str, Pair]:
    ours, python = ("-m", "tui_trainer", "--version"), ("-c", "pass")
    if number == 0:  # once unmeasured, for the disk's sake
        bench.launch(*ours)
    return {"version/python": (bench.launch(*ours), bench.launch(*python))}


def first_frame(bench: Bench, number: int) -> Mapping[str, Pair]:
    ours, least = ("-m", "tui_trainer"), ("-c", TEXTUAL)
    if number == 0:
        bench.first_frame(*ours)
    return {"first-frame/textual": (bench.first_frame(*ours), bench.first_frame(*least))}


def first_step(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    ours = bench.first_step("app", *ERA, *threads)
    return {"first-step/bare": (ours, bench.first_step("bare", *ERA, *threads))}


def memory(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    ours, _ = bench.window(*ERA, *threads)
    bare = bench.train("bare", *ERA, *threads)
    return {"memory/bare": (ours.rss_mb, bare.rss_mb)}


def memory_512(bench: Bench, number: int) -> Mapping[str, Pair]:
    threads = bench.threads
    ours, bare = bench.train("engine", *PRESET, *threads), bench.train("bare", *PRESET, *threads)
    return {"memory-512/bare": (ours.rss_mb, bare.rss_mb)}


def key_screen(bench: Bench, number: int) -> Mapping[str, Pair]:
    if not bench.has_pyte:
        raise SkippedError("pyte is not installed, so the screen cannot be read")
    waits = bench.waits(number)
    return {
        f"key-screen-p{share}/paused": (waits.training[share], waits.paused[share])
        for share in waits.training
    }


def key_effect(bench: Bench, number: int) -> Mapping[str, Pair]:
    waits = bench.waits(number)
    return {
        f"key-effect-p{share}/batch": (waits.answer[share], waits.step) for share in PERCENTILES
    }
