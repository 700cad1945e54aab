"""The multiply-adds (MACs) that a model performs for one image.

A convolution uses each weight at every position, a fully connected layer for every token, a
recurrent layer in every time step; a bias counts one addition per feature. A norm and a PReLU count
each parameter once, as torchinfo does. Products without weights count too: attention, ``matmul``,
``einsum``. Element-wise operations, sums, pools, resizing and Fourier transforms count nothing; a
complex multiply-add counts as one.

torchinfo 1.8 differs: it counts a fully connected layer over tokens or positions once, a strided
transposed convolution at its output positions, and neither products without weights nor layers
that are called as functions. torch's flop counter gives two per multiply-add, but ignores biases
and norms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from tui_trainer.anatomy.calls import CELLS, CONVOLUTIONS, RECURRENT, Call, indices_of
from tui_trainer.anatomy.operations import bind, operation_of
from tui_trainer.anatomy.trace import Step
from tui_trainer.models.dispatch_mode import DispatchMode


class Counter(DispatchMode):  # type: ignore[no-untyped-call]
    """Counts the multiply-adds of matrix products while it is active.

    It sees the ATen operations, even inside a scripted module.

    Attributes:
        total: The multiply-adds so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        with torch._C.DisableTorchFunction():  # operations of a scripted module have no rows
            result = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        with suppress(Exception):  # a call that the formula cannot handle
            if packet in _OTHERS:
                self.total += _OTHERS[packet](args)
            elif packet in flop_registry:
                self.total += flop_registry[packet](*args, **(kwargs or {}), out_val=result) // 2
        return result


