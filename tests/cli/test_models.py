"""``mnist-tui model``, ``review``, ``compare`` and ``zoo``."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, Refused
from tests.faults.forks import call, command
from tui_trainer.cli.model_formats import FORMATS
from tui_trainer.protocol.config import MODELS
from tui_trainer.text.escaping import markdown_escape

MODEL_FORMS = """
from torch import nn

class Net(nn.Module):
    '''A custom model.'''

    def __init__(self, in_channels=1, classes=10):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3)
        self.bend = nn.ReLU()
        self.head = nn.Conv2d(4, classes, 1)

    def forward(self, x):
        x = self.bend(self.conv(x))
        return self.head(x).mean([2, 3])
"""


@pytest.fixture
def custom_model(tmp_path: Path) -> str:
    path = tmp_path / "net.py"
    path.write_text(MODEL_FORMS, encoding="utf-8")
    return f"{path}:Net"


def loads(run: Cli, *arguments: object, code: int = 0) -> Any:
    got, out, err = run(*arguments, "--json")
    assert (got, err) == (code, "")
    return json.loads(out)


# --- model


def test_the_courses_model_has_the_courses_table(run: Cli) -> None:
    """The table of the course's page, in its notation, layer by layer."""
    record = loads(run, "model", "era-s6")

    output = [
        (layer["kind"], tuple(layer["output_shape"]))
        for layer in record["layers"]
        if layer["kind"] not in ("batch norm", "relu", "flatten")
    ]
    assert output == [
        ("input", (28, 28, 1)),
        ("conv", (28, 28, 16)),
        ("conv", (28, 28, 32)),
        ("conv", (28, 28, 16)),
        ("max pool", (14, 14, 16)),
        ("conv", (14, 14, 16)),
        ("conv", (14, 14, 64)),
        ("conv", (14, 14, 16)),
        ("max pool", (7, 7, 16)),
        ("conv", (3, 3, 10)),
        ("average pool", (1, 1, 10)),
    ]
    assert record["totals"]["parameters"] == 19_568


def test_every_layer_has_its_figures_and_they_add_up(run: Cli) -> None:
    record = loads(run, "model", "small", "--budget", 10_000, "--batch-size", 4)

    layers, totals = record["layers"], record["totals"]
    for key in ("parameters", "multiply_adds", "activation_bytes", "budget_share"):
        assert sum(layer[key] for layer in layers) == pytest.approx(totals[key])
    assert totals["budget_share"] == pytest.approx(totals["parameters"] / 10_000)
    conv1 = next(layer for layer in layers if layer["name"] == "conv1")
    assert (conv1["type"], conv1["receptive_field"], conv1["jump"]) == ("Conv2d", 3, 1)
    assert conv1["output_shape"] == [28, 28, 8]
    assert conv1["multiply_adds"] == 28 * 28 * 8 * 9
    assert conv1["activation_bytes"] == 28 * 28 * 8 * 4 * 4
    assert conv1["inputs"] == ["input"]


def test_the_fields_are_measured_on_demand(run: Cli) -> None:
    layers = loads(run, "model", "tiny", "--measure")["layers"]

    for layer in layers:
        size = min(layer["receptive_field"], 28)
        if layer["name"].startswith(("conv1", "depth2", "point2")):
            assert layer["measured"] == f"{size}×{size}"
    assert layers[-1]["measured"] == "28×28"
    assert "measured" not in loads(run, "model", "tiny")["layers"][0]


def test_the_table_is_for_reading(run: Cli) -> None:
    code, out, err = run("model")

    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("era-s6: ")
    assert "19,568 parameters, 97.8 % of 20,000" in lines[1]
    head = next(line for line in lines if line.startswith("layer"))
    assert head.split("  ")[0] == "layer"
    for title in ("input", "of 20,000", "multiply-adds", "memory", "field", "jump", "start"):
        assert title in head
    conv4 = next(line for line in lines if line.startswith("  conv4 "))
    assert "14×14×64" in conv4
    assert "9,216" in conv4
    assert "███████████ " in conv4
    assert lines[-1].startswith("total")


