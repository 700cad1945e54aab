"""Custom models: real files, good and bad, from the command line to the weights."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.data.idx_files import write_dataset
from tests.engine.runs import ScriptedInbox, of, only, tiny_config
from tests.faults.forks import call, command
from tests.training import train
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.resuming import Resumption
from tui_trainer.lab.saved_model import differing_bits, load_model
from tui_trainer.models import zoo
from tui_trainer.models.build import build_model, dropout_of, summary_of, to_channels_last
from tui_trainer.models.checkpoints import read_checkpoint
from tui_trainer.models.custom.error_lines import CustomModelError
from tui_trainer.models.input_spec import InputSpec
from tui_trainer.protocol.commands import Command, Inbox, SetDropout, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    CommandRejected,
    EpochDone,
    Event,
    RunStarted,
    SettingChanged,
)
from tui_trainer.recording.folder import RunFolder

HEAD = "import torch\nfrom torch import nn\n\n"

LINEAR = """
class Net(nn.Module):
    '''A line through the pixels.

    And no more.
    '''

    def __init__(self{arguments}):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, images):
        return self.fc(images.flatten(1))
"""

PLAIN = HEAD + LINEAR.format(arguments="")

# As most first models are written: its `view` fails on channels_last maps.
CLASSIC = """
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    \"\"\"Two convolutions and two fully connected layers.\"\"\"

    def __init__(self, image_size=28, num_classes=10, dropout=0.25):
        super().__init__()
        side = image_size // 4
        self.width = 8 * side * side
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 8, 3, padding=1)
        self.drop = nn.Dropout2d(dropout)
        self.fc1 = nn.Linear(self.width, 16)
        self.fc2 = nn.Linear(16, num_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.drop(self.conv2(x))), 2)
        x = x.view(-1, self.width)
        return self.fc2(F.relu(self.fc1(x)))
"""

Write = Callable[[str, str], str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a Python file into the current folder; return its name."""

    def to_file(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return name

    return to_file


def built(model: str, *, image_size: int = 28, dropout: float | None = None) -> nn.Module:
    torch.manual_seed(0)
    return build_model(model, image_size=image_size, classes=10, dropout=dropout)


def refusal(model: str, *, dropout: float | None = None) -> str:
    """Return the message; the state of the process must be unchanged."""
    path = list(sys.path)
    with pytest.raises(InputError) as caught:
        build_model(model, image_size=28, classes=10, dropout=dropout)
    assert sys.path == path
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 500
    return message


# --- arguments


def test_a_model_of_the_zoo_takes_any_square_image() -> None:
    for shape in ((1, 28, 28), (3, 32, 32)):
        model = build_model("small", image_size=InputSpec(shape), classes=7)
        assert model.eval()(torch.rand(2, *shape)).shape == (2, 7)
    for spec in (InputSpec((3, 32, 48)), InputSpec((20, 20))):
        with pytest.raises(InputError) as refused:
            build_model("small", image_size=spec, classes=7)
        assert str(refused.value) == f"small: takes square images, not {spec.words}"


def test_a_name_of_the_zoo_is_built_as_by_the_zoo() -> None:
    torch.manual_seed(0)
    mine = zoo.build("small", image_size=28, classes=10).state_dict()
    yours = built("small").state_dict()

    assert list(mine) == list(yours)
    assert all(torch.equal(mine[name], yours[name]) for name in mine)
    assert summary_of("small") == zoo.REGISTRY["small"].summary


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ("image_size", "28"),
        ("input_shape", "(1, 28, 28)"),
        ("in_shape=None", "(1, 28, 28)"),
        ("classes", "10"),
        ("num_classes=3", "10"),
        ("n_classes=0", "10"),
        ("in_channels=3", "1"),
        ("channels", "1"),
        ("channels=(8, 16)", "(8, 16)"),
        ("dropout", "0.0"),
        ("dropout=0.5", "0.5"),
        ("*, image_size", "28"),
        ("width=7", "7"),
        ("**given", "{'num_classes': 10}"),
        ("*given", "()"),
    ],
)
def test_it_gets_what_its_signature_names(write: Write, arguments: str, seen: str) -> None:
    name = arguments.removeprefix("*, ").partition("=")[0].lstrip("*")
    text = LINEAR.format(arguments=f", {arguments}").replace(
        "        self.fc", f"        self.seen = repr({name})\n        self.fc"
    )
    model = built(write("net.py", HEAD + text) + ":Net")

    assert model.seen == seen


