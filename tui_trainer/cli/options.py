"""How options and models are passed, and the format of ``--help``: sections, exit codes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from inspect import Parameter
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from tui_trainer.protocol.config import MODELS, PRESETS, SETTINGS
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exit_codes import exit_code_help
from tui_trainer.protocol.reference import absolute, parse_reference
from tui_trainer.protocol.settings import GROUPS, Setting, option_of
from tui_trainer.terminal.notifications import CHOICES
from tui_trainer.text.fmt import clip, printable

HOW, WINDOW, INFORMATION = "How to run", "Window", "Information"
"""The sections of ``--help`` in addition to the groups of settings."""

EPILOG = "Exit codes:\n\n\b\n" + exit_code_help()


class PlainCommand(TyperCommand):
    """Lists its options in plain text.

    Typer's own format needs rich, which takes as long to load as all other imports together.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options by section, all with the same indentation."""
        write_options(self, ctx, formatter, "Options")


class SectionedGroup(TyperGroup):
    """The same for the main command, which has subcommands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; a model without ``--model`` starts a new run."""
        return super().parse_args(ctx, self._with_model(ctx, args))

    def _with_model(self, ctx: Any, args: list[str]) -> list[str]:
        """Replace a model in the place of a command by ``--model MODEL``.

        Raises:
            InputError: If ``--model`` names another model.
        """
        _, rest = self._parsed(ctx, args)
        if not rest or rest[0] in self.commands or not _is_model(rest[0]):
            return args
        others = [*args[: len(args) - len(rest)], *rest[1:]]
        named, _ = self._parsed(ctx, others)
        return ["--model", str(one_model(rest[0], named.get("model"))), *others]

    def _parsed(self, ctx: Any, args: list[str]) -> tuple[dict[str, Any], list[str]]:
        """Return the options, and the arguments from the first one that is not an option."""
        try:
            options, rest, _ = self.make_parser(ctx).parse_args(args=[*args])
        except Exception:  # the parser's errors are raised again by the real parse
            return {}, []
        return options, rest

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the usage line."""
        formatter.write_usage(ctx.command_path, "[OPTIONS] [MODEL | COMMAND [ARGS]...]")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options by section, then the commands."""
        write_options(self, ctx, formatter, INFORMATION)
        self.format_commands(ctx, formatter)


def write_options(command: Any, ctx: Any, formatter: Any, title: str) -> None:
    """Write a command's options by section, all with the same indentation.

    ``title`` is the section of options without one.
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
    """Declare an option without a default; ``section`` is its section in ``--help``."""
    return typer.Option(*names, help=help_text, show_default=False, rich_help_panel=section, **more)


def with_settings(
    names: Iterable[str], *, after: str, helps: Mapping[str, str] = MappingProxyType({})
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of these settings, after its parameter ``after``.

    They replace its ``**settings``; typer reads the options from the signature. ``helps`` are
    descriptions of what a setting does in this command, if that is not what it does in a run.
    """
    options = [
        Parameter(
            row.name,
            Parameter.POSITIONAL_OR_KEYWORD,
            default=None,
            annotation=Annotated[
                row.kind | None, _option_for(replace(row, help=helps.get(row.name, row.help)))
            ],
        )
        for row in sorted(map(SETTINGS.__getitem__, names), key=lambda row: GROUPS.index(row.group))
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        declared = [row for row in signature.parameters.values() if row.kind is not row.VAR_KEYWORD]
        place = [row.name for row in declared].index(after) + 1
        parameters = [*declared[:place], *options, *declared[place:]]
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return command

    return decorate


def _option_for(row: Setting) -> Any:
    names = [f"{option_of(row.name)}/--no-{row.name}"] if row.kind is bool else []
    more = {"metavar": "MODEL"} if row.name == "model" else {}
    return option(row.summary, *names, section=row.group, **more)


def choice(what: str, names: tuple[str, ...]) -> str:
    """Return the help of an option with a choice of names."""
    return f"{what}: {', '.join(names)}"


MODEL_FORMS = "a built-in model, FILE.py:CLASS or PACKAGE.MODULE:FUNCTION (its code runs)"

ModelArgument = Annotated[
    str | None,
    typer.Argument(help=f"Model (era-s6): {MODEL_FORMS}", metavar="MODEL", show_default=False),
]
ModelOption = Annotated[
    str | None, option("Same as the argument MODEL", "--model", metavar="MODEL")
]

PresetOption = Annotated[
    str | None, option(choice("Start from a built-in recipe", PRESETS), section=HOW)
]
ConfigFile = Annotated[Path | None, option("Start from a TOML file with settings", section=HOW)]
NoUi = Annotated[bool, option("Run without the window, for scripts", "--no-ui", section=HOW)]
JsonLines = Annotated[
    bool, option("With --no-ui: print events as JSON lines", "--json", section=HOW)
]
JsonObject = Annotated[bool, option("Print JSON", "--json")]
OnEnd = Annotated[
    str | None,
    option("Run a command at the end; it reads JSON", "--on-end", section=HOW, metavar="CMD"),
]
OnFinding = Annotated[
    str | None,
    option("The same for each new warning or error", "--on-finding", section=HOW, metavar="CMD"),
]


def _known_notification(how: str | None) -> str | None:
    """Return a value of ``--notify``.

    Raises:
        InputError: If it is not one of the choices.
    """
    if how not in (None, *CHOICES):
        raise InputError(f"--notify {clip(printable(how), 40)}: choose from {', '.join(CHOICES)}")
    return how


Notify = Annotated[
    str | None,
    option(
        choice("Bell and desktop notification at the end and on an error", CHOICES),
        section=HOW,
        callback=_known_notification,
    ),
]
Detach = Annotated[
    bool,
    option("Train in the background, and attach the window; see attach", "--detach", section=HOW),
]
Detached = Annotated[bool, typer.Option("--detached", hidden=True)]
Theme = Annotated[str | None, option("Theme: a name or a TOML file", section=WINDOW)]
Paused = Annotated[bool, option("Open the window with training paused", "--paused", section=WINDOW)]
Debug = Annotated[bool, option("Print tracebacks", "--debug")]

Checkpoint = Annotated[str, option("Checkpoint: last, best or epoch-N (last)", "--checkpoint")]
RecordedThreads = Annotated[int | None, option("CPU threads; default: as in the run")]
InspectBatchSize = Annotated[int | None, option("Images per step for views that train")]
Controls = Annotated[
    list[str] | None, option("Set a control; can be repeated", "--set", metavar="NAME=VALUE")
]


def one_model(argument: str | None, named: str | None) -> str | None:
    """Return the model given as an argument or with ``--model``; None if there is none.

    Raises:
        InputError: If both are given and differ.
    """
    if argument is not None and named is not None and absolute(argument) != absolute(named):
        raise InputError(
            f"--model {clip(printable(named), 80)}: the model is already given as "
            f"{clip(printable(argument), 80)}; remove one of them"
        )
    return named if argument is None else argument


def _is_model(word: str) -> bool:
    return word in MODELS or parse_reference(word) is not None
