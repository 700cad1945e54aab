"""What a model is built of: which kinds of layers are on a path from the image to the logits.

The kinds are those of :data:`tui_trainer.protocol.components.COMPONENTS`. They are read from the
traced operations, not from the names of modules: ``F.batch_norm`` counts as ``nn.BatchNorm2d``, and
a module that is never called, or whose output is dropped, does not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.modules.pooling import _AdaptiveMaxPoolNd, _MaxPoolNd
from torch.overrides import TorchFunctionMode

from tui_trainer.anatomy.calls import dims_of, name_of
from tui_trainer.anatomy.review.design import Design
from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.models.copies import copy_model
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.models.tensors import tensors_in
from tui_trainer.protocol.layers import LayerRow

Found = Mapping[str, tuple[str, ...]]
"""The names of the layers of each kind, in the order of the forward pass."""

_PRODUCTS = (
    "linear",
    "bilinear",
    "matmul",
    "mm",
    "bmm",
    "mv",
    "addmm",
    "baddbmm",
    "addbmm",
    "einsum",
)
_MEANS = ("mean", *(f"{kind}avg_pool{dims}d" for kind in ("", "adaptive_") for dims in (1, 2)))
_SCALINGS = ("div", "mul")

_CLASSES: dict[str, tuple[type, ...]] = {
    "batch-norm": (_BatchNorm,),
    "layer-norm": (nn.LayerNorm,),
    "group-norm": (nn.GroupNorm,),
    "instance-norm": (_InstanceNorm,),
    "dropout": (_DropoutNd,),
    "gap": (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
    "max-pool": (_MaxPoolNd, _AdaptiveMaxPoolNd),
    "linear": (nn.Linear, nn.Bilinear),
    "attention": (nn.MultiheadAttention,),
}
"""The modules of some kinds, to name those that a model defines without using them."""


def components_of(model: nn.Module, rows: Sequence[LayerRow], images: Tensor) -> Found:
    """Return the layers of each kind that the logits depend on; kinds without a layer are left out.

    Args:
        model: Maps (N, channels, height, width) to logits (N, classes); in training mode, with the
            modules that its author froze in evaluation mode. It is left unchanged.
        rows: Its layer table.
        images: Two images (2, channels, height, width).

    Raises:
        Exception: An exception of the model's forward.
    """
    steps, last = _steps_and_logits(model, images)
    design = Design(rows)
    ends = [last] if last else [design.last]
    used = sorted({*design.ancestors(ends), *ends} - {0}) if last else range(1, len(steps) + 1)
    found: dict[str, list[str]] = defaultdict(list)
    means = []
    for position in used:
        step, row = steps[position - 1], rows[position]
        for kind in _kinds(step, row):
            found[kind].append(row.name)
        if _averages_map(step, _readers(design, steps, position)):
            means.append(position)
        elif row.kind == "average pool":
            found["average-pool"].append(row.name)
    if means and not _is_connected(design, ends, without=means):
        found["gap"] = [rows[position].name for position in means]
    found["dropout"] = list(dropouts_in_training(model, images))
    return {kind: tuple(names) for kind, names in found.items() if names}


def defined_modules(model: nn.Module) -> Found:
    """Return the modules of some kinds by the classes of PyTorch, whether they are used or not."""
    named = [(path, module) for path, module in model.named_modules() if path]
    found = {
        kind: tuple(path for path, module in named if isinstance(module, classes))
        for kind, classes in _CLASSES.items()
    }
    return {kind: paths for kind, paths in found.items() if paths}


# --- single operations


def _kinds(step: Step, row: LayerRow) -> Iterator[str]:
    """Yield the kinds of one operation, without pooling over the whole map and dropout."""
    call = step.call
    name = call.name
    if name in ("batch_norm", "layer_norm", "instance_norm"):
        yield name.replace("_", "-")
    if name == "group_norm":
        yield "layer-norm" if call.arguments.get("num_groups") == 1 else "group-norm"
    if name == "linear" or (name in _PRODUCTS and step.parameters):
        yield "linear"
    if row.kind in ("max pool", "depthwise", "attention", "softmax", "concatenate"):
        yield row.kind.replace(" ", "-")
    if name == "conv2d":
        kernel, stride, dilation = row.kernel_size, row.stride, row.dilation
        if kernel == (1, 1):
            yield "1x1"
        if stride is not None and max(stride) > 1:
            yield "strided"
        if kernel != (1, 1) and dilation is not None and max(dilation) > 1:
            yield "dilated"
    if name == "add" and len(step.sources) > 1 and len({*call.shapes}) == 1:
        yield "residual"


def _averages_map(step: Step, readers: Iterable[Step]) -> bool:
    """Return whether an operation averages each channel of a map over all its positions.

    A sum counts if it is scaled right after it.
    """
    call, shape = step.call, step.call.shapes[0]
    if call.name not in (*_MEANS, "sum"):
        return False
    if call.name == "sum" and not any(
        r.call.name in _SCALINGS and len(r.sources) == 1 for r in readers
    ):
        return False
    if call.name not in ("mean", "sum"):
        count = int(call.name[-2])
        old, new = shape[-count:], call.result[-count:]
        kernel = call.arguments.get("kernel_size")
        sides = old if kernel is None else (kernel,) * count if isinstance(kernel, int) else kernel
        is_whole = all(k >= side for k, side in zip(sides, old, strict=False))
        return prod(old) > 1 and prod(new) == 1 and is_whole
    dims = dims_of(call.arguments.get("dim"), len(shape)) or frozenset()
    if call.fields and step.field:
        before, after = call.fields[0].axes, step.field.axes
        is_spatial = dims <= {axis.dim for axis in before}
        is_one = all(axis.features == 1 for axis in after)
        return is_spatial and is_one and any(axis.features > 1 for axis in before)
    return len(shape) == 4 and dims == {-2, -1} and prod(shape[-2:]) > 1


def _readers(design: Design, steps: Sequence[Step], position: int) -> list[Step]:
    return [steps[at - 1] for at in design.consumers[position] if 0 < at <= len(steps)]


def _is_connected(design: Design, ends: Sequence[int], without: Iterable[int]) -> bool:
    """Return whether a path from the image to the logits avoids all of these positions."""
    avoided = set(without)
    waiting, seen = [end for end in ends if end not in avoided], set(avoided)
    while waiting:
        position = waiting.pop()
        if position == 0:
            return True
        new = {*design.rows[position].sources} - seen
        seen |= new
        waiting += new
    return False


def _steps_and_logits(model: nn.Module, images: Tensor) -> tuple[list[Step], int]:
    """Return the steps of a forward, and the position of the one that returns the logits.

    The position is 0 if none of the results is the output: the model changed it outside of torch's
    functions.
    """
    results: list[tuple[int, Tensor]] = []
    outputs: list[Tensor] = []
    with torch.no_grad():
        steps = trace(
            model,
            images,
            reached=lambda position, step, result: results.append((position, result)),
            finished=lambda output: outputs.extend(tensors_in(output)),
        )
    if outputs:
        logits = outputs[0]
        for position, result in reversed(results):
            # Views such as ``x.view(-1, 10)`` of logits that have this shape already.
            if result.numel() == logits.numel() and result.data_ptr() == logits.data_ptr():
                return steps, position
    return steps, 0


# --- dropout


def dropouts_in_training(model: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Return the modules that call dropout in training mode, where the logits depend on it.

    Dropout with probability 0 or in a module that is frozen in evaluation mode does not count.

    Args:
        model: As for :func:`components_of`.
        images: Two images.

    Raises:
        Exception: An exception of the model's forward.
    """
    with ExitStack() as stack:
        stack.enter_context(preserve_rng_state())
        twin = copy_model(model)
        calls = _Dropouts()
        for path, module in twin.named_modules():
            if not isinstance(module, ScriptModule):
                for handle in calls.follow(path, module):
                    stack.callback(handle.remove)
        with torch.enable_grad(), calls:
            output = twin(images.clone().requires_grad_())
        logits = next(iter(tensors_in(output)))
        made = [result for _, result in calls.found if result.requires_grad]
        if not made or not logits.requires_grad:
            return ()
        gradients = torch.autograd.grad(logits.sum(), made, allow_unused=True)
        reached = {id(m) for m, g in zip(made, gradients, strict=True) if g is not None}
    names = [path for path, result in calls.found if id(result) in reached]
    return tuple(dict.fromkeys(names))


class _Dropouts(TorchFunctionMode):
    """Records the results of active dropout, each with the path of the module that calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, Tensor]] = []
        self._paths: list[str] = []

    def follow(self, path: str, module: nn.Module) -> Iterator[Any]:
        """Hook into the forward of a module; yield the handles that remove the hooks."""
        yield module.register_forward_pre_hook(lambda *_: self._paths.append(path), prepend=True)
        yield module.register_forward_hook(lambda *_: self._leave(), always_call=True)

    def _leave(self) -> None:
        self._paths.pop()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if isinstance(result, Tensor) and _drops(name_of(func), args, kwargs):
            self.found.append((self._paths[-1] if self._paths else "", result))
        return result


def _drops(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    if name == "scaled_dot_product_attention":
        return bool((args[4] if len(args) > 4 else kwargs.get("dropout_p", 0.0)) > 0)
    if name != "dropout":
        return False
    p = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
    training = args[2] if len(args) > 2 else kwargs.get("training", kwargs.get("train", True))
    return bool(p > 0 and training)
