"""Custom models composed at random, each as the text of a separate file.

The same seed and index give the same text with any Python.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from tests.border import odd_blocks, state_blocks  # noqa: F401  (they register their blocks)
from tests.border.blocks import BLOCKS
from tests.border.ends import HEADS, INPUTS, RESULTS, WHOLES, signature
from tests.border.writer import Writer

LAST = "maps"
"""The attribute of the last maps' convolution, which every model has."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A composed model.

    Attributes:
        name: The name of its file, without suffix.
        source: The text of its file; its class is ``Net``.
        parts: The pieces in it.
        is_random: Whether its logits are partly random in evaluation mode.
        is_counted: Whether the pixels that its last maps see can be counted by gradients.
        optimizer: The optimizer to train it with.
        cut: The step after which to stop and resume.
    """

    name: str
    source: str
    parts: tuple[str, ...]
    is_random: bool
    is_counted: bool
    optimizer: str
    cut: int

    def write(self, folder: Path) -> str:
        """Write its file; return the value of ``--model``."""
        path = folder / f"{self.name}.py"
        path.write_text(self.source, encoding="utf-8")
        return f"{path}:Net"


def compose(index: int, seed: int = 0) -> Composed:
    """Compose a model; each piece occurs in the first models."""
    rng = random.Random(f"{seed}/{index}")
    w = Writer(rng)
    names = list(BLOCKS)
    wholes = [name for name in WHOLES if name != "extra_state"]
    due = [names[index % len(names)], names[(7 * index + 3) % len(names)]]
    chosen = [*due, *rng.choices(names, k=rng.randint(0, 3))]
    rng.shuffle(chosen)
    first = rng.choice(("as it is", "as it is", *INPUTS))
    w.parts.append(first)
    INPUTS[first](w)
    for name in chosen:
        w.parts.append(name)
        BLOCKS[name](w)
    whole = "extra_state" if index % 40 == 13 else rng.choice(wholes)
    w.parts.append(whole)
    WHOLES[whole](w)
    kernel = rng.choice((1, 3))
    w.init.append(f"self.{LAST} = nn.Conv2d({w.channels}, 6, {kernel}, padding={kernel // 2})")
    w.channels = 6
    if rng.random() < 0.7:
        w.head.append(rng.choice(("x = x.relu()", "x = F.relu(x, inplace=True)", "x = x.tanh()")))
    head = rng.choice(list(HEADS))
    w.parts.append(head)
    HEADS[head](w)
    w.result = rng.choice(RESULTS)
    w.parts.append(w.result)
    text = w.source(f"self.{LAST}(x)", signature(w))
    return Composed(
        name=f"composed_{seed}_{index}",
        source=text,
        parts=tuple(w.parts),
        is_random=w.is_random,
        is_counted=w.is_counted,
        optimizer=rng.choice(("sgd", "adam", "adamw")),
        cut=rng.choice((1, 2, 4)),
    )
