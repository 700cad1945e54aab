"""An evaluation as one HTML file that needs nothing else: to read, to mail, to print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files

from tui_trainer import __version__
from tui_trainer.headless.evaluation_text import Evaluation, accuracy_line, test_evaluation_lines
from tui_trainer.headless.view_questions import LAYER, Shown
from tui_trainer.protocol.exhibit import Block, Exhibit, Table
from tui_trainer.protocol.inspection import GROUPS
from tui_trainer.render.html.blocks import blocks_html
from tui_trainer.render.plain_exhibit import value_text
from tui_trainer.text.fmt import count, interval, one_line, percent, printable

STYLE = files("tui_trainer.render.html").joinpath("report.css").read_text(encoding="utf-8")


def report(found: Evaluation, command: str) -> str:
    """Return an evaluation as an HTML document.

    Args:
        found: What was found.
        command: What makes the same report again.
    """
    title = escape(f"{found.run}: what {found.started.model} has learned")
    body = "\n".join(
        (_header(found), *(_section(shown) for shown in found.views), _footer(found, command))
    )
    return (
        "<!DOCTYPE html>\n"
        f"<html lang='en'>\n<head>\n<meta charset='utf-8'>\n<title>{title}</title>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<meta name='generator' content='mnist-tui {__version__}'>\n"
        f"<style>\n{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _header(found: Evaluation) -> str:
    """Return the title, the facts, and where each view is."""
    started = found.started
    rows = {
        "run": found.run,
        "network": started.model,
        "parameters": count(started.parameters),
        "data": one_line(printable(started.dataset)),
        "checkpoint": f"{found.checkpoint}, after step {count(found.step)}",
        "epoch": count(found.epoch),
        f"{found.images} images": count(found.total),
        "right": f"{percent(found.accuracy)} {interval(found.interval)}",
    }
    listed = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in rows.items()
    )
    notes = [*test_evaluation_lines(found), "In brackets stands the interval of 95 % (Wilson)."]
    text = "".join(f"<p class='muted'>{escape(note)}</p>" for note in notes)
    return (
        f"<header>\n<h1>{escape(started.model)}: what it has learned</h1>\n"
        f"<dl>{listed}</dl>\n{text}\n{_contents(found.views)}\n</header>"
    )


def _contents(views: Sequence[Shown]) -> str:
    """Return the table of contents, a list a group."""
    lists = []
    for group in GROUPS:
        links = "".join(
            f"<li><a href='#{shown.view.name}'>{escape(shown.view.title)}</a></li>"
            for shown in views
            if shown.view.group == group
        )
        if links:
            lists.append(f"<div><b>{escape(group)}</b><ul>{links}</ul></div>")
    return f"<nav aria-label='contents'>{''.join(lists)}</nav>"


def _section(shown: Shown) -> str:
    """Return a view: what it shows, and what is new in the other layers if there are any."""
    view, first = shown.view, shown.exhibit
    parts = [
        f"<section id='{view.name}'>\n<h2>{escape(view.title)}</h2>",
        f"<p class='about'>{escape(view.about)}</p>",
        *([_layer_head(first)] if shown.others else []),
        blocks_html(first.blocks),
        _result(first),
        _control_values(first),
    ]
    text = {_unmarked(block) for block in first.blocks}
    for exhibit in shown.others:
        new = [block for block in exhibit.blocks if _unmarked(block) not in text]
        parts += [_layer_head(exhibit), blocks_html(new), _result(exhibit)]
    return "\n".join(parts) + "\n</section>"


def _unmarked(block: Block) -> Block:
    """Return a block as it would be if none of its rows mattered more than another."""
    return replace(block, marked=None) if isinstance(block, Table) else block


def _layer_head(exhibit: Exhibit) -> str:
    """Return the title of one layer."""
    at = (value_text(each.value) for each in exhibit.controls if each.name == LAYER)
    return f"<h3>layer {escape(next(at, ''))}</h3>"


def _result(exhibit: Exhibit) -> str:
    """Return the result, and how sure it is."""
    text = "".join(
        f"<p><b>{label}:</b> {escape(words)}</p>"
        for label, words in (("result", exhibit.result), ("how sure", exhibit.certainty))
        if words
    )
    return f"<div class='said'>{text}</div>" if text else ""


def _control_values(exhibit: Exhibit) -> str:
    """Return where the controls stood."""
    values = " · ".join(
        f"{control.label} {value_text(control.value)}" for control in exhibit.controls
    )
    return f"<p class='shown'>shown with {escape(values)}</p>" if values else ""


def _footer(found: Evaluation, command: str) -> str:
    """Return what made the report, and how it is made again."""
    on_test = "".join(f"<p>{escape(note)}</p>" for note in test_evaluation_lines(found))
    return (
        f"<footer>\n<p>{escape(accuracy_line(found))}.</p>\n{on_test}"
        f"<p>Made by mnist-tui {__version__} with <code>{escape(command)}</code></p>\n</footer>"
    )
