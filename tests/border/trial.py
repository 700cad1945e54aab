"""The trial of a composed model: training, resume, layer table, rebuilding, export."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.border.fields import box_problem, field_problem
from tests.border.generator import LAST, Composed
from tests.border.writer import CLASSES, SIDE
from tests.data.idx_files import write_dataset
from tests.engine.runs import FakeClock, ScriptedInbox, of
from tests.training import train
from tui_trainer.anatomy.description import layers_of
from tui_trainer.anatomy.measured import measured_field
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.resuming import Resumption
from tui_trainer.export.model_files import write_torch_export
from tui_trainer.lab.saved_model import load_model
from tui_trainer.models.build import build_model
from tui_trainer.models.checkpoints import Checkpoint, read_checkpoint
from tui_trainer.models.custom.error_lines import CustomModelError
from tui_trainer.protocol.commands import Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, RunFinished, RunStarted, TestEvaluated
from tui_trainer.protocol.layers import LayerRow, totals
from tui_trainer.recording.folder import RunFolder

TRAIN, VAL, BATCH, EPOCHS, TEST = 24, 10, 8, 2, 20
ON_THE_CLOCK = {"seconds", "epoch_began", "lines"}


def write_images(folder: Path) -> Path:
    """Write the images that the models are trained on; return their folder."""
    return write_dataset(folder, size=SIDE, train=TRAIN + VAL, test=TEST)


@dataclass
class Outcome:
    """The results of a model.

    Attributes:
        composed: The model.
        refused: The refusals with their reasons, by step of the trial: one line each.
        limits: The steps done with a reported limit, likewise.
        problems: Tracebacks and differences.
        done: The successful steps.
    """

    composed: Composed
    refused: dict[str, str] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    done: set[str] = field(default_factory=set)

    @contextmanager
    def trying(self, what: str) -> Iterator[None]:
        """Record a refusal of one line, and any other exception as a problem."""
        before = len(self.problems)
        try:
            yield
        except (InputError, CustomModelError) as error:
            words = str(error)
            self.refused[what] = words
            if not words or "\n" in words or "Traceback" in words:
                self.problems.append(f"{what}: not one line: {words!r}")
        except Exception as error:
            self.problems.append(f"{what}: {_described(error)}")
        else:
            if len(self.problems) == before:
                self.done.add(what)


def _described(error: Exception) -> str:
    """Return an exception with the last line of this project that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "tui_trainer" in frame.filename]
    frame = (ours or frames)[-1]
    words = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {words} ({Path(frame.filename).name}:{frame.lineno})"


@dataclass
class Trained:
    """A run's events and its folder."""

    events: list[Event]
    folder: RunFolder

    @property
    def last(self) -> Checkpoint:
        return read_checkpoint(self.folder.checkpoint("last"))


def try_model(composed: Composed, images: Path, folder: Path, *, exports: bool = True) -> Outcome:
    """Try everything with a model; torch computes in one thread.

    Args:
        composed: The model.
        images: The folder from :func:`write_images`.
        folder: The folder for its file and its runs; created.
        exports: Whether to export it too, which takes longer than all the rest.
    """
    outcome = Outcome(composed)
    folder.mkdir(parents=True)
    config = RunConfig(
        model=composed.write(folder),
        data_dir=str(images),
        val_size=VAL,
        epochs=EPOCHS,
        batch_size=BATCH,
        lr=0.002,
        optimizer=composed.optimizer,
        threads=1,
        device="cpu",
    )
    whole: Trained | None = None
    with outcome.trying("train"):
        whole = run(config, folder / "whole")
        finished = of(RunFinished, whole.events)[-1]
        if finished.reason == "diverged":
            outcome.refused["train"] = "diverged"
            return outcome
    with outcome.trying("table"):
        _try_table(outcome, config)
    if whole is None or outcome.problems:
        return outcome
    with outcome.trying("resume"):
        _try_resume(outcome, config, whole, folder)
    model: nn.Module | None = None
    with outcome.trying("rebuild"):
        model = load_model(whole.folder.checkpoint("last"))
        _compare_loss(outcome, model, whole, images)
    if model is not None and exports:
        with outcome.trying("export"):
            _try_export(outcome, model, folder / "model.pt2")
    return outcome


def run(
    config: RunConfig, place: Path, stop: int | None = None, resume: Path | None = None
) -> Trained:
    """Train, from a checkpoint or from the start, to a step or to the end."""
    inbox = ScriptedInbox({} if stop is None else {stop: [Stop(reason="interrupted", test=False)]})
    folder = RunFolder(place)
    place.mkdir()
    resumption = Resumption(read_checkpoint(resume), resume) if resume else None
    events = train(
        config,
        inbox,
        store=CheckpointStore(folder.checkpoints),
        resume=resumption,
        clock=FakeClock(),
    )
    return Trained(list(events), folder)


