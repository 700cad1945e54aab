"""What the line at the start says about several processes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

from tests.headless.fakes import Engine, finished, started
from tests.protocol.facts import BATCH
from tui_trainer.headless.runner import run_headless
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.events import Event, RunResumed
from tui_trainer.protocol.layers import LayerRow

NORM = LayerRow(name="norm1", kind="batch norm", kernel="", output_shape=(28, 28, 16), parameters=2)
RESUMED = RunResumed(step=20, epoch=2, images=2_000, threads=3, lines=1)


def printed(events: Sequence[Event], *, resuming: bool = False) -> list[str]:
    """Return what a run writes to stderr."""
    stderr = io.StringIO()
    run_headless(Engine(events), Inbox(), stdout=io.StringIO(), stderr=stderr, resuming=resuming)
    return stderr.getvalue().splitlines()


def test_one_process_is_not_mentioned() -> None:
    lines = printed([started(), finished()])
    assert lines[0].endswith("cpu ×2")
    assert not any("process" in line for line in lines)


def test_the_start_states_how_a_batch_is_divided() -> None:
    several = replace(started(), processes=3)
    head, division, *_ = printed([several, finished()])
    assert head.endswith("cpu ×2 in 3 processes")
    assert division == f"each process trains on 34 of the {BATCH} images of a batch"


def test_the_start_states_what_batch_norm_normalizes() -> None:
    several = replace(started(), processes=2, layers=(*started().layers, NORM))
    _, division, *_ = printed([several, finished()])
    assert division.startswith("each process trains on 50 of the 100 images of a batch; batch norm")
    assert division.endswith("its running statistics are averaged over the processes")


def test_a_resume_with_another_number_states_so() -> None:
    several = replace(started(), processes=2, threads=1)
    lines = printed([several, RESUMED, finished()], resuming=True)
    assert lines[0].endswith("cpu ×3")
    assert any(line.startswith("it was started in 2 processes") for line in lines)
    lines = printed([several, replace(RESUMED, processes=2), finished()], resuming=True)
    assert lines[0].endswith("cpu ×3 in 2 processes")
    assert not any("it was started in" in line for line in lines)
    lines = printed([started(), replace(RESUMED, processes=2), finished()], resuming=True)
    assert any(line.startswith("it was started in 1 process:") for line in lines)
