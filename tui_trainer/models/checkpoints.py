"""Checkpoints of a run: safetensors files, so that loading one executes no code.

The prefix of a tensor's name says what it is: ``model/`` (then the name in the ``state_dict``),
``optimizer/``, ``rng/`` (rng states), ``best/``; ``order`` is this epoch's permutation. Every plain
value is in the safetensors header as JSON, under ``metadata``; ``sha256`` next to it covers that
JSON and the tensors, because safetensors itself does not notice a flipped bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from tui_trainer.protocol.errors import path_error
from tui_trainer.protocol.schema import SCHEMA, upgraded_metadata, upgraded_tensors
from tui_trainer.recording.atomic import read_at_most
from tui_trainer.recording.checkpoint_head import DAMAGED, parse_head, parse_metadata
from tui_trainer.version import __version__

MAX_BYTES = 1 << 30
"""The largest checkpoint that is read or written."""

_FOREIGN = "complex"
"""The metadata field that names the complex tensors of a dtype that safetensors lacks."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The complete state of a run between two batches, on the CPU.

    Attributes:
        metadata: Plain values: counters, knobs, the model and the data.
        tensors: Everything else, by name.
    """

    metadata: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of one part: ``model``, ``optimizer``, ``rng``, ``best``."""
        lead = f"{name}/"
        return {
            key.removeprefix(lead): tensor
            for key, tensor in self.tensors.items()
            if key.startswith(lead)
        }

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        tensors, foreign = _as_stored(self.tensors)
        plain = {**self.metadata, _FOREIGN: foreign} if foreign else self.metadata
        text = json.dumps(plain, sort_keys=True)
        header = {
            "format": str(SCHEMA),
            "version": __version__,
            "metadata": text,
            "sha256": _digest(text, tensors),
        }
        return safetensors.torch.save(tensors, header)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and verify its checksum.

    Raises:
        InputError: If it cannot be read, is corrupted, is no checkpoint, or is of a newer version.
    """
    content = read_at_most(path, MAX_BYTES)
    if len(content) > MAX_BYTES:
        raise path_error(path, "larger than a checkpoint can be")
    text, digest = parse_head(content, path)
    try:
        tensors = safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        raise path_error(path, DAMAGED) from None
    if _digest(text, tensors) != digest:
        raise path_error(path, "is corrupted: its checksum does not match its content")
    metadata = dict(parse_metadata(text, path))
    try:
        for name in metadata.pop(_FOREIGN, []):
            tensors[name] = torch.view_as_complex(tensors[name])
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError):
        raise path_error(path, DAMAGED) from None
    return Checkpoint(upgraded_metadata(metadata), upgraded_tensors(tensors, metadata.get("model")))


def _as_stored(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return tensors that safetensors can store, and the names of those stored as real pairs."""
    foreign = [n for n, t in tensors.items() if t.dtype in (torch.complex128, torch.complex32)]
    stored = {
        name: (torch.view_as_real(tensor) if name in foreign else tensor).contiguous()
        for name, tensor in tensors.items()
    }
    return stored, foreign


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(bytes_of(tensor))
    return digest.hexdigest()


def bytes_of(tensor: Tensor) -> bytes:
    """Return the bytes of a tensor of any dtype: NumPy does not have all of them."""
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