@pytest.mark.parametrize(
    "more",
    [
        "def make(classes):\n    return Net()\n",
        "import functools\nmake = functools.partial(Net)\n",
        "class Factory:\n    def __call__(self):\n        return Net()\nmake = Factory()\n",
        "make = lambda: Net()\n",
    ],
    ids=["function", "partial", "callable object", "lambda"],
)
def test_a_factory_function_is_accepted(write: Write, more: str) -> None:
    assert isinstance(built(write("net.py", PLAIN + more) + ":make"), nn.Module)


def test_the_same_seed_gives_the_same_weights_despite_draws_at_import(write: Write) -> None:
    first = built(write("net.py", PLAIN) + ":Net")
    second = built(write("net.py", PLAIN + "torch.manual_seed(5)\ntorch.rand(7)\n") + ":Net")

    for mine, yours in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(mine, yours)


def test_trying_it_preserves_rng_state_and_modes(write: Write) -> None:
    text = PLAIN.replace("images.flatten(1)", "nn.functional.dropout(images).flatten(1)")
    write("net.py", text + "\n\ndef made():\n    net = Net()\n    net.fc.eval()\n    return net\n")
    model = built("net.py:made")
    after = torch.get_rng_state()
    torch.manual_seed(0)
    nn.Linear(784, 10)

    assert torch.equal(after, torch.get_rng_state())
    assert (model.training, model.get_submodule("fc").training) == (True, False)


def test_an_edited_file_counts_and_so_does_an_edited_neighbor(write: Write) -> None:
    write("widths.py", "WIDTH = 5\n")
    text = PLAIN.replace("nn.Linear(784, 10)", "nn.Sequential(nn.Linear(784, W), nn.Linear(W, 10))")
    write("net.py", "from widths import WIDTH as W\n" + text)
    assert built("net.py:Net").get_parameter("fc.0.bias").shape == (5,)

    write("widths.py", "WIDTH = 16\n")
    assert built("net.py:Net").get_parameter("fc.0.bias").shape == (16,)
    write("net.py", "W = 6\n" + text)
    assert built("net.py:Net").get_parameter("fc.0.bias").shape == (6,)


def test_neighbors_of_one_name_in_two_folders_are_two(write: Write) -> None:
    text = PLAIN.replace("784, 10)", "784, 10, bias=BIAS)")
    for folder, bias in (("one", True), ("two", False)):
        write(f"{folder}/blocks.py", f"BIAS = {bias}\n")
        write(f"{folder}/net.py", "from blocks import BIAS\n" + text)

    counts = [len(list(built(f"{folder}/net.py:Net").parameters())) for folder in ("one", "two")]
    assert counts == [2, 1]


def test_a_module_of_the_present_folder_is_found(write: Write) -> None:
    write("lab/__init__.py", "")
    write("lab/nets.py", PLAIN)

    assert built("lab.nets:Net").get_parameter("fc.weight").shape == (10, 784)
    assert summary_of("lab.nets:Net") == "A line through the pixels."


def test_dataclasses_and_torchvision_can_be_used(write: Write) -> None:
    text = """
        from __future__ import annotations
        from dataclasses import dataclass
        import torchvision
        from torch import nn

        @dataclass
        class Plan:
            width: int = 8

        def net(in_channels, num_classes):
            # Its first convolution is made for photographs.
            network = torchvision.models.squeezenet1_1(num_classes=num_classes)
            network.features[0] = nn.Conv2d(in_channels, 64, Plan().width - 5, padding=1)
            return network
    """
    lines = (line.removeprefix("        ") for line in text.splitlines())

    assert isinstance(built(write("net.py", "\n".join(lines)) + ":net"), nn.Module)


