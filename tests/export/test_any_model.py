"""Programs and weights files of models of any kind that PyTorch trains."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from tui_trainer.export import model_files, programs
from tui_trainer.export.comparison import compare
from tui_trainer.models.copies import copy_model
from tui_trainer.protocol.errors import InputError

HERE = Path(__file__).name


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, stride=3)
        self.head = nn.Linear(4 * 8 * 8, 10)

    def logits(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).relu().flatten(1))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x)


class WritesIntoInput(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x.sub_(0.5).div_(0.5))


class Window(Base):
    """Caches a tensor for the last batch size; here one of training."""

    def __init__(self) -> None:
        super().__init__()
        self.window = torch.ones(64, 1, 28, 28)

    def forward(self, x: Tensor) -> Tensor:
        if self.window.shape != x.shape:
            self.window = torch.hann_window(28, periodic=False).expand_as(x).contiguous()
        return self.logits(x * self.window)


class ReturnsNothing(Base):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)

    def train(self, mode: bool = True) -> None:  # type: ignore[override]
        super().train(mode)

    def eval(self) -> None:  # type: ignore[override]
        nn.Module.train(self, False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)).flatten(1))  # type: ignore[no-any-return]


class OldNorms(Base):
    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nn.utils.weight_norm(self.conv)
        nn.utils.spectral_norm(self.head)


class NewNorms(Base):
    def __init__(self) -> None:
        super().__init__()
        parametrizations.weight_norm(self.conv)
        parametrizations.orthogonal(self.head)  # ONNX has no Householder product


class Pruned(Base):
    def __init__(self) -> None:
        super().__init__()
        prune.l1_unstructured(self.conv, "weight", 0.5)  # type: ignore[no-untyped-call]


class Keeps(Base):
    """Keeps its maps with their graph, counts its calls and prints."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.maps: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.maps.append(self.conv(x))
        print("maps", self.maps[-1].shape)
        return self.head(self.maps[-1].relu().flatten(1))  # type: ignore[no-any-return]


class Scripted(Base):
    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.tail = nn.Sequential(torch.jit.script(nn.Sequential(nn.ReLU(), nn.Flatten(1))))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.tail(self.conv(x)))  # type: ignore[no-any-return]


class Outside(Base):
    """Computes with tensors outside its ``state_dict``."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.rand(28, 28), persistent=False)
        self.shift = torch.rand(10)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x * self.scale) + self.shift


class Dtypes(Base):
    """Parameters of many dtypes: halves, integers, bools, an empty one."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.halves = nn.Parameter(torch.ones(10, dtype=torch.float16))
        self.order = nn.Parameter(torch.randperm(10), requires_grad=False)
        self.empty = nn.Parameter(torch.zeros(0, 10))
        self.register_buffer("mask", torch.rand(28, 28) > 0.2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.logits(x.masked_fill(~self.mask, 0)) * self.halves
        return y[:, self.order] + self.empty.sum(0)


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(15 * 28, 10, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        product: Tensor = torch.fft.rfft2(x).flatten(1) @ self.weight
        return product.abs()


class Doubles(Base):
    def __init__(self) -> None:
        super().__init__()
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x.double())


class Autocast(Base):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.logits(x)


class TwoHeads(Base):
    def forward(self, x: Tensor) -> Any:
        y = self.logits(x)
        return (y, y) if self.training else y


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.TransformerEncoderLayer(28, 4, 32, batch_first=True)
        self.head = nn.Linear(28, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(x.squeeze(1)).mean(1))  # type: ignore[no-any-return]


class Length(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).relu().view(len(x), -1))  # type: ignore[no-any-return]


class Whole(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).relu().reshape(int(x.shape[0]), -1))  # type: ignore[no-any-return]


class Loops(Base):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.logits(one[None]) for one in x])


class Branches(Base):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return self.logits(x)
        return -self.logits(x)


class Sizes(Base):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] > 64:
            x = x * 1.0
        return self.logits(x)


