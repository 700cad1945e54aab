from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.config_file import (
    Source,
    compose,
    parse_config,
    read_config,
    read_preset,
    to_toml,
)
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.toml_file import MAX_FILE_BYTES

TEXTS = [
    "plain",
    'quo"te',
    "back\\slash",
    "tab\tnew\nline\rreturn",
    "\x00\x01\x7f\x80\x9f",
    "\u2028\u2029\x85",
    "números 数字 🙂",
    "'''\"\"\"",
]


def refusal(text: str) -> str:
    """Return the error about the text of a file named run.toml."""
    with pytest.raises(InputError) as caught:
        compose(parse_config(text, "run.toml"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def read_refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_config(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"model": "small", "lr": 1e-5, "epochs": 10_000, "nesterov": False},
        {"lr": 1},
        {"lr": 1 / 3, "weight_decay": 0.1 + 0.2, "target_accuracy": 1e-17},
        {"dropout": 0.0, "val_size": 0, "augment": "none", "crop": 20},
        *({"data_dir": text} for text in TEXTS),
    ],
)
def test_toml_round_trip(settings: dict[str, Any]) -> None:
    config = RunConfig(**settings)
    for written in (config, config.resolved()):
        text = to_toml(written)
        assert compose(parse_config(text, "run.toml")) == written
        assert compose(parse_config(text.replace("\n", "\r\n"), "run.toml")) == written


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("lr = -1", "line 1, lr: the learning rate must be above 0"),
        ("\n# lr = 3\n  lr=-1 # no\n", "line 3, lr: the learning rate"),
        ("lr_ = 3", "line 1, lr_: unknown setting; choose model, budget, dropout, dataset"),
        ("epochs = 3\n\nepoch = 3", "line 3, epoch: unknown setting"),
        ('epochs = 3\n"lr" = -1', "line 2, lr: the learning rate"),
        ("epochs = 3\n'lr' = -1", "line 2, lr: the learning rate"),
        ("epochs = 3\n'' = 1", "line 2, '': unknown setting"),
        ("'learning rate' = 1", "line 1, 'learning rate': unknown setting"),
        ("epochs = 3\n[training]\nlr = 3", "line 2, training: unknown setting"),
        ("epochs = 3\n[[training]]\nlr = 3", "line 2, training: unknown setting"),
        ("seed = 3\n[lr]\nvalue = 3", "line 2, lr: needs a number, not {'value': 3}"),
        ("seed = 3\n[[ lr ]]\nvalue = 3", "line 2, lr: needs a number, not [{'value': 3}]"),
        ("seed = 3\nlr.value = 3", "line 2, lr: needs a number, not {'value': 3}"),
        ("seed = 3\nlr = [0.1]", "line 2, lr: needs a number, not [0.1]"),
        ('seed = 3\nlr = "0.1"', "line 2, lr: needs a number, not '0.1'"),
        ("seed = 3\nlr = 2026-01-01", "line 2, lr: needs a number"),
        ("lr = nan", "line 1, lr: needs a finite number, not nan"),
        ("lr = -inf", "line 1, lr: needs a finite number, not -inf"),
        ("lr = 1e999", "line 1, lr: needs a finite number, not inf"),
        ("epochs = 3.0", "line 1, epochs: needs an integer, not 3.0"),
        ("nesterov = 1", "line 1, nesterov: needs true or false, not 1"),
        ("model = 'vgg'", "line 1, model: unknown model 'vgg'; choose mlp,"),
        ('data_dir = """\nlr = 3\n"""\nlr = -1', "line 4, lr: the learning rate"),
        ("data_dir = '''\nlr = 3\n'''\nlr = -1", "line 4, lr: the learning rate"),
        ("# it's a comment\nlr = -1 # and it's another", "line 2, lr: the learning rate"),
        ('data_dir = "a\u2028\x85b"\nlr = -1', "line 2, lr: the learning rate"),
        pytest.param("seed = 0x" + "f" * 5_000, "line 1, seed: the seed must be", id="hex"),
    ],
)
def test_an_error_names_file_line_and_key(text: str, place: str) -> None:
    for written in (text, text.replace("\n", "\r\n")):
        assert refusal(written).startswith(f"run.toml, {place}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = 3\nepochs = 4\n", ", line 2, epochs: invalid TOML: Cannot overwrite a value"),
        ("epochs = 3\nlr = \n", ", line 2, lr: invalid TOML: Invalid value"),
        ("epochs = 3\nlr = 0,1\n", ", line 2, lr: invalid TOML: "),
        ("epochs = 3\nlr\n", ", line 2: invalid TOML: "),
        ("epochs = 3\nmodel = 'small", ", line 2, model: invalid TOML: "),
        ("\n\nlr = [1,\n2\n", ", line 4: invalid TOML: "),
        ("epochs = 3\nmodel = era-s6\n", ", line 2, model: invalid TOML: Invalid value"),
        ("{\n  'epochs': 3\n}\n", ", line 1: invalid TOML: "),
        ("epochs = 3\x00\n", ", line 1, epochs: invalid TOML: "),
        pytest.param("a = " + "[" * 100_000, ": invalid TOML: nested too deeply", id="deep"),
        pytest.param("epochs = " + "9" * 5_000, ": invalid TOML: Exceeds the limit", id="long"),
    ],
)
def test_invalid_toml_names_its_line(text: str, message: str) -> None:
    assert refusal(text).startswith(f"run.toml{message}")


