"""Files that went bad: by disks, by networks, by people, and by people who mean it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from tui_trainer.engine.checkpoints import Checkpoint

Chance = random.Random
Mutation = Callable[[bytes, Chance], bytes]

VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 7, 10**9, -(10**9), 2**31, 2**63, 10**30, -(10**30), 10**400),
    *(0.5, 1.5, -0.0, 1e-300, 1e308, float("nan"), float("inf"), -float("inf")),
    *("", "7", "nan", "é\x00\x1b[2J", "x" * 3_000, "\ud800"),
    *([], [1], [None, None], ["a", "b"], {}, {"a": 1}, [[[]]]),
)
"""What a field may hold that never did."""


def flip(content: bytes, chance: Chance) -> bytes:
    """Turn one bit over, or a few."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 3))):
        at = chance.randrange(chance.choice((16, 2_000, len(changed))))
        changed[min(at, len(changed) - 1)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def overwrite(content: bytes, chance: Chance) -> bytes:
    """Overwrite a run of bytes: a block of the disk, or a few."""
    size = chance.choice((1, 8, 512, 4_096))
    at = chance.randrange(len(content))
    new = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size)))
    return (content[:at] + new + content[at + size :])[: len(content)]


def cut(content: bytes, chance: Chance) -> bytes:
    """Leave the end out."""
    places = (0, 1, 7, 8, 9, len(content) - 1, chance.randrange(len(content)), len(content) // 2)
    return content[: chance.choice(places)]


def insert(content: bytes, chance: Chance) -> bytes:
    """Put something in between, or behind."""
    at = chance.choice((0, 8, len(content), chance.randrange(len(content))))
    return content[:at] + chance.randbytes(chance.choice((1, 64, 4_096))) + content[at:]


def leave_out(content: bytes, chance: Chance) -> bytes:
    """Leave something out in between."""
    at = chance.randrange(len(content))
    return content[:at] + content[at + chance.choice((1, 8, 500)) :]


def anything(content: bytes, chance: Chance) -> bytes:
    """Hold something else altogether."""
    others = (
        b"",
        b"\0" * 5_000,
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"null",
        b"9" * 6_000,
        chance.randbytes(3_000),
        content * 2,
    )
    return chance.choice(others)


BYTES: tuple[Mutation, ...] = (flip, flip, overwrite, cut, insert, leave_out, anything)
"""What can happen to any file."""


def edit_head(content: bytes, chance: Chance) -> bytes:
    """Edit the head of a safetensors file: lengths, shapes, places, types."""
    length = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + length])
    name = chance.choice([key for key in head if key != "__metadata__"])
    match chance.randrange(7):
        case 0:
            told = chance.choice((0, 1, length + 1, 2**31, 2**40, 2**63, 2**64 - 1))
            return told.to_bytes(8, "little") + content[8:]
        case 1:
            head[name]["shape"] = chance.choice(([2**40, 2**40], [-1], [1e9], "4", [0], *VALUES))
        case 2:
            start, end = head[name]["data_offsets"]
            places = ([end, start], [start, 2**62], [-8, end], [start + 4, end + 4], *VALUES)
            head[name]["data_offsets"] = chance.choice(places)
        case 3:
            types = ("F64", "BF16", "F8_E4M3", "BOOL", "I64", "X", "F4", "C64", *VALUES)
            head[name]["dtype"] = chance.choice(types)
        case 4:
            head["__metadata__"] = chance.choice(({}, [], "", {"facts": "{}"}, *VALUES))
        case 5:
            key = chance.choice(("format", "facts", "sha256", "version"))
            head["__metadata__"][key] = chance.choice(("", "{}", "[", "99", "[" * 90_000, *VALUES))
        case _:
            head[name] = chance.choice(VALUES)
    raw = json.dumps(head).encode("utf-8", "surrogatepass")
    return len(raw).to_bytes(8, "little") + raw + content[8 + length :]


def edit_fact(state: Checkpoint, chance: Chance) -> Checkpoint:
    """Give a plain number of a state another value, or none."""
    metadata = dict(state.metadata)
    name = chance.choice(sorted(metadata))
    here = metadata[name]
    near = (here + 1, here - 1, -here, here * 1000, float(here)) if type(here) is int else ()
    if chance.randrange(12) == 0:
        del metadata[name]
    else:
        metadata[name] = chance.choice((*near, *VALUES))
    return replace(state, metadata=metadata)


