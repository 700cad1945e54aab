"""An evaluation as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

from tui_trainer.course.subject import name_of
from tui_trainer.headless.evaluation_text import Evaluation, accuracy_line, test_evaluation_lines
from tui_trainer.headless.html_page import html_page
from tui_trainer.headless.view_questions import LAYER, Shown
from tui_trainer.protocol.diagnosis import Cause
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.exhibit import Block, Exhibit, Table
from tui_trainer.protocol.inspection import GROUPS
from tui_trainer.render.cause_lines import evidence_of, is_named
from tui_trainer.render.html.blocks import blocks_html
from tui_trainer.render.plain_exhibit import set_to
from tui_trainer.text.fmt import count, interval, one_line, percent
from tui_trainer.version import __version__


def report(found: Evaluation, command: str) -> str:
    """Return an evaluation as an HTML document.

    Args:
        found: The evaluation.
        command: The command that creates this report.
    """
    title = f"{found.run}: evaluation of {found.started.model}"
    body = "\n".join(
        (
            _header(found),
            *([] if found.findings is None else [_findings(found.findings)]),
            *(_section(shown) for shown in found.views),
            _footer(found, command),
        )
    )
    return html_page(title, body)


def _header(found: Evaluation) -> str:
    """Return the title, a table of the run, and links to the views."""
    started = found.started
    rows = {
        "run": found.run,
        "model": started.model,
        "parameters": count(started.parameters),
        "data": name_of(started),
        "checkpoint": f"{found.checkpoint}, step {count(found.step)}",
        "epoch": count(found.epoch),
        f"{found.images} images": count(found.total),
        "accuracy": f"{percent(found.accuracy)} {interval(found.interval)}",
    }
    listed = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in rows.items()
    )
    notes = [*test_evaluation_lines(found), "In brackets: 95 % confidence interval (Wilson)."]
    text = "".join(f"<p class='muted'>{escape(note)}</p>" for note in notes)
    return (
        f"<header>\n<h1>{escape(started.model)}: "
        f"evaluation</h1>\n<dl>{listed}</dl>\n{text}\n{_contents(found.views)}\n</header>"
    )


def _contents(views: Sequence[Shown]) -> str:
    """Return the table of contents, one list per group."""
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


def _findings(findings: Sequence[FindingRaised]) -> str:
    """Return the active findings, each with its causes, the most likely first."""
    parts = [_finding(found) for found in findings] or ["<p class='ok'>✓ no active findings</p>"]
    about = "What the rules find in the training up to this checkpoint."
    return (
        "<section id='findings'>\n<h2>findings</h2>\n"
        f"<p class='about'>{about}</p>\n{''.join(parts)}</section>"
    )


def _finding(found: FindingRaised) -> str:
    since = f"Since step {count(found.step)}: {found.evidence}"
    causes = "".join(f"<li>{_cause(cause, found)}</li>" for cause in found.ranked_causes)
    return (
        f"<h3 class='{found.severity}'>{escape(one_line(found.heading))}</h3>\n"
        f"<p>{escape(one_line(since))}</p>\n{f'<ol>{causes}</ol>' if causes else ''}\n"
    )


def _cause(cause: Cause, found: FindingRaised) -> str:
    """Return a cause, its evidence and its advice."""
    head = f"{cause.label}: {cause.title}" if is_named(cause, found) else ""
    parts = [
        f"<b>{escape(one_line(head))}</b>" if head else "",
        escape(one_line(evidence_of(cause, found))),
        escape(one_line(f"try: {cause.advice}")) if cause.advice else "",
    ]
    return "<br>".join(part for part in parts if part)


def _section(shown: Shown) -> str:
    """Return a view, followed by the blocks of other layers that differ."""
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
    """Return a block without its marked row."""
    return replace(block, marked=None) if isinstance(block, Table) else block


def _layer_head(exhibit: Exhibit) -> str:
    at = (set_to(each) for each in exhibit.controls if each.name == LAYER)
    return f"<h3>layer {escape(next(at, ''))}</h3>"


def _result(exhibit: Exhibit) -> str:
    """Return the result and its uncertainty."""
    text = "".join(
        f"<p><b>{label}:</b> {escape(words)}</p>"
        for label, words in (("result", exhibit.result), ("evidence", exhibit.evidence))
        if words
    )
    return f"<div class='result'>{text}</div>" if text else ""


def _control_values(exhibit: Exhibit) -> str:
    """Return the values of the controls."""
    values = " · ".join(f"{control.label} {set_to(control)}" for control in exhibit.controls)
    return f"<p class='shown'>shown with {escape(values)}</p>" if values else ""


def _footer(found: Evaluation, command: str) -> str:
    """Return the accuracy and the command that creates the report again."""
    on_test = "".join(f"<p>{escape(note)}</p>" for note in test_evaluation_lines(found))
    return (
        f"<footer>\n<p>{escape(accuracy_line(found))}.</p>\n{on_test}<p>Created by mnist-tui "
        f"{__version__} with <code>{escape(command)}</code></p>\n</footer>"
    )
