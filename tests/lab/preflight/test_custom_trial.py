"""The first steps of a custom model are tried before anything is recorded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.runs import ScriptedInbox, of, only, run, tiny_config
from tests.training import train
from tui_trainer.data.dataset import BatchStream, batch_sizes
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.resuming import Resumption
from tui_trainer.lab.saved_model import load_model
from tui_trainer.models.checkpoints import Checkpoint, read_checkpoint
from tui_trainer.protocol.commands import Command, Inbox, SetBatchSize, Stop
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import CommandRejected, Event, RunFinished, RunStarted, StepDone
from tui_trainer.protocol.probed import ModelProbed
from tui_trainer.recording.folder import RunFolder

HEAD = """
import random
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

"""

Model = Callable[..., str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def model(forward: str, init: str = "", more: str = "", name: str = "net.py") -> str:
    """Write a model for 8×8 images and ten classes; return its reference."""
    lines = ["class Net(nn.Module):", "    def __init__(self):", "        super().__init__()"]
    lines += ["        self.head = nn.Linear(64, 10)", *(f"        {x}" for x in init.splitlines())]
    lines += ["    def forward(self, x):", *(f"        {line}" for line in forward.splitlines())]
    lines += [f"    {line}" for line in more.splitlines()]
    Path(name).write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    return f"{name}:Net"


PLAIN = "return self.head(x.flatten(1))"

REFUSED = {
    "a tuple in training mode": (
        "y = self.head(x.flatten(1))\nreturn (y, y) if self.training else y",
        "net.py:13: in training mode, with a batch of 16 images, forward returns a tuple instead "
        "of a tensor of logits; return only the logits, in both modes",
    ),
    "a dictionary in evaluation mode": (
        "y = self.head(x.flatten(1))\nreturn y if self.training else {'logits': y}",
        "net.py:Net: forward returns dict, not a tensor; return the logits",
    ),
    "one image loses its dimension": (
        "return self.head(x.flatten(1)).view(len(x), 10).squeeze()",
        "net.py:13: in evaluation mode, with one image alone, forward returns (10,), not (1, clas",
    ),
    "one image alone fails": (
        "y = x.squeeze()\nreturn self.head(y.reshape(y.shape[0], 64))",
        "net.py:15: shape '[8, 64]' is invalid for input of size 64; in evaluation mode, with one",
    ),
    "the last, smaller batch fails": (
        "return self.head(x.reshape(16 if self.training else -1, 64))",
        "net.py:14: shape '[16, 64]' is invalid for input of size 896; in training mode, with a b",
    ),
    "the second step goes back through the first": (
        "y = self.head(x.flatten(1)) + self.memory\nself.memory = y.mean(0)\nreturn y",
        "net.py:13: RuntimeError: Trying to backward through the graph a second time",
    ),
    "a copy that is no copy": (
        "return HEADS[0](x.flatten(1)) + self.head(x.flatten(1))",
        "net.py:13: a copy of the model shares weights with the model",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_failing_model_gives_one_line_before_the_first_step(name: str, tiny: Path) -> None:
    forward, line = REFUSED[name]
    init = "self.memory = torch.zeros(10)\nHEADS[:] = [nn.Linear(64, 10)]\nself.kept = HEADS[0]"
    if name != "a copy that is no copy":
        init = init.splitlines()[0]
    reference = model(forward, init)
    text = Path("net.py").read_text().replace("\nclass Net", "HEADS = []\nclass Net")
    Path("net.py").write_text(text)
    with pytest.raises(InputError) as caught:
        run(tiny_config(tiny, model=reference, batch_size=16, augment="none"))
    reported = str(caught.value)
    assert reported.isprintable()
    place, _, words = line.partition(": ")
    assert words.removeprefix("RuntimeError: ") in reported
    assert reported.startswith(place.partition(":")[0])


def test_an_autograd_error_names_its_operation(tiny: Path) -> None:
    reference = model("y = self.head(x.flatten(1))\ny = y.exp()\ny += 1\nreturn y")
    with pytest.raises(InputError, match=r"^net\.py:14: one of the variables needed for gradient"):
        run(tiny_config(tiny, model=reference))


def test_a_model_too_large_for_a_checkpoint_is_refused(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_trainer.lab.preflight.custom_trial.MAX_BYTES", 5_000)
    with pytest.raises(InputError, match=r"its checkpoints would have 7\.8 kB"):
        run(tiny_config(tiny, model=model(PLAIN)))


def test_the_run_is_the_same_as_one_that_was_not_tried(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """State, counters and rng states are those of a model before its first batch."""
    init = "self.drop = nn.Dropout(0.3)\nself.calls = 0\nself.rng = torch.Generator()"
    forward = (
        "if self.training:\n"
        "    self.calls += 1\n"
        "    x = x + 0.1 * torch.randn(x.shape, generator=self.rng) * np.random.rand()\n"
        "    x = x * (1 + 0.1 * random.random()) + 0.01 * GLOBAL.integers(10)\n"
        "return self.head(self.drop(x.flatten(1))) * (1 + 0.01 * self.calls)"
    )
    reference = model(forward, init)
    text = Path("net.py").read_text()
    text = text.replace("\nclass Net", "GLOBAL = np.random.default_rng(5)\nclass Net")
    Path("net.py").write_text(text)
    config = tiny_config(tiny, model=reference, batch_size=16)
    tried = of(StepDone, run(config))
    monkeypatch.setattr("tui_trainer.lab.assistant.try_model", lambda *_: None)
    assert [step.loss for step in of(StepDone, run(config))] == [step.loss for step in tried]


def test_the_behavior_of_the_model_is_reported(tiny: Path) -> None:
    events = run(tiny_config(tiny, model=model("return self.head(x.flatten(1)).softmax(0)")))
    seen = only(ModelProbed, events)
    assert seen.batch_gap > 0.01
    assert seen.random_gap == 0
    assert events.index(seen) == events.index(only(RunStarted, events)) + 2
    assert not of(ModelProbed, run(tiny_config(tiny, model="mlp")))


def test_an_impossible_batch_size_is_rejected(tiny: Path) -> None:
    reference = model("return self.norm(self.head(x.flatten(1)))", "self.norm = nn.BatchNorm1d(10)")
    inbox = ScriptedInbox({2: [SetBatchSize(1)], 3: [SetBatchSize(4)]})
    events = run(tiny_config(tiny, model=reference, batch_size=16), inbox=inbox)
    rejected = only(CommandRejected, events)
    assert rejected.command == "SetBatchSize"
    assert "Expected more than 1 value per channel" in rejected.reason
    assert rejected.reason.endswith("with a batch of 1 image")
    assert of(StepDone, events)[4].batch_size == 4
    assert only(RunFinished, events).reason == "completed"


def test_a_hard_coded_batch_size_is_named(tiny: Path) -> None:
    with pytest.raises(
        InputError, match=r"it accepts batches of 16 images only: write x\.shape\[0\]"
    ):
        run(tiny_config(tiny, model=model("return self.head(x.reshape(16, 64))")))


def test_an_iterator_is_rejected_because_its_position_is_not_saved(tiny: Path) -> None:
    with pytest.raises(InputError, match=r"^net\.py:13: factors is an iterator, whose"):
        run(tiny_config(tiny, model=model(PLAIN, "self.factors = iter(range(99))")))


def test_process_settings_changed_by_forward_are_restored(tiny: Path, tmp_path: Path) -> None:
    forward = (
        "import os, sys\n"
        "torch.set_default_dtype(torch.float64)\n"
        "os.chdir('/')\n"
        "if not self.training: torch.set_grad_enabled(False)\n"
        "sys.stdout = None\n" + PLAIN
    )
    events = run(tiny_config(tiny, model=model(forward)))
    assert only(RunFinished, events).reason == "completed"
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert Path.cwd() == tmp_path


# --- the last batch


@pytest.mark.parametrize(
    ("count", "images", "sizes"),
    [
        (16, 32, [16]),
        (16, 33, [17, 16]),
        (16, 17, [17]),
        (16, 34, [16, 2]),
        (16, 10, [10]),
        (1, 5, [1]),
        (2, 5, [3, 2]),
        (16, 1, [1]),
    ],
)
def test_a_single_last_image_joins_the_previous_batch(
    count: int, images: int, sizes: list[int]
) -> None:
    stream = BatchStream(images, torch.Generator(), torch.device("cpu"))
    stream.begin_epoch()
    met = []
    while stream.remaining:
        met.append(len(stream.take(count)))
    assert sorted(set(met), reverse=True) == sizes == batch_sizes(count, images)
    assert sum(met) == images


# --- a rebuilt model is the same one


def record(reference: str, data: Path, folder: str, **settings: Any) -> Path:
    """Train in a folder, and return its last checkpoint."""
    kept = RunFolder(Path(folder).absolute())
    kept.path.mkdir(exist_ok=True)
    config = tiny_config(data, model=reference, **settings)
    list(train(config, Inbox(), store=CheckpointStore(kept.checkpoints)))
    return kept.checkpoint("last")


def resumed(reference: str, data: Path, path: Path, **settings: Any) -> list[Event]:
    resume = Resumption(read_checkpoint(path), path)
    config = tiny_config(data, model=reference, **settings)
    return list(train(config, Inbox(), resume=resume))


def logits(path: Path, reference: str | None = None) -> torch.Tensor:
    model = load_model(path, reference)
    model.eval()
    with torch.no_grad():
        return model(torch.ones(2, 1, 8, 8) * torch.arange(64.0).view(8, 8) / 64)  # type: ignore[no-any-return]


OUTSIDE = (
    "self.ways = torch.randn(64, 64)\n"
    "self.register_buffer('shift', torch.randn(64), persistent=False)\n"
    "self.table = np.random.rand(64)\n"
    "self.register_buffer('late', None)"
)
USES = (
    "self.late = x.detach().mean(0).flatten()\n"
    "x = x.flatten(1) @ self.ways + self.shift + torch.from_numpy(self.table).float()\n"
    "return self.head(x + 0.1 * self.late)"
)


def test_unregistered_state_is_restored_from_a_checkpoint(tiny: Path) -> None:
    """The model reseeds the global rngs at random: only the checkpoint can restore it."""
    init = "torch.seed()\nnp.random.seed(None)\n" + OUTSIDE
    path = record(model(USES, init), tiny, "run", epochs=1)
    assert torch.equal(logits(path), logits(path))
    assert resumed("net.py:Net", tiny, path, epochs=1)


def test_a_changed_model_with_the_same_state_is_refused(tiny: Path) -> None:
    path = record(model(PLAIN), tiny, "run", epochs=1)
    before = logits(path)
    model("return self.head(x.flatten(1).relu())")
    line = r"net\.py:Net no longer computes the logits of the saved model"
    with pytest.raises(InputError, match=line):
        load_model(path)
    with pytest.raises(InputError, match=line):
        resumed("net.py:Net", tiny, path, epochs=2)
    moved = model(PLAIN, name="moved.py")
    assert torch.equal(logits(path, moved), before)
    assert resumed(moved, tiny, path, epochs=2)


def test_data_is_identified_by_its_content(tiny: Path, tmp_path: Path) -> None:
    path = record(model(PLAIN), tiny, "run", epochs=1)
    moved = tmp_path / "elsewhere"
    shutil.copytree(tiny, moved)
    assert resumed("net.py:Net", moved, path, epochs=2)
    state = read_checkpoint(path)
    other = Checkpoint({**state.metadata, "data_digest": "0" * 64}, state.tensors)
    path.write_bytes(other.to_bytes())
    with pytest.raises(InputError, match="was trained on other data"):
        resumed("net.py:Net", tiny, path, epochs=2)


def test_complex_tensors_are_restored_from_a_checkpoint(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(3, dtype=torch.complex128),
        "b": torch.randn(2, 2, dtype=torch.complex64),
        "c": torch.zeros(0, 3),
    }
    path = tmp_path / "x.safetensors"
    path.write_bytes(Checkpoint({"step": 1}, tensors).to_bytes())
    state = read_checkpoint(path)
    assert state.metadata == {"step": 1}
    for name, tensor in tensors.items():
        assert torch.equal(state.tensors[name], tensor)
        assert state.tensors[name].dtype == tensor.dtype


def test_a_mask_of_minus_infinity_is_not_a_divergence(tiny: Path) -> None:
    init = "self.register_buffer('mask', torch.tensor([0.0, float('-inf')]))"
    forward = "return self.head(x.flatten(1)) + self.mask[0]"
    events = run(tiny_config(tiny, model=model(forward, init)))
    assert only(RunFinished, events).reason == "completed"


def test_an_interrupted_run_resumes_bit_by_bit(tiny: Path) -> None:
    """With counters, private and global rngs, and modes and frozen parameters that change."""
    init = OUTSIDE + "\nself.norm = nn.BatchNorm1d(64)\nself.steps = 0\nself.rng = random.Random(3)"
    forward = (
        "if self.training:\n"
        "    self.steps += 1\n"
        "    self.ways *= 0.99\n"
        "    if self.steps == 2: self.norm.eval()\n"
        "    if self.steps == 4: self.head.bias.requires_grad_(False)\n"
        "    x = x + self.rng.random() + np.random.rand() + random.random() + torch.rand(())\n"
        "x = self.norm(x.flatten(1) @ self.ways)\n"
        "return self.head(x) * (1 + 0.1 * self.steps)"
    )
    reference = model(forward, init)
    settings = {"epochs": 2, "batch_size": 16, "augment": "none"}
    whole = record(reference, tiny, "whole", **settings)
    half = RunFolder(Path("half").absolute())
    half.path.mkdir()
    cut: dict[int, list[Command]] = {5: [Stop(reason="interrupted", test=False)]}
    config = tiny_config(tiny, model=reference, **settings)
    list(train(config, ScriptedInbox(cut), store=CheckpointStore(half.checkpoints)))
    path = half.checkpoint("last")
    resume = Resumption(read_checkpoint(path), path)
    list(train(config, Inbox(), store=CheckpointStore(half.checkpoints), resume=resume))

    one, other = read_checkpoint(whole), read_checkpoint(path)
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name
    assert one.metadata["outside"] == other.metadata["outside"]
    assert one.metadata["frozen"] == other.metadata["frozen"] == ["head.bias"]
    assert one.metadata["evaluating"] == other.metadata["evaluating"] == ["norm"]


def test_layers_created_in_forward_are_trained(tiny: Path) -> None:
    forward = (
        "x = x.flatten(1)\n"
        "if self.middle is None: self.middle = nn.Linear(x.shape[1], 64)\n"
        "return self.head(self.middle(x).relu())"
    )
    path = record(model(forward, "self.middle = None"), tiny, "run", epochs=1)
    state = read_checkpoint(path)
    assert state.tensors["model/middle.weight"].shape == (64, 64)
    assert len(state.part("optimizer")) == 4
    assert resumed("net.py:Net", tiny, path, epochs=2)


def test_views_of_kernels_are_trained_in_place(tiny: Path) -> None:
    init = "self.conv = nn.Conv2d(1, 8, 3, padding=1)\nself.turned = self.conv.weight.mT"
    forward = (
        "return self.head((self.conv(x) + F.conv2d(x, self.turned, padding=1)).mean(1).flatten(1))"
    )
    path = record(model(forward, init), tiny, "run", epochs=1)
    assert torch.equal(logits(path), logits(path))
