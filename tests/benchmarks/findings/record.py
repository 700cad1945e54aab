"""Training the runs of the suite, and recording their events.

Each run writes three files: ``NAME.jsonl`` with every event except findings; for a healthy run
``NAME.pt`` with the weights after each epoch; and finally ``NAME.json`` with its case. A run whose
``NAME.json`` exists is not trained again, unless its settings have changed.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

import tui_trainer.engine.loop as training
import tui_trainer.engine.prepare as preparing
from tests.benchmarks.findings.hooks import with_few_test_images
from tests.benchmarks.findings.public.faults import public_sabotage
from tests.benchmarks.findings.sabotage import Sabotage, sabotage_of
from tests.benchmarks.findings.suite import Case, is_healthy
from tests.benchmarks.findings.variants import EMBEDDED, folder_of
from tui_trainer.data.dataset import Data
from tui_trainer.data.loading import load
from tui_trainer.engine.run import Run
from tui_trainer.lab.assistant import Laboratory
from tui_trainer.models.build import build_model
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import (
    EpochDone,
    Event,
    RunFailed,
    RunStarted,
    StepDone,
    to_json,
)

TEST_IMAGES = 500
"""Test images that are evaluated when a run finishes, where validation says what it is worth."""

ALL_TEST_IMAGES = 10_000
"""The same of a run without validation images, or of one that is compared with a clean twin."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded run.

    Attributes:
        case: Its case in the suite.
        seconds: Its CPU time on one core.
        error: The exception it raised; empty if none.
    """

    case: Case
    seconds: float
    error: str


def config_of(case: Case, root: Path) -> RunConfig:
    """Return the settings of a run; its data folder is created under ``root``."""
    folder = folder_of(case.data, root / "data")
    data_dir = None if folder is None else str(folder)
    return RunConfig(**{**case.settings, "data_dir": data_dir, "threads": 1, "device": "cpu"})


def count_test_images(case: Case) -> int:
    """Return how many clean test images are evaluated when a run finishes."""
    is_compared = public_sabotage(case.kind) is not None or not case.settings["val_size"]
    return ALL_TEST_IMAGES if is_compared else TEST_IMAGES


@contextmanager
def sabotaged(sabotage: Sabotage, test_images: int = TEST_IMAGES) -> Iterator[list[Run]]:
    """Sabotage every run that the engine trains in the block; yields the list of these runs."""
    sessions: list[Run] = []
    prepare = preparing.prepare

    def load_sabotaged(*args: Any) -> Generator[Any, None, Data]:
        data = with_few_test_images(test_images)((yield from load(*args)))
        return data if sabotage.data is None else sabotage.data(data)

    def build_sabotaged(*args: Any, **more: Any) -> nn.Module:
        model = build_model(*args, **more)
        if sabotage.model is not None:
            sabotage.model(model)
        return model

    def prepare_sabotaged(*args: Any) -> Generator[Event, None, Run]:
        run = yield from prepare(*args)
        if sabotage.session is not None:
            sabotage.session(run)
        sessions.append(run)
        return run

    with (
        patch.object(preparing, "load", load_sabotaged),
        patch.object(preparing, "build_model", build_sabotaged),
        patch.object(training, "prepare", prepare_sabotaged),
    ):
        yield sessions


def _sabotage_of(case: Case) -> Sabotage:
    return public_sabotage(case.kind) or sabotage_of(case)


def record(case: Case, folder: Path, root: Path) -> Recorded:
    """Train a run and write its files into ``folder``."""
    began = time.process_time()
    error, weights = "", []
    config = config_of(case, root)
    with (
        (folder / f"{case.name}.jsonl").open("w", encoding="utf-8") as lines,
        sabotaged(_sabotage_of(case), count_test_images(case)) as sessions,
    ):
        try:
            for event in training.train(config, Inbox(), assistant=Laboratory()):
                lines.write(to_json(event) + "\n")
                if isinstance(event, EpochDone) and is_healthy(case.kind):
                    weights.append(_weights(sessions[0].model))
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
            failed = RunFailed(message=error, traceback=traceback.format_exc())
            lines.write(to_json(failed) + "\n")
    if weights:
        torch.save(weights, folder / f"{case.name}.pt")
    (folder / f"{case.name}.truth").unlink(missing_ok=True)
    done = Recorded(case, time.process_time() - began, error)
    (folder / f"{case.name}.json").write_text(json.dumps(asdict(done), indent=1), encoding="utf-8")
    return done


def _weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def read_recorded(path: Path) -> Recorded:
    """Read the ``NAME.json`` of a run."""
    reported = json.loads(path.read_text(encoding="utf-8"))
    return Recorded(Case(**reported["case"]), reported["seconds"], reported["error"])


def renew_start(path: Path, root: Path) -> None:
    """Replace the events before the first step of a recorded run by those of the current probes.

    Probes change no bit of a run, so the events after them stay as they are.
    """
    case = read_recorded(path).case
    start = []
    with sabotaged(_sabotage_of(case), count_test_images(case)):
        for event in training.train(config_of(case, root), Inbox(), assistant=Laboratory()):
            if isinstance(event, StepDone):
                break
            start.append(to_json(event))
    lines = path.with_suffix(".jsonl")
    recorded = lines.read_text(encoding="utf-8").splitlines()
    first = next((i for i, line in enumerate(recorded) if _FIRST_STEP in line), None)
    if first is not None:
        lines.write_text("\n".join([*start, *recorded[first:], ""]), encoding="utf-8")


_FIRST_STEP = '"event": "StepDone"'


def renew_starts(paths: Sequence[Path], root: Path, workers: int) -> None:
    """Renew the start of every run."""
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_be_nice) as pool:
        list(pool.map(renew_start, paths, [root] * len(paths)))


def record_all(
    cases: Iterable[Case], folder: Path, root: Path, workers: int, log: Callable[[str], None]
) -> int:
    """Train every run that is missing, and return how many failed."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = list(cases)
    due = [case for case in wanted if not _is_there(case, folder)]
    log(f"{len(due)} of {len(wanted)} runs to train, into {folder}")
    if not due:
        return 0
    for variant in sorted({case.data for case in due} - {EMBEDDED}):
        folder_of(variant, root / "data")
    began, failed = time.perf_counter(), 0
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_be_nice) as pool:
        jobs = [pool.submit(record, case, folder, root) for case in due]
        for count, job in enumerate(as_completed(jobs), start=1):
            done = job.result()
            failed += bool(done.error)
            passed = time.perf_counter() - began
            left = passed / count * (len(due) - count)
            log(
                f"{count}/{len(due)}  {done.case.name}  {done.seconds:.0f} s  {done.error}"
                f"  ({passed / 60:.0f} min passed, about {left / 60:.0f} to go)"
            )
    return failed


