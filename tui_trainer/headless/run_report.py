"""Events as output: table and summary on stdout, everything else on stderr."""

from __future__ import annotations

from dataclasses import replace

from tui_trainer.headless import event_text
from tui_trainer.headless.streams import Console, DataOut
from tui_trainer.history.notices import notice_of
from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.diagnosis import SIGNS
from tui_trainer.protocol.events import (
    CheckpointSaved,
    CommandRejected,
    DatasetWarning,
    DecodeProgress,
    Diverged,
    DownloadProgress,
    EpochDone,
    Event,
    FindingCleared,
    FindingRaised,
    FolderNotLocked,
    HookFailed,
    RecordingFailed,
    RecordingRestored,
    RecordingStarted,
    RunFinished,
    RunResumed,
    RunStarted,
    SettingChanged,
    StateChanged,
    StepDone,
    TestEvaluated,
)
from tui_trainer.recording.resume_hint import recorded_line
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell


class Report:
    """Prints events; on stdout the table and the summary, or the events as JSON.

    Attributes:
        run: The state of the run.
    """

    def __init__(
        self,
        data: DataOut,
        console: Console,
        *,
        json_lines: bool,
        quiet: bool = False,
        notify: str = "off",
        is_part: bool = False,
    ) -> None:
        self.run = RunState()
        self._data = data
        self._console = console
        self._json_lines = json_lines
        self._quiet = quiet
        self._notify = notify
        self._is_part = is_part
        self._is_fetching = False
        self._test_evaluation: TestEvaluated | None = None

    def report(self, event: Event) -> None:
        """Print one event.

        Raises:
            OutputError: If stdout cannot be written to.
        """
        if self._quiet and not isinstance(event, RunResumed):
            self._report_past(event)
        else:
            if self._json_lines:
                self._data.event(event)
            self._report_test_evaluation(event)
            if isinstance(event, StepDone):
                self.run.apply(event)
                if self._console.due():
                    self._draw()
                return
            self._report(event)
            self.notify(event)
        self.run.apply(event)

    def notify(self, event: Event) -> None:
        """Notify the user of an event that is worth it."""
        if (text := notice_of(event, self.run)) is not None:
            self._console.notify(text, self._notify)

    def _report_past(self, event: Event) -> None:
        """Skip the events before a resume, but for the run's start with JSON, and warnings."""
        is_warning = isinstance(event, FolderNotLocked | DatasetWarning)
        if self._json_lines and (is_warning or isinstance(event, RunStarted | RecordingStarted)):
            self._data.event(event)
        if is_warning or (isinstance(event, StateChanged) and event.state == "preparing"):
            self._report(event)

    def _report(self, event: Event) -> None:
        """Print an event; :attr:`run` is still the state before it."""
        match event:
            case EpochDone():
                self._epoch(event)
            case StateChanged():
                self._state(event)
            case DownloadProgress():
                self._download(event)
            case DecodeProgress():
                self._decode(event)
            case RunStarted():
                self._end_download()
                self._header(event)
            case TestEvaluated():
                self._test_evaluation = event
            case RunFinished():
                self._report_summary(event)
            case RunResumed():
                self._resume(event)
            case FindingRaised() | FindingCleared():
                self._finding(event)
            case SettingChanged():
                self._print("▼", "change", event_text.setting_line(event))
            case CommandRejected():
                self._print("▲", "warning", f"{event.command} rejected: {event.reason}")
            case Diverged():
                self._print("✗", "error", event_text.diverged_line(event))
            case RecordingFailed():
                later = "training continues; saving will be retried"
                self._print("▲", "warning", f"not saved: {event.path}: {event.message}; {later}")
            case RecordingRestored():
                self._print("✓", "ok", f"saved: {event.path}")
            case FolderNotLocked() | DatasetWarning() | HookFailed():
                self._print("▲", "warning", event.warning)

    def _print(self, glyph: str, style: str, line: str) -> None:
        self._console.print(fmt.one_line(line), glyph=glyph, style=style)

    def _resume(self, event: RunResumed) -> None:
        self._quiet = False
        started = self.run.started
        if started is not None:
            now = replace(started, threads=event.threads, processes=event.processes)
            self._header(now)
        self._console.print(
            f"resumed after step {fmt.count(event.step)}, in epoch {max(1, event.epoch)}"
        )
        if started is not None and event.processes != started.processes:
            count = fmt.plural(started.processes, "process", "es")
            self._console.print(
                f"it was started in {count}: the batches are the same, dropout masks and batch "
                "norm statistics are not"
            )

    def _header(self, started: RunStarted) -> None:
        self._console.print(event_text.header(started))
        if started.division:
            self._console.print(started.division)

    def _report_summary(self, event: RunFinished) -> None:
        """Print the result, unless it is printed as a JSON event, and the run's folder."""
        if not self._json_lines:
            is_script = self.run.started is not None and bool(self.run.started.script)
            for line in event_text.summary(event, self.run.last_epoch, is_script=is_script):
                self._data.line(line)
        self._report_folder(event)

    def _report_folder(self, event: RunFinished) -> None:
        """Print where the run is recorded, and how to resume an unfinished one."""
        run = self.run
        if not run.folder:
            return
        for path, reason in run.unsaved.items():
            self._console.print(f"not saved: {path}: {reason}", glyph="✗", style="error")
        if not self._is_part:
            self._console.print(recorded_line(run, is_resumable=event.reason != "completed"))

    def _draw(self, activity: str = "") -> None:
        console = self._console
        cells = event_text.live_cells(
            self.run, console.width, activity=activity, ascii_only=console.ascii_only
        )
        console.draw(cells)

    def _epoch(self, event: EpochDone) -> None:
        if not self._json_lines:
            epochs = self.run.started.epochs if self.run.started else event.epoch
            cells, width = event_text.epoch_cells(event, epochs), self._data.width
            fitting = cells if width is None else fmt.fit(cells, width)
            self._data.line("".join(cell.text for cell in fitting).rstrip())

    def _state(self, event: StateChanged) -> None:
        if event.state == "paused":
            self._console.print(f"paused at step {fmt.count(event.step)}")
        elif self.run.state == "paused" and event.state == "training":
            self._console.print("training continues")
        if event.state == "preparing":
            line = f"preparing: {fmt.one_line(event.detail)}" if event.detail else "preparing"
            if self._console.live:
                self._console.draw([Cell(line)])
            else:
                self._console.print(line)
        elif event.state in ("validating", "testing") and self._console.live:
            self._draw(activity=event.state)

    def _report_test_evaluation(self, event: Event) -> None:
        """Print a test evaluation; the last one is part of the summary."""
        evaluation = self._test_evaluation
        if evaluation is None or isinstance(event, StateChanged | CheckpointSaved):
            return
        self._test_evaluation = None
        if not (isinstance(event, RunFinished) and not self._json_lines):
            self._console.print(event_text.test_line(evaluation), glyph="◆", style="test")

    def _finding(self, event: FindingRaised | FindingCleared) -> None:
        if isinstance(event, FindingCleared):
            gone = self.run.findings.get(event.code)
            title = gone.title if gone is not None else event.code
            cleared = f"cleared at step {fmt.count(event.step)}: {title}"
            if gone is not None and gone.severity == "note":
                self._console.print(cleared, glyph=SIGNS["note"])
            else:
                self._console.print(cleared, glyph="✓", style="ok")
            return
        before = self.run.findings.get(event.code)
        if before is None or event.is_news_after(before):
            head, *causes = event_text.finding_lines(event)
            self._print(SIGNS[event.severity], event.severity, head)
            for line in causes:
                self._console.print(f"  {fmt.one_line(line)}")

    def _download(self, event: DownloadProgress) -> None:
        """Print a download: a bar on a terminal, otherwise a line at its start and its end."""
        before, console = self.run.download, self._console
        if before is None or (before.dataset, before.file) != (event.dataset, event.file):
            self._end_download()
            self._is_fetching = True
            if not console.live:
                size = f", {fmt.megabytes(event.total_bytes)}" if event.total_bytes else ""
                console.print(f"downloading {event_text.file_name(event)}{size}")
        if self._is_fetching and 0 < event.total_bytes <= event.done_bytes:
            self._report_fetched(event)
        elif self._is_fetching and console.due():
            console.draw(
                event_text.download_cells(event, console.width, ascii_only=console.ascii_only)
            )

    def _decode(self, event: DecodeProgress) -> None:
        """Print the progress of decoding: a bar on a terminal, otherwise a line at its start."""
        before, console = self.run.decoding, self._console
        if console.live and console.due():
            console.draw(
                event_text.decode_cells(event, console.width, ascii_only=console.ascii_only)
            )
        elif not console.live and event.total and not (before and before.total):
            where = fmt.one_line(event.folder)
            console.print(f"decoding {fmt.plural(event.total, 'picture')} in {where}")

    def _end_download(self) -> None:
        """End the current download: the run continues, so a file of unknown size is complete."""
        download = self.run.download
        if self._is_fetching and download is not None and not download.total_bytes:
            self._report_fetched(download)
        self._is_fetching = False

    def _report_fetched(self, event: DownloadProgress) -> None:
        self._is_fetching = False
        self._console.print(
            f"downloaded {event_text.file_name(event)}, {fmt.megabytes(event.done_bytes)}"
        )
