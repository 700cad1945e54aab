"""The forward pass prints, and writes to file descriptors past Python."""

import os
import sys

from torch import Tensor, nn

WORDS = "seen in the forward pass"


class Net(nn.Module):
    """It prints to stdout, as while debugging."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 5, stride=2)
        self.head = nn.Linear(8 * 144, classes)

    def announce(self, x: Tensor) -> None:
        print(WORDS, tuple(x.shape))

    def forward(self, x: Tensor) -> Tensor:
        self.announce(x)
        logits: Tensor = self.head(self.conv(x).relu().flatten(1))
        return logits


class Writes(Net):
    """It writes to file descriptors 1 and 2, as a library in C does."""

    def announce(self, x: Tensor) -> None:
        for number in (1, 2):
            os.write(number, f"{WORDS}\n".encode())


class Warns(Net):
    """It writes to the interpreter's original streams, not to the current ``sys.stdout``."""

    def announce(self, x: Tensor) -> None:
        for stream in (sys.__stdout__, sys.__stderr__):
            if stream is not None:
                print(WORDS, file=stream, flush=True)
