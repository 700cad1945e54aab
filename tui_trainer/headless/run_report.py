"""What each event says: the table and the summary on stdout, everything else on stderr."""

from __future__ import annotations

from dataclasses import replace

from tui_trainer.findings.rates import divergence
from tui_trainer.headless import sentences
from tui_trainer.headless.meter import Meter
from tui_trainer.headless.streams import Console, DataOut
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
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    SettingChanged,
    StateChanged,
    StepDone,
    TestEvaluated,
)
from tui_trainer.protocol.verdicts import FINDING_SIGNS
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell


class Report:
    """Tells events as they come; on stdout the table and the summary, or the events as JSON.

    Attributes:
        last: The event that ended the run, None before it.
        unsaved: The files that could not be written, with the reason.
    """

    def __init__(
        self,
        data: DataOut,
        console: Console,
        *,
        json_lines: bool,
        quiet: bool = False,
    ) -> None:
        self.last: RunFinished | RunFailed | None = None
        self.unsaved: dict[str, str] = {}
        self._data = data
        self._console = console
        self._json_lines = json_lines
        self._quiet = quiet
        self._folder = ""
        self._lost: Diverged | None = None
        self._remedy = 0.01
        self._meter = Meter()
        self._downloads = Downloads(console)
        self._findings: dict[str, FindingRaised] = {}
        self._paused = False
        self._look: TestEvaluated | None = None
        self._last_epoch: EpochDone | None = None

    def tell(self, event: Event) -> None:
        """Write what there is to say about one event.

        Raises:
            OutputLost: If stdout takes nothing more.
        """
        if self._quiet and not isinstance(event, RunResumed):
            self._take_in(event)
            return
        if self._json_lines:
            self._data.event(event)
        self._tell_look(event)
        match event:
            case StepDone():
                self._meter.step(event)
                if self._console.due():
                    self._draw()
            case EpochDone():
                self._epoch(event)
            case StateChanged():
                self._state(event)
            case DownloadProgress():
                self._downloads.progress(event)
            case RunStarted():
                self._downloads.end()
                self._meter.run = event
                self._console.say(sentences.header(event))
            case TestEvaluated():
                self._look = event
            case RunFinished():
                self.last = event
                self._summarise(event)
            case RunFailed():
                self.last = event
            case RunResumed():
                self._resume(event)
            case RecordingStarted():
                self._folder = event.folder
            case FindingRaised() | FindingCleared():
                self._finding(event)
            case (
                SettingChanged()
                | CommandRejected()
                | Diverged()
                | RecordingFailed()
                | RecordingRestored()
                | FolderNotLocked()
                | DatasetDoubted()
            ):
                self._incident(event)

    def _take_in(self, event: Event) -> None:
        """Learn from what was told before the run was resumed; a script is told how it began."""
        match event:
            case StateChanged(state="preparing"):
                self._state(event)
            case RecordingStarted():
                self._folder = event.folder
            case FolderNotLocked() | DatasetDoubted():
                if self._json_lines:
                    self._data.event(event)
                self._incident(event)
            case RunStarted():
                self._meter.run = event
            case StepDone():
                self._meter.step(event)
            case EpochDone():
                self._meter.epoch_done(event)
                self._last_epoch = event
            case FindingRaised():
                self._findings[event.code] = event
            case FindingCleared():
                self._findings.pop(event.code, None)
            case SettingChanged(setting="epochs"):
                self._set_epochs(int(event.new))
        if self._json_lines and isinstance(event, RunStarted | RecordingStarted):
            self._data.event(event)

    def _resume(self, event: RunResumed) -> None:
        self._quiet = False
        if self._meter.run is not None:
            self._console.say(sentences.header(self._meter.run))
        self._console.say(
            f"resumed after step {fmt.count(event.step)}, in epoch {max(1, event.epoch)}"
        )

    def _set_epochs(self, epochs: int) -> None:
        if self._meter.run is not None:
            self._meter.run = replace(self._meter.run, epochs=epochs)

    def _summarise(self, event: RunFinished) -> None:
        """Tell the result, unless a script has it as an event, and where the run lies."""
        if not self._json_lines:
            for line in sentences.summary(event, self._last_epoch):
                self._data.line(line)
        self._tell_saved(event)

    def _tell_saved(self, event: RunFinished) -> None:
        """Say where the run lies, and how to go on with one that was left."""
        if not self._folder:
            return
        for path, reason in self.unsaved.items():
            self._console.say(f"not saved: {path}: {reason}", glyph="✗", style="wrong")
        name = fmt.printable(self._folder)
        if event.reason == "completed":
            self._console.say(f"recorded in {name}")
            return
        more, step = "", event.step
        if self._lost is not None:
            step, more = self._lost.good_step, f" --lr {self._remedy:g}"
        self._console.say(
            f"recorded in {name}; go on from step {fmt.count(step)} with: "
            f"mnist-tui resume {name}{more}"
        )

    def _draw(self, doing: str = "") -> None:
        console = self._console
        console.draw(self._meter.cells(console.width, doing=doing, ascii_only=console.ascii_only))

    def _epoch(self, event: EpochDone) -> None:
        self._meter.epoch_done(event)
        self._last_epoch = event
        if not self._json_lines:
            epochs = self._meter.run.epochs if self._meter.run else event.epoch
            cells, width = sentences.epoch_cells(event, epochs), self._data.width
            fitting = cells if width is None else fmt.fit(cells, width)
            self._data.line("".join(cell.text for cell in fitting).rstrip())

    def _state(self, event: StateChanged) -> None:
        if event.state == "paused":
            self._console.say(f"paused after step {fmt.count(event.step)}")
        elif self._paused and event.state == "training":
            self._console.say("training goes on")
        self._paused = event.state == "paused"
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
            gone = self._findings.pop(event.code, None)
            title = gone.title if gone is not None else event.code
            cleared = f"no longer: {title}, since step {fmt.count(event.step)}"
            if gone is not None and gone.severity == "note":
                self._console.say(cleared, glyph=FINDING_SIGNS["note"])
            else:
                self._console.say(cleared, glyph="✓", style="good")
            return
        before = self._findings.get(event.code)
        self._findings[event.code] = event
        if event.code == divergence.__name__ and event.fix_value is not None:
            self._remedy = event.fix_value
        if before is not None and not sentences.is_news(event, before):
            return
        line = fmt.one_line(sentences.finding_line(event))
        style = event.severity if event.severity != "note" else ""
        self._console.say(line, glyph=FINDING_SIGNS[event.severity], style=style)

    def _incident(
        self,
        event: SettingChanged
        | CommandRejected
        | Diverged
        | RecordingFailed
        | RecordingRestored
        | FolderNotLocked
        | DatasetDoubted,
    ) -> None:
        match event:
            case SettingChanged():
                glyph, style, line = "▼", "change", sentences.setting_line(event)
                if event.setting == "epochs":
                    self._set_epochs(int(event.new))
            case CommandRejected():
                glyph, style, line = "▲", "look", f"{event.command} refused: {event.reason}"
            case Diverged():
                glyph, style, line = "✗", "wrong", sentences.diverged_line(event)
                self._lost = event
            case RecordingFailed():
                self.unsaved[event.path] = event.message
                glyph, style = "▲", "look"
                line = (
                    f"not saved: {event.path}: {event.message}; "
                    "training goes on, and it will be tried again"
                )
            case FolderNotLocked() | DatasetDoubted():
                glyph, style, line = "▲", "look", event.warning
            case RecordingRestored():
                self.unsaved.pop(event.path, None)
                glyph, style, line = "✓", "good", f"saved again: {event.path}"
        self._console.say(fmt.one_line(line), glyph=glyph, style=style)


class Downloads:
    """Tells how the fetching of files goes: a bar on a terminal, else a line at either end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._event: DownloadProgress | None = None
        self._open = False

    def progress(self, event: DownloadProgress) -> None:
        """Take in how far a file has come."""
        before = self._event
        if before is None or (before.dataset, before.file) != (event.dataset, event.file):
            self.end()
            self._open = True
            if not self._console.live:
                size = f", {fmt.megabytes(event.total_bytes)}" if event.total_bytes else ""
                self._console.say(f"fetching {sentences.file_name(event)}{size}")
        self._event = event
        if self._open and 0 < event.total_bytes <= event.done_bytes:
            self._tell_fetched(event)
        elif self._open and self._console.due():
            console = self._console
            console.draw(
                sentences.download_cells(event, console.width, ascii_only=console.ascii_only)
            )

    def end(self) -> None:
        """Close the file under way: the run goes on, so one of unknown size is complete."""
        if self._open and self._event is not None and not self._event.total_bytes:
            self._tell_fetched(self._event)
        self._open = False

    def _tell_fetched(self, event: DownloadProgress) -> None:
        self._open = False
        self._console.say(
            f"fetched {sentences.file_name(event)}, {fmt.megabytes(event.done_bytes)}"
        )
