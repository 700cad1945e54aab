"""The fields of a run by name: results, settings, note and tags; for filters, sorting, columns."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tui_trainer.protocol.config import SETTINGS, RunConfig
from tui_trainer.protocol.errors import SettingError
from tui_trainer.protocol.settings import AUGMENTATION, DATA, TRAINING
from tui_trainer.recording.about import About
from tui_trainer.recording.summary import Summary

Value = str | float | bool | tuple[str, ...] | None
"""The value of a field; None if the run does not have it."""

DAMAGED = "damaged"
"""The state of a run whose summary cannot be read."""


class Kind(enum.Enum):
    """What the values of a field are, which decides how they are compared and shown."""

    TEXT = "text"
    TAGS = "tags"
    COUNT = "whole number"
    NUMBER = "number"
    FRACTION = "fraction"
    SECONDS = "duration"
    TIME = "time"
    SWITCH = "switch"

    @property
    def is_numeric(self) -> bool:
        """Whether its values are numbers, which are averaged over a group."""
        return self in (Kind.COUNT, Kind.NUMBER, Kind.FRACTION, Kind.SECONDS)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a run.

    Attributes:
        name: Its name in filters, and the heading of its column.
        kind: What its values are.
        help: A short description.
        source: The field of :class:`Summary` it is read from; it is a synonym of ``name``.
        is_setting: Whether it is a setting of the run at its start.
    """

    name: str
    kind: Kind
    help: str
    source: str = ""
    is_setting: bool = False


_OF_RUN = (
    Field("name", Kind.TEXT, "name of the run"),
    Field("recipe", Kind.TEXT, "model, and settings that are not the default, without the seed"),
    Field("group", Kind.TEXT, "group folder of the run, as written by mnist-tui seeds"),
    Field("note", Kind.TEXT, "note, see mnist-tui note"),
    Field("tag", Kind.TAGS, "tags, see mnist-tui tag", "tags"),
    Field("state", Kind.TEXT, "running, or how the run ended", "state"),
    Field("model", Kind.TEXT, "model", "model"),
    Field("params", Kind.COUNT, "number of parameters", "parameters"),
    Field("dataset", Kind.TEXT, "dataset", "dataset"),
    Field("train_size", Kind.COUNT, "training images", "train_size"),
    Field("val_size", Kind.COUNT, "validation images", "val_size"),
    Field("seed", Kind.COUNT, "random seed", "seed"),
    Field("epochs", Kind.COUNT, "epochs that the run is set to", "epochs"),
    Field("epochs_done", Kind.COUNT, "epochs that are done", "epochs_done"),
    Field("step", Kind.COUNT, "steps", "step"),
    Field("images", Kind.COUNT, "training images seen", "images"),
    Field("train_loss", Kind.NUMBER, "training loss of the last epoch", "train_loss"),
    Field("train_acc", Kind.FRACTION, "training accuracy of the last epoch", "train_accuracy"),
    Field("val_loss", Kind.NUMBER, "validation loss of the last epoch", "val_loss"),
    Field("val_acc", Kind.FRACTION, "validation accuracy of the last epoch", "val_accuracy"),
    Field("best", Kind.FRACTION, "highest validation accuracy", "best_val_accuracy"),
    Field("best_epoch", Kind.COUNT, "epoch of the highest validation accuracy", "best_epoch"),
    Field("test_loss", Kind.NUMBER, "loss of the last test evaluation", "test_loss"),
    Field("test_acc", Kind.FRACTION, "accuracy of the last test evaluation", "test_accuracy"),
    Field("test_evaluations", Kind.COUNT, "number of test evaluations", "test_evaluations"),
    Field("target_reached", Kind.SWITCH, "whether it reached its target", "target_reached"),
    Field("time", Kind.SECONDS, "training time", "seconds"),
    Field("speed", Kind.NUMBER, "training images per second"),
    Field("started", Kind.TIME, "start of the run", "started_at"),
    Field("updated", Kind.TIME, "last change of the run", "updated_at"),
    Field("device", Kind.TEXT, "device", "device"),
    Field("threads", Kind.COUNT, "CPU threads", "threads"),
    Field("processes", Kind.COUNT, "processes that train it together", "processes"),
    Field("script", Kind.TEXT, "training script of a watched run", "script"),
    Field("version", Kind.TEXT, "version of mnist-tui", "version"),
    Field("error", Kind.TEXT, "why a damaged run cannot be read"),
)

_KINDS = {str: Kind.TEXT, int: Kind.COUNT, float: Kind.NUMBER, bool: Kind.SWITCH}
_TAKEN = frozenset(name for field in _OF_RUN for name in (field.name, field.source))

