"""A trained network as a file for other programs, and the proof that it says the same there."""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tui_trainer.export.files import replacing, require

INPUT, OUTPUT = "images", "scores"
"""What an ONNX file calls the network's input and output."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far an exported network is from the one it was made from.

    Attributes:
        images: How many images both were shown.
        disagreements: For how many of them the class with the highest score is another one.
        max_difference: Greatest absolute difference of any score.
    """

    images: int
    disagreements: int
    max_difference: float

    @property
    def words(self) -> str:
        """The comparison as a sentence."""
        return (
            f"{self.disagreements:,} of {self.images:,} test images get another class than in "
            f"torch, scores differ by {self.max_difference:.1g} at most"
        )


def write_weights(network: nn.Module, path: Path) -> None:
    """Write what the network has learned as a safetensors file, under its own names.

    Parameters and buffers, each with its own type, contiguous. The network is left as it is.

    Raises:
        InputError: If safetensors is not installed, or the file cannot be written.
    """
    safetensors = require("safetensors.torch", "the weights file")
    weights = {name: tensor.contiguous() for name, tensor in _copy_of(network).state_dict().items()}
    content: bytes = safetensors.save(weights)
    with replacing(path) as part:
        part.write_bytes(content)


def write_onnx(network: nn.Module, image_size: int, path: Path) -> None:
    """Write the network in evaluation mode as an ONNX file that holds its weights too.

    It maps ``images``, float32 (N, 1, image_size, image_size) normalized as in training, to
    ``scores``, float32 (N, classes), for any N of 1 or more. Writes nothing to stdout or stderr,
    and leaves the network as it is. Takes some seconds.

    Raises:
        InputError: If onnx or onnxscript is not installed, or the file cannot be written.
    """
    for package in ("onnx", "onnxscript"):
        require(package, "the ONNX file")
    with _silence():
        program = torch.onnx.export(
            _copy_of(network),
            (_example(image_size),),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
        if program is None:
            raise RuntimeError("torch.onnx.export returned no program")
        model = program.model_proto
    _forget_origins(model)
    with replacing(path) as part:
        part.write_bytes(model.SerializeToString())


def write_torch_export(network: nn.Module, image_size: int, path: Path) -> None:
    """Write the network in evaluation mode as a PyTorch program (``.pt2``), without its class.

    ``torch.export.load(path).module()`` maps normalized float32 images (N, 1, image_size,
    image_size) to scores (N, classes), for any N of 1 or more. The network is left as it is.

    Raises:
        InputError: If the file cannot be written.
    """
    with _silence():
        program = torch.export.export(
            _copy_of(network),
            (_example(image_size),),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # paths of this machine
        content = io.BytesIO()
        torch.export.save(program, content)
    with replacing(path) as part:
        part.write_bytes(content.getvalue())


def compare_onnx(
    network: nn.Module, path: Path, images: Tensor, *, batch: int = 500, threads: int = 1
) -> Comparison:
    """Show the same images to the network and to an ONNX file made of it, both on the CPU.

    Args:
        network: The network; it is left as it is.
        path: What :func:`write_onnx` wrote.
        images: Prepared images, float32 (N, 1, H, H).
        batch: Images a pass.
        threads: Threads of onnxruntime; torch uses its own number.

    Raises:
        InputError: If onnxruntime is not installed.
    """
    runtime: Any = require("onnxruntime", "the comparison with the ONNX file")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def scores(few: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: few.numpy()})[0])

    return _compare(network, scores, images, batch)


def compare_torch_export(
    network: nn.Module, path: Path, images: Tensor, *, batch: int = 500
) -> Comparison:
    """Show the same images to the network and to a PyTorch program made of it, both on the CPU.

    Args:
        network: The network; it is left as it is.
        path: What :func:`write_torch_export` wrote.
        images: Prepared images, float32 (N, 1, H, H).
        batch: Images a pass.
    """
    with _silence(), path.open("rb") as file:
        exported = torch.export.load(io.BytesIO(file.read())).module()
    return _compare(network, exported, images, batch)


@torch.inference_mode()
def _compare(
    network: nn.Module, other: Callable[[Tensor], Tensor], images: Tensor, batch: int
) -> Comparison:
    network = _copy_of(network)
    disagreements, farthest = 0, torch.tensor(0.0)
    for start in range(0, len(images), batch):
        few = images[start : start + batch].to("cpu", memory_format=torch.contiguous_format)
        mine, others = network(few), other(few)
        disagreements += int((mine.argmax(dim=1) != others.argmax(dim=1)).sum())
        # maximum() keeps a score that is not a number; Python's max() would lose it.
        farthest = torch.maximum(farthest, (mine - others).abs().max())
    return Comparison(len(images), disagreements, float(farthest))


def _copy_of(network: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, on the CPU, laid out as if it had been built there.

    Working on a copy, an export can never leave the network of a run in the wrong mode.
    """
    twin = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
    return twin.to(device="cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload,no-any-return]


def _example(image_size: int) -> Tensor:
    # Two images: what is traced with one is specialized to one.
    return torch.zeros(2, 1, image_size, image_size)


def _forget_origins(model: Any) -> None:
    """Remove the exporter's notes: half of a small file, and the paths of this machine in it."""
    graph = model.graph
    parts: Iterable[Any] = (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    )
    for part in parts:
        del part.metadata_props[:]


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter from talking: it warns of its own insides and reports its progress."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