def _is_there(case: Case, folder: Path) -> bool:
    """Whether a run has been trained with its current settings."""
    path = folder / f"{case.name}.json"
    return path.exists() and read_recorded(path).case == case


def _be_nice() -> None:
    if hasattr(os, "nice"):
        os.nice(10)


def estimate(cases: Iterable[Case], root: Path, log: Callable[[str], None]) -> float:
    """Estimate the CPU time of the runs in seconds on one core, from short runs of some of them.

    One short run per model, dataset and use of augmentation represents all runs of its kind.
    """
    groups: dict[tuple[Any, ...], list[Case]] = {}
    for case in cases:
        key = (case.settings["model"], case.data, case.settings["augment"] != "none")
        groups.setdefault(key, []).append(case)
    total = 0.0
    for (model, data, _), members in groups.items():
        train_rate, other_rate, start = _rates(members[0], root)
        cost = sum(_seconds(case, train_rate, other_rate, start) for case in members)
        total += cost
        name = str(model).rpartition(":")[2]
        log(f"{name} {data}: {train_rate:,.0f} img/s, {len(members)} runs, {cost:,.0f} s")
    return total


PIECE = 1_500
"""Training images, and validation images, of a short run that estimates a run's time."""


def _rates(case: Case, root: Path) -> tuple[float, float, float]:
    """Return training and validation images per second, and the seconds before the first batch."""
    size = min(PIECE, case.settings["train_size"])
    piece = {**case.settings, "train_size": size, "val_size": size, "epochs": 2}
    config = config_of(replace(case, settings=piece), root)
    began = time.process_time()
    start, last = 0.0, None
    for event in training.train(config, Inbox(), assistant=Laboratory(), clock=time.process_time):
        if isinstance(event, EpochDone):
            last = event
        elif isinstance(event, RunStarted):
            start = time.process_time() - began
    if last is None:
        raise RuntimeError(f"{case.name}: no epoch of the piece was finished")
    evaluating = max(1e-3, last.seconds - size / last.images_per_second)
    return last.images_per_second, size / evaluating, start


def _seconds(case: Case, train_rate: float, other_rate: float, start: float) -> float:
    epochs, settings = case.settings["epochs"], case.settings
    evaluated = settings["val_size"] * epochs + count_test_images(case)
    return float(start + settings["train_size"] * epochs / train_rate + evaluated / other_rate)
