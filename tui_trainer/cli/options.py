"""How options and networks are given and what ``--help`` says of them: sections, exit codes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from tui_trainer.protocol.config import MODELS, PRESETS, SETTINGS
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exit_codes import exit_code_help
from tui_trainer.protocol.reference import absolute, parse_reference
from tui_trainer.protocol.settings import GROUPS, Setting, option_of
from tui_trainer.text.fmt import clip, printable

HOW, WINDOW, INFORMATION = "How to run", "Window", "Information"
"""The sections of ``--help`` besides the groups of settings."""

EPILOG = "Exit codes:\n\n\b\n" + exit_code_help()


class PlainCommand(TyperCommand):
    """Lists its options in plain text.

    Typer's own way to do that needs rich, which takes as long to load as everything else together.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, section by section, all with the same indentation."""
        write_options(self, ctx, formatter, "Options")


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
        if not rest or rest[0] in self.commands or not _is_model(rest[0]):
            return args
        others = [*args[: len(args) - len(rest)], *rest[1:]]
        named, _ = self._parsed(ctx, others)
        return ["--model", str(one_model(rest[0], named.get("model"))), *others]

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
        write_options(self, ctx, formatter, INFORMATION)
        self.format_commands(ctx, formatter)


def write_options(command: Any, ctx: Any, formatter: Any, title: str) -> None:
    """Write a command's options, section by section, all with the same indentation.

    ``title`` is the section of the options that name none.
    """
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        if (record := parameter.get_help_record(ctx)) is not None:
            section = getattr(parameter, "rich_help_panel", None) or title
            sections.setdefault(section, []).append(record)
    width = max(len(names) for records in sections.values() for names, _ in records)
    for heading, records in sections.items():
        with formatter.section(heading):
            formatter.write_dl([(names.ljust(width), text) for names, text in records])


def option(help_text: str, *names: str, section: str | None = None, **more: Any) -> Any:
    """Declare an option that is unset unless it is given; ``section`` is where help lists it."""
    return typer.Option(*names, help=help_text, show_default=False, rich_help_panel=section, **more)


def with_settings(
    names: Iterable[str], *, after: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of these settings, behind its parameter ``after``.

    They take the place of its ``**settings``; typer reads the options off the signature.
    """
    options = [
        Parameter(
            row.name,
            Parameter.POSITIONAL_OR_KEYWORD,
            default=None,
            annotation=Annotated[row.kind | None, _option_for(row)],
        )
        for row in sorted(map(SETTINGS.__getitem__, names), key=lambda row: GROUPS.index(row.group))
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [row for row in signature.parameters.values() if row.kind is not row.VAR_KEYWORD]
        place = [row.name for row in own].index(after) + 1
        parameters = [*own[:place], *options, *own[place:]]
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return command

    return decorate


def _option_for(row: Setting) -> Any:
    names = [f"{option_of(row.name)}/--no-{row.name}"] if row.kind is bool else []
    return option(row.summary, *names, section=row.group)


def choice(what: str, names: tuple[str, ...]) -> str:
    """Return the help of an option that takes one of several names."""
    return f"{what}: {', '.join(names)}"


MODEL_FORMS = "a name of the zoo, FILE.py:CLASS or PACKAGE.MODULE:FUNCTION; your own code is run"

ModelArgument = Annotated[
    str | None,
    typer.Argument(
        help=f"The network (era-s6): {MODEL_FORMS}", metavar="NETWORK", show_default=False
    ),
]
ModelOption = Annotated[str | None, option("The same", "--model", metavar="NETWORK")]

PresetOption = Annotated[
    str | None, option(choice("Start from a shipped recipe", PRESETS), section=HOW)
]
ConfigFile = Annotated[Path | None, option("Start from a TOML file of settings", section=HOW)]
NoUi = Annotated[bool, option("Train without the window, for scripts", "--no-ui", section=HOW)]
JsonLines = Annotated[
    bool, option("With --no-ui: events as JSON lines on stdout", "--json", section=HOW)
]
JsonObject = Annotated[bool, option("As one JSON object", "--json")]
Theme = Annotated[str | None, option("Colours: a theme's name or TOML file", section=WINDOW)]
Paused = Annotated[bool, option("Open the window with the run paused", "--paused", section=WINDOW)]
Debug = Annotated[bool, option("Show tracebacks", "--debug")]

Checkpoint = Annotated[str, option("Which checkpoint: last, best, epoch-N (last)", "--checkpoint")]
RecordedThreads = Annotated[int | None, option("CPU threads (as many as the run had)")]
InspectBatchSize = Annotated[int | None, option("Images a step, where one is trained")]
Controls = Annotated[
    list[str] | None, option("Set a control; may be given again", "--set", metavar="NAME=VALUE")
]


def one_model(argument: str | None, named: str | None) -> str | None:
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


def _is_model(word: str) -> bool:
    return word in MODELS or parse_reference(word) is not None
