"""A model is given as an argument or with --model, to every command that takes one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Printed, Refused

MODEL_FILE = (
    "from torch import nn\ndef net(): return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n"
)


@pytest.fixture
def custom_model() -> str:
    Path("own").mkdir()
    Path("own/net.py").write_text(MODEL_FILE)
    return "own/net.py:net"


@pytest.mark.parametrize("command", ["model", "review"])
@pytest.mark.parametrize("words", [["{}"], ["--model", "{}"], ["{}", "--model", "./{}"]])
def test_a_model_is_described(run: Cli, custom_model: str, command: str, words: list[str]) -> None:
    code, out, err = run(command, *(word.format(custom_model) for word in words), "--json")
    assert (code in (0, 5), err) == (True, "")
    assert json.loads(out)["model"] in (custom_model, f"./{custom_model}")


@pytest.mark.parametrize("words", [["tiny", "mlp"], ["tiny", "--model", "mlp"]])
def test_two_models_are_compared(run: Cli, words: list[str]) -> None:
    code, out, _ = run("compare", *words, "--json")
    assert code == 0
    assert [each["model"] for each in json.loads(out)] == ["tiny", "mlp"]


def test_two_named_models_are_compared(run: Cli) -> None:
    code, out, _ = run("compare", "--model", "tiny", "--model", "mlp", "--json")
    assert (code, [each["model"] for each in json.loads(out)]) == (0, ["tiny", "mlp"])


def test_a_lesson_is_shown_on_a_model(run: Cli, custom_model: str) -> None:
    both = [
        run("learn", "softmax", *words) for words in ([custom_model], ["--model", custom_model])
    ]
    assert both[0] == both[1]
    assert both[0][0] == 0


@pytest.mark.parametrize(
    "words",
    [
        ["tiny"],
        ["tiny", "--lr", "0.2"],
        ["--lr", "0.2", "tiny"],
        ["--no-probes", "tiny", "--epochs", "3"],
        ["--model", "tiny"],
        ["--model", "tiny", "tiny"],
        ["tiny", "--model", "tiny"],
    ],
)
def test_a_new_run_takes_its_model_in_two_ways(printed: Printed, words: list[str]) -> None:
    # --print-config comes last, and is read although it follows the model.
    assert printed(*words).model == "tiny"


def test_a_new_run_of_a_custom_model(printed: Printed, custom_model: str) -> None:
    assert printed(custom_model).model == str(Path.cwd() / "own" / "net.py") + ":net"
    assert printed("package.module:net").model == "package.module:net"


def test_the_word_counts_more_than_the_file(printed: Printed) -> None:
    Path("run.toml").write_text('model = "mlp"\nepochs = 3\n')
    config = printed("tiny", "--config", "run.toml")
    assert (config.model, config.epochs) == ("tiny", 3)


@pytest.mark.parametrize(
    "words",
    [
        ["tiny", "--model", "mlp"],
        ["--model", "mlp", "tiny"],
        ["model", "tiny", "--model", "mlp"],
        ["review", "tiny", "--model", "mlp"],
        ["check", "tiny", "--model", "mlp"],
        ["learn", "softmax", "tiny", "--model", "mlp"],
    ],
)
def test_two_models_where_one_is_expected(refused: Refused, words: list[str]) -> None:
    output = "--model mlp: the model is already given as tiny; remove one of them"
    assert refused(*words) == output


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["compare", "tiny"], "compare needs two models, not 1"),
        (["compare"], "compare needs two models, not 0"),
        (["compare", "tiny", "mlp", "--model", "small"], "compare needs two models, not 3"),
        (["nowhere.py"], "nowhere.py"),
        (["tinny"], "No such command 'tinny'"),
        (["tiny", "runs"], "--model: is an option of a new run"),
        (["tiny", "mlp"], "No such command 'mlp'"),
        (["tiny", "--lr"], "'--lr' requires an argument"),
    ],
)
def test_words_that_are_no_model(
    data_refused: Refused, monkeypatch: pytest.MonkeyPatch, words: list[str], output: str
) -> None:
    assert output in data_refused(*words, *(["--no-ui"] if words[0] == "nowhere.py" else []))


def test_a_command_wins_over_a_model_of_that_name(
    run: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("runs.py").write_text(MODEL_FILE)
    code, _, err = run("runs")
    assert (code, err) == (0, "runs: contains no runs\n")