FIELDS: Mapping[str, Field] = {
    field.name: field
    for field in (
        *_OF_RUN,
        *(
            Field(row.name, _KINDS[row.kind], row.help, is_setting=True)
            for row in SETTINGS.values()
            if row.name not in _TAKEN
        ),
    )
}
"""All fields by name: those of the run, then its other settings in the order of the settings."""

RECIPE = tuple(
    row.name
    for group in (TRAINING, AUGMENTATION, DATA)
    for row in SETTINGS.values()
    if row.group == group or (group == TRAINING and row.name in ("dropout", "precision"))
)
"""The settings that decide how a model is trained, apart from the model and the seed."""

OF_SCRIPT = ("model", "batch_size", "lr")
"""The settings that a watched run has: its file has defaults for what its script does itself."""

SYNONYMS: Mapping[str, str] = {
    field.source: field.name for field in _OF_RUN if field.source not in ("", field.name)
}
"""The names of the fields in ``summary.json``, where they differ: ``val_accuracy``."""


def field_named(name: str) -> Field | None:
    """Return a field by its name or synonym, in any case; ``batch-size`` is ``batch_size``."""
    plain = name.casefold().replace("-", "_")
    return FIELDS.get(SYNONYMS.get(plain, plain))


class RunFields(Mapping[str, Value]):
    """The values of a run's fields by name, or synonym; all of :data:`FIELDS` are there.

    Args:
        name: The name of the run.
        group: The group folder of the run; empty if it has none.
        about: Its note and tags.
        summary: Its summary; None if that is damaged.
        error: Why it is damaged.
        read_settings: Returns its settings at the start. It is called at most once, when the value
            of a setting that the summary does not have is asked for.
    """

    def __init__(
        self,
        name: str,
        group: str,
        about: About,
        summary: Summary | None,
        error: str,
        read_settings: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._summary = summary
        self._read_settings = read_settings
        self._settings: Mapping[str, Any] | None = None
        self._known: dict[str, Value] = {
            "name": name,
            "group": group or None,
            "note": about.note or None,
            "tag": about.tags or None,
            "error": error or None,
        }
        if summary is None:
            self._known["state"] = DAMAGED
        else:
            is_timed = summary.seconds > 0 and summary.images > 0
            self._known["speed"] = summary.images / summary.seconds if is_timed else None

    def __getitem__(self, name: str) -> Value:
        field = FIELDS[SYNONYMS.get(name, name)]
        if field.name in self._known:
            return self._known[field.name]
        if field.name == "recipe":
            return self._recipe()
        if not field.is_setting:
            return self._result(field)
        value = self.settings.get(field.name)
        return value if _fits(value, field.kind) else None

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings at the start of the run; empty if they cannot be read."""
        if self._settings is None:
            settings = self._read_settings()
            if self._summary is not None and self._summary.script:
                settings = {name: settings[name] for name in OF_SCRIPT if name in settings}
            self._settings = settings
        return self._settings

    def _recipe(self) -> Value:
        settings = self.settings
        if not settings:
            return None
        usual = _usual(*(str(settings.get(name)) for name in ("optimizer", "augment")))
        return " ".join(
            [
                str(self["model"] or settings.get("model")),
                *(
                    f"{name}={_shown(value)}"
                    for name in RECIPE
                    if (value := settings.get(name)) is not None and value != usual.get(name)
                ),
            ]
        )

    def __iter__(self) -> Iterator[str]:
        return iter(FIELDS)

    def __len__(self) -> int:
        return len(FIELDS)

    def _result(self, field: Field) -> Value:
        if self._summary is None:
            return None
        value: Value = getattr(self._summary, field.source)
        # Before the first step, a summary has empty texts and zeros for what is not known yet.
        return None if value == "" or value != value else value


@functools.cache
def _usual(optimizer: str, augment: str) -> Mapping[str, Any]:
    """Return the default settings next to an optimizer and an augmentation preset."""
    try:
        config = RunConfig(optimizer=optimizer, augment=augment).resolved()
    except SettingError:
        return {}
    return config.as_dict() | {"optimizer": RunConfig().optimizer, "augment": RunConfig().augment}


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _fits(value: Any, kind: Kind) -> bool:
    """Return whether a value of a settings file is of a kind: anybody may have edited the file."""
    if kind is Kind.SWITCH or isinstance(value, bool):
        return kind is Kind.SWITCH and isinstance(value, bool)
    return isinstance(value, str) if kind is Kind.TEXT else isinstance(value, int | float)
