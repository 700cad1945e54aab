"""The tables in the pages that are made from the code: between ``<!-- generated: NAME -->`` and
``<!-- end -->``.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import get_args

from tests.benchmarks import leaderboard
from tests.docs.pages import text_of
from tui_trainer.anatomy.table import layer_table
from tui_trainer.course.lesson import lessons
from tui_trainer.models import zoo
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.config import BUDGETS
from tui_trainer.protocol.events import Event, RecordRead
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.protocol.layers import totals
from tui_trainer.text.fmt import field
from tui_trainer.ui.keys.binding import key_text, normalized
from tui_trainer.ui.keys.keymap import GROUPS, with_keys

_REGION = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    """Return a Markdown table; ``align`` has an ``r`` for each column aligned to the right."""
    rules = ["---:" if align[n : n + 1] == "r" else "---" for n in range(len(head))]
    lines = [head, rules, *rows]
    return "".join(f"| {' | '.join(cells)} |\n".replace("|  |", "| |") for cells in lines)


def keys() -> str:
    """Return every key, group by group."""
    parts = []
    for group, bindings in GROUPS.items():
        rows = [
            (
                " ".join(f"`{key_text(key)}`" for key in normalized(binding.key)).replace(
                    "|", "\\|"
                ),
                f"`{binding.id}`",
                with_keys(binding.tooltip or binding.description),
            )
            for binding in bindings
            if binding.id is not None
        ]
        parts.append(f"**{with_keys(group)}**\n\n{table(('key', 'id', ''), rows)}")
    return "\n".join(parts)


def exit_codes() -> str:
    """Return the exit codes."""
    return table(
        ("exit code", "meaning"), [(str(code.value), code.meaning) for code in ExitCode], "r"
    )


def models() -> str:
    """Return the models of the course's session 6, with their cost for digits."""
    return _models([name for name in zoo.REGISTRY if name not in BUDGETS], 28, 1)


def color_models() -> str:
    """Return the models of the later sessions, with their cost for small color images."""
    return _models(BUDGETS, 32, 3)


def _models(names: Iterable[str], size: int, channels: int) -> str:
    rows = []
    for name in names:
        entry = zoo.REGISTRY[name]
        model = zoo.build(name, image_size=size, classes=10, channels=channels)
        whole = totals(layer_table(model, (size, size, channels)))
        figures = (
            f"{whole.parameters:,}",
            f"{whole.multiply_adds:,}",
            field(whole.receptive_field),
        )
        rows.append((f"`{name}`", *figures, entry.summary))
    head = ("`--model`", "parameters", "multiply-adds", "receptive field", "")
    return table(head, rows, " rrr")


def lesson_list() -> str:
    """Return the lessons."""
    rows = [(str(each.topic), each.title, f"`{each.slug}`") for each in lessons()]
    return table(("lesson", "title", "name"), rows, "r")


def event_list() -> str:
    """Return the events of a run: the first sentence of each, and its fields."""
    rows = []
    for kind in (each for each in get_args(Event) if each not in (Answered, RecordRead)):
        first = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
        names = [f"`{each.name}`" for each in dataclasses.fields(kind)]
        about = first.replace("``", "`").split(". ")[0].rstrip(".")
        rows.append((f"`{kind.__name__}`", f"{about}: {', '.join(names)}"))
    return table(("event", "when, and its fields"), rows)


def cause_list() -> str:
    """Return the causes that several findings share."""
    text = files("tui_trainer.findings").joinpath("causes.toml").read_text("utf-8")
    rows = [(f"`{code}`", each["title"]) for code, each in tomllib.loads(text).items()]
    return table(("`code`", "cause"), rows)


def presets() -> str:
    """Return the recorded results of the presets."""
    head = ("command", "parameters", "test, mean over seeds", "min – max", "seeds", "epochs")
    rows = leaderboard.preset_rows(leaderboard.recorded())
    return table((*head, "training"), rows, " r   r") if rows else "No preset is recorded yet.\n"


def published() -> str:
    """Return the published figures."""
    head = ("source", "parameters", "test", "which figure", "test set read", "training")
    return table(head, leaderboard.published_rows(leaderboard.published()), " r")


TABLES: dict[str, Callable[[], str]] = {
    "keys": keys,
    "exit-codes": exit_codes,
    "zoo": models,
    "zoo-color": color_models,
    "lessons": lesson_list,
    "events": event_list,
    "causes": cause_list,
    "presets": presets,
    "published": published,
}


def filled(page: Path) -> str:
    """Return a page with its generated tables as they should be."""
    return _REGION.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n{found[3]}", text_of(page))
