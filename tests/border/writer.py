"""The source text of a custom model, written piece by piece."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

SIDE = 16
"""Rows and columns of the images for the models."""

CLASSES = 10

HEADER = '''"""{about}"""

import os
import random
import sys
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

warnings.filterwarnings("ignore")
'''

MODEL = '''

class Net(nn.Module):
    """{about}"""

    def __init__(self{signature}):
        super().__init__()
{init}
{methods}
    def features(self, x):
{features}
        return {last}

    def forward(self, x):
{before}
        x = self.features(x)
{head}
        return {result}
'''


@dataclass
class Writer:
    """A model under construction, with the current channels, rows and columns of its map.

    Attributes:
        rng: Makes all random choices.
        parts: The names of its pieces.
        is_random: Whether its logits are partly random in evaluation mode.
        is_counted: Whether gradients reach all pixels that its last maps see.
    """

    rng: random.Random
    channels: int = 1
    height: int = SIDE
    width: int = SIDE
    parts: list[str] = field(default_factory=list)
    is_random: bool = False
    is_counted: bool = True
    top: list[str] = field(default_factory=list)
    init: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    hooks: list[str] = field(default_factory=list)
    result: str = "x"
    _count: int = 0

    def name(self, stem: str) -> str:
        """Return a new name for an attribute."""
        self._count += 1
        return f"{stem}{self._count}"

    def make(self, stem: str, expression: str) -> str:
        """Write an attribute into ``__init__``; return it as ``self.…``."""
        name = self.name(stem)
        self.init.append(f"self.{name} = {expression}")
        return f"self.{name}"

    def buffer(self, stem: str, expression: str, *, persistent: bool = True) -> str:
        name = self.name(stem)
        kept = "" if persistent else ", persistent=False"
        self.init.append(f'self.register_buffer("{name}", {expression}{kept})')
        return f"self.{name}"

    def add(self, *lines: str) -> None:
        """Write lines into ``features``; ``x`` is the map."""
        self.lines += lines

    def needs(self, source: str) -> None:
        """Write a class or a function above the model, once."""
        if source not in self.top:
            self.top.append(source)

    def resized(self, height: int, width: int | None = None, channels: int | None = None) -> None:
        """Set the size of the map after the last piece."""
        self.height = height
        self.width = height if width is None else width
        self.channels = self.channels if channels is None else channels

    def random_bool(self, probability: float) -> bool:
        return self.rng.random() < probability

    def source(self, last: str, signature: str) -> str:
        """Return the whole file."""
        about = f"Composed at random: {', '.join(self.parts)}."
        model = MODEL.format(
            about="A custom model.",
            signature=signature,
            init=_indented(self.init + self.hooks),
            methods="".join(f"\n{_indented(method.splitlines(), 4)}\n" for method in self.methods),
            features=_indented(self.lines or ["pass"]),
            last=last,
            before=_indented(self.before or ["pass"]),
            head=_indented(self.head or ["pass"]),
            result=self.result,
        )
        top = "".join(f"\n\n{source.strip()}\n" for source in self.top)
        return HEADER.format(about=about) + top + model


def _indented(lines: list[str], by: int = 8) -> str:
    return "\n".join(" " * by + line if line else "" for line in lines)
