"""The settings of a run: their types, limits and descriptions.

The table of settings is :class:`tui_trainer.protocol.config.RunConfig`, whose fields are created by
:func:`setting`. The checks of values, the command line options, the comments of ``--print-config``
and ``docs/settings.md`` are generated from it.
"""

from __future__ import annotations

import builtins
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tui_trainer.protocol.errors import SettingError

MODEL, DATA, TRAINING, AUGMENTATION, MACHINE, RECORD = GROUPS = (
    *("Model", "Data", "Training", "Augmentation, random for each image", "Machine"),
    "Result and recording",
)
"""The groups of settings, in display order."""

WANTED = {str: "a string in quotes", int: "an integer", float: "a number", bool: "true or false"}
LONGEST_SHOWN = 80

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of a run.

    Attributes:
        default: The default; None for a value that is derived from others.
        also: Further valid values in addition to ``choices``.
        within: The smallest and the largest valid number.
        limits: A description of ``within``, if the numbers alone are not one.
        subject: Its name in messages, if that is not ``name``.
        default_text: A description of the default, if that is not ``default``.
        knob: Its name in :data:`tui_trainer.protocol.commands.KNOBS`, if it can be changed during
            training.
    """

    name: str
    kind: type
    is_optional: bool
    default: Any
    group: str
    help: str
    choices: tuple[str, ...] = ()
    also: str = ""
    within: tuple[float, float] | None = None
    limits: str = ""
    subject: str = ""
    default_text: str = ""
    knob: str = ""

    @property
    def summary(self) -> str:
        """Its text in ``--help``: description, default and choices."""
        switch = {True: "on", False: "off"} if self.kind is bool else {}
        default = self.default_text or switch.get(self.default, self.default)
        names = f": {self.known}" if self.choices else ""
        return f"{self.help}{names}" if default is None else f"{self.help} ({default}){names}"

    @property
    def known(self) -> str:
        """A description of the choices, or of the smallest and largest number."""
        if self.limits:
            return self.limits
        if self.within is None:
            return f"{', '.join(self.choices)}{self.also}"
        low, high = (f"{end:,f}".rstrip("0").rstrip(".") for end in self.within)
        return f"{low} or more" if math.isinf(self.within[1]) else f"from {low} to {high}"

    def check(self, value: Any) -> None:
        """Check a value. A bool is not a number here; an int is a valid float.

        Raises:
            SettingError: If the value is invalid.
        """
        if value is None and self.is_optional:
            return
        kinds = int | float if self.kind is float else self.kind
        if not isinstance(value, kinds) or (isinstance(value, bool) and self.kind is not bool):
            problem = f"needs {WANTED[self.kind]}"
        elif isinstance(value, float) and not math.isfinite(value):
            problem = "needs a finite number"
        elif isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            # Undecodable bytes (surrogates): TOML cannot represent them.
            problem = "needs valid UTF-8 text"
        elif self.choices and not self.also and value not in self.choices:
            unknown = f"unknown {self.name} {shown(value)}"
            raise SettingError(self.name, f"{unknown}; choose {self.known}")
        elif self.within and not self.within[0] <= value <= self.within[1]:  # type: ignore[operator]
            problem = f"{self.subject or self.name.replace('_', ' ')} must be {self.known}"
        else:
            return
        raise SettingError(self.name, f"{problem}, not {shown(value)}")


def setting(
    default: Value, group: str, text: str, values: tuple[str | float, ...] = (), **more: str
) -> Value:
    """Return a dataclass field for a setting; ``text`` is its help.

    ``values`` are its choices, or its smallest and largest number.
    """
    name = "choices" if not values or isinstance(values[0], str) else "within"
    row = {"group": group, "help": text, name: values, **more}
    return dataclasses.field(default=default, metadata=row)


def settings_of(config: type) -> Mapping[str, Setting]:
    """Return the settings of a dataclass by name, in the order of the fields."""
    found = {}
    for field in dataclasses.fields(config):
        kind, _, rest = str(field.type).partition(" | ")
        more = {"default": field.default, "is_optional": bool(rest), **field.metadata}
        found[field.name] = Setting(name=field.name, kind=getattr(builtins, kind), **more)
    return found


def option_of(name: str) -> str:
    """Return the option of a setting: ``--batch-size``."""
    return f"--{name.replace('_', '-')}"


def shown(value: object) -> str:
    """Return the repr of a value, shortened if it is very long."""
    try:
        text = repr(value)
    except ValueError:  # Python prints no int of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
