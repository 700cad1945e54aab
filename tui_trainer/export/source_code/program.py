"""The program of a run, from its recipe and the source of its model."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tui_trainer.export.source_code import (
    SCRIPT,
    WEIGHTS,
    Program,
    Section,
    data,
    evaluation,
    training,
)
from tui_trainer.export.source_code.formatting import comment, joined, renamed
from tui_trainer.export.source_code.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Import:
    """A statement that imports one name.

    Attributes:
        statement: The statement: ``import torch.nn as nn``.
        name: The name that it binds: ``nn``.
        target: The full name of what it binds: ``torch.nn``.
    """

    statement: str
    name: str
    target: str

    @property
    def is_standard(self) -> bool:
        """Whether it is of the standard library."""
        return self.target.partition(".")[0] in sys.stdlib_module_names

    @property
    def is_future(self) -> bool:
        """Whether it changes the language, and must come first."""
        return self.target.startswith("__future__.")

    def bound_to(self, name: str) -> Import:
        """Return the same import under another name."""
        start = self.statement.partition(" as ")[0]
        return Import(f"{start} as {name}", name, self.target)


_ARGPARSE = Import("import argparse", "argparse", "argparse")
_IMPORTS = (
    Import("import gzip", "gzip", "gzip"),
    Import("import hashlib", "hashlib", "hashlib"),
    Import("import math", "math", "math"),
    Import("import random", "random", "random"),
    Import("import struct", "struct", "struct"),
    Import("import unicodedata", "unicodedata", "unicodedata"),
    Import("from collections import OrderedDict", "OrderedDict", "collections.OrderedDict"),
    Import("from pathlib import Path", "Path", "pathlib.Path"),
    Import("import numpy as np", "np", "numpy"),
    Import("from PIL import Image", "Image", "PIL.Image"),
    Import("from PIL import ImageOps", "ImageOps", "PIL.ImageOps"),
    Import("import torch", "torch", "torch"),
    Import("import torch.nn.functional as F", "F", "torch.nn.functional"),
    Import("from torch import nn", "nn", "torch.nn"),
)
"""What the sections can import, in the order of the imports."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """The source of a model.

    Attributes:
        code: Its class, and what that needs.
        build: The expression that builds a new model.
        imports: Its imports; those from ``__future__`` first.
        remark: A sentence on it; empty if there is nothing to say.
    """

    code: str
    build: str
    imports: tuple[Import, ...] = ()
    remark: str = ""


def program(recipe: Recipe, source: ModelSource) -> Program:
    """Return the program of a run."""
    before, after = _before_model(recipe), _after_model(recipe)
    names = _new_names([*before, *after], source)
    cell = f"model = {_BUILD}.to(DEVICE)"
    model = Section("model", "Model", "", cell)
    adapted = [_adapted(part, names, source) for part in (*before, model, *after)]
    sections = [replace(s, code=source.code) if s.name == "model" else s for s in adapted]
    remarks = tuple(filter(None, (source.remark, *recipe.remarks)))
    notebook = [s.notebook_cell for s in sections if s.name != "main"]
    imports = Section("imports", "Imports", _imports(notebook, source, names))
    script_imports = _imports([*notebook, _ARGPARSE.name], source, names)
    settings, *others = (section.code for section in sections)
    top = joined([_head(recipe, remarks), script_imports, settings], 1)
    return Program(
        summary=_summary(recipe),
        results=recipe.results,
        remarks=remarks,
        sections=(imports, *sections),
        build=source.build,
        script=joined([top, *others]) + "\n",
    )


_BUILD = "BUILD_MODEL"
"""Stands for the expression that builds a model, until the other names are chosen."""


def _before_model(recipe: Recipe) -> list[Section]:
    return [
        Section("settings", "Settings", _settings(recipe)),
        Section("data", "Data", data.data_code(recipe), _DATA_CELL),
    ]


def _after_model(recipe: Recipe) -> list[Section]:
    load, reports = evaluation.load_weights(f'"{WEIGHTS}"'), evaluation.reports(recipe)
    trained = [*_TRAINING_CELL, *evaluation.reports(recipe, "trained")]
    return [
        Section(
            "evaluation",
            "Evaluation",
            evaluation.evaluation_code(recipe),
            "\n".join([load, *reports]),
        ),
        Section("training", "Training", training.training_code(recipe), "\n".join(trained)),
        Section("main", "Command line", evaluation.main_code(recipe, _BUILD)),
    ]


def _adapted(section: Section, names: Mapping[str, str], source: ModelSource) -> Section:
    """Return a section with the other names, and with the expression that builds the model."""
    code, cell = (renamed(text, names) for text in (section.code, section.cell))
    build = source.build
    return replace(section, code=code.replace(_BUILD, build), cell=cell.replace(_BUILD, build))


_DATA_CELL = "train_set, val_set, test_set = load_data(DATA_DIR)"
_TRAINING_CELL = (
    "torch.manual_seed(SEED)",
    f"trained = {_BUILD}.to(DEVICE)",
    "train(trained, train_set, val_set)",
)


def _settings(recipe: Recipe) -> str:
    device = 'DEVICE = "cuda" if torch.cuda.is_available() else "cpu"'
    return "\n".join([*data.settings_code(recipe), *training.settings_code(recipe), device])


def _summary(recipe: Recipe) -> str:
    name = "" if recipe.files is not None else f" on {recipe.config.dataset}"
    return f"Train and evaluate a model{name} in plain PyTorch."


def _head(recipe: Recipe, remarks: Sequence[str]) -> str:
    """Return the docstring and the comments at the top of the script."""
    lines = [
        f'"""{_summary(recipe)}',
        "",
        f"python {SCRIPT}                         train a new model, save it as trained.pt",
        f"python {SCRIPT} --evaluate {WEIGHTS}   evaluate the weights of the run",
        '"""',
        "",
        # Only after the docstring: in the first two lines a name could declare an encoding.
        comment(f"Run {recipe.name!r}, exported by mnist-tui."),
        *map(comment, recipe.results),
        *map(comment, remarks),
    ]
    return "\n".join(lines)