class StepCounter:
    """Counts the multiply-adds of each step; its counter must be active during the forward.

    Attributes:
        counter: Counts all products.
        of_steps: The multiply-adds of each step, for all images.
    """

    def __init__(self) -> None:
        self.counter = Counter()
        self.of_steps: list[int] = []
        self._last: tuple[Call | None, int] | None = None
        self._since = 0
        self._constant = 0

    def execute(
        self, name: str, run: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call a function with its arguments, and count."""
        self._flush()
        start = self.counter.total
        result = run(*args, **kwargs)
        self._since = self.counter.total
        self._last = (_layer_call(name, args, kwargs, result), self._since - start)
        return result

    def reached(self, position: int, step: Step, result: Tensor) -> None:
        """Record the multiply-adds of the step that was just executed."""
        # A module in which no function was traced is reached without a call.
        done = self.counter.total - self._since if self._last is None else self._last[1]
        with suppress(Exception):  # a call that no formula handles: keep the counted products
            done = multiply_adds(step.call, done, step.parameters)
        self._last, self._since = None, self.counter.total
        self.of_steps.append(done + self._constant)
        self._constant = 0

    def _flush(self) -> None:
        """Carry the cost of a layer that did not read the image over to the step that reads it.

        A recurrent cell has such a layer in its first step, on a state of zeros.
        """
        call, counted = self._last or (None, 0)
        if call is not None:
            self._constant += multiply_adds(call, counted, ())
        # Products since the last function belong to a scripted module without a row.
        self._constant += self.counter.total - self._since
        self._last, self._since = None, self.counter.total


def _layer_call(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
) -> Call | None:
    """Return the call of a layer; None for any other function."""
    if name not in _LAYERS:
        return None
    arguments = bind(name, args, kwargs)
    made = result[0] if isinstance(result, tuple) else result
    return Call(name, arguments, (tuple(arguments["input"].shape),), (), tuple(made.shape))


def multiply_adds(call: Call, counted: int, parameters: Sequence[Tensor]) -> int:
    """Return the multiply-adds of a call, for all its images.

    Args:
        call: The call.
        counted: The counted multiply-adds of its products.
        parameters: The parameters that it used.
    """
    if call.is_convolution:
        return _convolution(call)
    if formula := _FORMULAS.get(call.name):
        return formula(call, counted)
    if operation_of(call.name).norm or call.name == "prelu":
        return sum(p.numel() for p in parameters)
    return counted


def _convolution(call: Call) -> int:
    weight, bias = call.arguments["weight"], call.arguments.get("bias")
    dims = weight.dim() - 2
    batch = prod(call.result[: -dims - 1])
    positions = prod(call.result[-dims:])
    reads = prod(call.shapes[0][-dims:]) if "transpose" in call.name else positions
    return batch * (int(weight.numel()) * reads + _numbers(bias) * positions)


def _each_token(call: Call, counted: int) -> int:
    """Count a layer that uses all its weights for each token, a vector of its result."""
    used = _numbers(call.arguments.get("weight")) + _numbers(call.arguments.get("bias"))
    return prod(call.result[:-1]) * used


def _each_step(call: Call, counted: int) -> int:
    """Count a recurrent layer, which uses all its weights in each time step."""
    weights = next(v for v in call.arguments.values() if isinstance(v, list))
    return prod(call.shapes[0][:-1]) * sum(map(_numbers, weights))


def _one_step(call: Call, counted: int) -> int:
    weights = [call.arguments.get(key) for key in ("w_ih", "w_hh", "b_ih", "b_hh")]
    return prod(call.result[:-1]) * sum(map(_numbers, weights))


def _biased_product(call: Call, counted: int) -> int:
    return counted + (prod(call.result) if _numbers(call.arguments.get("bias")) else 0)


def _attention(call: Call, counted: int) -> int:
    named = call.arguments
    queries, keys = (prod(named[key].shape[:-1]) for key in ("query", "key"))
    third = _numbers(named.get("in_proj_bias")) // 3
    biases = third * (queries + 2 * keys) + _numbers(named.get("out_proj_bias")) * queries
    return counted + int(biases)


def _einsum(call: Call, counted: int) -> int:
    """Count each combination of all indices once; an element-wise product counts nothing."""
    equation, *operands = call.arguments["rest"]
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = list(operands[0])
    if not isinstance(equation, str) or "." in equation or len(operands) != 2:
        return counted
    terms, output = indices_of(equation)
    sizes: dict[str, int] = {}
    for letters, operand in zip(terms, operands, strict=True):
        for name, size in zip(letters, operand.shape, strict=True):
            sizes[name] = max(size, sizes.get(name, 0))
    summed = set(sizes) - set(output)
    return prod(sizes.values()) if summed.intersection(*terms) else 0


_FORMULAS: Mapping[str, Callable[[Call, int], int]] = {
    "linear": _each_token,
    "bilinear": _each_token,
    **dict.fromkeys(RECURRENT, _each_step),
    **dict.fromkeys(CELLS, _one_step),
    **dict.fromkeys(("addmm", "addmv", "baddbmm"), _biased_product),
    "multi_head_attention_forward": _attention,
    "einsum": _einsum,
}


_LAYERS = (*CONVOLUTIONS, *CELLS, "linear")


def _numbers(tensor: Any) -> int:
    return int(tensor.numel()) if isinstance(tensor, Tensor) else 0


# --- products that torch's flop counter does not know


def _cpu_attention(args: Sequence[Any]) -> int:
    query, key, value = (tensor.shape for tensor in args[:3])
    if query[1] != key[1]:  # grouped queries
        key, value = (*key[:1], query[1], *key[2:]), (*value[:1], query[1], *value[2:])
    flops = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    return int(flops) // 2


def _recurrent(args: Sequence[Any]) -> int:
    return int(prod(args[0].shape[:-1])) * sum(map(_numbers, args[1:5]))


_ATEN = torch.ops.aten
_OTHERS: Mapping[Any, Callable[[Sequence[Any]], int]] = {
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _cpu_attention,
    _ATEN.mkldnn_rnn_layer: _recurrent,
    _ATEN.mv: lambda args: _numbers(args[0]),
    _ATEN.addmv: lambda args: _numbers(args[1]),
    _ATEN.dot: lambda args: _numbers(args[0]),
    _ATEN.vdot: lambda args: _numbers(args[0]),
    _ATEN.addbmm: lambda args: _numbers(args[1]) * args[2].shape[-1],
}
