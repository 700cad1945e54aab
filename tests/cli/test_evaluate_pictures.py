"""``mnist-tui evaluate --out``: the views as SVG and PNG files."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from tests.cli.conftest import Cli
from tests.cli.test_evaluate import ALL, train
from tests.data.idx_files import write_dataset
from tests.render.test_svg import SVG, assert_nothing_is_cut, words_of
from tui_trainer.protocol.events import TestEvaluated
from tui_trainer.recording.folder import RunFolder

NAMED = '''
from torch import nn

class Net(nn.Module):
    """Its layers have names that no file may have."""

    def __init__(self, image_size, classes):
        super().__init__()
        self.m = nn.ModuleDict({"/a": nn.Conv2d(1, 2, 3), "_a": nn.Conv2d(2, 2, 3)})
        self.last = nn.Linear(2, classes)

    def forward(self, x):
        x = self.m["_a"](self.m["/a"](x).relu()).relu()
        return self.last(x.mean(dim=(2, 3)))
'''


FEW_LAYERS = """
from torch import nn

class Net(nn.Module):
    def __init__(self, image_size, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 5, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.logits = nn.Linear(64, classes)

    def forward(self, x):
        return self.logits(self.pool(self.conv1(x).relu()).flatten(1))
"""
"""Each layer has five pictures."""


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    data = write_dataset(tmp_path_factory.mktemp("data"), train=200, gzip=False)
    here = tmp_path_factory.mktemp("once")
    (here / "net.py").write_text(FEW_LAYERS)
    return train(here, "--model", here / "net.py:Net", "--data-dir", data)


@pytest.fixture
def trained(once: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    return RunFolder(shutil.copytree(once.path, Path("runs") / "mine"))


def parsed(path: Path) -> ElementTree.Element:
    return ElementTree.fromstring(path.read_text(encoding="utf-8"))


def test_a_view_is_drawn_into_one_file(run: Cli, trained: RunFolder) -> None:
    for name in ("c.svg", "c.PNG"):
        code, out, err = run("evaluate", "--view", "confusion", "--out", name)
        assert (code, err) == (0, "")
        assert out.startswith(f"{name}: ")
        assert out.count("\n") == 1
    root = parsed(Path("c.svg"))
    words = " ".join(words_of(root))
    record = json.loads(run("evaluate", "--view", "confusion", "--json")[1])
    assert f"{100 * record['accuracy']:.2f} %" in words
    assert "checkpoint last" in words
    counts = record["views"]["confusion"]["confusion"]
    cells = words_of(root)
    for row in counts:
        for number in row:
            assert (str(number) if number else "·") in cells
    assert_nothing_is_cut(root)
    with Image.open("c.PNG") as image:
        assert image.size[0] == 2 * int(root.get("width", 0))


def test_every_view_and_layer_is_drawn_into_a_folder(run: Cli, trained: RunFolder) -> None:
    code, out, err = run("evaluate", "--out", "figures/new/", "--set", "digit=3")
    assert (code, err) == (0, "")
    files = sorted(Path("figures/new").iterdir())
    assert out.startswith(f"figures/new: {len(files)} pictures, ")
    names = {path.name for path in files}
    for view in ALL:
        assert any(name.startswith(view) for name in names), view
    assert {"kernels-conv1.svg", "histograms-conv1.svg", "maps.svg", "maps-conv1.svg"} <= names
    for path in files:
        root = parsed(path)
        assert_nothing_is_cut(root)
        assert (root.findtext(f"{SVG}title") or "").split(",")[0]
        assert root.findtext(f"{SVG}desc")


def test_the_formats_of_a_folder_can_be_chosen(run: Cli, trained: RunFolder) -> None:
    chosen = ("--view", "classes", "--view", "confusion")
    assert run("evaluate", *chosen, "--out", "f", "--as", "png, svg")[0] == 0
    assert sorted(os.listdir("f")) == [
        *("classes.png", "classes.svg", "confusion.png", "confusion.svg")
    ]


def test_pictures_come_next_to_json_and_a_report(run: Cli, trained: RunFolder) -> None:
    chosen = ("--view", "confusion", "--out", "c.svg", "--report", "r.html", "--json")
    code, out, err = run("evaluate", *chosen)
    assert code == 0
    assert json.loads(out)["views"].keys() == {"confusion"}
    assert [line.partition(":")[0] for line in err.splitlines()] == ["c.svg", "r.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--view", "confusion", "--out", "c.pdf"), "--out c.pdf: cannot be a .pdf file"),
        (("--out", "c.svg"), "a file takes one view, and 13 are asked for; add --view NAME"),
        (("--view", "maps", "--view", "kernels", "--out", "c.png"), "and 2 are asked for"),
        (("--view", "maps", "--out", "no/c.svg"), "folder no does not exist; create it"),
        (("--view", "maps", "--out", "there.svg"), "is not an ordinary file"),
        (("--view", "maps", "--out", "file/"), "--out file/: "),
        (("--view", "maps", "--out", ""), ": names no file"),
        (("--view", "maps", "--out", "-"), "--out -: names no file"),
        (("--view", "maps", "--out", "f/", "--as", "gif"), "--as: unknown format 'gif'"),
        (("--view", "maps", "--out", "c.svg", "--as", "png"), "already ends with .svg"),
        (("--view", "maps", "--as", "png"), "--as: has no effect without --out"),
        (("--view", "maps", "--out", "a\0.svg"), "--out 'a\\x00.svg': "),
    ],
)
def test_bad_places_are_refused_before_anything_is_computed(
    run: Cli, trained: RunFolder, arguments: tuple[str, ...], message: str
) -> None:
    Path("file").write_text("", encoding="utf-8")
    os.mkfifo("there.svg")
    code, out, err = run("evaluate", *arguments, "--test")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
    assert not [e for e in trained.read_events().events if isinstance(e, TestEvaluated)][1:]


def test_a_missing_package_is_one_line_and_costs_no_test_evaluation(
    run: Cli, trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    before = len(trained.read_events().events)
    code, out, err = run("evaluate", "--view", "classes", "--test", "--out", "c.png")
    assert (code, out) == (2, "")
    assert 'needs resvg_py, which is not installed: pip install "mnist-tui[export]"' in err
    assert len(trained.read_events().events) == before


def test_names_of_layers_are_names_of_files(run: Cli, once: RunFolder, tmp_path: Path) -> None:
    Path("net.py").write_text(NAMED, encoding="utf-8")
    data = write_dataset(tmp_path / "data", train=200, gzip=False)
    brief = ("--no-ui", "--threads", 1, "--epochs", 1, "--val-size", 40)
    assert run(*brief, "--model", "net.py:Net", "--data-dir", data)[0] == 0
    assert run("evaluate", "--view", "kernels", "--out", "f/")[0] == 0
    names = sorted(os.listdir("f"))
    assert names == ["kernels-last.svg", "kernels-m._a-2.svg", "kernels-m._a.svg"]
