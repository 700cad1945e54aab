"""Commands on the folder of a run that a script has trained, without the script."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.conftest import Cli, Refused
from tui_trainer.cli.attach import Attached
from tui_trainer.models.checkpoints import read_checkpoint
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, Inbox, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import CommandRejected, RunStarted
from tui_trainer.protocol.inspection import VIEWS
from tui_trainer.recording.folder import RunFolder

SCRIPT = """
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.utils.data import DataLoader, TensorDataset
    import tui_trainer

    class Images(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.conv1, self.norm = nn.Conv2d(channels, 6, 3), nn.BatchNorm2d(6)
            self.conv2, self.head = nn.Conv2d(6, 8, 3, stride=2), nn.Linear(8, 4)
        def forward(self, x):
            x = F.relu(self.conv2(F.relu(self.norm(self.conv1(x)))))
            return self.head(x.mean((2, 3)))

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(20, 8)
            self.lstm, self.head = nn.LSTM(8, 10, batch_first=True), nn.Linear(10, 4)
        def forward(self, x):
            return {"logits": self.head(self.lstm(self.embedding(x))[0][:, -1])}

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(20, 8), nn.Linear(8, 4)
        def forward(self, *, ids, mask):
            return self.head((self.embedding(ids) * mask[..., None]).mean(1))

    class Signal(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Conv1d(2, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4))

    torch.manual_seed(0)
    y = torch.arange(80) % 4
    def floats(*shape):
        return torch.randn(4, *shape)[y] + torch.randn(80, *shape) / 2
    KINDS = {
        "color": lambda: (floats(3, 16, 16), Images(3)),
        "wide": lambda: (floats(1, 9, 21), Images(1)),
        "tokens": lambda: ((torch.randint(5, (80, 7)) * 4 + y[:, None]), Tokens()),
        "masked": lambda: ((torch.randint(5, (80, 7)) * 4 + y[:, None]), Masked()),
        "signal": lambda: (floats(2, 40), Signal()),
        "vector": lambda: (floats(6), nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 4))),
        "binary": lambda: (floats(6), nn.Linear(6, 1)),
    }
    x, model = KINDS[kind]()
    if kind == "binary":
        y = y % 2
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    train, val = TensorDataset(x[:56], y[:56]), TensorDataset(x[56:], y[56:])
    def forward(batch):
        a, b = batch
        return model(ids=a, mask=(a > 3).long()) if kind == "masked" else model(a), b
    by_itself = None if kind != "masked" else forward
    with tui_trainer.watch(model, optimizer, epochs=2, out=out, progress=False) as run:
        for epoch in run.epochs():
            for a, b in run.batches(DataLoader(train, batch_size=8)):
                logits = forward((a, b))[0]
                logits = logits["logits"] if kind == "tokens" else logits
                if kind == "binary":
                    loss = F.binary_cross_entropy_with_logits(logits[:, 0], b.float())
                else:
                    loss = F.cross_entropy(logits, b)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.step(loss, logits, b)
            validated = run.validate(DataLoader(val, batch_size=10), by_itself)
"""

KINDS = [
    *("color", "tokens", "masked"),
    *(
        pytest.param(kind, marks=pytest.mark.slow)
        for kind in ("wide", "signal", "vector", "binary")
    ),
]

NO_IMAGES = {"attribution", "activation"}
NEVER = {"robustness", "forgetting"}


def trained(folder: Path, kind: str = "color") -> tuple[RunFolder, dict[str, Any]]:
    """Train a script in a folder; return its run, and the names of the script."""
    script = folder / "train.py"
    script.write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(script)])
        given = {"kind": kind, "out": folder / "run"}
        names = runpy.run_path(str(script), init_globals=given, run_name="__main__")
    return RunFolder(folder / "run"), names


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run of color images."""
    return trained(tmp_path_factory.mktemp("once"))[0]


