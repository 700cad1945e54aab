"""The drawing pad, on untrained models; and, slow, all ten digits on a trained one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.data.strokes import PLACES, RADII, drawn
from tests.lab.views.conftest import Contexts, Seen, session_of
from tests.training import train
from tui_trainer.data.ink import as_digit
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.snapshots import capture
from tui_trainer.lab.ask import view_named
from tui_trainer.lab.saved_model import load_model
from tui_trainer.lab.views import checkpoint_models
from tui_trainer.lab.views.checkpoint_models import SavedModel, chosen, saved_model_of
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.exhibit import Bars, Exhibit, Pictures, Table, Words
from tui_trainer.protocol.strokes import Drawing

THREE = drawn(3, place="top left").to_text()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three checkpoints: one with other weights, one truncated, one missing."""
    folder = tmp_path_factory.mktemp("checkpoints")
    content = capture(session_of("tiny", seed=5)).to_bytes()
    files = {name: folder / f"{name}.safetensors" for name in ("last", "best", "gone")}
    files["last"].write_bytes(content)
    files["best"].write_bytes(content[:-100])
    return files


def ink_of(drawing: Drawing) -> Tensor:
    pixels = torch.frombuffer(bytearray(drawing.ink), dtype=torch.uint8)
    return pixels.view(drawing.height, drawing.width)


def reported(shown: Exhibit) -> dict[str, Any]:
    return dict(shown.figures)


def rows_of(shown: Exhibit) -> dict[str, Sequence[str]]:
    table = next(block for block in shown.blocks if isinstance(block, Table))
    return {row[0]: row[1:] for row in table.rows}


def test_it_shows_model_input_and_prediction(context_of: Contexts, seen: Seen) -> None:
    context = context_of("tiny")
    shown = seen(context, "draw", drawing=THREE)

    digit = as_digit(ink_of(drawn(3, place="top left")))
    assert digit is not None
    with torch.no_grad():
        asked = context.model(context.data.prepare(digit[None])).softmax(dim=1)[0]
    bars, pictures = shown.blocks[0], shown.blocks[1]
    assert isinstance(bars, Bars)
    assert isinstance(pictures, Pictures)
    assert pictures.items[0].values == tuple(digit.float().flatten().tolist())
    assert [bar.share for bar in bars.bars] == pytest.approx(asked.tolist(), abs=1e-5)
    assert [bar.is_marked for bar in bars.bars].index(True) == int(asked.argmax())
    assert reported(shown)["predictions"][0]["class"] == int(asked.argmax())
    assert shown.result.startswith(f"Predicted: {int(asked.argmax())}, ")
    assert not any(isinstance(block, Table) for block in shown.blocks)


def test_centering_can_be_turned_off(context_of: Contexts, seen: Seen) -> None:
    context = context_of("tiny")
    centered, raw = (seen(context, "draw", drawing=THREE, centered=word) for word in ("yes", "no"))

    middles = []
    for shown in (centered, raw):
        image = torch.tensor(reported(shown)["image"]).double()
        middles.append(float((image.sum(dim=1) * torch.arange(28)).sum() / image.sum()))
    assert 13.4 < middles[0] < 14.6
    assert middles[1] < 12
    assert "not centered" in raw.evidence


@pytest.mark.parametrize("drawing", [None, "", Drawing.blank(56, 56).to_text()])
def test_a_blank_pad_explains_itself(context_of: Contexts, seen: Seen, drawing: str | None) -> None:
    choices = {} if drawing is None else {"drawing": drawing}
    shown = seen(context_of("tiny"), "draw", **choices)

    assert isinstance(shown.blocks[0], Words)
    assert "Draw a digit" in shown.blocks[0].text
    assert shown.figures == {"blank": True}
    assert [control.name for control in shown.controls] == ["centered"]


def test_an_invalid_drawing_is_reported(context_of: Contexts, seen: Seen) -> None:
    words = seen(context_of("tiny"), "draw", drawing="00/0000").blocks[0]

    assert isinstance(words, Words)
    assert words.tone == "error"


