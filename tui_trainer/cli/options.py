"""How options and networks are given, and what ``--help`` says of them: sections, exit codes."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from tui_trainer.protocol.config import MODELS
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exit_codes import exit_code_help
from tui_trainer.protocol.reference import absolute, parse_reference
from tui_trainer.text.fmt import clip, printable

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

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse; a network that stands alone is the model of a new run."""
        return super().parse_args(ctx, self._with_model(ctx, args))

    def _with_model(self, ctx: Any, args: list[str]) -> list[str]:
        """Return arguments with ``--model NETWORK`` for a network where a command could stand.

        Raises:
            InputError: If ``--model`` names another one.
        """
        _, rest = self._parsed(ctx, args)
        if not rest or rest[0] in self.commands or not _is_network(rest[0]):
            return args
        others = [*args[: len(args) - len(rest)], *rest[1:]]
        named, _ = self._parsed(ctx, others)
        return ["--model", str(one_network(rest[0], named.get("model"))), *others]

    def _parsed(self, ctx: Any, args: list[str]) -> tuple[dict[str, Any], list[str]]:
        """Return the options, and what follows from the first word on that is none."""
        try:
            options, rest, _ = self.make_parser(ctx).parse_args(args=[*args])
        except Exception:  # the parser's own errors: they are raised again when it parses
            return {}, []
        return options, rest

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write how the command is called."""
        formatter.write_usage(ctx.command_path, "[OPTIONS] [NETWORK | COMMAND [ARGS]...]")

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


OWN = "a name of the zoo, FILE.py:CLASS or PACKAGE.MODULE:FUNCTION; your own code is run"

NetworkArgument = Annotated[
    str | None,
    typer.Argument(help=f"The network (era-s6): {OWN}", metavar="NETWORK", show_default=False),
]
NetworkOption = Annotated[str | None, option("The same", "--model", metavar="NETWORK")]


def one_network(argument: str | None, named: str | None) -> str | None:
    """Return the network that is given alone or with ``--model``; None if it is not given.

    Raises:
        InputError: If it is given in both ways, and they differ.
    """
    if argument is not None and named is not None and absolute(argument) != absolute(named):
        raise InputError(
            f"--model {clip(printable(named), 80)}: the network is given as "
            f"{clip(printable(argument), 80)} already; leave one of them out"
        )
    return named if argument is None else argument


def _is_network(word: str) -> bool:
    return word in MODELS or parse_reference(word) is not None