def test_layers_that_find_out_their_size_by_themselves_can_be_used(write: Write) -> None:
    text = PLAIN.replace("nn.Linear(784, 10)", "nn.LazyLinear(10)")
    first, second = (built(write("net.py", text) + ":Net", image_size=size) for size in (28, 28))

    assert first.get_parameter("fc.weight").shape == (10, 784)
    assert torch.equal(first.get_parameter("fc.weight"), second.get_parameter("fc.weight"))


def test_its_prints_are_redirected_to_stderr(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PLAIN.replace("super().__init__()", "super().__init__(); print('built')")
    built(write("net.py", text + "print('imported')\n") + ":Net")

    assert capsys.readouterr() == ("", "imported\nbuilt\n")


def test_its_summary_is_the_first_line_of_its_docstring(write: Write) -> None:
    text = (
        PLAIN
        + "\ndef plain():\n    return Net()\n\ndef documented():\n    '''  As documented. '''\n"
    )
    write("net.py", text)

    assert summary_of("net.py:Net") == "A line through the pixels."
    assert (summary_of("net.py:plain"), summary_of("net.py:documented")) == ("", "As documented.")


# --- dropout


def test_dropout_is_passed_or_set_or_refused(write: Write) -> None:
    layered = PLAIN.replace(
        "nn.Linear(784, 10)", "nn.Sequential(nn.AlphaDropout(0.4), nn.Linear(784, 10))"
    )
    write("classic.py", CLASSIC)
    write("layered.py", layered)
    write("plain.py", PLAIN)

    assert dropout_of(built("classic.py:Net")) == 0.25
    assert dropout_of(built("classic.py:Net", dropout=0.1)) == 0.1
    assert dropout_of(built("layered.py:Net")) == 0.4
    assert dropout_of(built("layered.py:Net", dropout=0.1)) == 0.1
    assert refusal("plain.py:Net", dropout=0.1) == (
        "--dropout 0.1: plain.py:Net has neither a dropout layer nor an argument named dropout"
    )
    assert refusal("small", dropout=0.1).startswith("--dropout 0.1: small has no dropout layer")


# --- errors

BAD = {
    "syntax.py:Net": (
        HEAD + "class Net(nn.Module)\n    pass\n",
        "syntax.py:4: SyntaxError: expected ':': class Net(nn.Module); it could not be imported",
    ),
    "indent.py:Net": (
        "x = 1\n  y = 2\n",
        "indent.py:2: IndentationError: unexpected indent: y = 2; it could",
    ),
    "null.py:Net": ("x = 1\0\n", "null.py:1: binary data; is it the right file?"),
    "zero.py:Net": ("\n1 / 0\n", "zero.py:2: ZeroDivisionError: division by zero; it could not be"),
    "deep.py:Net": ("def f():\n    f()\nf()\n", "deep.py:2: RecursionError: maximum recursion"),
    "leaves.py:Net": (
        "import sys\nsys.exit(3)\n",
        "leaves.py:2: it exits the program with code 3; it could not be imported",
    ),
    "lacks.py:Net": (
        "import nowhere_at_all\n",
        "lacks.py:1: ModuleNotFoundError: No module named 'nowhere_at_all'; it could not",
    ),
    "other.py:Nett": (PLAIN, "other.py: has no Nett; it has Net"),
    "empty.py:Net": ("", "empty.py: has no Net; it has neither a subclass of nn.Module nor a"),
    "alone.py": (PLAIN, "alone.py: name its model too: --model alone.py:Net"),
    "some.py": (
        PLAIN + "\nclass Other(Net):\n    pass\n\ndef make():\n    return Net()\n",
        "some.py: name its model too, as some.py:ClassName; it has Net, Other, make",
    ),
    "needs.py:Net": (
        HEAD + LINEAR.format(arguments=", width"),
        "needs.py:Net: needs an argument 'width', which has no default; write a function that "
        "passes it, `def net(): return Net(width=...)`, and use needs.py:net; image_size, ",
    ),
    "raises.py:Net": (
        PLAIN.replace("784, 10", "784, -10"),
        "raises.py:13: Trying to create tensor with negative dimension -10: [-10, 784]; Net could",
    ),
    "huge.py:Net": (PLAIN.replace("784, 10", "784, 10**13"), "huge.py:13: "),
    "early.py:Net": (
        PLAIN.replace("        super().__init__()\n", ""),
        "early.py:12: AttributeError: cannot assign module before Module.__init__() call; Net",
    ),
    "thing.py:Net": (
        "class Net:\n    pass\n",
        "thing.py:Net: is a class, but not a subclass of nn.",
    ),
    "three.py:f": ("def f():\n    return 3\n", "three.py:f: returns int, not an nn.Module"),
    "made.py:net": (
        PLAIN + "\nnet = Net()\n",
        "made.py:net: is an instance of nn.Module; name its class",
    ),
    "number.py:net": ("net = 3\n", "number.py:net: is neither a class nor a function written in"),
    "builtin.py:abort": (
        "from os import abort\n",
        "builtin.py:abort: is neither a class nor a function written in Python (type builtin_",
    ),
    "large.py:Net": (
        PLAIN.replace("784", "224 * 224"),
        "large.py:16: mat1 and mat2 shapes cannot be multiplied (2x784 and 50176x10); Net "
        "failed on two images; it accepts 224×224 images with 1 channel, but its input is 28×28 "
        "images with 1 channel: put nn.AdaptiveAvgPool2d before its first linear layer, or add an "
        "argument image_size",
    ),
    "color.py:Net": (
        PLAIN.replace("nn.Linear(784, 10)", "nn.Conv2d(3, 10, 28)").replace(".flatten(1)", ""),
        "color.py:16: Given groups=1, weight of size [10, 3, 28, 28], expected input[2, 1, ",
    ),
    "typo.py:Net": (
        PLAIN.replace("self.fc(", "self.score("),
        "typo.py:16: AttributeError: 'Net' object has no attribute 'score'; Net failed on two "
        "images",
    ),
    "endless.py:Net": (PLAIN.replace("self.fc(", "self("), "endless.py:16: RecursionError: "),
    "silent.py:Net": (
        PLAIN.partition("    def forward")[0],
        "silent.py:Net: NotImplementedError: Module [Net] is missing the required",
    ),
    "maps.py:Net": (
        PLAIN.replace("nn.Linear(784, 10)", "nn.Conv2d(1, 10, 4, 4)").replace(".flatten(1)", ""),
        "maps.py:Net: its logits for two images have shape (2, 10, 7, 7), not (2, 10)",
    ),
    "seven.py:Net": (
        PLAIN.replace("784, 10", "784, 7"),
        "seven.py:Net: its logits for two images have shape (2, 7), not (2, 10); give its last "
        "layer, fc, 10 outputs",
    ),
    "pair.py:Net": (
        PLAIN.replace("flatten(1))", "flatten(1)), images"),
        "pair.py:Net: forward returns tuple, not a tensor; return the logits",
    ),
    "whole.py:Net": (
        PLAIN.replace("flatten(1))", "flatten(1)).long()"),
        "whole.py:Net: its logits are not finite floats: int64 [",
    ),
    "nan.py:Net": (
        PLAIN.replace("flatten(1))", "flatten(1)) * float('nan')"),
        "nan.py:Net: its logits are not finite floats: float32 [nan, nan, nan]",
    ),
    "cut.py:Net": (
        PLAIN.replace("flatten(1))", "flatten(1)).detach()"),
        "cut.py:Net: its logits have no gradient",
    ),
    "nothing.py:f": (
        HEAD + "def f():\n    return nn.Sequential(nn.AdaptiveAvgPool2d((1, 10)), nn.Flatten())\n",
        "nothing.py:f: has no trainable parameter",
    ),
    "double.py:Net": (
        PLAIN.replace("784, 10", "784, 10, dtype=torch.float64"),
        "double.py:16: mat1 and mat2 must have the same dtype",
    ),
    "state.py:Net": (
        PLAIN + "\n    def get_extra_state(self):\n        return object()\n",
        "state.py:Net: get_extra_state() cannot be saved: Object of type object is not JSON",
    ),
}


@pytest.mark.parametrize("model", BAD)
def test_a_bad_file_gets_one_line_with_its_place(write: Write, model: str) -> None:
    text, line = BAD[model]
    write(model.partition(":")[0], text)

    assert refusal(model).startswith(line)


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("gone.py:Net", "gone.py: cannot be read: No such file or directory"),
        ("folder.py:Net", "folder.py: cannot be read: not a file"),
        ("a\0b.py:Net", "'a\\x00b.py': cannot be read: embedded null byte"),
        ("a\nb.py:Net", "'a\\nb.py': cannot be read: No such file or directory"),
        ("x" * 300 + ".py:Net", "x" * 300 + ".py: cannot be read: File name too long"),
        ("latin.py:Net", "latin.py:2: not UTF-8 text; save the file as UTF-8"),
        ("endless_file.py:Net", "endless_file.py: larger than 1 MiB"),
        (
            "os:abort",
            "os:abort: is neither a class nor a function written in Python (type builtin_",
        ),
        ("os.path:nothing", "os.path: has no nothing; "),
        ("no.such.module:Net", "no.such.module: ModuleNotFoundError: No module named 'no'; it "),
        ("torch.nn:Linear", "torch.nn:Linear: needs arguments 'in_features', 'out_features', "),
        ("lenet", "there is no model lenet; write path/to/file.py:ClassName or "),
    ],
)
def test_a_missing_file_or_module_is_refused(tmp_path: Path, model: str, line: str) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "latin.py").write_bytes("x = 1\n# café\n".encode("latin-1"))
    (tmp_path / "endless_file.py").write_bytes(b"#" * (1 << 20) + b"\n")

    assert refusal(model).startswith(line)


