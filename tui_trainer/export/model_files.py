"""A trained model as a file for other programs, with a check of the file's outputs."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from tui_trainer.export.comparison import Comparison, compare, isolated
from tui_trainer.export.programs import Program, capture
from tui_trainer.export.reasons import first_sentence, nodes_of, onnx_reason, onnxruntime_reason
from tui_trainer.export.targets import replacing, require
from tui_trainer.models.behavior import (
    behavior_of,
    fingerprint,
    fixed_images,
    is_coarse,
    same_logits,
)
from tui_trainer.models.input_spec import InputSize
from tui_trainer.models.state import state_tensors
from tui_trainer.models.unregistered_state import UnregisteredState, has_internal_overlap
from tui_trainer.protocol.errors import InputError
from tui_trainer.text.fmt import printable

INPUT, OUTPUT = "images", "logits"
"""The names of the ONNX model's input and output."""

MAX_SINGLE_IMAGES = 1_000
"""Images to compare a program with fixed batch size 1 on: more would take too long."""

MAX_OPTIMIZED_NODES = 2_000
"""Operators that the exporter's optimizer gets: its time grows with their square.

A network of a few hundred layers has fewer; a loop over 784 pixels 9,400: ten minutes for each.
"""

MAX_LISTED_NAMES = 4
"""Maximum names in a message."""

EXTRA_FILE = "preprocessing.json"
"""The file with the metadata of a PyTorch program, inside its own."""

NOTHING: Mapping[str, str] = MappingProxyType({})
"""No metadata."""


# --- weights


def write_weights(model: nn.Module, path: Path, about: Mapping[str, str] = NOTHING) -> None:
    """Write the model's weights as a safetensors file, under their own names.

    Every entry of the ``state_dict``, each with its own dtype, contiguous: a tensor with several
    names is written under each of them, so that ``load_state_dict`` accepts the file unchanged. The
    model is not changed. ``about`` is the metadata of the file.

    Raises:
        InputError: If safetensors is not installed, does not support the dtype of a tensor, or the
            file cannot be written.
    """
    safetensors = require("safetensors.torch", "the weights file")
    # Some models override state_dict and omit parts: a new model would lack them.
    whole = {**state_tensors(model), **model.state_dict()}
    weights = {name: _plain(name, value) for name, value in whole.items()}
    try:
        content: bytes = safetensors.save(weights, metadata=dict(about) or None)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"safetensors rejects the weights: {first_sentence(error)}") from None
    with replacing(path) as part:
        part.write_bytes(content)


def _plain(name: str, value: Any) -> Tensor:
    safetensors = require("safetensors.torch", "the weights file")
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        raise InputError(f"{printable(name)} in the state_dict is not a tensor (type {kind})")
    kind = str(value.dtype).removeprefix("torch.")
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        layout = "meta" if value.is_meta else str(value.layout).removeprefix("torch.")
        raise InputError(
            f"{printable(name)}: safetensors does not support {layout} tensors ({kind})"
        )
    tensor = value.detach().to("cpu", copy=True).resolve_conj().resolve_neg().contiguous()
    try:
        safetensors.save({"": tensor[:0] if tensor.dim() else tensor})
    except (KeyError, ValueError, TypeError, RuntimeError):
        raise InputError(
            f"{printable(name)}: safetensors does not support {kind}; use export --as torch"
        ) from None
    return tensor


def check_weights(model: nn.Module, path: Path, new_model: nn.Module, image_size: InputSize) -> str:
    """Load a weights file into a newly built model, and compare both on fixed images.

    Args:
        model: The model whose weights they are; not changed.
        path: The file from :func:`write_weights`.
        new_model: The same model with other initial weights; the weights of the file are loaded
            into it.
        image_size: Side of the images, or the input of the model.

    Returns:
        The result, as a sentence.

    Raises:
        InputError: If the file does not load, or the outputs differ for an unknown reason.
    """
    safetensors = require("safetensors.torch", "the weights file")
    with isolated():
        weights = safetensors.load_file(path)
        # PyTorch cannot copy into a tensor with overlapping elements; it can replace the tensor.
        shared = [
            name for name, tensor in new_model.state_dict().items() if has_internal_overlap(tensor)
        ]
        try:
            new_model.load_state_dict(weights, assign=bool(shared))
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            words = first_sentence(error)
            raise InputError(f"a new model does not load the weights: {words}") from None
        expected, actual = fingerprint(model, image_size), fingerprint(new_model, image_size)
        if same_logits(expected, actual, coarse=is_coarse(model)):
            how = f" (load_state_dict with assign=True: {_listed(shared)} is expanded)"
            return f"a new model with these weights gives the same outputs{how if shared else ''}"
        if behavior_of(model, fixed_images(image_size)).is_random:
            return "not compared: the model's logits are random in evaluation mode"
    missing = _differing(model, new_model)
    if not missing:
        raise InputError("a new model with these weights gives other outputs")
    return (
        f"lacks {_listed(missing)}, not in the state_dict: a new model with these weights gives "
        "other outputs; register each as a buffer, or export --as torch"
    )


def _differing(model: nn.Module, new_model: nn.Module) -> list[str]:
    """Return the names of the tensors outside the ``state_dict`` that differ between two models."""
    expected, actual = UnregisteredState(model).tensors(), UnregisteredState(new_model).tensors()
    return [
        printable(name)
        for name, tensor in expected.items()
        if name not in actual or not torch.equal(actual[name], tensor)
    ]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MAX_LISTED_NAMES]) + (", …" if len(names) > MAX_LISTED_NAMES else "")


# --- programs