def edit_tensor(state: Checkpoint, chance: Chance) -> Checkpoint:
    """Give a tensor of a state other numbers, another shape or type, or take it away."""
    tensors = dict(state.tensors)
    special = ["order", "random/order", "random/torch", "random/augmentation", "best/losses"]
    name = chance.choice((*special, "best/hits", *sorted(tensors)))
    tensor = tensors[name].clone()
    match chance.randrange(7):
        case 0:
            del tensors[name]
        case 1:
            tensors[name] = tensor.flatten()[:-1].clone()
        case 2:
            tensors[name] = tensor.unsqueeze(0).clone()
        case 3:
            kinds = (torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
            tensors[name] = tensor.to(chance.choice(kinds))
        case 4:
            wild = chance.choice((-1, 10**6, 2**30)) if tensor.dtype == torch.int32 else 255
            tensor.view(-1)[chance.randrange(max(1, tensor.numel())) if tensor.numel() else 0] = (
                wild if not tensor.is_floating_point() else chance.choice((float("nan"), 1e38))
            )
            tensors[name] = tensor
        case 5:
            tensors[name] = torch.zeros_like(tensor)
        case _:
            tensors[name] = torch.zeros(0, dtype=tensor.dtype)
    return replace(state, tensors=tensors)


def mutated_checkpoint(content: bytes, state: Checkpoint, chance: Chance) -> tuple[str, bytes]:
    """Return a checkpoint gone bad, and how; that of an edited state has a correct checksum."""
    kind = chance.randrange(10)
    if kind < 4:
        mutation = chance.choice(BYTES)
        return mutation.__name__, mutation(content, chance)
    if kind < 6:
        return "edit_head", edit_head(content, chance)
    edit = edit_fact if kind < 8 else edit_tensor
    return edit.__name__, edit(state, chance).to_bytes()


def edit_lines(content: bytes, chance: Chance) -> bytes:
    """Leave lines out, double them, or change their order."""
    lines = content.splitlines(keepends=True)
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(4):
        case 0:
            del lines[one]
        case 1:
            lines.insert(other, lines[one])
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case _:
            odd = (b"\n", b"{}\n", b"[" * 100_000 + b"\n", b'{"event": "StepDone"}\n', b"\r\n")
            lines[one] = chance.choice(odd)
    return b"".join(lines)


def edit_event(content: bytes, chance: Chance) -> bytes:
    """Give a field of an event another value."""
    lines = content.splitlines()
    rare = [n for n, line in enumerate(lines) if b'"StepDone"' not in line]
    at = chance.choice(rare) if chance.randrange(2) else chance.randrange(len(lines))
    lines[at] = _edited(lines[at], chance)
    return b"\n".join(lines) + b"\n"


def edit_summary(content: bytes, chance: Chance) -> bytes:
    """Give a field of the summary another value."""
    return _edited(content, chance)


def _edited(text: bytes, chance: Chance) -> bytes:
    fields = json.loads(text)
    name = chance.choice(sorted(fields))
    if chance.randrange(8) == 0:
        del fields[name]
    else:
        fields[name] = chance.choice(VALUES)
    return json.dumps(fields).encode("utf-8", "surrogatepass")


def edit_setting(content: bytes, chance: Chance) -> bytes:
    """Give a setting another value."""
    lines = content.decode().splitlines()
    at = chance.randrange(len(lines))
    key = lines[at].partition(" = ")[0]
    odd = ("", "nan", "inf", "-1", "1e999", "true", "'x'", "[]", "{}", "0x7fffffffffffffffff", "1")
    lines[at] = f"{key} = {chance.choice((*odd, '9' * 5_000, '[' * 2_000))}"
    return "\n".join(lines).encode()


TEXTS: dict[str, tuple[Mutation, ...]] = {
    "config.toml": (*BYTES, edit_setting, edit_setting, edit_setting),
    "events.jsonl": (*BYTES, *(edit_event,) * 7, edit_lines, edit_lines),
    "summary.json": (*BYTES, *(edit_summary,) * 5),
}
"""What can happen to the other files of a run."""