def _try_resume(outcome: Outcome, config: RunConfig, whole: Trained, folder: Path) -> None:
    """Stop in the middle, resume in another state of the process, and compare every bit."""
    cut = run(config, folder / "cut", stop=outcome.composed.cut)
    assert cut.last.metadata["step"] == outcome.composed.cut
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)
    rest = run(config, folder / "rest", resume=cut.folder.checkpoint("last"))
    differing = differences(whole.last, rest.last)
    if differing:
        outcome.problems.append(f"resume after step {outcome.composed.cut}: {', '.join(differing)}")


def differences(one: Checkpoint, other: Checkpoint) -> list[str]:
    """Return the names of tensors and metadata that differ between two checkpoints."""
    names = sorted(one.tensors.keys() ^ other.tensors.keys())
    for name in sorted(one.tensors.keys() & other.tensors.keys()):
        mine, theirs = one.tensors[name], other.tensors[name]
        if (mine.dtype, mine.shape) != (theirs.dtype, theirs.shape) or raw(mine) != raw(theirs):
            names.append(name)
    metadata = (one.metadata.keys() | other.metadata.keys()) - ON_THE_CLOCK
    return names + sorted(k for k in metadata if one.metadata.get(k) != other.metadata.get(k))


def raw(tensor: Tensor) -> bytes:
    """Return a tensor's bytes."""
    flat = tensor.detach().contiguous().flatten()
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def _try_table(outcome: Outcome, config: RunConfig) -> None:
    """Compare the layer table with the actual parameters and the counted pixels."""
    model = build_model(config.model, image_size=SIDE, classes=CLASSES)
    rows = layers_of(model, (SIDE, SIDE, 1), CLASSES)
    there = sum(p.numel() for p in model.parameters())
    if totals(rows).parameters != there:
        outcome.problems.append(f"table: {totals(rows).parameters} parameters, not {there}")
    if rows[-1].kind == "model":
        raise InputError(f"no layer table: {rows[-1].undefined}")
    if outcome.composed.is_counted:
        _compare_field(outcome, model, rows)


def _compare_field(outcome: Outcome, model: nn.Module, rows: Sequence[LayerRow]) -> None:
    """Compare the field of the middle of the last maps with an independent count."""
    place = next((i for i, row in enumerate(rows) if row.name == LAST), None)
    if place is None:
        outcome.problems.append(f"table: no row {LAST}")
        return
    height, width, _ = rows[place].output_shape
    try:
        seen = measured_field(model, (SIDE, SIDE, 1), place, height // 2, width // 2)
    except RuntimeError as error:
        if "cannot be measured" not in str(error):
            raise
        outcome.limits["table"] = "not measured: no gradient can be taken"
        return
    box = rows[place].box(height // 2, width // 2)
    for problem in (
        field_problem(outcome.composed, seen),
        # It may be larger: behind a gate computed from the whole map it is an upper bound.
        box_problem(outcome.composed, box.within(SIDE, SIDE)) if box else "",
    ):
        if problem:
            outcome.problems.append(f"table: {LAST} {problem}")


def _compare_loss(outcome: Outcome, model: nn.Module, whole: Trained, images: Path) -> None:
    """Compare the rebuilt model's loss on the test images with the reported one."""
    if outcome.composed.is_random:
        return
    reported = of(TestEvaluated, whole.events)[-1].test_loss
    started = of(RunStarted, whole.events)[0]
    pixels, labels = _test_images(images, *started.mean, *started.std)
    model.eval()
    with torch.no_grad():
        loss = float(functional.cross_entropy(model(pixels).float(), labels))
    if abs(loss - reported) > 1e-3 * max(1.0, abs(reported)):
        outcome.problems.append(f"rebuild: test loss {loss:.6f}, reported {reported:.6f}")


def _test_images(folder: Path, mean: float, std: float) -> tuple[Tensor, Tensor]:
    from tui_trainer.data.idx import read_folder

    data = read_folder(folder, name="images")
    pixels = (
        torch.frombuffer(data.test_images, dtype=torch.uint8).view(-1, 1, SIDE, SIDE).float() / 255
    )
    return (pixels - mean) / std, torch.tensor(data.test_labels)


def _try_export(outcome: Outcome, model: nn.Module, path: Path) -> None:
    """Export to torch, load the file and compare its logits with the model's."""
    if note := write_torch_export(model, SIDE, path):
        outcome.limits["export"] = note
    program: Callable[[Tensor], Any] = torch.export.load(path).module()
    rng = torch.Generator().manual_seed(5)
    images = torch.rand(3, 1, SIDE, SIDE, generator=rng)
    model.eval()
    with torch.no_grad():
        # In parts of equal size, since logits may depend on the batch.
        parts = torch.split(images, 1 if note else len(images))
        mine, theirs = (torch.cat([f(part.clone()) for part in parts]) for f in (model, program))
    if outcome.composed.is_random:
        return
    if mine.dtype != theirs.dtype or not torch.allclose(mine, theirs, rtol=1e-3, atol=1e-4):
        gap = float((mine.float() - theirs.float()).abs().max())
        outcome.problems.append(f"export: logits differ by {gap:.2g}")
