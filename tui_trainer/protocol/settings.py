"""What a setting of a run may be and what is said of it.

The table of settings is :class:`tui_trainer.protocol.config.RunConfig`: each of its fields is made
by :func:`setting`. The checks of a value, the options of the command line, the comments of
``--print-config`` and ``docs/settings.md`` are made from it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tui_trainer.protocol.errors import SettingError

GROUPS = (
    "Network",
    "Data",
    "Training",
    "Augmentation, drawn anew for each image",
    "Machine",
    "Result and record",
)
"""The groups of settings, in the order in which they are shown."""

NETWORK, DATA, TRAINING, AUGMENTATION, MACHINE, RECORD = GROUPS

LONGEST_SHOWN = 80

SHORT = 40
"""The characters of choices that fit into a comment."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a run.

    Attributes:
        group: One of :data:`GROUPS`.
        help: What it is, in a few words.
        choices: The names that it takes; empty if it is no name.
        besides: What it takes besides ``choices``; empty for nothing.
        within: The least and the greatest number; None if it is no number.
        limits: What ``within`` is in words; made from the numbers if empty.
        unit: What the number counts.
        subject: How messages call it; made from the name if empty.
        default: Its value where none is given; None for one that follows from others.
        default_text: The default as it is shown; made from ``default`` if empty.
        knob: Its name in :data:`tui_trainer.protocol.commands.KNOBS`, if it can change while
            training.
        name: The field's name.
        kind: The type of its value.
        is_optional: Whether it may be None.
    """

    group: str
    help: str
    choices: tuple[str, ...] = ()
    besides: str = ""
    within: tuple[float, float] | None = None
    limits: str = ""
    unit: str = ""
    subject: str = ""
    default: Any = None
    default_text: str = ""
    knob: str = ""
    name: str = ""
    kind: type = str
    is_optional: bool = False

    @property
    def option(self) -> str:
        """The option that sets it: ``--batch-size``."""
        return option_of(self.name)

    @property
    def summary(self) -> str:
        """What ``--help`` says of it: what it is, its default, its choices."""
        default = f" ({self.default_text})" if self.default_text else ""
        return f"{self.help}{default}{f': {self.known}' if self.choices else ''}"

    @property
    def comment(self) -> str:
        """What it is, and its choices if they are few."""
        return f"{self.help}: {self.known}" if 0 < len(self.known) <= SHORT else self.help

    @property
    def known(self) -> str:
        """The choices, and what it takes besides."""
        return f"{', '.join(self.choices)}{self.besides}"

    def check(self, value: object) -> None:
        """Refuse a value that it cannot have.

        Raises:
            SettingError: In that case.
        """
        if value is None and self.is_optional:
            return
        self._check_type(value)
        if self.choices and not self.besides and value not in self.choices:
            raise SettingError(
                self.name, f"unknown {self.name} {shown(value)}; choose {self.known}"
            )
        if self.within is not None and not self.within[0] <= value <= self.within[1]:  # type: ignore[operator]
            limits = f"{self.subject} must be {self.limits}"
            raise SettingError(self.name, f"{limits}, not {shown(value)}")

    def _check_type(self, value: object) -> None:
        """Refuse a value of another type; bool is no number here, a whole number is a float."""
        kinds = int | float if self.kind is float else self.kind
        if not isinstance(value, kinds) or (isinstance(value, bool) and self.kind is not bool):
            words = {str: "a text in quotes", int: "a whole number", float: "a number"}
            wanted = words.get(self.kind, "true or false")
            raise SettingError(self.name, f"needs {wanted}, not {shown(value)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise SettingError(self.name, f"needs a finite number, not {value}")
        if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            # Bytes that Python could not decode: no TOML file can hold them.
            raise SettingError(self.name, f"needs a text that UTF-8 can hold, not {shown(value)}")


def setting(default: Value, group: str, text: str, **more: Any) -> Value:
    """Return a field of a dataclass that is a setting; ``more`` are attributes of it."""
    row = Setting(group, text, default=default, **more)
    return dataclasses.field(default=default, metadata={"setting": row})


def settings_of(config: type) -> Mapping[str, Setting]:
    """Return the settings of a dataclass by name, in its order."""
    return {field.name: _completed(field) for field in dataclasses.fields(config)}


def _completed(field: dataclasses.Field[Any]) -> Setting:
    """Return a field's setting with what follows from its name, its type and its numbers."""
    row: Setting = field.metadata["setting"]
    kind, *rest = str(field.type).split(" | ")
    return dataclasses.replace(
        row,
        name=field.name,
        kind={"str": str, "int": int, "float": float, "bool": bool}[kind],
        is_optional=bool(rest),
        subject=row.subject or field.name.replace("_", " "),
        limits=row.limits or _limits(row),
        default_text=row.default_text or _default(row.default),
    )


def _limits(row: Setting) -> str:
    if row.within is None:
        return ""
    low, high = (f"{end:,f}".rstrip("0").rstrip(".") for end in row.within)
    limits = f"{low} or more" if math.isinf(row.within[1]) else f"from {low} to {high}"
    return f"{limits} {row.unit}".rstrip()


def _default(value: str | float | None) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else str(value)


def option_of(name: str) -> str:
    """Return the option of a setting: ``--batch-size``."""
    return f"--{name.replace('_', '-')}"


def shown(value: object) -> str:
    """Return a value as a person would write it, shortened where it is very long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
