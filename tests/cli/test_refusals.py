"""Input errors of the command line: one line on stderr, nothing on stdout, exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.cli.conftest import Cli, Refused
from tests.data.idx_files import write_dataset
from tui_trainer.protocol.exit_codes import ExitCode

# Bad input


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["--model", "vgg"], "--model: unknown model 'vgg'; choose mlp, conv-fc, "),
        (["--dataset", "cifar"], "--dataset: unknown dataset 'cifar'; choose mnist, fashion"),
        (["--optimizer", "x"], "--optimizer: unknown optimizer 'x'; choose sgd, adam, adamw"),
        (["--schedule", ""], "--schedule: unknown schedule ''; choose constant, step"),
        (["--augment", "x"], "--augment: unknown augment 'x'; choose none, light, course"),
        (["--device", "tpu"], "--device: unknown device 'tpu'; choose auto, cpu, cuda, mps"),
        (["--preset", "x"], "--preset: unknown preset 'x'; choose cifar10, era-s6, fast, micro, "),
        (["--lr", "-1"], "--lr: the learning rate must be above 0 and at most 1,000, not -1.0"),
        (["--lr", "0"], "--lr: the learning rate must be above 0 and at most 1,000, not 0"),
        (["--lr", "nan"], "--lr: needs a finite number, not nan"),
        (["--lr", "-inf"], "--lr: needs a finite number, not -inf"),
        (["--lr", "1e999"], "--lr: needs a finite number, not inf"),
        (["--batch-size", "0"], "--batch-size: the batch size must be from 1 to 65,536, not 0"),
        (["--epochs", "0"], "--epochs: epochs must be from 1 to 10,000, not 0"),
        (["--epochs", "9" * 30], f"--epochs: epochs must be from 1 to 10,000, not {'9' * 30}"),
        (["--seed", "-1"], "--seed: the seed must be from 0 to 4,294,967,295, not -1"),
        (["--dropout", "1"], "--dropout: dropout must be from 0 to 0.95, not 1.0"),
        (["--val-size", "-1"], "--val-size: the validation split's size must be 0 or more"),
        (["--momentum", "0"], "--nesterov: needs momentum above 0; or switch nesterov off"),
        (["--target-accuracy", "99"], "--target-accuracy: the target accuracy must be a fraction"),
        (["--data-dir", ""], "--data-dir: names no folder"),
        (["--data-dir", "\udcff"], "--data-dir: needs valid UTF-8 text, not '\\udcff'"),
        (["--json"], "--json: add --no-ui; the window needs the terminal for itself"),
        (["--paused", "--no-ui"], "--paused: cannot be used with --no-ui"),
        (["--guide", "--no-ui"], "--guide: cannot be used with --no-ui"),
        (["--no-ui", "--theme", "x"], "unknown theme 'x'; "),
    ],
)
def test_a_value_that_cannot_be_used(refused: Refused, arguments: list[str], output: str) -> None:
    assert refused(*arguments).startswith(output)


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["--epochs", "1e9"], "'--epochs'"),
        (["--epochs", "9" * 5_000], "'--epochs'"),
        (["--epochs", "ten"], "'--epochs'"),
        (["--lr", "fast"], "'--lr'"),
        (["--lr"], "'--lr' requires an argument"),
        (["--learning-rate", "1"], "--learning-rate"),
        (["--no-ui", "train"], "train"),
        (["--epochs", "\x1b[2J\n3"], "'--epochs'"),
    ],
)
def test_an_option_that_cannot_be_understood(
    refused: Refused, arguments: list[str], output: str
) -> None:
    line = refused(*arguments)
    assert output in line
    assert line.endswith("; see --help")
    assert line.isprintable()


def test_the_line_names_the_file_the_line_and_the_key(refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    for text, output in [
        ("epochs = 3\nlr = -1\n", f"{path}, line 2, lr: the learning rate must be above 0"),
        ("epochs = 3\nrate = 1\n", f"{path}, line 2, rate: unknown setting"),
        ("epochs = 3\nepochs = 1\n", f"{path}, line 2, epochs: invalid TOML: "),
        ("epochs = 3\nmodel = 1\n", f"{path}, line 2, model: needs a string in quotes, not 1"),
        ("[training]\nlr = 1\n", f"{path}, line 1, training: unknown setting"),
        ("[lr]\nlr = 1\n", f"{path}, line 1, lr: needs a number, not "),
        ("epochs = 3\nlr = inf\n", f"{path}, line 2, lr: needs a finite number, not inf"),
        ("epochs = 3\nlr =\n", f"{path}, line 2, lr: invalid TOML: "),
    ]:
        path.write_text(text)
        assert refused("--config", path, "--no-ui").startswith(output)


def test_configs_that_are_no_files(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")
    (tmp_path / "large.toml").write_bytes(b"#" * 100_000)
    for name, output in [
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "none.toml", "cannot be read: No such file or directory"),
        (tmp_path / "binary.toml", "line 1: not UTF-8 text; save the file as UTF-8"),
        (tmp_path / "large.toml", "too large for such a file"),
        ("-", "cannot be read: No such file or directory"),
    ]:
        line = refused("--config", name)
        assert line.startswith(str(name))
        assert output in line


def test_a_theme_file_that_is_broken(refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nprimary = "no color"\n')
    line = refused("--no-ui", "--theme", path)
    assert line.startswith(f"{path}, line 2: primary: ")


def test_an_output_folder_that_holds_a_run(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("")
    output = f"--out {tmp_path}: already contains a run (events.jsonl); choose another folder"
    assert refused("--no-ui", "--out", tmp_path) == output


def test_an_output_folder_that_cannot_be_written(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "run"
    assert refused("--no-ui", "--out", place).startswith(f"--out {place}: cannot be written: ")
    assert "no such user" in refused("--no-ui", "--out", "~nobody-has-this-name/run")

    def refuse(*args: Any, **more: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    line = refused("--no-ui", "--out", tmp_path / "run")
    assert line.endswith("cannot be written: Permission denied; choose another folder")


def test_a_home_folder_is_meant_by_the_tilde(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text("")
    assert f"--out {tmp_path}/run: already contains a run" in refused("--no-ui", "--out", "~/run")


def test_without_a_terminal_there_is_no_window(refused: Refused) -> None:
    assert refused() == "the window needs a terminal; in a script or a pipe, add --no-ui"


def test_without_any_input_there_is_no_window(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert refused().startswith("the window needs a terminal")


# Bad data: these reach the engine, in the same process to load PyTorch once


def damaged(folder: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    write_dataset(folder, gzip=False)
    path = folder / name
    path.write_bytes(change(path.read_bytes()))
    return path


@pytest.mark.parametrize(
    ("name", "change", "output"),
    [
        ("train-images-idx3-ubyte", lambda data: data[:-1], "cut short"),
        ("train-images-idx3-ubyte", lambda data: b"\1" + data[1:], "not an IDX file"),
        ("train-images-idx3-ubyte", lambda data: data + b"\0", "more follows"),
        ("t10k-images-idx3-ubyte", lambda _: b"", "empty"),
        ("train-labels-idx1-ubyte", lambda data: data[:7] + b"\x3b" + data[8:-1], "59 labels for"),
        ("train-labels-idx1-ubyte", lambda data: data[:-1] + b"\xc8", "label 200 occurs 1 time"),
        ("t10k-labels-idx1-ubyte", lambda data: data[:-1] + b"\x0a", "label 10 occurs 1 time"),
    ],
)
def test_data_that_are_damaged(
    data_refused: Refused, tmp_path: Path, name: str, change: Callable[[bytes], bytes], output: str
) -> None:
    path = damaged(tmp_path / "data", name, change)
    out = tmp_path / "run"
    line = data_refused("--no-ui", "--data-dir", tmp_path / "data", "--out", out)
    assert line.startswith(f"{path}: ")
    assert output in line
    assert not out.exists(), "a run that could not begin leaves no folder behind"


def test_data_that_are_not_there(data_refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder, output in [
        (tmp_path / "none", "no such folder; check the path"),
        (tmp_path / "file", "not a folder; name the folder of the files"),
        (tmp_path, ""),
    ]:
        assert data_refused("--no-ui", "--data-dir", folder).startswith(f"{folder}: {output}")


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["--val-size", "60"], "--val-size 60: data has 60 training images; leave at least one"),
        (["--val-size", "9" * 30], "--val-size 999,999,999"),
        (["--val-size", "10", "--train-size", "51"], "--train-size 51: data has only 50 images"),
        (["--classes", "9"], "label 9 occurs"),
        (["--dropout", "0.5"], "--dropout 0.5: era-s6 has no dropout layer; --model"),
        (["--model", "era-s6-plain", "--dropout", "0"], "--dropout 0: era-s6-plain has no"),
    ],
)
def test_settings_that_do_not_fit_the_data(
    data_refused: Refused, tmp_path: Path, arguments: list[str], output: str
) -> None:
    folder = write_dataset(tmp_path / "data", gzip=False)
    assert output in data_refused("--no-ui", "--data-dir", folder, *arguments)


# Unexpected errors


@pytest.mark.parametrize("debug", [False, True])
def test_an_unexpected_error_is_a_line_and_a_traceback_on_request(
    run: Cli, monkeypatch: pytest.MonkeyPatch, debug: bool
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("division by\nzero")

    monkeypatch.setattr("tui_trainer.cli.train.compose_run", fail)
    code, out, err = run(*(["--debug"] if debug else []))
    assert (code, out) == (ExitCode.FAILED, "")
    assert err.splitlines()[-1] == "mnist-tui: error: ZeroDivisionError: division by zero"
    assert ("Traceback" in err) == debug


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, typer.Abort])
def test_ctrl_c_before_the_run(
    run: Cli, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    def interrupt(*_: object) -> None:
        raise interruption

    monkeypatch.setattr("tui_trainer.cli.train.compose_run", interrupt)
    code, out, err = run("--no-ui")
    assert (code, out) == (ExitCode.INTERRUPTED, "")
    assert "Traceback" not in err


def test_without_stderr_stdout_stays_for_data(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None)
        code, out, _ = run("--lr", "-1")
    assert (code, out) == (2, "")
