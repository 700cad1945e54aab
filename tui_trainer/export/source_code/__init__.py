"""A run as plain PyTorch: a program of named sections that needs torch and torchvision alone.

The sections of a :class:`Program`, in this order; each uses only names of those before it:

- ``imports``: the imports of all sections;
- ``settings``: the settings of the run as constants, ``MEAN`` and ``STD`` of its images too;
- ``data``: ``load_data(folder)`` returns the training, validation and test split as pairs of
  images (N, H, W), uint8, and labels (N); ``prepare(images)`` turns images into the model's input
  (N, 1, H, W); ``augment(pixels)`` if the run augments. The cell binds ``train_set``, ``val_set``
  (None without a validation split) and ``test_set`` (None for a run without test evaluation);
- ``model``: the class of the model, and what it needs. The cell binds ``model``, a new one;
- ``evaluation``: ``evaluate(model, dataset)`` returns mean loss and number of correct predictions,
  ``report(name, model, dataset)`` prints them. The cell loads ``weights.pt`` into ``model`` and
  reports on the splits;
- ``training``: ``lr_factor``, the schedule, and ``train(model, train_set, val_set)``. The cell
  trains a new model, ``trained``, and reports on the splits: as long as the run took;
- ``main``: argparse, for a script only; a notebook leaves it out.

``cli/program.py`` makes it from a recorded run: ``program_of(run: ExportedRun) -> Program``. A
script (:attr:`Program.script`) is a docstring, and the ``code`` of all sections. A notebook has a
cell of ``code`` and ``cell`` for each but ``main``, and ``weights.pt`` (:func:`weights_bytes`) next
to it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from tui_trainer.models.state import state_tensors

SCRIPT, WEIGHTS = "train.py", "weights.pt"
"""The names of the files."""

SectionName = Literal["imports", "settings", "data", "model", "evaluation", "training", "main"]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the program.

    Attributes:
        name: Its name, see above.
        title: A heading for it, plain text on one line.
        code: Definitions, formatted; no newline at the end.
        cell: What a notebook runs after them; empty if nothing.
    """

    name: SectionName
    title: str
    code: str
    cell: str = ""

    @property
    def notebook_cell(self) -> str:
        """The code of the section's cell in a notebook."""
        return "\n\n\n".join(filter(None, (self.code, self.cell)))


@dataclass(frozen=True, slots=True)
class Program:
    """A run as plain PyTorch.

    Attributes:
        summary: What it is: one sentence without quotes, in the characters of ASCII.
        results: What the weights of the run reach, a sentence each.
        remarks: What it does not reproduce, a sentence each. Like the results, they can contain
            names with any characters.
        sections: Its sections, in order.
        build: The expression that builds a new model, as ``Net()``.
        script: The text of ``train.py``.
    """

    summary: str
    results: tuple[str, ...]
    remarks: tuple[str, ...]
    sections: tuple[Section, ...]
    build: str
    script: str

    def section(self, name: SectionName) -> Section:
        """Return a section by its name."""
        return next(section for section in self.sections if section.name == name)


def weights_bytes(model: nn.Module) -> bytes:
    """Return a model's ``state_dict`` as ``torch.save`` writes it, for ``weights_only=True``.

    Every entry is contiguous and on the CPU, under its own name; the model is not changed.
    """
    # Some models override state_dict and omit parts: a new model would lack them.
    whole = {**state_tensors(model), **model.state_dict()}
    weights = {
        name: value.detach().to("cpu", copy=True).contiguous()
        if isinstance(value, torch.Tensor)
        else value
        for name, value in whole.items()
    }
    file = io.BytesIO()
    torch.save(weights, file)
    return file.getvalue()
