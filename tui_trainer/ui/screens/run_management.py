"""What the keys of the Runs screen do to the run under the cursor."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tui_trainer.protocol.errors import InputError
from tui_trainer.recording import manage_runs
from tui_trainer.recording.folder import ListedRun, RunFolder
from tui_trainer.recording.manage_runs import NoTrashError
from tui_trainer.text import fmt
from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.runs.recorded_run import RecordedRun, open_run
from tui_trainer.ui.runs.run_listing import (
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
from tui_trainer.ui.widgets.prompt_line import Prompt, PromptLine
from tui_trainer.ui.widgets.run_list import RunLine
from tui_trainer.ui.widgets.runs_table import RunsTable

REPLAY, ATTACH = "Train: replay its training", "Train: attach to its trainer"
SCREENS = {"Model": "model", "Inspect": "inspect", "Learn": "learn"}
"""The screens that show the model of a recorded run, in a separate window."""


class RunManagement(ViewScreen):
    """Renames, annotates, deletes and opens the run under the cursor of the Runs screen."""

    root: Path
    listing: RunListing
    reader: RunReader

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
    def chosen_run(self) -> ListedRun | None:
        """The run under the cursor; a group is asked to be unfolded."""
        row = self.chosen
        if isinstance(row, ListedGroup):
            self.notify(with_keys("this is a group: press {runs.replay} to list its runs"))
            return None
        return row

    def replay(self, run: ListedRun) -> None:
        """Replay a run; a worker thread reads it."""
        self.query_one(RunLine).note(f"reading {run.name} …")
        work = partial(opened, run.folder)
        self.run_worker(work, thread=True, exclusive=True, group="open")

    def action_open_in(self) -> None:
        """Ask in which screen to open the run."""
        run = self.chosen_run
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
            self.warn(f"{run.name} has no checkpoint, so there is no model to show", "not opened")
            return
        self.post_message(WindowRequested(command, os.path.abspath(run.folder.path), *options))

    def action_rename(self) -> None:
        """Ask for another name of the run."""
        run = self.chosen_run
        if run is None:
            return
        before = run.folder.path.name

        def submit(name: str) -> None:
            if name != before:
                self._manage(f"{name}: renamed from {before}", partial(self._rename, run, name))

        self.ask(Prompt("rename", before, check=manage_runs.check_name, submit=submit))

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
        run = self.chosen_run
        if run is None:
            return

        def submit(text: str) -> None:
            done = f"{run.name}: note saved" if text.strip() else f"{run.name}: note removed"
            self._manage(done, partial(manage_runs.set_note, run.folder.path, text))

        self.ask(Prompt("note", run.about.note, check=str, submit=submit))

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
        self.ask(Prompt(label, " ".join(before), check=str, submit=submit, words=tuple(known)))

    def action_delete(self) -> None:
        """Ask whether to move the run to the trash."""
        run = self.chosen_run
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

    def ask(self, prompt: Prompt) -> None:
        """Ask for a text, then return to the list."""
        table = self.query_one(RunsTable)

        def then(action: Callable[..., object]) -> Callable[..., object]:
            def act(*text: str) -> None:
                table.focus()
                action(*text)

            return act

        submit, cancel = then(prompt.submit), then(prompt.cancel)
        self.query_one(PromptLine).ask(replace(prompt, submit=submit, cancel=cancel))

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
                    self.warn(result, "cannot replay the run")
            case "manage", (bool() as is_done, str() as words):
                if is_done and words:
                    self.notify(words)
                elif not is_done:
                    self.warn(words, "nothing changed")
                self.action_reload()

    def warn(self, words: str, title: str) -> None:
        """Show why something was not done."""
        self.notify(words, title=title, severity="warning", timeout=10)


def opened(folder: RunFolder) -> RecordedRun | str:
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


def _change_tags(runs: Sequence[ListedRun], add: list[str], remove: list[str]) -> None:
    for run in runs:
        manage_runs.change_tags(run.folder.path, add, remove)
