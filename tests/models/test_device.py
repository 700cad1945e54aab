from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from tui_trainer.models.device import choose_device, choose_precision, set_up
from tui_trainer.protocol.errors import InputError


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """The accelerators of this machine: none, unless a test sets one."""
    there = {"cuda": False, "mps": False}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there["mps"])
    return there


@pytest.mark.parametrize(
    ("there", "chosen"), [((), "cpu"), (("mps",), "mps"), (("cuda", "mps"), "cuda")]
)
def test_auto_takes_the_fastest_that_is_there(
    present: dict[str, bool], there: tuple[str, ...], chosen: str
) -> None:
    present.update(dict.fromkeys(there, True))

    assert choose_device("auto").type == chosen


def test_a_named_device_is_taken_even_if_another_is_faster(present: dict[str, bool]) -> None:
    present.update(cuda=True, mps=True)

    assert choose_device("cpu").type == "cpu"
    assert choose_device("mps").type == "mps"


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_missing_device_is_refused(present: dict[str, bool], name: str) -> None:
    with pytest.raises(InputError, match=f"--device {name}: .*--device cpu"):
        choose_device(name)


def test_the_number_of_threads_is_set_and_returned() -> None:
    assert set_up(torch.device("cpu"), 2) == 2
    assert torch.get_num_threads() == 2
    assert set_up(torch.device("cpu"), 1) == 1


def test_without_a_number_pytorch_chooses_the_threads() -> None:
    torch.set_num_threads(2)

    assert set_up(torch.device("cpu"), None) == 2


@pytest.mark.parametrize(
    ("asked", "has_bf16", "chosen"),
    [("auto", True, "bf16"), ("auto", False, "float32"), ("float32", True, "float32")],
)
def test_auto_is_bf16_where_the_processor_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, asked: str, has_bf16: bool, chosen: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has_bf16})

    assert choose_precision(torch.device("cpu"), asked) == chosen
    assert choose_precision(torch.device("mps"), "auto") == "float32"


@pytest.mark.parametrize(("precision", "is_coarse"), [("float32", False), ("tf32", True)])
def test_a_gpu_computes_in_tf32_only_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, precision: str, is_coarse: bool
) -> None:
    cudnn = SimpleNamespace(benchmark=True, deterministic=False, allow_tf32=not is_coarse)
    matmul = SimpleNamespace(allow_tf32=not is_coarse)
    monkeypatch.setattr(torch.backends, "cudnn", cudnn)
    monkeypatch.setattr(torch.backends.cuda, "matmul", matmul)

    set_up(torch.device("cuda"), None, precision)

    assert (cudnn.allow_tf32, matmul.allow_tf32) == (is_coarse, is_coarse)
    assert (cudnn.benchmark, cudnn.deterministic) == (False, True)