def test_a_table_fits_its_terminal(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_trainer.headless.streams.is_terminal", lambda stream: True)
    monkeypatch.setattr("tui_trainer.headless.streams.terminal_width", lambda stream: 80)
    _, out, _ = run("model", "small")

    lines = out.splitlines()
    assert max(map(len, lines)) < 80
    assert not any("…" in line for line in lines)
    head = next(line for line in lines if line.startswith("layer"))
    assert {"output", "parameters", "field"} <= set(head.split())
    assert "start" not in head


def test_markdown(run: Cli) -> None:
    code, out, _ = run("model", "mlp", "--format", "markdown")

    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert code == 0
    assert len({row.count("|") for row in rows}) == 1
    assert set(rows[1]) <= set("|-: ")
    assert rows[-1].startswith("| **total** |")
    assert len(rows) == 2 + 5 + 1  # head and rule; input and four layers; the total


HOSTILE = """
from collections import OrderedDict
from torch import nn

class Net(nn.Sequential):
    '''A *model* | <script> with $names$ & 100 % of \\\\input{x}_1 = ^2.'''

    def __init__(self):
        super().__init__(OrderedDict([
            ("=cmd()", nn.Conv2d(1, 4, (3, 5), stride=(2, 1))),
            ("a|b_c%&#${}~^", nn.ReLU()),
            ("@größe层", nn.AdaptiveAvgPool2d(1)),
            ("-1+1", nn.Flatten()),
            ("[0]", nn.Linear(4, 10)),
        ]))
"""


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    path = tmp_path / "net.py"
    path.write_text(HOSTILE, encoding="utf-8")
    return f"{path}:Net"


def test_names_are_escaped_in_every_format(run: Cli, hostile: str) -> None:
    _, out, _ = run("model", hostile, "--format", "csv")
    head, *rows = csv.reader(io.StringIO(out))
    named = [dict(zip(head, row, strict=True)) for row in rows]
    assert [row["layer"] for row in named] == [
        *("input", "'=cmd()", "a|b_c%&#${}~^", "'@größe层", "'-1+1", "[0]")
    ]
    assert (named[1]["k"], named[1]["s"], named[1]["r_out"]) == ("3x5", "2x1", "3x5")

    _, out, _ = run("model", hostile, "--format", "markdown")
    assert "<script>" not in out
    assert f"| {markdown_escape('a|b_c%&#${}~^')} | relu |" in out
    lines = [line.replace(r"\|", "") for line in out.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert "| 3×5 | 2×1 | 0 | 1 | 1 | 2×1 | 3×5 | 64 |" in out

    _, out, _ = run("model", hostile, "--format", "latex")
    assert out.isascii()
    assert r"\input" not in out
    assert r"{}@gr\"{o}\ss{}eU+5C42 & average pool &" in out


def test_json_is_the_same_by_both_names(run: Cli) -> None:
    assert run("model", "tiny", "--format", "json") == run("model", "tiny", "--json")


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", MODELS)
def test_the_courses_columns_are_consistent_and_measured(run: Cli, name: str) -> None:
    """A feature in the middle of a map depends on Rout × Rout pixels, if they are on the image."""
    _, out, _ = run("model", name, "--format", "csv", "--measure")
    rows = [*csv.DictReader(io.StringIO(out))]
    layers = loads(run, "model", name)["layers"]

    for row, layer in zip(rows, layers, strict=True):
        r_out, j_out = int(row["r_out"]), int(row["j_out"])
        assert (r_out, j_out) == (layer["receptive_field"], layer["jump"])
        if row["k"] and row["r_in"]:
            r_in, k, s, d, j_in = (int(row[key]) for key in ("r_in", "k", "s", "d", "j_in"))
            assert (r_out, j_out) == (r_in + (k - 1) * d * j_in, j_in * s)
        tall, wide = map(int, row["measured"].split("x"))
        # Where the field reaches over the edge of the image, the padding is not measured.
        assert max(tall, wide) <= min(r_out, 28)
        if _is_inside(layer):
            assert (tall, wide) == (r_out, r_out)


def _is_inside(layer: dict[str, Any]) -> bool:
    """Whether the receptive field of the feature in the middle lies on the image."""
    middle = layer["start"] + layer["output_shape"][0] // 2 * layer["jump"]
    reach = (layer["receptive_field"] - 1) / 2
    return bool(middle - reach >= 0 and middle + reach <= 27)


def test_a_custom_model(run: Cli, custom_model: str) -> None:
    record = loads(run, "model", custom_model, "--channels", 3, "--image-size", 32, "--classes", 7)

    assert record["about"] == "A custom model."
    assert record["layers"][0]["output_shape"] == [32, 32, 3]
    assert record["layers"][-1]["output_shape"] == [1, 1, 7]
    assert record["totals"]["parameters"] == 4 * 27 + 4 + 4 * 7 + 7
    assert record["totals"]["receptive_field"] == 32
    code, out, _ = run("model", custom_model)
    assert code == 0
    assert out.startswith("net.py:Net: A custom model.")


STRANGE = """
import torch
from torch import nn

class Talks(nn.Module):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(3, 3)
        self.logits = nn.Linear(784, 10)

    def forward(self, x):
        print("forward!")
        return self.logits(x.flatten(1))

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.logits = nn.Linear(784, 10)

    def forward(self, x):
        return self.logits(x.flatten(1))

def scripted():
    return torch.jit.script(Plain())
"""


@pytest.mark.filterwarnings("ignore:.*jit:DeprecationWarning")
def test_an_odd_model_breaks_nothing(run: Cli, tmp_path: Path) -> None:
    path = tmp_path / "strange.py"
    path.write_text(STRANGE, encoding="utf-8")

    code, out, err = run("model", f"{path}:Talks", "--json", "--measure")
    layers = json.loads(out)["layers"]
    assert code == 0
    assert "forward!" in err
    assert [layer["measured"] for layer in layers] == ["1×1", "1×1", "28×28", "—"]
    assert layers[-1]["parameters"] == 12
    code, out, _ = run("model", f"{path}:scripted", "--measure")
    assert code == 0
    assert "7,850" in out
    assert "— no receptive field: none of its operations can be traced" in out
    assert run("review", f"{path}:scripted")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model", "smal"], "small"),
        (["model", "--json", "--format", "csv"], "--json: cannot be used with --format csv"),
        (["model", "--format", "xml"], "--format xml: choose from text, torchsummary,"),
        (["model", "--format", ""], "--format : choose from text"),
        (["model", "--measure", "--format", "torchinfo"], "--measure: cannot be used with"),
        (["model", "--budget", "0"], "--budget 0: choose from 1"),
        (["model", "--image-size", "5000"], "--image-size 5000"),
        (["model", "--classes", "0"], "--classes 0"),
        (["model", "--channels", "-1"], "--channels -1"),
        (["model", "--batch-size", "0"], "--batch-size 0"),
        (["model", "era-s6", "--channels", "2"], "--channels 2"),
        (["model", "era-s6", "--image-size", "4"], "--image-size 4"),
        (["model", "nowhere.py:Net"], "nowhere.py"),
        (["review", "lenet"], "lenet"),
        (["compare", "era-s6", "lenet"], "lenet"),
        (["compare", "era-s6"], "compare needs two models, not 1"),
    ],
)
def test_unusable_input_is_one_line(
    data_refused: Refused, arguments: list[str], words: str
) -> None:
    assert words in data_refused(*arguments)