@pytest.fixture
def color(once: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of it, elsewhere and with another name, that a test may change."""
    return RunFolder(shutil.copytree(once.path, tmp_path / "renamed"))


def shown(run: Cli, folder: RunFolder, *options: object) -> dict[str, Any]:
    code, out, err = run("evaluate", folder.path, "--json", *options)
    assert code == 0, err
    record: dict[str, Any] = json.loads(out)
    return record


def text_of(view: dict[str, Any]) -> str:
    return json.dumps(view, ensure_ascii=False)


@pytest.mark.parametrize("kind", KINDS)
def test_every_view_has_an_exhibit_or_a_reason(run: Cli, kind: str, tmp_path: Path) -> None:
    folder, names = trained(tmp_path, kind)
    moved = RunFolder(Path(shutil.move(folder.path, tmp_path / "moved")))
    (tmp_path / "train.py").unlink()

    code, out, err = run("evaluate", moved.path)

    assert code == 0, err
    assert "24 validation images" in out
    validated = names["validated"]
    assert f"accuracy {100 * validated.accuracy:.2f} %" in out
    refused = NEVER | (set() if kind in ("color", "wide") else NO_IMAGES)
    assert out.count("Not available for the run of a script") == len(refused)
    (started,) = (e for e in moved.read_events().events if isinstance(e, RunStarted))
    assert len(started.layers) > 1
    assert sum(row.parameters for row in started.layers) == started.parameters


def test_it_evaluates_the_recorded_validation_examples(run: Cli, color: RunFolder) -> None:
    found = shown(run, color, "--view", "confusion")
    assert found["images"] == 24
    code, out, err = run("evaluate", color.path, "--test")
    assert (code, out) == (2, "")
    assert "has no test set" in err


def test_a_report_is_written(run: Cli, color: RunFolder, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    code, out, err = run("evaluate", color.path, "--report", path)
    assert code == 0, err
    assert f"{len(VIEWS) - 1} views" in out
    assert "Not available for the run of a script" in path.read_text(encoding="utf-8")


def test_it_is_exported(run: Cli, color: RunFolder) -> None:
    code, out, err = run("export", color.path, "--as", "weights,torch,csv,svg")
    assert code == 0, err
    assert "gives the same outputs" in out
    assert "0 of 56 recorded inputs" in out or "0 of 24 recorded inputs" in out
    assert "input: 3×16×16 float32, as the script prepares it" in out
    program = torch.export.load(color.path / "exports" / "model.pt2").module()
    assert program(torch.rand(5, 3, 16, 16)).shape == (5, 4)


def test_its_program_is_its_script(run: Cli, color: RunFolder) -> None:
    code, out, err = run("export", color.path, "--as", "python")

    assert (code, out) == (2, "")
    assert "train.py: not written: the run is of a script, which is its program already: " in err
    assert len(err.splitlines()) == 1


def test_it_is_listed_and_diagnosed(run: Cli, color: RunFolder) -> None:
    code, out, err = run("runs", color.path.parent)
    assert code == 0, err
    assert "renamed" in out
    code, out, err = run("diagnose", color.path)
    assert code == 0, err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("resume",), "run.resume()"),
        (("replay", "--no-ui"), "run.resume()"),
        (("predict", "picture.png", "--run"), "prepares its own images"),
    ],
)
def test_what_a_script_alone_can_do_is_one_line(
    refused: Refused, color: RunFolder, command: tuple[str, ...], words: str
) -> None:
    no_window = ("--no-ui",) if command == ("resume",) else ()
    assert words in refused(*command, color.path, *no_window)


def test_a_model_that_cannot_be_built_is_one_line(refused: Refused, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "tui_trainer.watching.run_files.write_script_model", lambda *_: "it has a lock"
        )
        folder, _ = trained(tmp_path)
    expected = "run: its model cannot be built without its script: it has a lock"
    assert refused("evaluate", folder.path) == expected


def test_missing_inputs_are_one_line(refused: Refused, tmp_path: Path) -> None:
    folder, _ = trained(tmp_path)
    shutil.rmtree(folder.path / "inputs")
    assert "the run's data do not exist" in refused("evaluate", folder.path)


def test_an_attached_window_answers_from_the_newest_inputs(color: RunFolder) -> None:
    inbox, question = Inbox(), Ask("view/classes", (), "confirmed")
    answers = Attached(color).answer(RunConfig(), inbox)

    inbox.send(question)
    assert isinstance(next(answers), Answered)
    path = color.checkpoint("last")
    state = read_checkpoint(path)
    more = replace(state, metadata={**state.metadata, "inputs": 1_000})
    path.write_bytes(more.to_bytes())
    inbox.send(question)
    answered = next(event for event in answers)
    assert isinstance(answered, Answered)
    assert answered.question == question

    inbox.send(Ask("lesson/learning-rate", (), "confirmed"))
    rejected = next(event for event in answers if isinstance(event, CommandRejected))
    assert "mnist-tui learn learning-rate" in rejected.reason
    inbox.send(Stop())
    assert not list(answers)
