"""Custom code is imported as Python imports it, from its folder or its repository."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from tui_trainer.models.build import build_model
from tui_trainer.protocol.errors import InputError

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, images):
        return self.fc(images.flatten(1))
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file into a repository that is not the current folder."""
    repository = tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    def to_file(name: str, text: str = "") -> Path:
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return to_file


def built(path: Path, name: str = "Net") -> nn.Module:
    return build_model(f"{path}:{name}", image_size=28, classes=10)


def refusal(path: Path, name: str = "Net") -> str:
    with pytest.raises(InputError) as caught:
        built(path, name)
    return str(caught.value).replace(f"{Path.cwd()}/", "")


def test_a_neighbor_that_imports_it_back_gets_the_same_module(write: Write) -> None:
    write("utils.py", "from model import *\nimport model\n\ndef device():\n    return model.Net\n")
    path = write("model.py", "from torch import nn\nfrom utils import device\nruns = []\n" + NET)
    more = (
        "\n    runs.append(1)\n    same = staticmethod(lambda: device() is Net and runs == [1])\n"
    )
    path.write_text(path.read_text() + more)

    assert built(path).same()  # type: ignore[operator]


def test_a_late_import_of_a_neighbor_sees_the_whole_file(write: Write) -> None:
    write("factory.py", "def make():\n    import model\n    return model.Net()\n")
    path = write(
        "model.py", "from factory import make\n" + NET + "\n\ndef net():\n    return make()\n"
    )

    assert type(built(path, "net")).__module__ == "model"


@pytest.mark.parametrize(
    ("line", "more"),
    [
        ("from src import blocks", {"src/__init__.py": ""}),
        ("from src.blocks import WIDTH", {}),
        ("import src.blocks", {}),
        ("from .blocks import WIDTH", {}),
        ("from . import blocks", {}),
        ("from ..common import WIDTH", {}),
        ("from src.parts.deep import WIDTH", {"src/parts/deep.py": "from ..blocks import WIDTH\n"}),
        ("from blocks import WIDTH", {"src/__init__.py": ""}),
        ("from common import WIDTH", {}),
        ("from helper import WIDTH", {"src/helper.py": "from src.blocks import WIDTH\n"}),
        ("from helper import WIDTH", {"src/helper.py": "from common import WIDTH\n"}),
        ("try:\n    from .blocks import WIDTH\nexcept ImportError:\n    from blocks import *", {}),
        # The package's __init__.py fails, but the model does not need it.
        ("from .blocks import WIDTH", {"src/__init__.py": "import nowhere_at_all\n"}),
        ("from .blocks import WIDTH", {"src/__init__.py": "from .net import Net\n"}),
        ("import src.net", {"src/__init__.py": "from .net import Net\n"}),
    ],
)
def test_a_repository_is_found_from_one_of_its_files(
    write: Write, line: str, more: dict[str, str]
) -> None:
    write("common.py", "WIDTH = 3\n")
    write("src/blocks.py", "WIDTH = 3\n")
    for name, text in more.items():
        write(name, text)
    path = write("src/net.py", f"{line}\n{NET}")
    before = list(sys.path), list(sys.meta_path)

    assert isinstance(built(path), nn.Module)
    assert (sys.path, sys.meta_path) == before
    assert not list(path.parent.rglob("__pycache__"))


def test_a_file_is_executed_once_under_all_its_names(write: Write) -> None:
    """A registry that accepts each name once is a common reason for a second import to fail."""
    write("src/__init__.py", "from .net import Net\n")
    write(
        "registry.py",
        "names = []\ndef register(c):\n    assert c.__name__ not in names\n"
        "    names.append(c.__name__)\n    return c\n",
    )
    write("tools.py", "import net\nfrom src import net as again\nassert net is again\n")
    text = "from registry import register\nimport tools\n" + NET.replace(
        "class", "@register\nclass"
    )
    assert isinstance(built(write("src/net.py", text)), nn.Module)


def test_a_package_is_named_by_its_init_file(write: Write) -> None:
    write("src/net.py", NET)
    assert isinstance(built(write("src/__init__.py", "from .net import Net\n")), nn.Module)


@pytest.mark.parametrize(
    "name", ["torch.py", "types.py", "code.py", "test.py", "random.py", "typing.py", "onnx.py",
             "__main__.py", "my net-v1.2.py", "数.py", "tui_trainer.py", "numpy.py"]
)  # fmt: skip
def test_a_file_may_have_the_name_of_a_library(write: Write, name: str) -> None:
    stem = name.removesuffix(".py")
    before = sys.modules.get(stem)
    path = write(name, NET)

    for _ in range(2):
        assert isinstance(built(path), nn.Module)
        if stem not in ("my net-v1.2", "数"):
            assert sys.modules.get(stem) is before


@pytest.mark.parametrize("stem", ["statistics", "code", "plotext", "calendar"])
def test_a_neighbor_may_have_the_name_of_a_library(write: Write, stem: str) -> None:
    """It does not shadow what the process, or another model, imports by that name."""
    library = __import__(stem)
    write(f"{stem}.py", "WIDTH = 784\n")
    path = write("net.py", f"from {stem} import WIDTH\n" + NET.replace("784", "WIDTH"))
    elsewhere = write("other/net.py", f"import {stem}\nassert not hasattr({stem}, 'WIDTH')\n" + NET)

    for file in (path, elsewhere, path):
        assert isinstance(built(file), nn.Module)
        assert sys.modules[stem] is library