def test_checkpoints_are_compared(context_of: Contexts, seen: Seen, saved: dict[str, Path]) -> None:
    context = replace(context_of("tiny"), checkpoints=saved)
    shown = seen(context, "draw", drawing=THREE)

    rows = rows_of(shown)
    other = session_of("tiny", seed=5)
    digit = torch.tensor(reported(shown)["image"], dtype=torch.uint8)
    with torch.no_grad():
        asked = other.model.eval()(other.data.prepare(digit[None])).softmax(dim=1)[0]
    assert list(rows) == ["now", "best", "last", "gone"]
    assert rows["last"][1].startswith(f"{int(asked.argmax())}, {100 * float(asked.max()):.1f} %")
    assert rows["best"][1].startswith("✗ is ")
    assert rows["gone"][1].startswith("✗ cannot be read: No such file")
    predicted = {each["weights"]: each for each in reported(shown)["predictions"]}
    assert predicted["last"]["probabilities"] == pytest.approx(asked.tolist(), abs=1e-5)
    assert "corrupted" in predicted["best"]["error"] or "is no" in predicted["best"]["error"]


def test_a_checkpoint_is_read_once_and_again_when_it_changes(
    context_of: Contexts, saved: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "last.safetensors"
    path.write_bytes(saved["last"].read_bytes())
    context = replace(context_of("tiny"), checkpoints={"last": path})
    reads: list[Path] = []

    def read(path: Path, model: str | None) -> nn.Module:
        reads.append(path)
        return load_model(path, model)

    monkeypatch.setattr(checkpoint_models, "load_model", read)

    for _ in range(3):
        shown = list(view_named("draw")(context, {"drawing": THREE}, False))

    assert len(reads) == 1
    assert len(shown) == 1, "with everything at hand it is one part"
    os.utime(path, ns=(1, 1))
    assert not saved_model_of(path).model.training
    assert len(reads) == 2


def test_images_of_another_size_and_many_classes(context_of: Contexts, seen: Seen) -> None:
    context = context_of("tiny")
    wide = replace(context.data, classes=62)
    model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 62)).eval()
    shown = seen(replace(context, data=wide, model=model), "draw", drawing=THREE)

    bars = shown.blocks[0]
    assert isinstance(bars, Bars)
    assert len(bars.bars) == 10
    assert bars.bars[0].is_marked
    assert len(reported(shown)["predictions"][0]["probabilities"]) == 62


def test_non_finite_weights_are_reported(context_of: Contexts, seen: Seen) -> None:
    context = context_of("tiny")
    logits = nn.Linear(28 * 28, 10)
    nn.init.constant_(logits.weight, float("nan"))
    model = nn.Sequential(nn.Flatten(), logits).eval()
    shown = seen(replace(context, model=model), "draw", drawing=THREE)

    assert isinstance(shown.blocks[0], Words)
    assert shown.result == ""
    assert reported(shown)["predictions"][0]["class"] is None


def test_which_checkpoints_are_compared() -> None:
    epochs = [f"epoch-{number}" for number in range(1, 21)]

    assert chosen(["last", "epoch-10", "best", "epoch-9"], 6) == [
        *("best", "last", "epoch-9", "epoch-10")
    ]
    assert chosen([*epochs, "last", "best"], 6) == [
        *("best", "last", "epoch-5", "epoch-10", "epoch-15", "epoch-20")
    ]
    assert chosen(epochs, 2) == ["epoch-10", "epoch-20"]
    assert chosen([], 6) == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """``small`` after two epochs on all images: accuracy about 98.5 %."""
    store = CheckpointStore()
    for _ in train(RunConfig(model="small", epochs=2, threads=1), Inbox(), store=store):
        pass
    assert store.last_good is not None
    path = tmp_path_factory.mktemp("trained") / "last.safetensors"
    path.write_bytes(store.last_good.to_bytes())
    return saved_model_of(path)


@pytest.mark.slow
@pytest.mark.parametrize("thickness", RADII)
@pytest.mark.parametrize("place", PLACES)
def test_all_ten_digits_are_recognized(trained: SavedModel, place: str, thickness: str) -> None:
    predicted = []
    for digit in range(10):
        image = as_digit(ink_of(drawn(digit, place=place, thickness=thickness)))
        assert image is not None
        probabilities = trained.probabilities(image)
        predicted.append(probabilities.index(max(probabilities)))

    assert predicted == list(range(10))
