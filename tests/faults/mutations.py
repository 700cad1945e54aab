"""Corrupted files: by disks, networks, people, and attackers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from tui_trainer.models.checkpoints import Checkpoint

Rng = random.Random
Mutation = Callable[[bytes, Rng], bytes]

VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 7, 10**9, -(10**9), 2**31, 2**63, 10**30, -(10**30), 10**400),
    *(0.5, 1.5, -0.0, 1e-300, 1e308, float("nan"), float("inf"), -float("inf")),
    *("", "7", "nan", "é\x00\x1b[2J", "x" * 3_000, "\ud800"),
    *([], [1], [None, None], ["a", "b"], {}, {"a": 1}, [[[]]]),
)
"""Values that a field never had."""


def flip(content: bytes, rng: Rng) -> bytes:
    """Flip one bit or a few."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 3))):
        at = rng.randrange(rng.choice((16, 2_000, len(changed))))
        changed[min(at, len(changed) - 1)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwrite(content: bytes, rng: Rng) -> bytes:
    """Overwrite consecutive bytes: a disk block, or a few."""
    size = rng.choice((1, 8, 512, 4_096))
    at = rng.randrange(len(content))
    new = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))
    return (content[:at] + new + content[at + size :])[: len(content)]


def cut(content: bytes, rng: Rng) -> bytes:
    """Truncate."""
    places = (0, 1, 7, 8, 9, len(content) - 1, rng.randrange(len(content)), len(content) // 2)
    return content[: rng.choice(places)]


def insert(content: bytes, rng: Rng) -> bytes:
    """Insert or append bytes."""
    at = rng.choice((0, 8, len(content), rng.randrange(len(content))))
    return content[:at] + rng.randbytes(rng.choice((1, 64, 4_096))) + content[at:]


def leave_out(content: bytes, rng: Rng) -> bytes:
    """Remove bytes in the middle."""
    at = rng.randrange(len(content))
    return content[:at] + content[at + rng.choice((1, 8, 500)) :]


def anything(content: bytes, rng: Rng) -> bytes:
    """Replace the whole content."""
    others = (
        b"",
        b"\0" * 5_000,
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"null",
        b"9" * 6_000,
        rng.randbytes(3_000),
        content * 2,
    )
    return rng.choice(others)


BYTES: tuple[Mutation, ...] = (flip, flip, overwrite, cut, insert, leave_out, anything)
"""Mutations of any file."""


def edit_head(content: bytes, rng: Rng) -> bytes:
    """Edit the header of a safetensors file: lengths, shapes, offsets, dtypes."""
    length = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + length])
    name = rng.choice([key for key in head if key != "__metadata__"])
    match rng.randrange(7):
        case 0:
            claimed = rng.choice((0, 1, length + 1, 2**31, 2**40, 2**63, 2**64 - 1))
            return claimed.to_bytes(8, "little") + content[8:]
        case 1:
            head[name]["shape"] = rng.choice(([2**40, 2**40], [-1], [1e9], "4", [0], *VALUES))
        case 2:
            start, end = head[name]["data_offsets"]
            places = ([end, start], [start, 2**62], [-8, end], [start + 4, end + 4], *VALUES)
            head[name]["data_offsets"] = rng.choice(places)
        case 3:
            types = ("F64", "BF16", "F8_E4M3", "BOOL", "I64", "X", "F4", "C64", *VALUES)
            head[name]["dtype"] = rng.choice(types)
        case 4:
            head["__metadata__"] = rng.choice(({}, [], "", {"metadata": "{}"}, *VALUES))
        case 5:
            key = rng.choice(("format", "metadata", "sha256", "version"))
            head["__metadata__"][key] = rng.choice(("", "{}", "[", "99", "[" * 90_000, *VALUES))
        case _:
            head[name] = rng.choice(VALUES)
    raw = json.dumps(head).encode("utf-8", "surrogatepass")
    return len(raw).to_bytes(8, "little") + raw + content[8 + length :]


def edit_metadata(state: Checkpoint, rng: Rng) -> Checkpoint:
    """Change or remove a value of the metadata."""
    metadata = dict(state.metadata)
    name = rng.choice(sorted(metadata))
    here = metadata[name]
    near = (here + 1, here - 1, -here, here * 1000, float(here)) if type(here) is int else ()
    if rng.randrange(12) == 0:
        del metadata[name]
    else:
        metadata[name] = rng.choice((*near, *VALUES))
    return replace(state, metadata=metadata)