def test_later_sources_override_earlier_ones() -> None:
    config = compose(
        parse_config("lr = 0.5\nepochs = 3\nseed = 7", "one"),
        parse_config("epochs = 4\nseed = 8", "two"),
        Source({"seed": 9}),
    )
    assert (config.lr, config.epochs, config.seed) == (0.5, 4, 9)
    assert compose() == RunConfig()


def test_an_invalid_value_names_its_source() -> None:
    good, bad = parse_config("batch_size = 8", "good"), parse_config("\nbatch_size = 0", "bad")
    for sources, place in [
        ((good, bad), "bad, line 2, batch_size: "),
        ((good, Source({"batch_size": 0})), "--batch-size: "),
        ((bad, Source({"lr": -1.0}), good), "--lr: "),
    ]:
        with pytest.raises(InputError) as caught:
            compose(*sources)
        assert str(caught.value).startswith(place)
    assert compose(bad, good).batch_size == 8


def test_an_augmentation_preset_resets_earlier_values() -> None:
    written = parse_config(to_toml(RunConfig(augment="light", rotate=40.0).resolved()), "run.toml")
    assert compose(written).augmentation.rotate == 40
    assert compose(written, Source({"rotate": 5.0})).augmentation.rotate == 5
    assert compose(written, Source({"augment": "none"})).augmentation.is_none
    again = compose(written, Source({"augment": "course", "shift": 1.0}))
    assert again.augmentation == RunConfig(augment="course", shift=1.0).augmentation


def test_the_budget_is_that_of_the_model_where_none_is_set() -> None:
    assert compose().budget == compose(Source({"model": "net.py:Net"})).budget == 20_000
    model = Source({"model": "norm-layer"})
    assert compose(model).budget == 50_000
    assert compose(model, Source({"model": "small"})).budget == 20_000
    assert compose(Source({"budget": 7}), model).budget == 7


def test_a_preset_is_the_course_recipe() -> None:
    config = compose(read_preset("era-s6"))
    assert (config.batch_size, config.lr, config.momentum, config.nesterov) == (
        512,
        0.01,
        0.9,
        False,
    )
    assert (config.schedule, config.step_size, config.epochs) == ("step", 15, 20)
    assert config.augment == "course"


@pytest.mark.parametrize(
    ("name", "most"), [("fast", 4), ("tiny", 12), ("micro", 15), ("nano", 30), ("pico", 30)]
)
def test_the_winning_presets_train_on_every_image_for_few_epochs(name: str, most: int) -> None:
    config = compose(read_preset(name))

    assert (config.val_size, config.train_size) == (0, None)
    assert config.epochs <= most
    assert compose(read_preset(name), Source({"val_size": 5_000})).val_size == 5_000


def test_the_preset_for_color_also_reads_a_folder() -> None:
    config = compose(read_preset("cifar10"))

    assert (config.model, config.dataset, config.budget) == ("residual", "cifar10", 200_000)
    assert config.augmentation.flip > 0
    folder = compose(read_preset("cifar10"), Source({"data_dir": "pictures"}))
    assert (folder.data_dir, folder.budget) == ("pictures", 200_000)
    assert folder.augmentation == config.augmentation


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(
        InputError,
        match=r"^--preset: unknown preset '\.\./x'; choose cifar10, era-s6, fast, micro, nano",
    ):
        read_preset("../x")


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(b"\xef\xbb\xbf# mine\r\nepochs = 3\r\nlr = -1\r\n")
    source = read_config(path)
    assert source.settings == {"epochs": 3, "lr": -1}
    assert source.place("lr") == f"{path}, line 3, lr"


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_refusal(tmp_path / "none.toml") == ": cannot be read: No such file or directory"
    assert read_refusal(tmp_path) == ": cannot be read: Is a directory"

    def refuse(*args: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert read_refusal(tmp_path / "a") == ": cannot be read: Permission denied"


def test_an_unprintable_name_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_config(tmp_path / "a\x1b[31m\udcff\n.toml")
    assert "a\\x1b[31m\\udcff\\n.toml': cannot be read: " in str(caught.value)


def test_files_of_other_types(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(b"epochs = 3\nmodel = '\xff\xfe'\n")
    assert read_refusal(path) == ", line 2: not UTF-8 text; save the file as UTF-8"
    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    assert "too large for such a file" in read_refusal(path)
    path.write_bytes(b"#" * MAX_FILE_BYTES)
    assert read_config(path).settings == {}


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no such device here")
def test_an_endless_file_is_refused() -> None:
    assert "too large for such a file" in read_refusal(Path("/dev/zero"))


def test_a_pipe_is_read() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"epochs = 3\n")
    os.close(writer)
    try:
        path = Path(f"/dev/fd/{reader}")
        if not path.exists():
            pytest.skip("this system has no /dev/fd")
        assert read_config(path).settings == {"epochs": 3}
    finally:
        os.close(reader)
