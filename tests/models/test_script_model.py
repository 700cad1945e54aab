"""The model of a training script, rebuilt from the folder of its run without the script."""

from __future__ import annotations

import pickle
import runpy
import shutil
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tui_trainer.models.build import build_model
from tui_trainer.models.custom.script_model import (
    MODEL_FILE,
    STRUCTURE,
    write_script_model,
)
from tui_trainer.models.input_spec import InputSpec
from tui_trainer.models.state import load_state, state_tensors
from tui_trainer.models.tensors import logits_of
from tui_trainer.protocol.errors import InputError

IMAGES = torch.rand(3, 3, 8, 6)

HEAD = """
    from __future__ import annotations
    import torch
    from pathlib import Path
    from torch import nn
    import torch.nn.functional as F
    from tui_trainer.models.custom.script_model import write_script_model
"""

MODELS = {
    "with a guard": """
        WIDTH = 5
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(3, WIDTH, 3)
                self.norm = nn.BatchNorm2d(WIDTH)
                self.head = nn.Linear(WIDTH, 4)
            def forward(self, x):
                return self.head(F.relu(self.norm(self.conv(x))).mean((2, 3)))
        def main():
            return Net()
        if __name__ == "__main__":
            model = main()
    """,
    "without a guard, with arguments": """
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--scale", type=float, default=3.0)
        args = parser.parse_args([])
        class Net(nn.Module):
            def __init__(self, width):
                super().__init__()
                self.head = nn.Linear(144, 4)
            def forward(self, x):
                return self.head(x.flatten(1)) * args.scale
        model = Net(args.scale)
        open(__file__.replace("train.py", "../ran"), "a").close()  # the training runs once
    """,
    "a class in a function": """
        def build():
            class Net(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.head = nn.Linear(144, 4)
                def forward(self, x):
                    return self.head(x.flatten(1))
            return Net()
        model = build()
    """,
    "of a module next to it": """
        from next_net import NextNet
        model = NextNet()
    """,
    "of torch alone": """
        model = nn.Sequential(nn.Flatten(), nn.Linear(144, 8), nn.GELU(), nn.Linear(8, 4))
    """,
    "tied, frozen, lambda, parametrized": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = nn.Linear(144, 144)
                self.b = nn.Linear(144, 144)
                self.b.weight = self.a.weight
                self.head = nn.utils.parametrizations.weight_norm(nn.Linear(144, 4))
                self.old = nn.utils.weight_norm(nn.Linear(4, 4))
                self.act = lambda x: self.a(x).tanh()
                self.also = self.helper
                self.mean = torch.tensor(0.25)
                self.register_buffer("mask", torch.tril(torch.ones(4, 4)), persistent=False)
                self.lock = __import__("threading").Lock()
                for p in self.b.parameters():
                    p.requires_grad_(False)
                self.register_forward_hook(lambda *_: None)
            def helper(self, x):
                return self.b(x)
            def forward(self, x):
                x = self.also(self.act(x.flatten(1) - self.mean))
                return self.old(self.head(x)) @ self.mask
        model = Net()
    """,
    "a dictionary of outputs": """
        from dataclasses import dataclass
        @dataclass
        class Config:
            width: int = 7
        class Net(nn.Module):
            def __init__(self, config: Config):
                super().__init__()
                self.config = config
                self.head = nn.Linear(144, 4)
            def forward(self, x):
                return {"logits": self.head(x.flatten(1)), "width": self.config.width}
        model = Net(Config())
    """,
}

NEXT_NET = """
    import torch
    from torch import nn
    from next_blocks.block import block

    class NextNet(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Flatten(), block(144), nn.Linear(144, 4))
"""

NEXT_BLOCK = """
    from torch import nn

    def block(width):
        return nn.Linear(width, width)
"""


def script_in(folder: Path, text: str) -> tuple[nn.Module, str]:
    """Run a script that builds a model; return the model and the result of writing it."""
    run = folder / "run"
    run.mkdir(parents=True)
    script = folder / "train.py"
    tail = f"\nwritten = write_script_model(Path({str(run)!r}), model, __file__)\n"
    script.write_text(textwrap.dedent(HEAD) + textwrap.dedent(text) + tail, encoding="utf-8")
    (folder / "next_blocks").mkdir()
    (folder / "next_net.py").write_text(textwrap.dedent(NEXT_NET), encoding="utf-8")
    (folder / "next_blocks" / "block.py").write_text(textwrap.dedent(NEXT_BLOCK), encoding="utf-8")
    sys.path.insert(0, str(folder))
    try:
        names = runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.startswith("next_")]:
            del sys.modules[name]
    return names["model"], names["written"]


def rebuilt(run: Path, model: nn.Module, inputs: Tensor = IMAGES, classes: int = 4) -> nn.Module:
    """Build the model of a run's folder, with the weights of another one."""
    reference = f"{run / MODEL_FILE}:{type(model).__name__}"
    found = build_model(reference, image_size=InputSpec.of(inputs), classes=classes)
    load_state(found, state_tensors(model))
    return found


@pytest.mark.parametrize("kind", MODELS)
def test_a_rebuilt_model_computes_the_same_without_its_script(kind: str, tmp_path: Path) -> None:
    model, problem = script_in(tmp_path / "script", MODELS[kind])
    assert problem == ""
    shutil.move(tmp_path / "script" / "run", tmp_path / "renamed")
    shutil.rmtree(tmp_path / "script")
    found = rebuilt(tmp_path / "renamed", model)
    assert not (tmp_path / "renamed" / "ran").exists()
    model.eval()
    found.eval()
    with torch.no_grad():
        expected = logits_of(model(IMAGES))
        assert expected is not None
        assert torch.equal(found(IMAGES), expected)
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert [name for name, p in found.named_parameters() if not p.requires_grad] == frozen
    shared = len(list(model.parameters()))
    assert len(list(found.parameters())) == shared


CELLS = [
    "",
    "%matplotlib inline\nimport torch\nfrom torch import nn",
    "WIDTH = 4\n!pip list\nclass Net(nn.Linear):\n    scale = 1.0",
    "class Net(nn.Linear):\n    def forward(self, x):\n        return 2 * super().forward(x)",
    "this is no Python",
]


def test_a_notebook_is_its_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = ModuleType("__main__")
    vars(notebook)["In"] = CELLS
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    for cell in ("import torch\nfrom torch import nn", CELLS[3]):
        exec(compile(cell, "cell", "exec"), vars(notebook))
    model = vars(notebook)["Net"](3, 2)
    assert write_script_model(tmp_path, model) == ""
    monkeypatch.undo()
    features = torch.rand(4, 3)
    assert torch.equal(rebuilt(tmp_path, model, features, classes=2)(features), model(features))


def test_a_class_without_a_source_has_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", session)
    exec("from torch import nn\nclass Net(nn.Linear): pass", vars(session))
    assert "interactive session" in write_script_model(tmp_path, vars(session)["Net"](3, 2))


def test_a_single_logit_becomes_two(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(144, 1))
    assert write_script_model(tmp_path, model) == ""
    found = rebuilt(tmp_path, model, classes=2)
    expected = torch.sigmoid(model(IMAGES))[:, 0]
    assert torch.allclose(found(IMAGES).softmax(dim=1)[:, 1], expected)


def test_tokens_and_recurrent_layers(tmp_path: Path) -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.lstm = nn.Embedding(11, 6), nn.LSTM(6, 5, batch_first=True)
            self.head = nn.Linear(5, 3)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.head(self.lstm(self.embedding(tokens))[0][:, -1])  # type: ignore[no-any-return]

    model, tokens = Last(), torch.randint(11, (4, 9))
    assert write_script_model(tmp_path, model) == ""
    found = rebuilt(tmp_path, model, tokens, classes=3)
    assert torch.equal(found(tokens), model(tokens))


def test_what_cannot_be_written_has_a_reason(tmp_path: Path) -> None:
    scripted = torch.jit.script(nn.Linear(3, 2))
    assert "torch.jit" in write_script_model(tmp_path, nn.Sequential(scripted))
    assert "no fixed shape" in write_script_model(tmp_path, nn.LazyLinear(2))
    assert not list(tmp_path.glob("network*"))


def test_the_unpickler_does_not_run_commands(tmp_path: Path) -> None:
    assert write_script_model(tmp_path, nn.Linear(2, 2)) == ""

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return eval, ("1 + 1",)

    path = tmp_path / STRUCTURE
    path.write_bytes(path.read_bytes().split(b".", 1)[0] + b"." + pickle.dumps(Evil()))
    with pytest.raises(InputError, match=r"builtins\.eval"):
        build_model(f"{tmp_path / MODEL_FILE}:Linear", image_size=InputSpec((2,)), classes=2)