def test_an_error_in_a_neighbor_names_the_neighbors_line(write: Write) -> None:
    write("blocks.py", "\n\n1 / 0\n")
    write("net.py", "import blocks\n")
    assert refusal("net.py:Net").startswith("blocks.py:3: ZeroDivisionError: division by zero")


def test_ctrl_c_is_not_taken_for_an_error(write: Write) -> None:
    write("net.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        built("net.py:Net")


def test_the_command_reports_it_in_one_line(write: Write, digits: Path, tmp_path: Path) -> None:
    write("broken.py", BAD["large.py:Net"][0])
    words = ["--no-ui", "--json", "--no-save", "--data-dir", digits]
    ended = call(command(*words, "--model", "broken.py:Net"), tmp_path / "said")

    assert ended.code == 2
    complaints = [line for line in ended.err.splitlines() if not line.startswith("preparing: ")]
    assert len(complaints) == 1
    assert complaints[0].startswith("mnist-tui: error: broken.py:16: mat1 and mat2 shapes cannot")
    assert "Traceback" not in ended.out + ended.err


# --- train, save, resume


def run(
    config: RunConfig, folder: Path, inbox: Inbox | None = None, resume: Path | None = None
) -> list[Event]:
    """Train in a folder, or resume there from a checkpoint."""
    folder.mkdir(exist_ok=True)
    store = CheckpointStore(RunFolder(folder).checkpoints)
    resumption = Resumption(read_checkpoint(resume), resume) if resume else None
    return list(train(config, inbox or Inbox(), store=store, resume=resumption))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 training and 40 test images of 28×28 pixels: quicker to read than the real ones."""
    return write_dataset(tmp_path_factory.mktemp("digits"), train=400, test=40)


def custom_config(data: Path, model: str, **more: object) -> RunConfig:
    settings = {
        "data_dir": str(data),
        "train_size": 300,
        "val_size": 100,
        "epochs": 1,
        "batch_size": 32,
        "threads": 1,
    }
    return RunConfig(model=model, device="cpu", lr=0.05, **{**settings, **more})  # type: ignore[arg-type]


def test_it_learns_is_saved_resumed_elsewhere_and_exported(
    write: Write, tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = custom_config(digits, write("lab/net.py", CLASSIC) + ":Net", augment="none", epochs=2)
    whole = run(config, tmp_path / "whole")
    assert only(RunStarted, whole).model == "net.py:Net"
    assert only(RunStarted, whole).dropout == 0.25
    first, last = of(EpochDone, whole)
    assert last.train_loss < first.train_loss
    cut: dict[int, list[Command]] = {13: [Stop(reason="interrupted", test=False)]}
    run(config, tmp_path / "half", ScriptedInbox(cut))
    written = config.resolved()

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    path = RunFolder(tmp_path / "half").checkpoint("last")
    run(written, tmp_path / "half", resume=path)

    there = RunFolder(tmp_path / "whole").checkpoint("last")
    assert differing_bits(read_checkpoint(there), read_checkpoint(path))[0] == 0
    model = load_model(path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, read_checkpoint(path).tensors[f"model/{name}"])


def test_layers_of_several_shares_keep_them(write: Write, tmp_path: Path, tiny: Path) -> None:
    text = PLAIN.replace(
        "nn.Linear(784, 10)",
        "nn.Sequential(nn.Dropout(0.1), nn.Linear(64, 20), nn.Dropout(0.5), nn.Linear(20, 10))",
    )
    config = tiny_config(tiny, model=write("net.py", text) + ":Net")
    run(config, tmp_path / "whole")
    cut: dict[int, list[Command]] = {3: [Stop(reason="interrupted", test=False)]}
    run(config, tmp_path / "half", ScriptedInbox(cut))
    path = RunFolder(tmp_path / "half").checkpoint("last")
    run(config, tmp_path / "half", resume=path)

    there = RunFolder(tmp_path / "whole").checkpoint("last")
    assert differing_bits(read_checkpoint(there), read_checkpoint(path))[0] == 0


def test_its_dropout_can_be_set_and_it_is_rebuilt_as_built(
    write: Write, tmp_path: Path, tiny: Path
) -> None:
    """A model can omit its layer without dropout: then the names of its weights change."""
    text = HEAD + (
        "def net(dropout=0.5):\n"
        "    drop = [nn.Dropout(dropout)] if dropout else []\n"
        "    return nn.Sequential(nn.Flatten(), *drop, nn.Linear(64, 10))\n"
    )
    config = tiny_config(tiny, model=write("net.py", text) + ":net", dropout=0.3)
    events = run(config, tmp_path / "run", ScriptedInbox({2: [SetDropout(0.0)]}))

    assert [(e.old, e.new) for e in of(SettingChanged, events)] == [(0.3, 0.0)]
    model = load_model(RunFolder(tmp_path / "run").checkpoint("last"))
    assert [type(layer).__name__ for layer in model.children()] == [
        "Flatten",
        "Dropout",
        "Linear",
    ]
    assert dropout_of(model) == 0.0


def test_dropout_without_dropout_layers_is_rejected(
    write: Write, tmp_path: Path, digits: Path
) -> None:
    config = custom_config(digits, write("net.py", PLAIN) + ":Net")
    events = run(config, tmp_path / "run", ScriptedInbox({2: [SetDropout(0.1)]}))
    assert "has no dropout layer" in only(CommandRejected, events).reason


def test_a_missing_or_changed_file_is_reported(write: Write, tmp_path: Path, digits: Path) -> None:
    config = custom_config(digits, write("net.py", PLAIN) + ":Net").resolved()
    run(config, tmp_path / "run")
    path = RunFolder(tmp_path / "run").checkpoint("last")

    def message(action: Callable[[], object]) -> str:
        with pytest.raises(InputError) as caught:
            action()
        assert str(caught.value).isprintable()
        return str(caught.value)

    write("net.py", PLAIN.replace("784, 10)", "784, 10, bias=False)"))
    assert message(lambda: run(config, tmp_path / "run", resume=path)) == (
        f"{path}: does not fit: the model has no fc.bias"
    )
    assert message(lambda: load_model(path)).startswith(
        f"{path}: its model cannot be built: the model has no fc.bias"
    )
    write(
        "net.py",
        PLAIN.replace("784, 10)", "784, 20), nn.Linear(20, 10)")
        .replace("self.fc = nn", "self.fc = nn.Sequential(nn")
        .replace("(20, 10)", "(20, 10))"),
    )
    resumed = message(lambda: run(config, tmp_path / "run", resume=path))
    assert resumed.startswith(f"{path}: does not fit: fc.0.weight is missing")
    (tmp_path / "net.py").unlink()
    assert message(lambda: run(config, tmp_path / "run", resume=path)).startswith(
        "net.py: cannot be"
    )
    assert "net.py: cannot be read: No such file" in message(lambda: load_model(path))


def test_a_model_that_views_its_maps_stays_contiguous(write: Write) -> None:
    classic = to_channels_last(built(write("net.py", CLASSIC) + ":Net"), 28)
    flat = to_channels_last(
        built(write("flat.py", CLASSIC.replace("x.view(-1, self.width)", "x.flatten(1)")) + ":Net"),
        28,
    )

    assert classic.get_parameter("conv2.weight").is_contiguous()
    channels_last = flat.get_parameter("conv2.weight")
    assert channels_last.is_contiguous(memory_format=torch.channels_last)
    assert not channels_last.is_contiguous()


# --- while it trains

LATE = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        if self.training and len(x) != 32:
            x = x.view(32, 784)
        return self.fc(x.flatten(1))
"""


def test_a_late_error_names_its_line(write: Write, tmp_path: Path, digits: Path) -> None:
    """The last batch of an epoch is smaller: a classic error, found before the first step."""
    config = custom_config(digits, write("net.py", LATE) + ":Net", augment="none")

    line = r"^net\.py:11: shape '\[32, 784\]' is invalid .* with a batch of 12 images$"
    with pytest.raises(InputError, match=line):
        run(config, tmp_path / "run")
    assert not RunFolder(tmp_path / "run").checkpoint("last").exists()


def test_an_unforeseeable_error_names_its_line(write: Write, tmp_path: Path, digits: Path) -> None:
    """An error in a later step ends the run; its last good checkpoint is kept."""
    text = LATE.replace("self.training and len(x) != 32", "self.training and self.fails()")
    text += """
    steps = 0

    def fails(self):
        self.steps += 1
        return self.steps > 7
"""
    config = custom_config(digits, write("net.py", text) + ":Net", augment="none")

    with pytest.raises(
        CustomModelError, match=r"^net\.py:11: shape '\[32, 784\]' is inv"
    ) as caught:
        run(config, tmp_path / "run")
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert RunFolder(tmp_path / "run").checkpoint("last").is_file()


def test_an_error_outside_custom_code_is_raised_unchanged(
    write: Write, tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("tui_trainer.engine.run.Run.count_step", breaks)
    for model in (write("net.py", PLAIN) + ":Net", "mlp"):
        with pytest.raises(ZeroDivisionError, match="ours"):
            run(custom_config(digits, model), tmp_path / model.replace("/", "_"))
