"""Where a watched loop can run: in a notebook, under pytest, in several processes, with workers."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
)

import tui_trainer
from tests.watching.loops import (
    Net,
    are_equal,
    of_type,
    sgd,
    tensors_of,
    train,
    train_loader,
    val_loader,
    watched,
)
from tui_trainer.protocol.events import (
    EpochDone,
    FindingRaised,
    RunFailed,
    RunFinished,
    RunStarted,
    StepDone,
)
from tui_trainer.recording.folder import RUNS, RunFolder, list_runs
from tui_trainer.watching.examples import sampler_name
from tui_trainer.watching.loaders import examples_in
from tui_trainer.watching.script import model_reference

ROOT = Path(__file__).parents[2]

SCRIPT = """
import os, sys
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset
import tui_trainer

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        return self.fc(x.flatten(1))

torch.manual_seed(0)
x = torch.randn(300, 1, 4, 4)
data = TensorDataset(x, x.flatten(1)[:, :3].argmax(dim=1))
loader = DataLoader(data, 30, shuffle=True)
model = Net()
optimizer = torch.optim.SGD(model.parameters(), 0.5)
"""

LOOP = """
with tui_trainer.watch(model, optimizer, epochs=EPOCHS) as run:
    for epoch in run.epochs():
        for images, labels in run.batches(loader):
            optimizer.zero_grad()
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            run.step(loss, logits, labels)
        run.validate(loader)
"""


def call(folder: Path, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        input=text,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def runs(folder: Path) -> list[Path]:
    """Return the runs in a folder, the oldest first."""
    return sorted(run.folder.path for run in list_runs(folder / RUNS))


# Tests


@pytest.mark.parametrize(
    ("script", "name", "expected"),
    [
        ("/home/ada/train.py", "Net", "/home/ada/train.py:Net"),
        ("/usr/bin/pytest", "Net", "pytest:Net"),
        ("/usr/bin/2-train", "Net", "_2_train:Net"),
        (None, "Net", "notebook:Net"),
        ("/home/ada/train.py", "my net, 2nd", "/home/ada/train.py:my_net__2nd"),
    ],
)
def test_the_model_of_any_script_has_a_name_for_the_settings(
    monkeypatch: pytest.MonkeyPatch, script: str | None, name: str, expected: str
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__file__", script, raising=False)
    assert model_reference(name) == expected


def test_any_name_is_the_name_of_the_run(tmp_path: Path) -> None:
    model, run = watched(tmp_path, epochs=1, name="my net, 2nd")
    with run:
        train(model, sgd(model), run)
    assert of_type(tmp_path, RunStarted)[0].model == "my net, 2nd"


@pytest.mark.slow
def test_a_test_of_a_user_is_watched(tmp_path: Path) -> None:
    body = textwrap.indent(LOOP.replace("EPOCHS", "2"), "    ")
    (tmp_path / "test_fit.py").write_text(f"{SCRIPT}\n\ndef test_fit():\n{body}", "utf-8")
    program = Path(sys.executable).with_name("pytest")
    words = [str(program)] if program.exists() else [sys.executable, "-m", "pytest"]
    done = call(tmp_path, *words, "-q", "-p", "no:cacheprovider", "test_fit.py")
    assert done.returncode == 0, done.stdout
    (folder,) = runs(tmp_path)
    assert [end.reason for end in of_type(folder, RunFinished)] == ["completed"]


# The output


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_closed_stderr_ends_the_progress_and_not_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_closed: bool
) -> None:
    stream = io.StringIO() if is_closed else Broken()
    if is_closed:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    model = Net()
    optimizer = sgd(model)
    with tui_trainer.watch(model, optimizer, epochs=1, out=tmp_path, probes=False) as run:
        train(model, optimizer, run)
    monkeypatch.undo()
    assert [end.reason for end in of_type(tmp_path, RunFinished)] == ["completed"]
    assert len(of_type(tmp_path, StepDone)) == 10


# Notebooks


@pytest.fixture
def _in_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)


@pytest.mark.usefixtures("_in_notebook")
def test_another_run_in_a_notebook_ends_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, run = watched(tmp_path / "one", epochs=1)
    train(model, sgd(model), run)
    monkeypatch.setattr(sys, "last_value", ValueError("of another cell"), raising=False)
    _, other = watched(tmp_path / "two")
    assert [end.reason for end in of_type(tmp_path / "one", RunFinished)] == ["completed"]
    other.finish()


@pytest.mark.usefixtures("_in_notebook")
def test_a_cell_that_fails_is_the_end_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(step: int) -> None:
        if step == 3:
            raise ValueError("in this cell")

    model, run = watched(tmp_path / "one", epochs=1)
    with pytest.raises(ValueError, match="in this cell") as caught:
        train(model, sgd(model), run, before_step=fail)
    monkeypatch.setattr(sys, "last_value", caught.value, raising=False)
    _, other = watched(tmp_path / "two")
    assert of_type(tmp_path / "one", RunFailed)[0].message.startswith("ValueError: in this cell")
    other.finish()


def test_a_second_run_of_a_model_ends_the_first_one(tmp_path: Path) -> None:
    model, run = watched(tmp_path / "one", epochs=1)
    train(model, sgd(model), run)
    optimizer = sgd(model)
    other = tui_trainer.watch(
        model, optimizer, epochs=1, out=tmp_path / "two", progress=False, probes=False
    )
    assert [end.reason for end in of_type(tmp_path / "one", RunFinished)] == ["completed"]
    other.finish()


@pytest.mark.slow
def test_code_without_a_file(tmp_path: Path) -> None:
    done = call(tmp_path, sys.executable, "-", text=SCRIPT + LOOP.replace("EPOCHS", "2"))
    assert done.returncode == 0, done.stderr
    (folder,) = runs(tmp_path)
    assert f"mnist-tui attach {RUNS / folder.name}" in done.stderr
    assert "\r" not in done.stderr  # no live line
    assert of_type(folder, RunStarted)[0].script == "notebook"
    asked = call(tmp_path, sys.executable, "-m", "tui_trainer", "evaluate", str(folder))
    assert asked.returncode == 2
    assert "its class is defined in an interactive session; write it to a file" in asked.stderr


class Kernel:
    """A Jupyter kernel, in a folder."""

    def __init__(self, folder: Path) -> None:
        from jupyter_client.manager import KernelManager

        self.manager = KernelManager(kernel_name="python3")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.manager.start_kernel(cwd=str(folder), env=environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def run(self, code: str, interrupt_at: str = "") -> tuple[str, str]:
        """Run a cell; return its status and its output."""
        found: list[str] = []
        interrupts: list[bool] = []

        def show(message: dict[str, Any]) -> None:
            content = message["content"]
            found.append(content.get("text", content.get("data", {}).get("text/plain", "")))
            if interrupt_at and not interrupts and re.search(interrupt_at, "".join(found)):
                interrupts.append(True)
                self.manager.interrupt_kernel()

        reply = self.client.execute_interactive(code, output_hook=show, timeout=120)
        return reply["content"]["status"], "".join(found)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel()


@pytest.mark.slow
def test_a_notebook(tmp_path: Path) -> None:
    pytest.importorskip("ipykernel")
    pytest.importorskip("jupyter_client")
    kernel = Kernel(tmp_path)
    try:
        assert kernel.run(SCRIPT)[0] == "ok"
        status, output = kernel.run(LOOP.replace("EPOCHS", "2"))
        assert status == "ok"
        assert "mnist-tui attach runs/" in output
        assert "\r" not in output
        status, output = kernel.run(LOOP.replace("EPOCHS", "5000"), interrupt_at=r"epoch +3/")
        assert status == "error"
        assert kernel.run("print('alive')") == ("ok", "alive\n")
        assert kernel.run("run.folder")[0] == "ok"
    finally:
        kernel.close()
    first, second = runs(tmp_path)
    assert [end.reason for end in of_type(first, RunFinished)] == ["completed"]
    assert [end.reason for end in of_type(second, RunFinished)] == ["interrupted"]
    assert RunFolder(second).checkpoint("last").is_file()
    asked = call(tmp_path, sys.executable, "-m", "tui_trainer", "evaluate", str(first))
    assert asked.returncode == 0, asked.stderr  # a notebook keeps the text of its cells


# Processes


DISTRIBUTED = """
torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
sampler = DistributedSampler(data, seed=1)
loader = DataLoader(data, 30, sampler=sampler)
inner, model = model, nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), 0.5)
if "--plain" in sys.argv:
    for epoch in range(2):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
