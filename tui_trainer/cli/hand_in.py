"""The formats of an assignment: Markdown with pictures, HTML and a notebook."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tui_trainer.cli.exported_run import ExportedRun
from tui_trainer.cli.unedited import check_unedited, marked, marked_notebook
from tui_trainer.export.targets import replacing
from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.text.fmt import plural, printable, size

if TYPE_CHECKING:
    from tui_trainer.headless.assignment.facts import Step
    from tui_trainer.protocol.document import Document
    from tui_trainer.render.markdown.document import DrawnBlock

PICTURES = "_files"
"""What the folder of pictures is called after the document's name, as nbconvert calls it."""


@dataclass
class Assignment:
    """The assignment of some runs, measured once for all formats.

    Attributes:
        runs: The runs in order.
        targets: Their targets as typed.
    """

    runs: Sequence[ExportedRun]
    targets: Sequence[str] = ()
    _steps: list[Step] = field(default_factory=list)

    @property
    def steps(self) -> list[Step]:
        """The steps."""
        if not self._steps:
            from tui_trainer.cli.assignment import steps_of

            self._steps = steps_of(self.runs, self.targets)
        return self._steps

    def document(self, name: str, steps: Sequence[Step] | None = None) -> Document:
        """Return the document; ``name`` is that of its format."""
        from tui_trainer.headless.assignment.sections import assignment

        words = ["mnist-tui", "export", *(run.found.folder.name for run in self.runs)]
        words += [word for target in self.targets for word in ("--target", target)]
        return assignment(steps or self.steps, shlex.join([*words, "--as", name]))


def write_markdown(source: Assignment, path: Path) -> str:
    """Write Markdown, with its pictures as SVG files in a folder next to it.

    GitHub, GitLab, VS Code and Jupyter show SVG files of the same repository; they are sharp at any
    size and in print, and are drawn without another package.
    """
    from tui_trainer.render.markdown.document import document_markdown

    check_unedited(path)
    folder = path.with_name(f"{path.stem}{PICTURES}")
    pictures: dict[str, str] = {}

    def stored(drawn: DrawnBlock) -> str:
        pictures[f"{drawn.name}.svg"] = _svg(drawn)
        return f"{folder.name}/{drawn.name}.svg"

    text = document_markdown(source.document("assignment"), stored)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise path_error(folder, f"cannot be created: {reason(error)}") from None
    for file, svg in pictures.items():
        _write(folder / file, svg)
    _write(path, marked(text))
    return f"{_about(source)}, {plural(len(pictures), 'picture')} in {printable(folder.name)}"


def write_html(source: Assignment, path: Path) -> str:
    """Write one HTML file that needs no other."""
    from tui_trainer.headless.html_page import html_page
    from tui_trainer.render.html.document import document_html

    check_unedited(path)
    document = source.document("html")
    text = html_page(document.title, document_html(document))
    _write(path, marked(text))
    return f"{_about(source)}, {size(len(text.encode()))}"


def write_notebook(source: Assignment, path: Path) -> str:
    """Write a notebook that rebuilds each model in PyTorch and evaluates its weights."""
    from tui_trainer.cli.notebook_program import programs_of
    from tui_trainer.render.markdown.notebook import document_notebook

    check_unedited(path)
    sealed = [step.test is None for step in source.steps]
    programs = programs_of(source.runs, sealed, path)
    steps = [
        replace(step, program=program) for step, program in zip(source.steps, programs, strict=True)
    ]
    text = document_notebook(source.document("notebook", steps), _attached)
    _write(path, marked_notebook(text))
    return f"{_about(source)}, {size(len(text.encode()))}; it needs torch and torchvision"


HAND_IN: dict[str, tuple[str, Callable[[Assignment, Path], str]]] = {
    "assignment": ("assignment.md", write_markdown),
    "html": ("assignment.html", write_html),
    "notebook": ("assignment.ipynb", write_notebook),
}
"""The formats: the file of each, and the function that writes it."""


def _about(source: Assignment) -> str:
    return plural(len(source.runs), "step")


def _svg(drawn: DrawnBlock) -> str:
    from tui_trainer.render.svg.document import exhibit_svg

    # The caption is in the document, above the picture.
    block = replace(drawn.block, caption="")
    return exhibit_svg("", [block], description=drawn.alternative)


def _attached(drawn: DrawnBlock) -> tuple[str, bytes]:
    """Return a picture for a notebook: PNG, which each program shows; SVG if it cannot be made."""
    from tui_trainer.export.svg_picture import write_png

    svg = _svg(drawn)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.png")
        try:
            write_png(svg, path)
        except InputError:
            return f"{drawn.name}.svg", svg.encode()
        return f"{drawn.name}.png", path.read_bytes()


def _write(path: Path, text: str) -> None:
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", newline="\n")
