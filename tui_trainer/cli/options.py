"""What ``--help`` says beside the options themselves: their sections and the exit codes."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

from tui_trainer.run.exit_codes import exit_code_help

EPILOG = "Exit codes:\n\n\b\n" + exit_code_help()

SECTIONS = {
    "no_ui": "How to run",
    "model": "Network",
    "dataset": "Data",
    "epochs": "Training",
    "augment": "Augmentation, drawn anew for each image",
    "seed": "Machine",
    "target_accuracy": "Result",
    "theme": "Window",
    "print_config": "Information",
}
"""The sections of ``--help``, by the parameter that each begins with."""


class SectionedCommand(TyperCommand):
    """Lists its options in plain sections.

    Typer's own way to do that needs rich, which takes as long to load as everything else together.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, section by section, all with the same indentation."""
        sections: dict[str, list[tuple[str, str]]] = {}
        title = "Options"
        for parameter in self.get_params(ctx):
            title = SECTIONS.get(parameter.name or "", title)
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