else:
    LOOP
    print(f"folder of {rank}: {run.folder}", flush=True)
print(f"weights of {rank}: {[p.double().sum().item() for p in inner.parameters()]}", flush=True)
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_under_torchrun_the_first_process_records(tmp_path: Path) -> None:
    loop = textwrap.indent(LOOP.replace("EPOCHS", "2"), "    ")
    text = SCRIPT + DISTRIBUTED.replace("    LOOP\n", f"{loop}\n")
    (tmp_path / "train.py").write_text(text, encoding="utf-8")
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    plain = call(tmp_path, *words, "train.py", "--plain")
    done = call(tmp_path, *words, "train.py")
    assert done.returncode == 0, done.stderr
    weights = sorted(re.findall(r"weights of \d: .*\]", done.stdout))
    assert weights == sorted(re.findall(r"weights of \d: .*\]", plain.stdout))
    assert len(weights) == 2
    (folder,) = runs(tmp_path)
    assert f"folder of 0: {RUNS / folder.name}" in done.stdout
    assert "folder of 1: None" in done.stdout
    assert done.stderr.count("mnist-tui attach") == 1
    started = of_type(folder, RunStarted)[0]
    assert "2 processes" in dict(started.unavailable)["base_lr"]
    assert [epoch.val_total for epoch in of_type(folder, EpochDone)] == [150, 150]
    assert len(of_type(folder, StepDone)) == 10