def write_torch_export(
    model: nn.Module, image_size: InputSize, path: Path, about: Mapping[str, str] = NOTHING
) -> str:
    """Write the model in evaluation mode as a PyTorch program (``.pt2``), without its class.

    ``torch.export.load(path).module()`` maps normalized float32 images (N, channels, H, W) to
    logits (N, classes), for any N of 1 or more. The model is not changed.

    Args:
        model: The model.
        image_size: Side of the images, or the input of the model.
        path: The file.
        about: Its metadata; ``extra_files`` of ``torch.export.load`` reads them from
            ``preprocessing.json``.

    Returns:
        The limits of the program; empty if it takes any N.

    Raises:
        InputError: If the model cannot be exported, or the file cannot be written.
    """
    captured = capture(model, image_size)
    for node in nodes_of(captured.program):
        node.meta.pop("stack_trace", None)  # contains paths of this machine
    content = io.BytesIO()
    with isolated():
        try:
            torch.export.save(captured.program, content, extra_files=_extra_files(about))
        except Exception as error:  # of any kind, if the serializer lacks a feature
            raise InputError(
                f"torch.export cannot save the program: {first_sentence(error)}"
            ) from None
    with replacing(path) as part:
        part.write_bytes(content.getvalue())
    return captured.note


def _extra_files(about: Mapping[str, str]) -> dict[str, Any] | None:
    if not about:
        return None
    return {EXTRA_FILE: json.dumps({name: json.loads(value) for name, value in about.items()})}


def write_onnx(
    model: nn.Module, image_size: InputSize, path: Path, about: Mapping[str, str] = NOTHING
) -> str:
    """Write the model in evaluation mode as an ONNX file that includes its weights.

    It maps ``images``, float32 (N, channels, H, W) normalized as in training, to ``logits``
    (N, classes), for any N of 1 or more. Writes nothing to stdout or stderr, and does not change
    the model. Takes some seconds.

    Args:
        model: The model.
        image_size: Side of the images, or the input of the model.
        path: The file.
        about: Its metadata (``metadata_props``).

    Returns:
        The limits of the program; empty if it takes any N.

    Raises:
        InputError: If onnx or onnxscript is not installed, the model cannot be exported, or the
            file cannot be written.
    """
    for package in ("onnx", "onnxscript"):
        require(package, "the ONNX file")
    captured = capture(model, image_size)
    with isolated():
        try:
            content = _onnx_bytes(captured, about)
        except Exception as error:  # of any kind, if the converter lacks a feature
            raise InputError(onnx_reason(error, captured.program)) from None
    with replacing(path) as part:
        part.write_bytes(content)
    return captured.note


def _onnx_bytes(captured: Program, about: Mapping[str, str]) -> bytes:
    program = torch.onnx.export(
        captured.program,
        dynamo=True,
        verbose=False,
        input_names=[INPUT],
        output_names=[OUTPUT],
        optimize=len(captured.program.graph.nodes) <= MAX_OPTIMIZED_NODES,
        # A program already has its shapes; this names the dynamic dimension.
        dynamic_shapes=None if captured.is_fixed else ({0: "batch"},),
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = program.model_proto
    _strip_metadata(model)
    for name, value in about.items():
        model.metadata_props.add(key=name, value=value)
    content: bytes = model.SerializeToString()
    return content


def _strip_metadata(message: Any) -> None:
    """Remove the exporter's metadata: half of a small file, with paths of this machine."""
    for field, value in message.ListFields():
        if field.name == "metadata_props":
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in (value,) if hasattr(value, "ListFields") else value:
                _strip_metadata(part)


# --- comparisons


def compare_onnx(
    model: nn.Module, path: Path, images: Tensor, *, batch: int = 500, threads: int = 1
) -> Comparison:
    """Compare a model with an ONNX file exported from it, on the CPU.

    Args:
        model: The model; not changed.
        path: The file from :func:`write_onnx`.
        images: Prepared images, float32 (N, channels, H, W).
        batch: Batch size; a file with a fixed batch size gets its own.
        threads: Threads of onnxruntime; torch uses its own number.

    Raises:
        InputError: If onnxruntime is not installed, or cannot run the file.
    """
    runtime: Any = require("onnxruntime", "the comparison with the ONNX file")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

        def logits(chunk: Tensor) -> Tensor:
            return torch.from_numpy(session.run([OUTPUT], {INPUT: chunk.numpy()})[0])

        return _compare(model, logits, session.get_inputs()[0].shape[0], images, batch)
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "onnxruntime":
            raise
        raise InputError(onnxruntime_reason(error, model)) from None


def compare_torch_export(
    model: nn.Module, path: Path, images: Tensor, *, batch: int = 500
) -> Comparison:
    """Compare a model with a PyTorch program exported from it, on the CPU.

    Args:
        model: The model; not changed.
        path: The file from :func:`write_torch_export`.
        images: Prepared images, float32 (N, channels, H, W).
        batch: Batch size; a program with a fixed batch size gets its own.
    """
    with isolated(), path.open("rb") as file:
        program = torch.export.load(io.BytesIO(file.read()))
        exported = program.module()
    (given,) = (n for n in program.graph.nodes if n.name in program.graph_signature.user_inputs)
    return _compare(model, exported, given.meta["val"].shape[0], images, batch)


def _compare(
    model: nn.Module, other: Callable[[Tensor], Tensor], size: Any, images: Tensor, batch: int
) -> Comparison:
    """Compare with a program whose batch size is a number, or a name if it is dynamic."""
    if not isinstance(size, int):
        return compare(model, other, images, batch)
    return compare(model, other, images[:MAX_SINGLE_IMAGES], size, is_fixed=True)
