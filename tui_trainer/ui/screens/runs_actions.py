"""What the keys of the Runs screen do to the list and to its runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from textual.widgets import DataTable

from tui_trainer.protocol.errors import InputError
from tui_trainer.recording import manage_runs
from tui_trainer.recording.folder import ListedRun, RunFolder
from tui_trainer.recording.manage_runs import NoTrashError
from tui_trainer.recording.run_fields import FIELDS, Kind
from tui_trainer.recording.run_query import parse_filter
from tui_trainer.stats.intervals import PairedAccuracy
from tui_trainer.text import fmt
from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.overlay import run_style
from tui_trainer.ui.runs.compared_rows import ComparedRows, compared_rows
from tui_trainer.ui.runs.paired_images import ImagePairing, Pairing
from tui_trainer.ui.runs.recorded_run import RecordedRun, open_run
from tui_trainer.ui.runs.run_listing import (
    MOST_MARKS,
    Key,
    ListedGroup,
    Row,
    RunListing,
    key_of,
    members,
)
from tui_trainer.ui.runs.run_reader import RunReader
from tui_trainer.ui.screens.base_screen import ViewScreen, WindowRequested
from tui_trainer.ui.screens.dialogs import Answer, ChooseScreen, ConfirmScreen
from tui_trainer.ui.screens.replay_screen import ReplayScreen
from tui_trainer.ui.screens.select_screen import SelectScreen
from tui_trainer.ui.widgets.differences_panel import DifferencesPanel
from tui_trainer.ui.widgets.prompt_line import Prompt, PromptLine
from tui_trainer.ui.widgets.run_list import RunLine
from tui_trainer.ui.widgets.runs_table import RunsTable

LATEST = "latest first"
"""The order without sort keys."""

REPLAY, ATTACH = "Train: replay its training", "Train: attach to its trainer"
SCREENS = {"Model": "model", "Inspect": "inspect", "Learn": "learn"}
"""The screens that show the model of a recorded run, in a separate window."""

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


class RunsActions(ViewScreen):
    """The actions of the Runs screen; :class:`RunsScreen` shows their effect."""

    root: Path
    listing: RunListing
    reader: RunReader

    def __init__(self) -> None:
        super().__init__()
        self.pairs: dict[tuple[Key, Key], PairedAccuracy | str] = {}
        self.pairing: ImagePairing = ImagePairing()
        self._compared: tuple[object, object] = ((), ())

    def live_folder(self) -> str | None:
        """Return the folder of the live run; None if it is not recorded."""
        raise NotImplementedError

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor."""
        raise NotImplementedError

    def fill(self) -> None:
        """Show the list."""
        raise NotImplementedError

    def show_marks(self) -> None:
        """Show which curves are drawn."""
        raise NotImplementedError

    def action_reload(self) -> None:
        """Read the folder again."""
        raise NotImplementedError

    @property
    def _chosen_run(self) -> ListedRun | None:
        """The run under the cursor; a group is asked to be unfolded."""
        row = self.chosen
        if isinstance(row, ListedGroup):
            self.notify(with_keys("this is a group: press {runs.replay} to list its runs"))
            return None
        return row

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
        self._ask(
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

    # --- a run

    def on_data_table_row_selected(self) -> None:
        """Replay the run under the cursor, or unfold or fold a group."""
        row = self.chosen
        if isinstance(row, ListedGroup):
            self.listing.opened ^= {key_of(row)}
            self.listing.arrange()
            self.fill()
        elif row is not None:
            self.replay(row)

    def replay(self, run: ListedRun) -> None:
        """Replay a run; a worker thread reads it."""
        self.query_one(RunLine).note(f"reading {run.name} …")
        work = partial(_opened, run.folder)
        self.run_worker(work, thread=True, exclusive=True, group="open")

    def action_open_in(self) -> None:
        """Ask in which screen to open the run."""
        run = self._chosen_run
        if run is None:
            return
        if str(run.folder.path) == self.live_folder():
            self.notify(with_keys("this run is in this window: press {screens.train}"))
            return
        choices = [REPLAY, *SCREENS]
        if run.is_running:
            choices.insert(0, ATTACH)

        def answer(name: str | None) -> None:
            if name == REPLAY:
                self.replay(run)
            elif name == ATTACH:
                self._open_window(run, "attach")
            elif name is not None:
                self._open_window(run, "inspect", "--screen", SCREENS[name])

        self.app.push_screen(ChooseScreen(f"Open {run.name} in", choices), answer)

    def _open_window(self, run: ListedRun, command: str, *options: str) -> None:
        """Open a run in a separate window."""
        if command == "inspect" and not run.folder.checkpoint("last").is_file():
            self._warn(f"{run.name} has no checkpoint, so there is no model to show", "not opened")
            return
        self.post_message(WindowRequested(command, os.path.abspath(run.folder.path), *options))

    def action_rename(self) -> None:
        """Ask for another name of the run."""
        run = self._chosen_run
        if run is None:
            return
        before = run.folder.path.name

        def submit(name: str) -> None:
            if name != before:
                self._manage(f"{name}: renamed from {before}", partial(self._rename, run, name))

        self._ask(Prompt("rename", before, check=manage_runs.check_name, submit=submit))

    def _rename(self, run: ListedRun, name: str) -> None:
        path = manage_runs.rename(run.folder.path, name)
        self.app.call_from_thread(self._renamed, run, path)

    def _renamed(self, run: ListedRun, path: Path) -> None:
        """Keep the mark of a renamed run."""
        place = self.listing.marks.pop(key_of(run), None)
        if place is not None:
            self.listing.marks[str(path)] = place
        self.reader.forget(run.folder)

    def action_note(self) -> None:
        """Ask for the note of the run."""
        run = self._chosen_run
        if run is None:
            return

        def submit(text: str) -> None:
            done = f"{run.name}: note saved" if text.strip() else f"{run.name}: note removed"
            self._manage(done, partial(manage_runs.set_note, run.folder.path, text))

        self._ask(Prompt("note", run.about.note, check=str, submit=submit))

    def action_tag(self) -> None:
        """Ask for the tags of the run, or of all runs of a group."""
        row = self.chosen
        if row is None:
            return
        runs = members(row)
        before = [tag for tag in runs[0].about.tags if all(tag in run.about.tags for run in runs)]

        def submit(text: str) -> None:
            tags = text.replace(",", " ").split()
            removed = [tag for tag in before if tag not in tags]
            done = f"{row.name}: tags {' '.join(tags) or 'removed'}"
            self._manage(done, partial(_change_tags, runs, tags, removed))

        known = sorted({tag for run in self.listing.runs for tag in run.about.tags})
        label = "tags" if isinstance(row, ListedRun) else f"tags of {len(runs)} runs"
        self._ask(Prompt(label, " ".join(before), check=str, submit=submit, words=tuple(known)))

    def action_delete(self) -> None:
        """Ask whether to move the run to the trash."""
        run = self._chosen_run
        if run is None:
            return

        def answer(yes: Answer | None) -> None:
            if yes:
                delete = partial(self._delete, run)
                self._manage(f"{run.name}: moved to the trash", delete)

        self.app.push_screen(
            ConfirmScreen(
                f"Move {run.name} to the trash?",
                f"Its folder {fmt.printable(run.folder.path)} with its checkpoints is moved.",
                "move to the trash",
            ),
            answer,
        )

    def _delete(self, run: ListedRun) -> bool:
        try:
            manage_runs.delete(run.folder.path)
        except NoTrashError as error:
            self.app.call_from_thread(self._offer_removal, run, str(error))
            return False
        return True

    def _offer_removal(self, run: ListedRun, problem: str) -> None:
        """Ask again where there is no trash."""

        def answer(yes: Answer | None) -> None:
            if yes:
                remove = partial(manage_runs.delete, run.folder.path, permanently=True)
                self._manage(f"{run.name}: removed", remove)

        problem = problem.rpartition("; add ")[0] or problem
        question = f"Remove {run.name} permanently?"
        self.app.push_screen(ConfirmScreen(question, f"{problem}.", "remove for good"), answer)

    def _ask(self, prompt: Prompt) -> None:
        """Ask for a text, then return to the list."""
        table = self.query_one(RunsTable)

        def then(action: Callable[..., object]) -> Callable[..., object]:
            def act(*text: str) -> None:
                table.focus()
                action(*text)

            return act

        self.query_one(PromptLine).ask(
            Prompt(
                prompt.label,
                prompt.value,
                check=prompt.check,
                submit=then(prompt.submit),
                preview=prompt.preview,
                cancel=then(prompt.cancel),
                hint=prompt.hint,
                words=prompt.words,
            )
        )

    def _manage(self, done: str, work: Callable[[], object]) -> None:
        """Change a run on a thread: another process can hold its lock for a moment."""
        self.run_worker(partial(_managed, done, work), thread=True, group="manage")

    def take_result(self, group: str, result: object) -> None:
        """Take the result of a worker thread of this group."""
        match group, result:
            case "open", _:
                self.query_one(RunLine).note("")
                if self.is_current and isinstance(result, RecordedRun):
                    self.app.push_screen(ReplayScreen(result))
                elif self.is_current and isinstance(result, str):
                    self._warn(result, "cannot replay the run")
            case "compare", ComparedRows():
                self.query_one(DifferencesPanel).show(result.found, result.note)
            case "pair", dict():
                self.pairs |= result
                self.compare_rows()
            case "pair", _:
                self.query_one(DifferencesPanel).wait("")
                self._warn(str(result or "it was interrupted"), "no test")
            case "manage", (bool() as is_done, str() as words):
                if is_done and words:
                    self.notify(words)
                elif not is_done:
                    self._warn(words, "nothing changed")
                self.action_reload()

    def _warn(self, words: str, title: str) -> None:
        self.notify(words, title=title, severity="warning", timeout=10)


def _opened(folder: RunFolder) -> RecordedRun | str:
    """Return a run, or an error message."""
    try:
        return open_run(folder)
    except InputError as error:
        return str(error)


def _managed(done: str, work: Callable[[], object]) -> tuple[bool, str]:
    """Return whether some work was done, and what to say about it."""
    try:
        result = work()
    except InputError as error:
        return False, str(error)
    return True, "" if result is False else done


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


def _change_tags(runs: Sequence[ListedRun], add: list[str], remove: list[str]) -> None:
    for run in runs:
        manage_runs.change_tags(run.folder.path, add, remove)


def _read_settings(runs: Sequence[ListedRun]) -> None:
    for run in runs:
        run.fields["lr"]