class Counts(Base):
    """Has random outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.logits(x) * self.calls


class Seeds(Base):
    """Sets a seed by itself, which no program does."""

    def forward(self, x: Tensor) -> Tensor:
        torch.manual_seed(0)
        return self.logits(x + torch.rand(28, 28))


class Noisy(Base):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.logits(x), 0.5, training=True)


class Spectrum(Base):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.randn(1, 28, 15, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        gained = torch.einsum("nchw,chw->nchw", torch.fft.rfft2(x), self.gain)
        return self.logits(torch.fft.irfft2(gained))


class Median(Base):
    def forward(self, x: Tensor) -> Tensor:
        y = self.logits(x)
        return y - y.median(dim=1, keepdim=True)[0]


ANY_BATCH: list[type[nn.Module]] = [
    WritesIntoInput,
    Window,
    ReturnsNothing,
    OldNorms,
    NewNorms,
    Pruned,
    Keeps,
    Scripted,
    Outside,
    Dtypes,
    Complex,
    Doubles,
    Autocast,
    TwoHeads,
    Tokens,
]
"""Models that have a program with a dynamic batch size."""

STRICT: list[type[nn.Module]] = [Length, Whole]
"""The same, if the bytecode is analyzed."""


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(3)


def images(count: int) -> Tensor:
    return torch.randn(count, 1, 28, 28)


def refused(
    write: Callable[[nn.Module, int, Path], object], model_class: nn.Module, path: Path
) -> str:
    with pytest.raises(InputError) as caught:
        write(model_class, 28, path)
    assert not path.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def line_of(model_class: type[nn.Module], text: str) -> str:
    """Return the place in this file of a line of a model's forward."""
    code = model_class.forward.__code__
    lines = Path(__file__).read_text().splitlines()
    number = next(n for n in range(code.co_firstlineno, len(lines)) if text in lines[n - 1])
    return f"{HERE}:{number}: "


# --- programs of torch.export


@pytest.mark.parametrize(
    "model_class",
    [pytest.param(m, marks=pytest.mark.slow) if m is Tokens else m for m in ANY_BATCH],
)
@pytest.mark.sampled(5)
def test_a_program_gives_the_answers_for_any_batch(
    tmp_path: Path, model_class: type[nn.Module]
) -> None:
    model, path = model_class(), tmp_path / "model.pt2"
    before = copy_model(model).state_dict()

    assert model_files.write_torch_export(model, 28, path) == ""

    for count in (1, 4, 70):
        result = model_files.compare_torch_export(model, path, images(count))
        assert (result.images, result.disagreements, result.is_same) == (count, 0, True)
    assert model.training
    assert model.state_dict().keys() == before.keys()
    assert str(Path(__file__).parent).encode() not in path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("model_class", STRICT)
def test_a_batch_size_taken_by_python_stays_open(
    tmp_path: Path, model_class: type[nn.Module]
) -> None:
    path = tmp_path / "model.pt2"
    model = model_class()

    assert model_files.write_torch_export(model, 28, path) == ""

    assert model_files.compare_torch_export(model, path, images(9)).is_same


def test_a_program_leaves_the_tensor_that_it_is_given_as_it_is(tmp_path: Path) -> None:
    model_files.write_torch_export(WritesIntoInput(), 28, tmp_path / "model.pt2")
    program = torch.export.load(tmp_path / "model.pt2").module()
    given = images(2)
    before = given.clone()

    program(given)

    assert torch.equal(given, before)


def test_nothing_is_printed_and_no_rng_advances(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, path, few = Keeps(), tmp_path / "model.pt2", images(3)
    state = torch.get_rng_state()

    model_files.write_torch_export(model, 28, path)
    model_files.compare_torch_export(model, path, few)

    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.get_rng_state(), state)
    assert model.calls == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_class", "text", "cause"),
    [
        (
            Loops,
            "for one in x",
            "a loop over the images fixes the batch size; compute on the whole batch at once",
        ),
        (Sizes, "x.shape[0] > 64", "`if x.shape[0] > 64` depends on the batch size"),
    ],
)
def test_a_batch_size_of_1_is_better_than_no_program(
    tmp_path: Path, model_class: type[nn.Module], text: str, cause: str
) -> None:
    model, path = model_class(), tmp_path / "model.pt2"

    note = model_files.write_torch_export(model, 28, path)

    assert note.startswith("batch size fixed to 1 (")
    assert note.endswith(f"{line_of(model_class, text)}{cause})")
    result = model_files.compare_torch_export(model, path, images(5))
    assert (result.images, result.is_same) == (5, True)


