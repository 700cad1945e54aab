"""Custom models as source: what their files define, and nothing else."""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch

from tests.data.idx_files import write_dataset
from tests.export.programs import Trained, complaints_of_ruff, namespace_of, started_of
from tui_trainer.export.source_code import weights_bytes
from tui_trainer.export.source_code.custom_model import custom_source, local_modules
from tui_trainer.export.source_code.layers import NoSourceError
from tui_trainer.export.source_code.program import ModelSource, program
from tui_trainer.export.source_code.zoo_model import layers_source
from tui_trainer.models.build import build_model
from tui_trainer.models.custom.arguments import ModelSpec
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.reference import parse_reference

NET = '''
import math, os
import torch.nn as nn
from torch.nn import functional as F

# not needed
UNUSED = os.getcwd()

# The channels of each stage.
WIDTHS = [4, 6]
WIDTHS.append(8)


def unused():
    return UNUSED


def conv(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = conv(inputs, outputs)

    def forward(self, x):
        return F.max_pool2d(F.relu(self.conv(x)), 2)


class Net(nn.Module):
    """A net."""

    def __init__(self, num_classes=10):
        super().__init__()
        sizes = [1, *WIDTHS]
        self.blocks = nn.ModuleList(Block(a, b) for a, b in zip(sizes, sizes[1:]))
        self.head = nn.Linear(WIDTHS[-1], num_classes)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3))) * math.sqrt(2)


def make(classes):
    return Net(classes)


if __name__ == "__main__":
    print("trains")
'''