# --- names


def _new_names(sections: Iterable[Section], source: ModelSource) -> dict[str, str]:
    """Return other names for those that the source of a custom model binds to something else."""
    theirs = bound_names(source.code)
    targets = dict.fromkeys(theirs, "") | {i.name: i.target for i in source.imports}
    ours = {i.name: i.target for i in (*_IMPORTS, _ARGPARSE)}
    for section in sections:
        ours |= dict.fromkeys(bound_names(section.notebook_cell), section.name)
    ours["model"] = "model"
    clashing = [name for name in ours if name in targets and targets[name] != ours[name]]
    return {name: _free(name, {*targets, *ours}) for name in clashing}


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def bound_names(code: str) -> set[str]:
    """Return the names that code binds at its top level."""
    found: set[str] = set()
    for statement in ast.parse(code).body:
        found |= names_bound_by(statement)
    return found


def names_bound_by(statement: ast.stmt) -> set[str]:
    """Return the names that a statement binds at its level."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import):
        return {a.asname or a.name.partition(".")[0] for a in statement.names}
    if isinstance(statement, ast.ImportFrom):
        return {a.asname or a.name for a in statement.names}
    found = set()
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.stmt):
            found |= names_bound_by(child)
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            found |= {name for inner in child.body for name in names_bound_by(inner)}
        else:
            found |= {
                node.id
                for node in ast.walk(child)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
    return found


# --- imports


def _imports(used_in: Sequence[str], source: ModelSource, names: Mapping[str, str]) -> str:
    """Return the imports of code and of a model, sorted: the standard library, then the rest."""
    # By its syntax: a docstring can contain a word that is a module's name, as "random".
    nodes = (node for code in used_in for node in ast.walk(ast.parse(code)))
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    theirs = {(i.name, i.target) for i in source.imports}
    needed = [
        i.bound_to(names[i.name]) if i.name in names else i
        for i in (_ARGPARSE, *_IMPORTS)
        if (i.name, i.target) not in theirs and names.get(i.name, i.name) in used
    ]
    everything = list({i.statement: i for i in (*source.imports, *needed)}.values())
    groups: tuple[list[str], ...] = [], [], []
    for i in everything:
        groups[0 if i.is_future else 1 if i.is_standard else 2].append(i.statement)
    return joined(["\n".join(sorted(_merged(group), key=_import_order)) for group in groups], 1)


def _merged(statements: Iterable[str]) -> list[str]:
    """Return import statements with one for all names of Pillow: ``from PIL import a, b``."""
    lead = "from PIL import "
    names = sorted(each.removeprefix(lead) for each in statements if each.startswith(lead))
    others = [each for each in statements if not each.startswith(lead)]
    return [*others, f"{lead}{', '.join(names)}"] if names else others


def _import_order(statement: str) -> tuple[bool, str]:
    return statement.startswith("from "), statement.lower()
