"""The runs of an assignment as plain PyTorch, for the cells of a notebook."""

from __future__ import annotations

import base64
import re
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tui_trainer.cli.exported_run import ExportedRun
from tui_trainer.cli.program import program_of, write_program
from tui_trainer.export.source_code import WEIGHTS, Program
from tui_trainer.export.targets import replacing
from tui_trainer.protocol.document import Code
from tui_trainer.text.fmt import duration, plural, size

MOST_EMBEDDED = 2_000_000
"""The largest file of weights in a notebook, in bytes; a larger one lies next to it."""

LINE = 88
"""Characters of a line of weights."""

TRAIN = "TRAIN"
"""The constant that a reader sets to True for a training."""

TEST_REPORT = re.compile(r'\nreport\w*\("test", .*')
"""The line of a cell that evaluates the test set."""

ProgramPart = Code | str
"""A cell to run, or a sentence."""


def programs_of(
    runs: Sequence[ExportedRun], sealed: Sequence[bool], path: Path
) -> list[tuple[ProgramPart, ...]]:
    """Return the program of each run, with its weights, if its logits equal the model's.

    Args:
        runs: The runs.
        sealed: Whether the test set is sealed for the last checkpoint of each run: the program then
            does not evaluate it either.
        path: The notebook; weights that are too large for it are written next to it.

    Raises:
        InputError: If a run cannot be written as plain PyTorch, or its logits differ.
    """
    found = enumerate(zip(runs, sealed, strict=True), start=1)
    return [tuple(_parts(run, number, path, is_sealed=each)) for number, (run, each) in found]


def _parts(run: ExportedRun, number: int, path: Path, *, is_sealed: bool) -> Iterator[ProgramPart]:
    program, weights, note = _checked(run)
    yield (
        "The cells below run in plain PyTorch, from top to bottom, without mnist-tui. They build "
        "the model, load the weights of the last checkpoint, and count its correct predictions."
    )
    yield from (*program.results, f"Checked when it was written: {note}.", *program.remarks)
    for name in ("imports", "settings", "data", "model"):
        section = program.section(name)
        yield Code(text=section.notebook_cell, language="python")
    yield from _weights(weights, number, path)
    evaluation = program.section("evaluation")
    cell = TEST_REPORT.sub("", evaluation.cell) if is_sealed else evaluation.cell
    yield Code(text=replace(evaluation, cell=cell).notebook_cell, language="python")
    yield from _training(run, program)


def _checked(run: ExportedRun) -> tuple[Program, bytes, str]:
    """Return the program of a run, its weights, and the result of comparing its logits."""
    with tempfile.TemporaryDirectory() as folder:
        note = write_program(run, Path(folder, "train.py"))
        weights = Path(folder, WEIGHTS).read_bytes()
    return program_of(run), weights, note.removeprefix(f"{WEIGHTS} next to it; ")


def _weights(weights: bytes, number: int, path: Path) -> Iterator[ProgramPart]:
    """Yield the cell that writes the weights to the file which the evaluation loads."""
    about = f"# The weights of the last checkpoint, {size(len(weights))}."
    if len(weights) > MOST_EMBEDDED:
        file = path.with_name(f"{path.stem}-step-{number}-{WEIGHTS}")
        with replacing(file) as unfinished:
            unfinished.write_bytes(weights)
        copy = f'shutil.copyfile({file.name!r}, "{WEIGHTS}")'
        code = f"import shutil\n\n{about}\n{copy};"
    else:
        lines = textwrap.wrap(base64.b64encode(weights).decode("ascii"), LINE)
        text = "\n".join(f'    "{line}"' for line in lines)
        code = (
            f"import base64\nfrom pathlib import Path\n\n{about}\nENCODED = (\n{text}\n)\n"
            f'Path("{WEIGHTS}").write_bytes(base64.b64decode(ENCODED));'
        )
    yield Code(text=code, language="python")


def _training(run: ExportedRun, program: Program) -> Iterator[ProgramPart]:
    """Yield the cells that train a new model, if their reader wants that."""
    section = program.section("training")
    seconds = run.found.folder.read_summary().seconds
    yield (
        f"The training, {plural(run.found.config.epochs, 'epoch')}. It took {duration(seconds)} "
        f"in the run: set {TRAIN} to True to train a new model."
    )
    yield Code(text=section.code, language="python")
    yield Code(
        text=f"{TRAIN} = False\nif {TRAIN}:\n{textwrap.indent(section.cell, '    ')}",
        language="python",
    )