# --- review


def test_the_review_finds_what_the_course_really_ran(run: Cli) -> None:
    record = loads(run, "review", "era-s6-as-run", code=5)

    wrong = [v["code"] for v in record["verdicts"] if v["severity"] == "error"]
    assert wrong == ["activation-before-logits"]
    assert record["counts"]["error"] == 1
    assert any("16 of 25" in v["evidence"] for v in record["verdicts"] if v["severity"] == "note")
    order = [v["severity"] for v in record["verdicts"]]
    assert order == sorted(order, key=["error", "warning", "note", "ok"].index)
    for verdict in record["verdicts"]:
        assert 1 <= verdict["lesson"] <= 20
        assert verdict["evidence"]


@pytest.mark.parametrize("name", ["era-s6", "small", "tiny"])
def test_the_review_finds_no_error_in_the_best_model(run: Cli, name: str) -> None:
    assert loads(run, "review", name)["counts"]["error"] == 0


def test_a_smaller_budget_is_exceeded(run: Cli) -> None:
    code, out, err = run("review", "tiny", "--budget", 4_000)

    assert (code, err) == (5, "")
    assert "▲ over the parameter budget" in out
    assert "4,000" in out
    assert "lesson 8: number of kernels" in out


# --- compare, zoo


def test_two_models_side_by_side(run: Cli) -> None:
    code, out, err = run("compare", "era-s6", "small")

    assert (code, err) == (0, "")
    assert "19,568" in out
    assert "19,810" in out
    parameters = next(line for line in out.splitlines() if line.startswith("parameters"))
    assert parameters.index("✓") < parameters.index("19,810")
    assert "≠" in out
    left, right = loads(run, "compare", "era-s6", "small")
    assert (left["model"], right["model"]) == ("era-s6", "small")
    assert left["totals"]["parameters"] == 19_568


