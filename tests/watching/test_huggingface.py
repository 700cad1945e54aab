"""The callback of transformers, with the real library and a model that is not downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tests.watching.loops import are_equal, of_type, send, tensors_of
from tui_trainer.protocol.commands import Pause, Resume, SetBaseLr, Stop
from tui_trainer.protocol.events import (
    EpochDone,
    FindingRaised,
    RunFinished,
    RunStarted,
    SettingChanged,
    StepDone,
)

transformers: Any = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
from tui_trainer.watching.huggingface import WatchCallback  # noqa: E402


class Sentences(Dataset[Any]):
    """Sentences of eight tokens; the class is that of the first one."""

    def __init__(self, count: int, seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.tokens = torch.randint(60, (count, 8), generator=rng)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        tokens = self.tokens[index]
        return {"input_ids": tokens, "labels": tokens[0] % 3}


class AtStep(transformers.TrainerCallback):  # type: ignore[misc]
    def __init__(self, step: int, act: Any) -> None:
        self.step, self.act = step, act

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step + 1 == self.step:
            self.act()


def accuracy(prediction: Any) -> dict[str, float]:
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def fit(
    folder: Path, *, watches: bool = True, step: int = 0, act: Any = None, **options: Any
) -> tuple[Any, WatchCallback]:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=3,
    )
    model = transformers.BertForSequenceClassification(config)
    watching = WatchCallback(out=folder / "run", progress=False)
    trainer = transformers.Trainer(
        model,
        transformers.TrainingArguments(
            **{
                "output_dir": str(folder / "output"),
                "num_train_epochs": 2,
                "per_device_train_batch_size": 16,
                "learning_rate": 3e-3,
                "eval_strategy": "epoch",
                "save_strategy": "no",
                "report_to": [],
                "use_cpu": True,
                "disable_tqdm": True,
                "seed": 1,
                **options,
            }
        ),
        train_dataset=Sentences(320, 1),
        eval_dataset=Sentences(90, 2),
        compute_metrics=accuracy,
        callbacks=[*([watching] if watches else []), AtStep(step, lambda: act(watching))],
    )
    trainer.train()
    return model, watching


def test_a_training_is_recorded_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    plain, _ = fit(tmp_path, watches=False)
    watched, _ = fit(tmp_path)
    assert are_equal(tensors_of(plain), tensors_of(watched))
    folder = tmp_path / "run"
    started = of_type(folder, RunStarted)[0]
    assert (started.model, started.epochs) == ("BertForSequenceClassification", 2)
    assert (started.batch_size, started.classes) == (16, 3)
    steps = of_type(folder, StepDone)
    assert [step.step for step in steps] == list(range(1, 41))
    assert steps[-1].loss < 1.0
    assert steps[-1].accuracy is not None
    assert steps[-1].lr < steps[0].lr
    epochs = of_type(folder, EpochDone)
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert epochs[1].val_accuracy is not None
    assert epochs[1].val_accuracy > 0.8
    assert epochs[1].val_loss is not None
    assert [end.reason for end in of_type(folder, RunFinished)] == ["completed"]
    assert {each.code for each in of_type(folder, FindingRaised)} <= {"few_steps"}


def test_accumulated_batches_are_steps(tmp_path: Path) -> None:
    fit(tmp_path, gradient_accumulation_steps=2)
    assert len(of_type(tmp_path / "run", StepDone)) == 40
    assert len(of_type(tmp_path / "run", EpochDone)) == 2


def test_commands_act(tmp_path: Path) -> None:
    def act(watching: WatchCallback) -> None:
        assert watching.run is not None
        for command in (SetBaseLr(0.001), Pause(), Resume(), Stop()):
            send(watching.run, command)

    fit(tmp_path, step=5, act=act)
    folder = tmp_path / "run"
    assert [change.new for change in of_type(folder, SettingChanged)] == [0.001]
    assert [end.reason for end in of_type(folder, RunFinished)] == ["stopped"]
    assert len(of_type(folder, StepDone)) == 5