def test_a_process_that_is_not_the_first_gets_its_loader_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANK", "1")
    model = Net()
    run = tui_trainer.watch(model, sgd(model), epochs=2)
    loader = train_loader()
    assert run.folder is None
    assert list(run.epochs()) == [1, 2]
    torch.manual_seed(3)
    given = [labels for _, labels in loader]
    torch.manual_seed(3)
    passed = [labels for _, labels in run.batches(loader)]
    assert are_equal(given, passed)
    run.step(torch.zeros(()))
    assert run.validate(val_loader()).total == 200
    assert not run.should_stop
    run.finish()
    assert list(tmp_path.iterdir()) == []


def trained(folder: Path | None, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    model = Net()
    optimizer = sgd(model)
    if folder is None:
        for _ in range(2):
            for images, labels in train_loader(**options):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        return model
    with tui_trainer.watch(model, optimizer, epochs=2, out=folder, progress=False) as run:
        train(model, optimizer, run, train_loader(**options))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_of_a_loader(tmp_path: Path, start: str) -> None:
    options = {"num_workers": 2, "multiprocessing_context": start}
    plain = trained(None, **options)
    found = trained(tmp_path / "one", **options)
    kept = trained(tmp_path / "two", persistent_workers=True, **options)
    assert are_equal(tensors_of(plain), tensors_of(found))
    assert len(tensors_of(kept)) == len(tensors_of(found))
    for folder in (tmp_path / "one", tmp_path / "two"):
        assert [end.reason for end in of_type(folder, RunFinished)] == ["completed"]
        assert len(of_type(folder, StepDone)) == 20


def test_an_error_in_a_rule_ends_the_findings_and_not_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError("of a rule")

    monkeypatch.setattr("tui_trainer.findings.Findings.after", fail)
    torch.manual_seed(0)
    model = Net()
    optimizer = sgd(model)
    with tui_trainer.watch(model, optimizer, epochs=1, out=tmp_path, probes=False) as run:
        train(model, optimizer, run)
    err = capsys.readouterr().err
    assert err.count("no findings any more: ZeroDivisionError: of a rule; the run is recorded") == 1
    assert [end.reason for end in of_type(tmp_path, RunFinished)] == ["completed"]


def test_a_loop_that_reports_its_loss_alone_is_recorded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Net()
    optimizer = sgd(model)
    with tui_trainer.watch(model, optimizer, epochs=2, out=tmp_path, progress=False) as run:
        for _ in range(2):
            for images, labels in train_loader():
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(images), labels)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                run.step(loss)
    assert [end.reason for end in of_type(tmp_path, RunFinished)] == ["completed"]
    assert len(of_type(tmp_path, StepDone)) == 20


class Tagger(nn.Module):
    """A class for each of eight tokens: logits (N, length, classes), as language models have."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(30, 16)
        self.fc = nn.Linear(16, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(self.embed(tokens))
        return logits


@pytest.mark.parametrize("gives_labels", [True, False])
def test_sequences_with_a_class_for_each_token(tmp_path: Path, *, gives_labels: bool) -> None:
    torch.manual_seed(0)
    tokens = torch.randint(30, (480, 8))
    model = Tagger()
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    loader = DataLoader(TensorDataset(tokens, tokens % 5), 16, shuffle=True)
    with tui_trainer.watch(model, optimizer, epochs=4, out=tmp_path, progress=False) as run:
        for _ in run.epochs():
            for inputs, labels in run.batches(loader) if gives_labels else loader:
                optimizer.zero_grad()
                logits = model(inputs)
                loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                run.step(loss)
    started, last = of_type(tmp_path, RunStarted)[0], of_type(tmp_path, StepDone)[-1]
    if gives_labels:
        assert started.classes == 5
        assert last.accuracy == 1.0
    assert len(of_type(tmp_path, StepDone)) == 120
    found = {each.code for each in of_type(tmp_path, FindingRaised) if each.severity != "note"}
    assert found == set()


def test_a_run_that_begins_after_the_forward_pass_waits_for_the_next(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Net()
    optimizer = sgd(model)
    run: Any = None
    for images, labels in train_loader():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        run = run or tui_trainer.watch(model, optimizer, epochs=1, out=tmp_path, progress=False)
        run.step(loss)
    run.finish()
    started = of_type(tmp_path, RunStarted)[0]
    assert (started.classes, started.batch_size) == (10, 64)
    assert len(of_type(tmp_path, StepDone)) == 9
    found = {each.code for each in of_type(tmp_path, FindingRaised) if each.severity != "note"}
    assert found <= {"few_steps"}


def test_the_order_of_a_loader_is_that_of_its_batch_sampler() -> None:
    data = TensorDataset(torch.zeros(10))
    batches = BatchSampler(RandomSampler(data, num_samples=6), 2, drop_last=False)
    loader = DataLoader(data, batch_sampler=batches)
    assert type(loader.sampler) is SequentialSampler  # that of torch is not used
    assert sampler_name(loader) == "RandomSampler"
    assert examples_in(loader) == 6
    assert sampler_name(DataLoader(data)) == "SequentialSampler"
    assert sampler_name([1, 2]) == ""