def test_a_model_next_to_itself_differs_nowhere(run: Cli) -> None:
    _, out, _ = run("compare", "tiny", "tiny")

    assert "≠" not in out
    assert "✓" not in out


def test_the_zoo_is_listed_in_the_order_of_its_story(run: Cli) -> None:
    records = loads(run, "zoo")

    assert tuple(record["model"] for record in records) == MODELS
    for record in records:
        assert record["about"]
        assert record["totals"]["parameters"] > 0
    _, out, _ = run("zoo")
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(MODELS)


def test_the_zoo_is_listed_for_other_images(run: Cli) -> None:
    gray = {each["model"]: each["totals"] for each in loads(run, "zoo")}
    color = loads(run, "zoo", "--channels", "3", "--image-size", "32")

    assert [each["model"] for each in color] == list(MODELS)
    for each in color:
        assert each["totals"]["parameters"] > gray[each["model"]]["parameters"]
        assert each["totals"]["multiply_adds"] > gray[each["model"]]["multiply_adds"]
    code, out, err = run("zoo", "--image-size", "4")
    assert (code, out) == (2, "")
    assert "--image-size 4" in err


def test_the_budget_is_that_of_the_model_unless_it_is_given(run: Cli) -> None:
    for_color = ("--channels", "3", "--image-size", "32")

    code, out, _ = run("review", "residual", *for_color)
    assert code == 0
    assert "of 200,000" in out
    code, out, _ = run("review", "residual", *for_color, "--budget", "20000")
    assert code == 5
    assert "▲ over the parameter budget" in out
    _, out, _ = run("compare", "norm-group", "small")
    assert "share of 50,000" in out


def test_a_closed_pipe_ends_without_a_message(tmp_path: Path) -> None:
    def review() -> None:
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, 1)
        command("review", "mlp")()

    ended = call(review, tmp_path / "said")

    assert (ended.code, ended.err) == (141, "")


# --- figures of models that are not chains of convolutions


LOOP = """
import torch
from torch import nn

class Net(nn.Module):
    '''A cell by hand, with a head that helps in training and a comparison at its end.'''

    def __init__(self):
        super().__init__()
        self.cell, self.keep = nn.Linear(28, 6), nn.Linear(6, 6)
        self.early, self.head = nn.Linear(6, 10), nn.Linear(6, 10)

    def forward(self, x):
        state = x.new_zeros(len(x), 6)
        for row in x.squeeze(1).unbind(1):
            state = torch.tanh(self.cell(row) + self.keep(state))
        if self.training:
            return self.head(state) + self.early(state)
        return self.head(state) * (state > 2).any(1, keepdim=True)
"""


def test_loops_training_only_heads_and_what_cannot_be_measured(run: Cli, tmp_path: Path) -> None:
    path = tmp_path / "loop.py"
    path.write_text(LOOP, encoding="utf-8")
    record = loads(run, "model", f"{path}:Net", "--measure")
    layers = {layer["name"]: layer for layer in record["layers"]}

    assert layers["keep"]["repeats"] == 27
    assert layers["used only in training mode"]["parameters"] == 70
    assert layers["gt"]["measured"] == "—"
    assert layers["mul"]["measured"] == "28×28"
    assert record["totals"]["multiply_adds"] == 28 * (28 * 6 + 6 + 36 + 6) + 70

    code, out, _ = run("model", f"{path}:Net", "--measure")
    assert code == 0
    assert "fully connected × 27" in out
    assert "— not measured: no gradient flows through" in out

    code, out, _ = run("review", f"{path}:Net")
    assert "unused parameters" not in out
    for other in FORMATS:
        assert run("model", f"{path}:Net", "--format", other)[0] == 0
    assert run("compare", f"{path}:Net", "tiny")[0] == 0
