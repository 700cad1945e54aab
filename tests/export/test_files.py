from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tui_trainer.export.targets import replacing, require
from tui_trainer.protocol.errors import InputError


def write(path: Path, content: str) -> None:
    with replacing(path) as part:
        part.write_text(content)


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    write(path, "new")

    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert (part.parent, part.suffix) == (tmp_path, ".csv")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_no_half_written_one(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as part:
            part.write_text("ne")
            raise error

    with pytest.raises(error):
        fail()

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_file_gets_the_rights_that_any_new_file_gets(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()

    write(tmp_path / "a.csv", "new")

    assert (tmp_path / "a.csv").stat().st_mode == usual.stat().st_mode


def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "link", tmp_path / "there" / "target"
    link.symlink_to(target)

    write(link, "new")

    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.csv"

    with pytest.raises(InputError) as caught:
        write(path, "new")

    assert str(caught.value) == f"{path}: cannot be written: No such file or directory"


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_only_an_ordinary_file_is_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    path.mkdir() if kind == "folder" else os.mkfifo(path)

    with pytest.raises(InputError, match="not an ordinary file"):
        write(path, "new")

    assert path.is_dir() if kind == "folder" else path.is_fifo()
    assert os.listdir(tmp_path) == ["a"]


def test_a_package_that_is_there_is_given() -> None:
    assert require("os.path", "the test") is os.path


def test_a_package_that_is_not_there_is_named_with_what_to_install() -> None:
    with pytest.raises(InputError) as caught:
        require("no_such_package.part", "the test")

    assert str(caught.value) == (
        'the test needs no_such_package, which is not installed: pip install "mnist-tui[export]"'
    )


def test_a_package_that_does_not_load_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text("raise ImportError('libfoo.so:\\n not found')")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(InputError) as caught:
        require("broken_package", "the test")

    assert "broken_package" not in sys.modules
    expected = "the test needs broken_package, which cannot be loaded: libfoo.so: not found"
    assert str(caught.value) == expected