@pytest.mark.parametrize(
    ("model_class", "text", "advice"),
    [
        (Length, "len(x)", "len(x) fixes the batch size; write x.shape[0]"),
        (Whole, "int(", "int(x.shape[0]) fixes the batch size; write x.shape[0]"),
    ],
)
def test_the_line_that_fixes_the_batch_size_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model_class: type[nn.Module],
    text: str,
    advice: str,
) -> None:
    ways = tuple(way for way in programs._TRACE_OPTIONS if not way.strict)
    monkeypatch.setattr(programs, "_TRACE_OPTIONS", ways)

    note = model_files.write_torch_export(model_class(), 28, tmp_path / "model.pt2")

    assert note.endswith(f"{line_of(model_class, text)}{advice})")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_class", "text", "cause"),
    [
        (Branches, "if x.sum() > 0", "`if x.sum() > 0` depends on the values of the images"),
        (Counts, "", "the model's outputs depend on earlier images (it keeps calls)"),
        (Seeds, "", "the exported program gives other outputs than the model"),
    ],
)
def test_what_no_program_can_do_is_one_sentence(
    tmp_path: Path, model_class: type[nn.Module], text: str, cause: str
) -> None:
    message = refused(model_files.write_torch_export, model_class(), tmp_path / "model.pt2")

    assert (line_of(model_class, text) if text else "") + cause in message


def test_random_answers_are_compared_under_one_seed_or_not_at_all(tmp_path: Path) -> None:
    model, path = Noisy(), tmp_path / "model.pt2"
    model_files.write_torch_export(model, 28, path)

    same = model_files.compare_torch_export(model, path, images(4))
    other = compare(model, lambda few: torch.zeros(len(few), 10), images(4), 4)

    assert same.is_random
    assert same.words.endswith("both with the same random seed")
    assert not other.is_wrong
    assert other.words == "cannot be compared: the model's logits are random in evaluation mode"


# --- comparisons


@pytest.mark.parametrize(
    "other",
    [
        lambda logits: logits + 1,
        lambda logits: logits.where(logits > logits.min(), torch.nan),
        lambda logits: logits[:, :9],
        lambda logits: logits.flip(1),
        lambda logits: logits + (len(logits) == 1),
        lambda logits: logits + (len(logits) > 2),
    ],
    ids=["shifted", "nan", "a class less", "other classes", "one image", "many images"],
)
def test_other_answers_are_wrong(other: Callable[[Tensor], Tensor]) -> None:
    model = Base()
    assert compare(model, lambda few: other(model(few)), images(12), 9).is_wrong


def test_rounding_is_not_wrong_even_where_two_classes_are_level() -> None:
    class Level(Base):
        def forward(self, x: Tensor) -> Tensor:
            return self.logits(x)[:, :1].expand(-1, 10)

    model = Level()
    result = compare(model, lambda few: model(few) + torch.rand(10) * 1e-6, images(12), 9)

    assert result.disagreements
    assert not result.is_wrong


# --- ONNX


@pytest.mark.slow
@pytest.mark.parametrize("model_class", [*ANY_BATCH, *STRICT])
def test_an_onnx_file_gives_the_answers_or_is_refused_with_a_reason(
    tmp_path: Path, model_class: type[nn.Module]
) -> None:
    model, path = model_class(), tmp_path / "model.onnx"
    refusals: dict[type[nn.Module], str] = {
        Doubles: "onnxruntime has no Conv for ",
        Autocast: "ONNX has no Conv for bfloat16",
    }
    if reason := refusals.get(model_class):
        with pytest.raises(InputError, match=reason):
            _ = (
                model_files.write_onnx(model, 28, path),
                model_files.compare_onnx(model, path, images(4)),
            )
    else:
        assert model_files.write_onnx(model, 28, path) == ""
        for count in (1, 4, 70):
            assert model_files.compare_onnx(model, path, images(count)).is_same
        assert str(Path(__file__).parent).encode() not in path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_class", "text", "cause"),
    [
        (Median, "y.median(", "ONNX has no operator for aten.median"),
        (Spectrum, "torch.einsum(", "ONNX does not support complex numbers"),
    ],
)
def test_what_onnx_lacks_is_named_with_its_line(
    tmp_path: Path, model_class: type[nn.Module], text: str, cause: str
) -> None:
    message = refused(model_files.write_onnx, model_class(), tmp_path / "model.onnx")

    assert line_of(model_class, text) in message
    assert cause in message


