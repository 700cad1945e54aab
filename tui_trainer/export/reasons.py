"""Why a model cannot be exported, in one sentence with the line that causes it."""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from sysconfig import get_paths

import torch
from torch import nn

from tui_trainer.models.custom.error_lines import display_path
from tui_trainer.text.fmt import clip, one_line

MAX_CODE_LENGTH = 60
"""Maximum characters of a line of code."""

MAX_REASON_LENGTH = 200
"""Maximum characters of an exporter's own message, which can be pages long."""

_OURS = Path(__file__).parents[1]
_TORCH = Path(torch.__file__).parent
_STANDARD = Path(get_paths()["stdlib"])
_FRAME = re.compile(r'File "([^"\n]+)", line (\d+)')


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of a model's own code; a file below the current folder is shown relative to it."""

    file: str
    line: int

    @property
    def code(self) -> str:
        """The line itself; empty if it cannot be read."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        return f"{display_path(self.file)}:{self.line}"


def user_line(frames: Iterable[tuple[str, int]]) -> SourceLine | None:
    """Return the last line of user code: not of torch, Python or this package; None without one.

    A line of an installed package counts only if there is no other.
    """
    found, installed = None, None
    for file, line in frames:
        path = Path(file)
        if not path.is_absolute() or path.is_relative_to(_TORCH) or path.is_relative_to(_OURS):
            continue
        if {"site-packages", "dist-packages"} & {*path.parts}:
            installed = SourceLine(file, line)
        elif not path.is_relative_to(_STANDARD):
            found = SourceLine(file, line)
    return found or installed


def explain_batch(errors: Sequence[Exception], size_reads: Sequence[SourceLine]) -> str:
    """Return why a model has no program with a dynamic batch size.

    Args:
        errors: The exceptions while it was traced with a dynamic batch size.
        size_reads: The lines of the model that turned a symbolic size into a number, if known.
    """
    fixing = [error for error in errors if _fixes_batch(error)]
    place = next(filter(None, map(_place_of, fixing)), None) or (
        size_reads[-1] if size_reads else None
    )
    if place is None:
        return explain(errors)
    return f"{place}: {_batch_cause(place.code)}"


def _fixes_batch(error: Exception) -> bool:
    return any(
        words in str(error) for words in ("Constraints violated", "unhashable type: non-nes")
    )


def _batch_cause(code: str) -> str:
    if found := re.search(r"\blen\((\w+(?:\.\w+)*)\)", code):
        return f"len({found[1]}) fixes the batch size; write {found[1]}.shape[0]"
    if found := re.search(r"\b(?:int|float)\(\s*(\w+\.(?:shape\[0\]|size\(0\)))\s*\)", code):
        return f"{found[0]} fixes the batch size; write {found[1]}"
    if re.search(r"\bfor\b", code):
        return "a loop over the images fixes the batch size; compute on the whole batch at once"
    if re.match(r"(if|elif|while|assert)\b|.*\bif\b.*\belse\b", code):
        return f"`{_shown(code)}` depends on the batch size"
    return f"`{_shown(code)}` works for only one batch size" if code else "the batch size is fixed"


def explain(errors: Sequence[Exception]) -> str:
    """Return why a model cannot be exported, as one sentence.

    Args:
        errors: The exceptions of its exporters, the most informative first.
    """
    for error in errors:
        if (cause := _cause(error)) is not None:
            return cause
    for error in errors:
        if (place := _place_of(error)) is not None:
            return f"{place}: {first_sentence(error)}"
    return first_sentence(errors[0])


def _cause(error: Exception) -> str | None:
    """Return a known cause, with its line if known."""
    place, words = _place_of(error), f"{type(error).__name__}: {error}"
    for pattern, cause in _CAUSES:
        if re.search(pattern, words, re.IGNORECASE):
            code = f"`{_shown(place.code)}`" if place and place.code else "forward"
            return f"{place}: {code} {cause}" if place else f"{code} {cause}"
    return None


_CAUSES = (
    (r"\bnumpy\b", "leaves torch for NumPy; use functions of torch"),
    (
        r"data-dependent branching|GuardOnDataDependent|dynamic control flow",
        "depends on the values of the images, but an exported program runs the same operations "
        "for all; use torch.where",
    ),
    (
        r"tolist\(\)|Tensor\.item|_local_scalar_dense",
        "converts a tensor to Python numbers; compute with the tensor itself",
    ),
    (
        r"fake tensor in the exported program constant|aten\.set_|metadata mutating",
        "changes a tensor in a way that torch.export cannot trace, like `.data = `; compute a "
        "new tensor instead",
    ),
    (
        r"marked as skipped|skipped function",
        "makes a call that an exported program cannot contain; remove it from forward",
    ),
)
"""The causes behind known messages of exporters, the most certain first."""


def _place_of(error: BaseException) -> SourceLine | None:
    frames = [(f.filename, f.lineno or 0) for f in traceback.extract_tb(error.__traceback__)]
    named = [(file, int(line)) for file, line in _FRAME.findall(str(error))]
    return user_line(named) or user_line(frames)


def _shown(code: str) -> str:
    return clip(one_line(code).removesuffix(":"), MAX_CODE_LENGTH)


def first_sentence(error: BaseException) -> str:
    """Return the first sentence of an exporter's message, with the type of the error."""
    text = re.split(r"\n\s*\n|(?<=[.!?])\s", _text(error), maxsplit=1)[0]
    return f"{type(error).__name__}: {clip(one_line(text), MAX_REASON_LENGTH)}".removesuffix(": ")


def _text(error: BaseException) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip()


# --- ONNX


def onnx_reason(error: Exception, program: torch.export.ExportedProgram) -> str:
    """Return why a program cannot be converted to ONNX, as one sentence.

    Args:
        error: The converter's exception.
        program: The program, whose operations know their source lines.
    """
    nodes = list(nodes_of(program))
    for node in nodes:
        if _is_complex(node):
            return f"{_at(node)}ONNX does not support complex numbers; export --as torch"
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)  # type: ignore[arg-type]
    found = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", _text(causes[-1]))
    if found is None:
        return f"torch.onnx cannot convert it: {first_sentence(causes[-1])}"
    name = found[1]
    place = next((_at(node) for node in nodes if str(node.target).startswith(name)), "")
    return f"{place}ONNX has no operator for {name}; rewrite it, or export --as torch"


def onnxruntime_reason(error: Exception, model: nn.Module) -> str:
    """Return why onnxruntime does not run an ONNX file, as one sentence."""
    text = str(error)
    if found := re.search(
        r"Type 'tensor\((\w+)\)' of input parameter .* of operator \((\w+)\)", text
    ):
        return f"ONNX has no {found[2]} for {found[1]}; convert the model to float32 first"
    if found := re.search(r"Could not find an implementation for (\w+)\(", text):
        dtypes = {str(t.dtype).removeprefix("torch.") for t in model.state_dict().values()}
        types = ", ".join(sorted(dtypes & {"float64", "float16", "bfloat16"})) or "these types"
        return f"onnxruntime has no {found[1]} for {types}, so the file cannot be checked"
    return f"onnxruntime cannot run the file: {first_sentence(error)}"


def nodes_of(program: torch.export.ExportedProgram) -> Iterator[torch.fx.Node]:
    """Yield every operation of a program, including those of nested graphs."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            yield from module.graph.nodes


def _is_complex(node: torch.fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_complex() and node.op == "call_function"


def _at(node: torch.fx.Node) -> str:
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    place = user_line((file, int(line)) for file, line in frames)
    return f"{place}: `{_shown(place.code)}`: " if place else ""
