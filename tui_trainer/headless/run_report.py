"""What each event says: the table and the summary on stdout, everything else on stderr."""

from __future__ import annotations

from tui_trainer.findings.rates import divergence
from tui_trainer.headless import sentences
from tui_trainer.headless.streams import Console, DataOut
from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.diagnosis import SIGNS
from tui_trainer.protocol.events import (
    CommandRejected,
    DatasetDoubted,
    Diverged,
    DownloadProgress,
    EpochDone,
    Event,
    FindingCleared,
    FindingRaised,
    FolderNotLocked,
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
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell


class Report:
    """Tells events as they come; on stdout the table and the summary, or the events as JSON.

    Attributes:
        run: The state of the run.
    """

    def __init__(
        self, data: DataOut, console: Console, *, json_lines: bool, quiet: bool = False
    ) -> None:
        self.run = RunState()
        self._data = data
        self._console = console
        self._json_lines = json_lines
        self._quiet = quiet
        self._is_fetching = False
        self._look: TestEvaluated | None = None

    def tell(self, event: Event) -> None:
        """Write what there is to say about one event.

        Raises:
            OutputLost: If stdout takes nothing more.
        """
        if self._quiet and not isinstance(event, RunResumed):
            self._tell_quietly(event)
        else:
            if self._json_lines:
                self._data.event(event)
            self._tell_look(event)
            if isinstance(event, StepDone):
                self.run.apply(event)
                if self._console.due():
                    self._draw()
                return
            self._tell(event)
        self.run.apply(event)

    def _tell_quietly(self, event: Event) -> None:
        """Pass over what was told before the run was resumed; a script is told how it began."""
        is_warning = isinstance(event, FolderNotLocked | DatasetDoubted)
        if self._json_lines and (is_warning or isinstance(event, RunStarted | RecordingStarted)):
            self._data.event(event)
        if is_warning or (isinstance(event, StateChanged) and event.state == "preparing"):
            self._tell(event)

    def _tell(self, event: Event) -> None:
        """Say what is new; :attr:`run` is still as it was before the event."""
        match event:
            case EpochDone():
                self._epoch(event)
            case StateChanged():
                self._state(event)
            case DownloadProgress():
                self._download(event)
            case RunStarted():
                self._end_download()
                self._console.say(sentences.header(event))
            case TestEvaluated():
                self._look = event
            case RunFinished():
                self._summarise(event)
            case RunResumed():
                self._resume(event)
            case FindingRaised() | FindingCleared():
                self._finding(event)
            case SettingChanged():
                self._say("▼", "change", sentences.setting_line(event))
            case CommandRejected():
                self._say("▲", "warning", f"{event.command} refused: {event.reason}")
            case Diverged():
                self._say("✗", "error", sentences.diverged_line(event))
            case RecordingFailed():
                later = "training goes on, and it will be tried again"
                self._say("▲", "warning", f"not saved: {event.path}: {event.message}; {later}")
            case RecordingRestored():
                self._say("✓", "ok", f"saved again: {event.path}")
            case FolderNotLocked() | DatasetDoubted():
                self._say("▲", "warning", event.warning)

    def _say(self, glyph: str, style: str, line: str) -> None:
        self._console.say(fmt.one_line(line), glyph=glyph, style=style)

    def _resume(self, event: RunResumed) -> None:
        self._quiet = False
        if self.run.started is not None:
            self._console.say(sentences.header(self.run.started))
        self._console.say(
            f"resumed after step {fmt.count(event.step)}, in epoch {max(1, event.epoch)}"
        )

    def _summarise(self, event: RunFinished) -> None:
        """Tell the result, unless a script has it as an event, and where the run lies."""
        if not self._json_lines:
            for line in sentences.summary(event, self.run.last_epoch):
                self._data.line(line)
        self._tell_saved(event)

    def _tell_saved(self, event: RunFinished) -> None:
        """Say where the run lies, and how to go on with one that was left."""
        run = self.run
        if not run.folder:
            return
        for path, reason in run.unsaved.items():
            self._console.say(f"not saved: {path}: {reason}", glyph="✗", style="error")
        name = fmt.printable(run.folder)
        if event.reason == "completed":
            self._console.say(f"recorded in {name}")
            return
        more, step = "", event.step
        if run.lost is not None:
            found = run.findings.get(divergence.__name__)
            remedy = found.fix_value if found is not None else None
            step, more = run.lost.good_step, f" --lr {0.01 if remedy is None else remedy:g}"
        self._console.say(
            f"recorded in {name}; go on from step {fmt.count(step)} with: "
            f"mnist-tui resume {name}{more}"
        )

    def _draw(self, doing: str = "") -> None:
        console = self._console
        cells = sentences.live_cells(
            self.run, console.width, doing=doing, ascii_only=console.ascii_only
        )
        console.draw(cells)

    def _epoch(self, event: EpochDone) -> None:
        if not self._json_lines:
            epochs = self.run.started.epochs if self.run.started else event.epoch
            cells, width = sentences.epoch_cells(event, epochs), self._data.width
            fitting = cells if width is None else fmt.fit(cells, width)
            self._data.line("".join(cell.text for cell in fitting).rstrip())

    def _state(self, event: StateChanged) -> None:
        if event.state == "paused":
            self._console.say(f"paused after step {fmt.count(event.step)}")
        elif self.run.state == "paused" and event.state == "training":
            self._console.say("training goes on")
        if event.state == "preparing":
            line = f"preparing: {fmt.one_line(event.detail)}" if event.detail else "preparing"
            if self._console.live:
                self._console.draw([Cell(line)])
            else:
                self._console.say(line)
        elif event.state in ("validating", "testing") and self._console.live:
            self._draw(doing=event.state)

    def _tell_look(self, event: Event) -> None:
        """Tell of a look at the test set, unless it was the last one: the summary tells that."""
        look = self._look
        if look is None or isinstance(event, StateChanged):
            return
        self._look = None
        if not (isinstance(event, RunFinished) and not self._json_lines):
            self._console.say(sentences.look_line(look), glyph="◆", style="test")

    def _finding(self, event: FindingRaised | FindingCleared) -> None:
        if isinstance(event, FindingCleared):
            gone = self.run.findings.get(event.code)
            title = gone.title if gone is not None else event.code
            cleared = f"no longer: {title}, since step {fmt.count(event.step)}"
            if gone is not None and gone.severity == "note":
                self._console.say(cleared, glyph=SIGNS["note"])
            else:
                self._console.say(cleared, glyph="✓", style="ok")
            return
        before = self.run.findings.get(event.code)
        if before is None or event.is_news_after(before):
            self._say(SIGNS[event.severity], event.severity, sentences.finding_line(event))

    def _download(self, event: DownloadProgress) -> None:
        """Tell how a file is fetched: a bar on a terminal, else a line at either end."""
        before, console = self.run.download, self._console
        if before is None or (before.dataset, before.file) != (event.dataset, event.file):
            self._end_download()
            self._is_fetching = True
            if not console.live:
                size = f", {fmt.megabytes(event.total_bytes)}" if event.total_bytes else ""
                console.say(f"fetching {sentences.file_name(event)}{size}")
        if self._is_fetching and 0 < event.total_bytes <= event.done_bytes:
            self._tell_fetched(event)
        elif self._is_fetching and console.due():
            console.draw(
                sentences.download_cells(event, console.width, ascii_only=console.ascii_only)
            )

    def _end_download(self) -> None:
        """Close the file under way: the run goes on, so one of unknown size is complete."""
        download = self.run.download
        if self._is_fetching and download is not None and not download.total_bytes:
            self._tell_fetched(download)
        self._is_fetching = False

    def _tell_fetched(self, event: DownloadProgress) -> None:
        self._is_fetching = False
        self._console.say(
            f"fetched {sentences.file_name(event)}, {fmt.megabytes(event.done_bytes)}"
        )