def source_of(
    folder: Path, files: dict[str, str], reference: str, *, dropout: float | None = None
) -> ModelSource:
    """Write files, build the model, and return its source: it has the same logits."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text), encoding="utf-8")
    name = str(folder / reference)
    model = build_model(name, image_size=28, classes=10, dropout=dropout)
    found = parse_reference(name)
    assert found is not None
    try:
        source = custom_source(found, ModelSpec(28, 10, 1, dropout), dropout)
    except NoSourceError:
        source = layers_source(model)
    other = executed(source, local_modules(found))
    other.load_state_dict(model.state_dict())
    images = torch.randn(3, 1, 28, 28)
    assert torch.equal(other.eval()(images), model.eval()(images))
    if dropout is not None:
        assert {m.p for m in other.modules() if isinstance(m, torch.nn.Dropout)} == {dropout}
    return source


def executed(source: ModelSource, blocked: list[str]) -> Any:
    """Build the model of a source, without the modules from which it comes."""
    lines = sorted((i.statement for i in source.imports), key=lambda s: "__future__" not in s)
    names: dict[str, Any] = {"nn": torch.nn, "torch": torch, "OrderedDict": OrderedDict}
    hidden = {name: sys.modules.pop(name) for name in blocked if name in sys.modules}
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in blocked:
                patch.setitem(sys.modules, name, None)
            exec("\n".join([*lines, source.code]), names)
            return eval(source.build, names)
    finally:
        sys.modules.update(hidden)


@pytest.mark.parametrize("name", ["Net", "make"])
def test_what_the_model_names_is_written_and_no_more(tmp_path: Path, name: str) -> None:
    source = source_of(tmp_path, {"net.py": NET}, f"net.py:{name}")

    assert source.build == {"Net": "Net(num_classes=10)", "make": "make(classes=10)"}[name]
    assert "# The channels of each stage.\nWIDTHS = [4, 6]\nWIDTHS.append(8)" in source.code
    for word in ("unused", "UNUSED", "__main__", "not needed"):
        assert word not in source.code
    statements = [i.statement for i in source.imports]
    assert sorted(statements) == [
        "from torch.nn import functional as F",
        "import math",
        "import torch.nn as nn",
    ]
    assert source.remark == "The model is as written in 'net.py'."


def test_definitions_of_several_files_are_joined(tmp_path: Path) -> None:
    files = {
        "lab/__init__.py": "",
        "lab/parts/__init__.py": "from .blocks import Head, scale",
        "lab/parts/blocks.py": """
            from __future__ import annotations
            from torch import nn

            FACTOR = 3.0

            def scale(x: Tensor) -> Tensor:
                return x * FACTOR

            class Head(nn.Linear):
                def forward(self, x):
                    return super().forward(scale(x.flatten(1)))
            """,
        "lab/net.py": """
            from functools import partial
            import torch
            from .parts import Head as Last

            Wide = partial(Last, 784)

            def net(classes):
                return Wide(classes)
            """,
    }
    source = source_of(tmp_path, files, "lab/net.py:net")

    assert source.code.index("class Head") < source.code.index("Last = Head")
    assert "from __future__ import annotations" in [i.statement for i in source.imports]
    assert source.remark == "The model is as written in 'blocks.py', 'net.py'."


def test_a_sequential_of_a_factory_keeps_its_source(tmp_path: Path) -> None:
    text = """
        from torch import nn

        def net():
            model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
            nn.init.zeros_(model[1].weight)
            return model
        """
    source = source_of(tmp_path, {"net.py": text}, "net.py:net")

    assert "zeros_" in source.code


def test_layers_are_written_where_the_source_cannot_be(tmp_path: Path) -> None:
    files = {
        "parts.py": "from torch import nn\n\ndef layer(n):\n    return nn.Linear(n, 10)",
        "net.py": """
            from collections import OrderedDict
            from torch import nn
            import parts

            def net():
                body = nn.Sequential(OrderedDict([
                    ("conv", nn.Conv2d(1, 4, (3, 5), (2, 1), 1, padding_mode="circular")),
                    ("norm", nn.BatchNorm2d(4, eps=1e-4, momentum=None)),
                    ("act", nn.LeakyReLU(0.2, inplace=True)),
                    ("drop", nn.Dropout(0.25)),
                ]))
                odd = nn.Sequential(OrderedDict([("a-b", nn.MaxPool2d(2, ceil_mode=True))]))
                pool = nn.AdaptiveAvgPool2d((2, 1))
                return nn.Sequential(body, odd, pool, nn.Flatten(), parts.layer(8))
            """,
    }
    source = source_of(tmp_path, files, "net.py:net")

    assert "initial weights" in source.remark
    assert (
        'nn.Conv2d(1, 4, (3, 5), stride=(2, 1), padding=1, padding_mode="circular")' in source.code
    )


def test_dropout_of_an_option_is_set(tmp_path: Path) -> None:
    text = """
        import torch

        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.drop, self.head = torch.nn.Dropout(), torch.nn.Linear(784, 10)

            def forward(self, x):
                return self.head(self.drop(x.flatten(1)))
        """
    source = source_of(tmp_path, {"net.py": text}, "net.py:Net", dropout=0.3)
    assert source.build == "build_model()"

    asking = text.replace("(self):", "(self, dropout=0.5):").replace(
        "Dropout()", "Dropout(dropout)"
    )
    asked = source_of(tmp_path / "2", {"net.py": asking}, "net.py:Net", dropout=0.3)
    assert asked.build == "Net(dropout=0.3)"


@pytest.mark.parametrize("name", ["model", "F", "evaluate", "DATA_DIR", "train", "main"])
@pytest.mark.sampled(3)
def test_a_factory_may_have_any_name(tmp_path: Path, name: str) -> None:
    text = f"""
        from torch import nn

        def {name}(image_size):
            return nn.Sequential(nn.Flatten(), nn.Linear(image_size**2, 10))
        """
    source = source_of(tmp_path, {"net.py": text}, f"net.py:{name}")
    config = RunConfig(model="pico", data_dir="digits")
    recipe = Trained(config, [started_of(config)], {}).recipe()
    write_dataset(tmp_path / "digits", gzip=False)
    written = program(recipe, source)

    cells = [section.notebook_cell for section in written.sections if section.name != "main"]
    (tmp_path / "weights.pt").write_bytes(weights_bytes(executed(source, [])))
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for cell in cells:
            exec(compile(cell, "cell", "exec"), names)
    script = namespace_of(written)

    assert type(eval(written.build, script)) is torch.nn.Sequential
    assert type(names["trained"]) is torch.nn.Sequential
    (tmp_path / "train.py").write_text(written.script)
    (tmp_path / "net.py").unlink()
    assert complaints_of_ruff(tmp_path) == ""


def refusal(folder: Path, files: dict[str, str], reference: str = "net.py:Net") -> str:
    with pytest.raises(NoSourceError) as caught:
        source_of(folder, files, reference)
    return str(caught.value)


def test_a_whole_module_of_parts_is_refused_with_advice(tmp_path: Path) -> None:
    files = {
        "parts.py": "class A:\n    n = 10",
        "net.py": """
            import parts
            from torch import nn

            class Net(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.head = nn.Linear(784, parts.A.n)

                def forward(self, x):
                    return self.head(x.flatten(1))
            """,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(dedent(text))
    name = str(tmp_path / "net.py:Net")
    build_model(name, image_size=28, classes=10)
    found = parse_reference(name)
    assert found is not None

    with pytest.raises(
        NoSourceError, match="it imports parts as a whole; write `from parts import NAMES`"
    ):
        custom_source(found, ModelSpec(28, 10, 1), None)


def test_a_method_is_no_layer_of_torch(tmp_path: Path) -> None:
    files = {
        "a.py": "from torch import nn\nX = 1\nclass A(nn.Linear):\n    pass",
        "b.py": "from torch import nn\nX = 2\nY = X",
        "net.py": """
            from torch import nn
            from a import A, X
            from b import Y

            def net():
                return nn.Sequential(nn.Flatten(), A(784, 9 + X * Y // 2))
            """,
    }
    assert refusal(tmp_path, files, "net.py:net") == "A is no layer of torch.nn"
