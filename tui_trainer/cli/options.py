"""How options are declared, and what ``--help`` says beside them: sections and exit codes."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tui_trainer.run.exit_codes import exit_code_help

EPILOG = "Exit codes:\n\n\b\n" + exit_code_help()

SECTIONS = {
    "no_ui": "How to run",
    "model": "Network",
    "dataset": "Data",
    "epochs": "Training",
    "augment": "Augmentation, drawn anew for each image",
    "seed": "Machine",
    "target_accuracy": "Result and record",
    "theme": "Window",
    "print_config": "Information",
}
"""The sections of ``--help``, by the parameter that each begins with."""


class PlainCommand(TyperCommand):
    """Lists its options in plain text.

    Typer's own way to do that needs rich, which takes as long to load as everything else together.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, section by section, all with the same indentation."""
        write_options(self, ctx, formatter, {})


class SectionedGroup(TyperGroup):
    """The same for the command that has others below it."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, section by section, then the other commands."""
        write_options(self, ctx, formatter, SECTIONS)
        self.format_commands(ctx, formatter)


def write_options(command: Any, ctx: Any, formatter: Any, titles: dict[str, str]) -> None:
    """Write a command's options, section by section, all with the same indentation.

    ``titles`` has the sections, by the parameter that each begins with.
    """
    sections: dict[str, list[tuple[str, str]]] = {}
    title = "Options"
    for parameter in command.get_params(ctx):
        title = titles.get(parameter.name or "", title)
        if (record := parameter.get_help_record(ctx)) is not None:
            sections.setdefault(title, []).append(record)
    width = max(len(names) for records in sections.values() for names, _ in records)
    for heading, records in sections.items():
        with formatter.section(heading):
            formatter.write_dl([(names.ljust(width), text) for names, text in records])


def option(help_text: str, *names: str, **more: Any) -> Any:
    """Declare an option that is unset unless it is given."""
    return typer.Option(*names, help=help_text, show_default=False, **more)


def choice(what: str, names: tuple[str, ...]) -> str:
    """Return the help of an option that takes one of several names."""
    return f"{what}: {', '.join(names)}"
