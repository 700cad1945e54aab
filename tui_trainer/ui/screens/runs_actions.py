"""What the keys of the Runs screen do to the list and to the marked runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from textual.widgets import DataTable

from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.folder import ListedRun
from tui_trainer.recording.run_fields import FIELDS, Kind
from tui_trainer.recording.run_query import parse_filter
from tui_trainer.stats.intervals import PairedAccuracy
from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.overlay import run_style
from tui_trainer.ui.runs.compared_rows import ComparedRows, compared_rows
from tui_trainer.ui.runs.paired_images import ImagePairing, Pairing
from tui_trainer.ui.runs.run_listing import (
    MOST_MARKS,
    Key,
    ListedGroup,
    key_of,
    members,
)
from tui_trainer.ui.screens.dialogs import ChooseScreen
from tui_trainer.ui.screens.run_management import RunManagement
from tui_trainer.ui.screens.select_screen import SelectScreen
from tui_trainer.ui.widgets.differences_panel import DifferencesPanel
from tui_trainer.ui.widgets.prompt_line import Prompt
from tui_trainer.ui.widgets.runs_table import RunsTable

LATEST = "latest first"
"""The order without sort keys."""

WORDS = ("and", "or", "not", "in", "none", *FIELDS)
"""The words that a filter completes."""

GROUP_FIELDS = (
    "recipe",
    "model",
    "dataset",
    "train_size",
    "group",
    "tag",
    "state",
    "device",
    "version",
)
"""The fields that are no settings and by which runs can be grouped."""


class RunsActions(RunManagement):
    """The actions on the list; :class:`RunsScreen` shows their effect."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: dict[tuple[Key, Key], PairedAccuracy | str] = {}
        self.pairing: ImagePairing = ImagePairing()
        self._compared: tuple[object, object] = ((), ())

    # --- the list

    def action_mark(self) -> None:
        """Mark the row under the cursor, or remove its mark, and go to the next row."""
        row = self.chosen
        if row is None:
            return
        if not self.listing.toggle_mark(row):
            self.notify(f"{MOST_MARKS} are marked, the most there can be", severity="warning")
            return
        self.query_one(RunsTable).action_cursor_down()
        self.show_marks()

    def action_mark_all(self) -> None:
        """Mark all listed rows, as many as there can be; with marks, remove them all."""
        if self.listing.marks:
            self.listing.marks.clear()
        else:
            rows = [row for row in self.listing.rows if isinstance(row, ListedGroup)]
            for row in (rows or self.listing.rows)[:MOST_MARKS]:
                self.listing.toggle_mark(row)
        self.show_marks()

    def action_filter(self) -> None:
        """Ask for a filter; the list follows while it is typed."""
        before = self.listing.filter_text
        self._read_settings()
        self.ask(
            Prompt(
                "filter",
                before,
                check=parse_filter,
                submit=self._set_filter,
                preview=self._set_filter,
                cancel=partial(self._set_filter, before),
                hint="a word, or for example: val_acc > 99% and model = small",
                words=WORDS,
            )
        )

    def _set_filter(self, text: str) -> None:
        self.listing.set_filter(text)
        self.fill()

    def action_sort(self) -> None:
        """Ask for the field to sort by."""

        def answer(name: str | None) -> None:
            if name is not None:
                self.sort_by("" if name == LATEST else name)

        self.app.push_screen(ChooseScreen("Sort by", [LATEST, *self.listing.columns]), answer)

    def sort_by(self, name: str) -> None:
        """Sort by a field, the best or latest first; by the same field again, in reverse."""
        current = self.listing.sort_text
        if name and name == current.lstrip("-"):
            self.action_reverse()
            return
        is_descending = bool(name) and FIELDS[name].kind in (Kind.FRACTION, Kind.TIME)
        self.listing.set_sort(f"-{name}" if is_descending else name)
        self.fill()

    def action_reverse(self) -> None:
        """Reverse the order of the list."""
        current = self.listing.sort_text or "-started"
        keys = [key.strip() for key in current.split(",")]
        flipped = (key[1:] if key.startswith("-") else f"-{key.lstrip('+')}" for key in keys)
        self.listing.set_sort(",".join(flipped))
        self.fill()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Sort by a clicked column."""
        name = event.column_key.value
        if name is not None and name in FIELDS:
            self.sort_by(name)

    def action_group(self) -> None:
        """Ask for the fields to group by: those in which the listed runs differ."""
        self._read_settings()
        runs = self.listing.runs
        fields = [field for field in FIELDS.values() if field.is_setting]
        fields = [*(FIELDS[name] for name in GROUP_FIELDS), *fields]
        differing = [
            (field.name, field.help)
            for field in fields
            if len({run.fields[field.name] for run in runs}) > 1
        ]
        current = [name.strip() for name in self.listing.group_text.split(",") if name.strip()]
        if not differing:
            self.notify("all runs have the same settings: there is nothing to group by")
            return

        def answer(names: tuple[str, ...] | None) -> None:
            if names is not None:
                self.listing.set_group(",".join(names))
                self.fill()

        question = "Group the runs by (mean and 95 % interval of each group)"
        self.app.push_screen(SelectScreen(question, differing, current), answer)

    def action_columns(self) -> None:
        """Ask for the columns of the list."""
        self._read_settings()
        names = [(field.name, field.help) for field in FIELDS.values() if field.name != "name"]

        def answer(chosen: tuple[str, ...] | None) -> None:
            if chosen is None:
                return
            kept = [name for name in self.listing.columns if name == "name" or name in chosen]
            self.listing.set_columns((*kept, *(n for n in chosen if n not in kept)))
            self.fill()

        self.app.push_screen(
            SelectScreen("Columns of the list", names, self.listing.columns), answer
        )

    def _read_settings(self) -> None:
        """Read the settings of older runs on a thread; newer summaries have them."""
        runs = [run for run in self.listing.runs if run.summary and run.summary.settings is None]
        if runs:
            self.run_worker(partial(_read_settings, runs), thread=True, group="settings")

    # --- the marked runs

    def compare_rows(self) -> None:
        """Compare the marked rows on a thread, if something about them has changed."""
        rows = self.listing.compared(self.chosen)
        places = {key_of(row): place for row, place in self.listing.shown(self.chosen)}
        glyphs = [run_style(places[key_of(row)]).glyph for row in rows]
        state = [(key_of(row), *(run.stamp for run in members(row))) for row in rows]
        if (state, self.pairs) == self._compared:
            return
        self._compared = (state, dict(self.pairs))
        if len(rows) < 2:
            self.query_one(DifferencesPanel).show(None)
            return
        read = {run.folder.path: self.reader.get(run.folder) for r in rows for run in members(r)}
        changes = {
            str(path): each.history.interventions
            for path, each in read.items()
            if each is not None and each.history is not None
        }
        work = partial(compared_rows, [*zip(rows, glyphs, strict=True)], changes, dict(self.pairs))
        self.run_worker(work, thread=True, exclusive=True, group="compare")

    def action_paired_test(self) -> None:
        """Evaluate the marked runs on the same validation images, in another process."""
        runs = [row for row in self.listing.compared(self.chosen) if isinstance(row, ListedRun)]
        rows = self.listing.compared(self.chosen)
        if len(runs) < 2 or not isinstance(rows[0], ListedRun):
            words = "mark two runs, the baseline first; groups are compared seed by seed"
            self.notify(with_keys(words))
            return
        self.query_one(DifferencesPanel).wait("evaluating the validation images …")
        self.run_worker(
            partial(_paired, self.pairing, runs), thread=True, exclusive=True, group="pair"
        )

    def on_data_table_row_selected(self) -> None:
        """Replay the run under the cursor, or unfold or fold a group."""
        row = self.chosen
        if isinstance(row, ListedGroup):
            self.listing.opened ^= {key_of(row)}
            self.listing.arrange()
            self.fill()
        elif row is not None:
            self.replay(row)

    def take_result(self, group: str, result: object) -> None:
        """Take the result of a worker thread of this group."""
        match group, result:
            case "compare", ComparedRows():
                self.query_one(DifferencesPanel).show(result.found, result.note)
            case "pair", dict():
                self.pairs |= result
                self.compare_rows()
            case "pair", _:
                self.query_one(DifferencesPanel).wait("")
                self.warn(str(result or "it was interrupted"), "no test")
            case _:
                super().take_result(group, result)


def _read_settings(runs: Sequence[ListedRun]) -> None:
    for run in runs:
        run.fields["lr"]


def _paired(
    pairing: Pairing, runs: Sequence[ListedRun]
) -> dict[tuple[Key, Key], PairedAccuracy | str] | str:
    """Return the correct images of each other run and the first one, or an error message."""
    try:
        found = pairing([run.folder.path for run in runs])
    except (InputError, OSError, ValueError, KeyError) as error:
        return str(error)
    baseline, *others = map(key_of, runs)
    return {(key, baseline): each for key, each in zip(others, found, strict=True)}