def edit_tensor(state: Checkpoint, rng: Rng) -> Checkpoint:
    """Change the values, shape or dtype of a tensor, or remove it."""
    tensors = dict(state.tensors)
    special = ["order", "rng/shuffle", "rng/torch", "rng/augment", "best/losses"]
    name = rng.choice((*special, "best/correct", *sorted(tensors)))
    tensor = tensors[name].clone()
    match rng.randrange(7):
        case 0:
            del tensors[name]
        case 1:
            tensors[name] = tensor.flatten()[:-1].clone()
        case 2:
            tensors[name] = tensor.unsqueeze(0).clone()
        case 3:
            kinds = (torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
            tensors[name] = tensor.to(rng.choice(kinds))
        case 4:
            wild = rng.choice((-1, 10**6, 2**30)) if tensor.dtype == torch.int32 else 255
            tensor.view(-1)[rng.randrange(max(1, tensor.numel())) if tensor.numel() else 0] = (
                wild if not tensor.is_floating_point() else rng.choice((float("nan"), 1e38))
            )
            tensors[name] = tensor
        case 5:
            tensors[name] = torch.zeros_like(tensor)
        case _:
            tensors[name] = torch.zeros(0, dtype=tensor.dtype)
    return replace(state, tensors=tensors)


def mutated_checkpoint(content: bytes, state: Checkpoint, rng: Rng) -> tuple[str, bytes]:
    """Return a corrupted checkpoint, and the mutation; an edited state gets a correct checksum."""
    kind = rng.randrange(10)
    if kind < 4:
        mutation = rng.choice(BYTES)
        return mutation.__name__, mutation(content, rng)
    if kind < 6:
        return "edit_head", edit_head(content, rng)
    edit = edit_metadata if kind < 8 else edit_tensor
    return edit.__name__, edit(state, rng).to_bytes()


def edit_lines(content: bytes, rng: Rng) -> bytes:
    """Remove, duplicate or reorder lines."""
    lines = content.splitlines(keepends=True)
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            del lines[one]
        case 1:
            lines.insert(other, lines[one])
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case _:
            odd = (b"\n", b"{}\n", b"[" * 100_000 + b"\n", b'{"event": "StepDone"}\n', b"\r\n")
            lines[one] = rng.choice(odd)
    return b"".join(lines)


def edit_event(content: bytes, rng: Rng) -> bytes:
    """Change a field of an event."""
    lines = content.splitlines()
    rare = [n for n, line in enumerate(lines) if b'"StepDone"' not in line]
    at = rng.choice(rare) if rng.randrange(2) else rng.randrange(len(lines))
    lines[at] = _edited(lines[at], rng)
    return b"\n".join(lines) + b"\n"


def edit_summary(content: bytes, rng: Rng) -> bytes:
    """Change a field of the summary."""
    return _edited(content, rng)


def _edited(text: bytes, rng: Rng) -> bytes:
    fields = json.loads(text)
    name = rng.choice(sorted(fields))
    if rng.randrange(8) == 0:
        del fields[name]
    else:
        fields[name] = rng.choice(VALUES)
    return json.dumps(fields).encode("utf-8", "surrogatepass")


def edit_setting(content: bytes, rng: Rng) -> bytes:
    """Change a setting."""
    lines = content.decode().splitlines()
    at = rng.randrange(len(lines))
    key = lines[at].partition(" = ")[0]
    odd = ("", "nan", "inf", "-1", "1e999", "true", "'x'", "[]", "{}", "0x7fffffffffffffffff", "1")
    lines[at] = f"{key} = {rng.choice((*odd, '9' * 5_000, '[' * 2_000))}"
    return "\n".join(lines).encode()


TEXTS: dict[str, tuple[Mutation, ...]] = {
    "config.toml": (*BYTES, edit_setting, edit_setting, edit_setting),
    "events.jsonl": (*BYTES, *(edit_event,) * 7, edit_lines, edit_lines),
    "summary.json": (*BYTES, *(edit_summary,) * 5),
}
"""Mutations of the other files of a run."""
