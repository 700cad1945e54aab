"""A document as a Jupyter notebook: texts as Markdown cells, Python code as cells to run.

Source: the notebook format 4.5, https://nbformat.readthedocs.io/en/latest/format_description.html.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

from tui_trainer.protocol.document import Code, Document, Part
from tui_trainer.render.markdown.document import DrawnBlock, heading, parts_markdown

PYTHON = "python"

Attached = Callable[[DrawnBlock], tuple[str, bytes]]
"""Draws a block as a picture: its file name and its content."""

TYPES = {"png": "image/png", "svg": "image/svg+xml"}
"""The media types of pictures by their suffix."""


def document_notebook(document: Document, attached: Attached) -> str:
    """Return a document as the text of an ``.ipynb`` file.

    A Python :class:`Code` is a cell to run; everything else is Markdown. Pictures are attachments
    of their cells, so that the notebook is one file.
    """
    cells = _Cells(attached)
    cells.add("document", heading(1, document.title), document.parts)
    for depth, section in document.walk():
        cells.add(section.name, heading(depth + 1, section.title), section.parts)
    notebook = {
        "cells": cells.done,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": PYTHON, "name": "python3"},
            "language_info": {"name": PYTHON},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


class _Cells:
    """The cells of a notebook while it is written."""

    def __init__(self, attached: Attached) -> None:
        self.done: list[dict[str, Any]] = []
        self._attached = attached
        self._pictures: dict[str, dict[str, str]] = {}

    def add(self, name: str, title: str, parts: Sequence[Part]) -> None:
        """Add the cells of a section: one per stretch of text, one per program."""
        texts, first = [title], 1
        for number, part in enumerate(parts, start=1):
            if isinstance(part, Code) and part.language == PYTHON:
                self._markdown(f"{name}-{first}", texts)
                self._code(f"{name}-{number}-code", part.text)
                texts, first = [], number + 1
            else:
                texts += parts_markdown(f"{name}-{number}", [part], self._attach)
        self._markdown(f"{name}-{first}", texts)

    def _attach(self, drawn: DrawnBlock) -> str:
        file, content = self._attached(drawn)
        media = TYPES[file.rpartition(".")[2]]
        self._pictures[file] = {media: base64.b64encode(content).decode("ascii")}
        return f"attachment:{file}"

    def _markdown(self, name: str, texts: Sequence[str]) -> None:
        if not texts:
            return
        cell: dict[str, Any] = {"cell_type": "markdown", "id": name, "metadata": {}}
        if self._pictures:
            cell["attachments"], self._pictures = self._pictures, {}
        cell["source"] = _lines("\n\n".join(texts))
        self.done.append(cell)

    def _code(self, name: str, code: str) -> None:
        cell: dict[str, Any] = {
            "cell_type": "code",
            "execution_count": None,
            "id": name,
            "metadata": {},
        }
        self.done.append(cell | {"outputs": [], "source": _lines(code)})


def _lines(text: str) -> list[str]:
    """Return the lines of a cell, each but the last with its newline."""
    *lines, last = text.split("\n")
    return [*(f"{line}\n" for line in lines), last]
