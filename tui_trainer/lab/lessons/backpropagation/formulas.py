"""The 2-2-2 example as spreadsheet formulas: the same arithmetic, operation by operation.

A formula is text without its equals sign. ``at`` returns the cell of a value by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tui_trainer.lab.lessons.backpropagation.arithmetic import WEIGHTS

At = Callable[[str], str]


class Line(NamedTuple):
    """A line of the sheet that explains one update.

    Attributes:
        name: The name of its value.
        formula: Its formula.
        symbols: The formula as it is written in mathematics.
        meaning: What it is, in a sentence.
    """

    name: str
    formula: str
    symbols: str
    meaning: str


def cell_name(name: str) -> str:
    """Return the defined name of a value; ``w1`` would be the cell in column W."""
    return f"{name[0]}_{name[1]}" if len(name) == 2 else name


def sigmoid(x: str) -> str:
    """Return 1 / (1 + e⁻ˣ); the exponent is never positive, so it cannot overflow."""
    return f"IF({x}>=0,1/(1+EXP(-{x})),EXP({x})/(1+EXP({x})))"


def forward(at: At) -> Mapping[str, str]:
    """Return the formulas of the forward pass, by the names of the values."""
    found: dict[str, str] = {}
    for unit, weights, inputs in (
        ("h1", ("w1", "w2"), ("i1", "i2")),
        ("h2", ("w3", "w4"), ("i1", "i2")),
        ("o1", ("w5", "w6"), ("a_h1", "a_h2")),
        ("o2", ("w7", "w8"), ("a_h1", "a_h2")),
    ):
        terms = (f"{at(w)}*{at(i)}" for w, i in zip(weights, inputs, strict=True))
        found[unit] = "+".join(terms)
        found[f"a_{unit}"] = sigmoid(at(unit))
    for number in "12":
        error = f"({at(f't{number}')}-{at(f'a_o{number}')})"
        found[f"E{number}"] = f"{error}*{error}/2"
    found["E_total"] = f"{at('E1')}+{at('E2')}"
    return found


def _from_error(at: At, number: str) -> str:
    """Return ∂E/∂o of an output: error times slope."""
    out = at(f"a_o{number}")
    return f"({out}-{at(f't{number}')})*{out}*(1-{out})"


def gradients(at: At) -> Mapping[str, str]:
    """Return the formulas of ∂E/∂w1 to ∂E/∂w8, each in one cell, by the names of the weights."""
    found: dict[str, str] = {}
    for unit, (to_o1, to_o2) in (("1", ("w5", "w7")), ("2", ("w6", "w8"))):
        hidden = at(f"a_h{unit}")
        total = f"({_from_error(at, '1')}*{at(to_o1)}+{_from_error(at, '2')}*{at(to_o2)})"
        for number, given in enumerate(("i1", "i2"), start=2 * int(unit) - 1):
            found[f"w{number}"] = f"{total}*{hidden}*(1-{hidden})*{at(given)}"
    for number, (output, hidden) in enumerate(
        (("1", "a_h1"), ("1", "a_h2"), ("2", "a_h1"), ("2", "a_h2")), start=5
    ):
        found[f"w{number}"] = f"{_from_error(at, output)}*{at(hidden)}"
    return found


# --- one update, step by step

_FORWARD_LINES: Mapping[str, tuple[str, str]] = {
    "h1": ("w1·i1 + w2·i2", "The weighted sum of the first hidden unit; there is no bias."),
    "a_h1": ("σ(h1)", "Its activation. σ(x) = 1 / (1 + e⁻ˣ) maps any number to between 0 and 1."),
    "h2": ("w3·i1 + w4·i2", "The weighted sum of the second hidden unit."),
    "a_h2": ("σ(h2)", "Its activation."),
    "o1": ("w5·a_h1 + w6·a_h2", "The first output reads the activations of both hidden units."),
    "a_o1": ("σ(o1)", "The first output of the network."),
    "o2": ("w7·a_h1 + w8·a_h2", "The weighted sum of the second output."),
    "a_o2": ("σ(o2)", "The second output of the network."),
    "E1": ("½ (t1 − a_o1)²", "The error of the first output: half the squared difference."),
    "E2": ("½ (t2 − a_o2)²", "The error of the second output."),
    "E_total": ("E1 + E2", "The loss. Training makes it smaller."),
}


def forward_lines() -> list[Line]:
    """Return the lines of the forward pass."""
    formulas = forward(cell_name)
    return [Line(name, formulas[name], *texts) for name, texts in _FORWARD_LINES.items()]


def output_lines() -> list[Line]:
    """Return the lines of the backward pass through the outputs: from the error to w5 to w8."""
    lines = []
    for number in "12":
        out, target = f"a_o{number}", cell_name(f"t{number}")
        lines += [
            Line(
                f"dE_da_o{number}",
                f"{out}-{target}",
                f"∂E/∂a_o{number} = a_o{number} − t{number}",
                "How the loss changes with this output. 0 if the output equals its target.",
            ),
            Line(
                f"da_o{number}_do{number}",
                f"{out}*(1-{out})",
                f"∂a_o{number}/∂o{number} = a_o{number} · (1 − a_o{number})",
                "The slope of the sigmoid: at most 1/4, and near 0 for an output near 0 or 1.",
            ),
            Line(
                f"dE_do{number}",
                f"dE_da_o{number}*da_o{number}_do{number}",
                f"∂E/∂o{number} = ∂E/∂a_o{number} · ∂a_o{number}/∂o{number}",
                "The chain rule: the product of the two lines above.",
            ),
        ]
    for weight, (output, hidden) in zip(
        WEIGHTS[4:],
        (("o1", "a_h1"), ("o1", "a_h2"), ("o2", "a_h1"), ("o2", "a_h2")),
        strict=True,
    ):
        lines.append(
            Line(
                f"dE_d{weight}",
                f"dE_d{output}*{hidden}",
                f"∂E/∂{weight} = ∂E/∂{output} · {hidden}",
                f"{weight} multiplies {hidden}, so {hidden} is the last factor.",
            )
        )
    return lines


def hidden_lines() -> list[Line]:
    """Return the lines of the backward pass through the hidden units: down to w1 to w4."""
    lines = []
    for number, (to_o1, to_o2) in (("1", ("w5", "w7")), ("2", ("w6", "w8"))):
        unit = f"h{number}"
        lines += [
            Line(
                f"dE_da_{unit}",
                f"dE_do1*{cell_name(to_o1)}+dE_do2*{cell_name(to_o2)}",
                f"∂E/∂a_{unit} = ∂E/∂o1 · {to_o1} + ∂E/∂o2 · {to_o2}",
                "A sum: the hidden unit contributes to both errors, through two weights.",
            ),
            Line(
                f"da_{unit}_d{unit}",
                f"a_{unit}*(1-a_{unit})",
                f"∂a_{unit}/∂{unit} = a_{unit} · (1 − a_{unit})",
                "The slope of the sigmoid.",
            ),
            Line(
                f"dE_d{unit}",
                f"dE_da_{unit}*da_{unit}_d{unit}",
                f"∂E/∂{unit} = ∂E/∂a_{unit} · ∂a_{unit}/∂{unit}",
                "The chain rule again. The slope multiplies the whole sum.",
            ),
        ]
    for weight, (hidden, given) in zip(
        WEIGHTS[:4], (("h1", "i1"), ("h1", "i2"), ("h2", "i1"), ("h2", "i2")), strict=True
    ):
        lines.append(
            Line(
                f"dE_d{weight}",
                f"dE_d{hidden}*{cell_name(given)}",
                f"∂E/∂{weight} = ∂E/∂{hidden} · {given}",
                f"{weight} multiplies {given}, so {given} is the last factor.",
            )
        )
    return lines


def update_lines() -> list[Line]:
    """Return the lines of the update: one step of gradient descent."""
    return [
        Line(
            f"new_{weight}",
            f"{cell_name(weight)}-eta*dE_d{weight}",
            f"{weight} − η · ∂E/∂{weight}",
            "A positive gradient makes the weight smaller, a negative one larger."
            if weight == "w1"
            else "All weights change at once, with the gradients from before the update.",
        )
        for weight in WEIGHTS
    ]
