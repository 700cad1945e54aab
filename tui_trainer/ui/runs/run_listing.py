"""What the Runs screen lists: the runs that meet a filter, in an order, in groups, with marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tui_trainer.recording.folder import ListedRun
from tui_trainer.recording.run_fields import FIELDS
from tui_trainer.recording.run_groups import GroupRow, group_rows, sorted_rows
from tui_trainer.recording.run_query import Filter, parse_fields, parse_filter, parse_sort
from tui_trainer.recording.run_table import COLUMNS

MOST_MARKS = 24
"""The most rows that are marked at once; more curves look alike."""

Key = str
"""What identifies a row: the path of a run, or the values of a group."""


@dataclass(frozen=True, slots=True)
class ListedGroup:
    """A group of runs as a row of the list.

    Attributes:
        means: Its runs, and the means of the numeric columns.
        name: The values that its runs have in common, and the other groups have not.
        is_open: Whether its runs are listed below it.
    """

    means: GroupRow
    name: str = ""
    is_open: bool = False


Row = ListedRun | ListedGroup


def key_of(row: Row) -> Key:
    """Return what identifies a row."""
    if isinstance(row, ListedRun):
        return str(row.folder.path)
    group = row.means.group
    pairs = zip(group.fields, group.values, strict=True)
    return "group " + repr([(field.name, value) for field, value in pairs])


@dataclass
class RunListing:
    """The rows of the list. Texts that are set have been parsed before; a wrong one raises.

    Attributes:
        runs: All runs, the latest first.
        filter_text: The filter; empty for all runs.
        sort_text: The sort keys; empty for the latest first.
        columns: The fields that are shown.
        group_text: The fields by which the runs are grouped; empty for no groups.
        marks: The marked rows in the order in which they were marked, each with the place of its
            color and glyph.
        opened: The groups whose runs are listed below them.
        rows: The rows that are listed.
        found: The number of runs that meet the filter.
    """

    runs: Sequence[ListedRun] = ()
    filter_text: str = ""
    sort_text: str = ""
    group_text: str = ""
    columns: tuple[str, ...] = COLUMNS
    marks: dict[Key, int] = field(default_factory=dict)
    opened: set[Key] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)
    found: int = 0
    _filter: Filter = field(default_factory=lambda: parse_filter(""))

    def set_runs(self, runs: Sequence[ListedRun]) -> None:
        """List other runs; marks of rows that are gone are dropped."""
        self.runs = runs
        self.arrange()

    def set_filter(self, text: str) -> None:
        """List only the runs that meet a filter.

        Raises:
            QueryError: If it is invalid.
        """
        self._filter = parse_filter(text)
        self.filter_text = text.strip()
        self.arrange()

    def set_sort(self, text: str) -> None:
        """Sort by fields.

        Raises:
            QueryError: If a field is unknown.
        """
        if text:
            parse_sort(text)
        self.sort_text = text
        self.arrange()

    def set_columns(self, names: tuple[str, ...]) -> None:
        """Show other fields."""
        self.columns = names
        self.arrange()

    def set_group(self, text: str) -> None:
        """Group by fields.

        Raises:
            QueryError: If a field is unknown.
        """
        if text:
            parse_fields(text)
        self.group_text = text
        self.arrange()

    def arrange(self) -> None:
        """Filter, sort and group the runs again."""
        runs = [run for run in self.runs if self._filter.matches(run)]
        self.found = len(runs)
        if self.sort_text:
            runs = parse_sort(self.sort_text).apply(runs)
        self.rows = [*self._grouped(runs)] if self.group_text else [*runs]
        known = {key_of(row) for row in self.rows} | {str(run.folder.path) for run in self.runs}
        self.marks = {key: place for key, place in self.marks.items() if key in known}

    def _grouped(self, runs: Iterable[ListedRun]) -> Iterable[Row]:
        keys = parse_sort(self.sort_text) if self.sort_text else None
        fields = [FIELDS[name] for name in self.columns]
        fields += [field for field, _ in keys.keys] if keys else []
        metrics = [field for field in dict.fromkeys(fields) if field.kind.is_numeric]
        rows = group_rows(runs, parse_fields(self.group_text), metrics)
        found = sorted_rows(rows, keys)
        for means, name in zip(found, _distinct([row.label for row in found]), strict=True):
            key = key_of(ListedGroup(means))
            yield ListedGroup(means, name, key in self.opened)
            if key in self.opened:
                yield from means.group.runs

    def toggle_mark(self, row: Row) -> bool:
        """Mark a row, or remove its mark; return False if too many are marked already."""
        key = key_of(row)
        if key in self.marks:
            del self.marks[key]
            return True
        if len(self.marks) >= MOST_MARKS:
            return False
        self.marks[key] = self.free_place
        return True

    @property
    def free_place(self) -> int:
        """The first place of a color and glyph that no marked row has."""
        taken = set(self.marks.values())
        return next(place for place in range(len(taken) + 1) if place not in taken)

    def place_of(self, row: Row) -> int | None:
        """Return the place of a marked row; None if it is not marked."""
        return self.marks.get(key_of(row))

    def shown(self, cursor: Row | None) -> list[tuple[Row, int]]:
        """Return the marked rows and the one under the cursor, each with its place.

        The one under the cursor is last, so that its curve is drawn over the others.
        """
        rows: dict[Key, Row] = {str(run.folder.path): run for run in self.runs}
        rows |= {key_of(row): row for row in self.rows}
        found = [(rows[key], place) for key, place in self.marks.items() if key in rows]
        if cursor is None:
            return found
        place = self.place_of(cursor)
        others = [(row, each) for row, each in found if key_of(row) != key_of(cursor)]
        return [*others, (cursor, self.free_place if place is None else place)]

    def compared(self, cursor: Row | None) -> list[Row]:
        """Return the rows to compare, the baseline first: the marked ones, in their order.

        A single marked row is compared with the one under the cursor.
        """
        marked = [row for row, _ in self.shown(None)]
        if len(marked) == 1 and cursor is not None and key_of(cursor) not in self.marks:
            marked.append(cursor)
        return marked


def members(row: Row) -> tuple[ListedRun, ...]:
    """Return the runs of a row."""
    return (row,) if isinstance(row, ListedRun) else row.means.group.runs


def _distinct(labels: Sequence[str]) -> list[str]:
    """Return labels without the settings of recipes that all have: they would hide the others."""
    words = [label.split(" ") for label in labels]
    common = set(words[0]).intersection(*words[1:]) if len(words) > 1 else set()
    return [
        " ".join(word for word in each if word not in common or "=" not in word) for each in words
    ]