def test_a_neighbor_may_have_the_name_of_a_module_above(write: Write) -> None:
    write("utils/__init__.py", "")
    write("utils/layers.py", "WIDTH = 784\n")
    write("models/utils.py", "")
    text = "from utils.layers import WIDTH\n" + NET.replace("784", "WIDTH")
    assert isinstance(built(write("models/net.py", text)), nn.Module)


def test_world_writable_folders_are_not_searched(write: Write, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o1777)  # as /tmp
    (tmp_path / "open/planted.py").write_text("")
    (tmp_path / "open/mine").mkdir()
    path = tmp_path / "open/mine/net.py"
    path.write_text("import planted\n" + NET)

    assert "No module named 'planted'" in refusal(path)


# --- errors


def test_the_first_error_counts_where_a_package_fails(write: Write) -> None:
    write("src/__init__.py", "import nowhere_at_all\nWIDTH = 3\n")
    path = write("src/net.py", "from src import WIDTH\n" + NET)

    assert refusal(path) == (
        "repository/src/__init__.py:1: ModuleNotFoundError: No module named 'nowhere_at_all'; it "
        "could not be imported: install it with `pip install nowhere_at_all`"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("import cv2_gone\n", ":1: ModuleNotFoundError: No module named 'cv2_gone'; it could not "
         "be imported: install it with `pip install cv2_gone`"),
        ("from utils import nothing\n", ":1: ModuleNotFoundError: No module named 'utils'; it "
         "could not be imported: utils is neither in repository nor in a folder above it"),
        ("import google.colab\n", ":1: ModuleNotFoundError: No module named 'google.colab'; it "
         "could not be imported: google.colab exists only in Colab; delete the import"),
        ("import deep\n", ":1: ModuleNotFoundError: No module named 'deep'; it could not be "
         "imported: repository/lib/deep.py exists; add its folder to sys.path"),
        ("from blocks import Gone\n", ":1: ImportError: cannot import name 'Gone' from 'blocks'"),
        ("!pip install torchsummary\n", ":1: SyntaxError: invalid syntax: !pip install "
         "torchsummary; it could not be imported: only notebooks have such commands; delete"),
        ("import torch\n%matplotlib inline\n", ":2: SyntaxError: invalid syntax: %matplotlib"),
        ("get_ipython().system('ls')\n", ":1: NameError: name 'get_ipython' is not defined; it "
         "could not be imported: get_ipython exists only in notebooks"),
        ("class Net:\n\tx = 1\n        y = 2\n", ":3: TabError: inconsistent use of tabs"),
        ("print 'x'\n", ":1: SyntaxError: Missing parentheses in call to 'print'"),
        ("return 3\n", ":1: SyntaxError: 'return' outside function: return 3"),
        ("<<<<<<< HEAD\n", ":1: SyntaxError: invalid syntax: <<<<<<< HEAD"),
        ("import blocks\neval('1 +')\n", ":2: SyntaxError: invalid syntax"),
        ("assert 1 > 2\n", ":1: AssertionError: assert 1 > 2; it could not be imported: move "
         "code that is not a definition under `if __name__"),
        ("open('config.yaml')\n", ":1: FileNotFoundError: [Errno 2] No such file or directory: "
         "'config.yaml'; it could not be imported: the path is relative to the current folder"),
        ("name = input('name? ')\n", ":1: EOFError: it calls input(), but there is no stdin; it "
         "could not be imported: move code that is not a definition under"),
        ("import sys\nsys.exit()\n", ":2: it exits the program with code None; it could not "
         "be imported: move code that is not a definition under"),
        ("import argparse\np = argparse.ArgumentParser()\np.add_argument('--data', required=True)\n"
         "p.parse_args()\n", ":4: it exits the program with code 2; it could not be "),
    ],
)  # fmt: skip
def test_what_fails_at_import_is_one_line_with_advice(write: Write, text: str, line: str) -> None:
    write("lib/deep.py", "")
    write("blocks.py", "")
    assert refusal(write("net.py", text + NET)).startswith(f"repository/net.py{line}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (NET.encode("utf-16"), "net.py: UTF-16 text; save the file as UTF-8"),
        (NET.encode("utf-16-le"), "net.py: UTF-16 text; save the file as UTF-8"),
        ("# café\n".encode("latin-1"), "net.py:1: not UTF-8 text; save the file as UTF-8"),
        (b"\x80\x02ctorch\n", "net.py:1: not UTF-8 text; save the file as UTF-8"),
        (b"PK\x03\x04" + bytes(40), "net.py:1: binary data; is it the right file?"),
    ],
    ids=["utf-16", "utf-16 without a mark", "latin-1", "pickle", "zip"],
)
def test_binary_files_are_refused(write: Write, content: bytes, problem: str) -> None:
    path = write("net.py", "")
    path.write_bytes(content)
    assert refusal(path) == f"repository/{problem}"


def test_other_encodings_that_a_file_declares_are_read(write: Write) -> None:
    path = write("net.py", "")
    path.write_bytes(b"# -*- coding: latin-1 -*-\n# caf\xe9\n" + NET.encode())
    assert isinstance(built(path), nn.Module)
    path.write_bytes(b"\xef\xbb\xbf" + NET.replace("\n", "\r\n").encode())
    assert isinstance(built(path), nn.Module)


def test_a_factory_that_raises_names_the_neighbors_line(write: Write) -> None:
    write("lib/__init__.py", "")
    write("lib/parts.py", "def part():\n    raise KeyError('width')\n")
    path = write("src/net.py", "from lib.parts import part\n\n\ndef net():\n    return part()\n")

    assert (
        refusal(path, "net")
        == "repository/lib/parts.py:2: KeyError: 'width'; net could not be built"
    )