# --- weights


@pytest.mark.parametrize("model_class", [*ANY_BATCH, *STRICT])
def test_a_new_model_loads_the_weights(tmp_path: Path, model_class: type[nn.Module]) -> None:
    model, path = model_class(), tmp_path / "weights.safetensors"
    model_files.write_weights(model, path)

    message = model_files.check_weights(model, path, model_class(), 28)

    expected, read = model.state_dict(), load_file(path)
    assert expected.keys() == read.keys()
    assert all(torch.equal(expected[name], read[name]) for name in expected)
    if model_class is Outside:
        assert message.startswith("lacks scale, shift, not in the state_dict: a new model ")
    else:
        assert message == "a new model with these weights gives the same outputs"


def test_shared_tensors_are_written_under_each_name(tmp_path: Path) -> None:
    class Tied(Base):
        def __init__(self) -> None:
            super().__init__()
            self.other = nn.Linear(256, 10)
            self.other.weight = self.head.weight
            self.register_buffer("view", self.head.weight[2:4])

    path = tmp_path / "weights.safetensors"
    model_files.write_weights(Tied(), path)

    fresh = Tied()
    fresh.load_state_dict(load_file(path))
    assert fresh.other.weight is fresh.head.weight


def test_expanded_buffers_are_loaded_by_assignment(tmp_path: Path) -> None:
    class Expanded(Base):
        grid: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("grid", torch.linspace(0, 1, 28).expand(28, 28))

        def forward(self, x: Tensor) -> Tensor:
            return self.logits(x * self.grid)

    model, path = Expanded(), tmp_path / "weights.safetensors"
    model_files.write_weights(model, path)

    message = model_files.check_weights(model, path, Expanded(), 28)
    assert message.endswith("(load_state_dict with assign=True: grid is expanded)")


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(2, dtype=torch.complex128), "safetensors does not support complex128"),
        (torch.zeros(2, 2).to_sparse(), "safetensors does not support sparse_coo tensors"),
        (torch.zeros(2, device="meta"), "safetensors does not support meta tensors"),
    ],
)
def test_a_type_that_safetensors_lacks_is_named(
    tmp_path: Path, tensor: Tensor, message: str
) -> None:
    model = Base()
    model.register_buffer("odd", tensor)

    def write(model: nn.Module, _: int, path: Path) -> None:
        model_files.write_weights(model, path)

    assert refused(write, model, tmp_path / "w.safetensors").startswith(f"odd: {message}")


def test_other_weights_do_not_pass(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    model_files.write_weights(Base(), path)

    with pytest.raises(InputError, match="a new model with these weights gives other outputs"):
        model_files.check_weights(Base(), path, Base(), 28)
    with pytest.raises(InputError, match="a new model does not load the weights: "):
        model_files.check_weights(Base(), path, Pruned(), 28)


class LeavesOut(nn.Module):
    """Overrides ``state_dict`` to save only its head."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(64, 16), nn.Linear(16, 10)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        whole = super().state_dict(*args, **kwargs)
        return {name: value for name, value in whole.items() if name.startswith("head")}

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x.flatten(1)).relu())  # type: ignore[no-any-return]


def test_weights_that_a_state_dict_leaves_out_are_written(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    model_files.write_weights(LeavesOut(), path)
    assert load_file(path).keys() == {"body.weight", "body.bias", "head.weight", "head.bias"}
