from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterable

import pytest

from tests.headless.fakes import Engine, FakeClock, FakeTerminal, started, step, whole_run
from tui_trainer.headless.runner import run_headless
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.events import DecodeProgress, DownloadProgress, Event, StateChanged
from tui_trainer.text.fmt import columns

ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")


def run(
    events: Iterable[Event],
    *,
    stdout: io.StringIO | None = None,
    clock: FakeClock | None = None,
    json_lines: bool = False,
) -> str:
    """Return the output of a run to a terminal; a fast clock lets every step be drawn."""
    err = FakeTerminal()
    run_headless(
        Engine(events),
        Inbox(),
        stdout=stdout or io.StringIO(),
        stderr=err,
        json_lines=json_lines,
        clock=clock or FakeClock(),
    )
    return err.getvalue()


def drawings(written: str) -> list[str]:
    """Return every state of the live line, without colors."""
    found = [ESCAPES.sub("", line) for line in re.findall(r"\r([^\r\n]*)\x1b\[K", written)]
    return [line for line in found if line]


def test_the_line_shows_where_the_run_stands() -> None:
    lines = drawings(run(whole_run()))
    assert len(lines) == 20
    # After 5 of 20 steps: 1,500 images left at 2,000 per second, no validation time known yet.
    assert lines[4] == (
        "epoch 1/2 ▕████▊              ▏  loss 0.5000  80.00 %  2,000 img/s  ETA  0:01"
    )
    assert lines[18].startswith("epoch 2/2 ▕██████████████████ ▏")


def test_time_left_counts_the_validations_to_come() -> None:
    events = [started(epochs=101), *whole_run()[1:12]]
    # 100 epochs: 50 s of training and 25 s of validation.
    assert drawings(run([*events, step(11)]))[-1].endswith("ETA  1:15")
    assert drawings(run(events))[8].endswith("ETA  0:50")


def test_the_time_between_two_epochs_is_not_slow_training() -> None:
    first = [step(number) for number in range(1, 11)]
    second = [
        dataclasses.replace(step(number), seconds=step(number).seconds + 60)
        for number in range(11, 21)
    ]
    lines = drawings(run([started(), *first, *second]))
    assert all("2,000 img/s" in line for line in lines[3:])


def test_the_loss_is_the_mean_of_this_epoch_only() -> None:
    first = [step(number, loss=2.0, accuracy=0.2) for number in range(1, 11)]
    second = [step(11, loss=1.0, accuracy=0.5), step(12, loss=0.5, accuracy=0.7)]
    lines = drawings(run([started(), *first, *second]))
    assert "loss 2.0000  20.00 %" in lines[9]
    assert "loss 1.0000  50.00 %" in lines[10]
    assert "loss 0.7500  60.00 %" in lines[11]


@pytest.mark.parametrize("width", [20, 40, 41, 45, 52, 60, 80, 120, 200])
def test_it_never_wraps(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    download = DownloadProgress(
        dataset="数据集", file="long-name" * 9, done_bytes=10**9, total_bytes=10**10
    )
    preparing = StateChanged(state="preparing", step=0, detail="a long detail " * 20)
    validating = StateChanged(state="validating", step=20)
    lines = drawings(run([preparing, download, *whole_run()[:-1], validating]))
    assert len(lines) == 23
    # Two columns stay free for the ^C that the terminal echoes.
    assert max(columns(line) for line in lines) <= width - 3


@pytest.mark.parametrize(
    ("width", "shown", "hidden"),
    [
        (80, ("epoch", "▕", "loss", " %", "img/s", "ETA"), ()),
        (60, ("epoch", "▕", "loss", " %", "ETA"), ("img/s",)),
        (45, ("epoch", "▕", " %", "ETA"), ("loss", "img/s")),
        (40, ("epoch", "▕", "ETA"), ("loss", "img/s")),
    ],
)
def test_the_least_telling_parts_go_first(
    width: int, shown: tuple[str, ...], hidden: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    line = drawings(run(whole_run()))[-1]
    assert all(part in line for part in shown)
    assert not any(part in line for part in hidden)


def test_its_parts_keep_their_places() -> None:
    events = [*whole_run()[:-1], StateChanged(state="validating", step=20)]
    lines = drawings(run(events))
    assert len({line.rindex("▏  ") for line in lines}) == 1
    assert len({line.index("ETA") for line in lines}) == 1
    assert "validating" in lines[-1]


def test_it_is_drawn_at_most_eight_times_a_second() -> None:
    events: list[Event] = [started(epochs=50), *(step(number) for number in range(1, 501))]
    reads_per_drawing = 2  # one to ask, one to remember
    written = run(events, clock=FakeClock(0.01))
    seconds = (500 + reads_per_drawing * 40) * 0.01
    assert 20 <= len(drawings(written)) <= 8 * seconds


def test_nothing_of_it_is_left_in_the_end() -> None:
    written = run([started(), step(1)])
    *_, end = written.split("\n")
    assert end == ""  # the line has ended, and nothing is drawn after the last line
    assert "\x1b[?25l" not in written  # the cursor was never hidden
    for before in re.findall(r"([^\n]*)\n", written):
        last_state = before.split("\r")[-1]
        assert "ETA" not in last_state


def test_permanent_lines_take_it_off_the_screen_first() -> None:
    screen: list[tuple[str, str]] = []

    class Recorder(FakeTerminal):
        name = ""

        def write(self, text: str) -> int:
            screen.append((self.name, text))
            return len(text)

    out, err = Recorder(), Recorder()
    out.name, err.name = "out", "err"
    run_headless(Engine(whole_run()), Inbox(), stdout=out, stderr=err, clock=FakeClock())
    first_row = next(i for i, (name, _) in enumerate(screen) if name == "out")
    assert screen[first_row - 1] == ("err", "\r\x1b[K")
    assert screen[first_row][1].startswith("epoch 1/2  train")


def test_a_row_on_a_narrow_terminal_drops_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = FakeTerminal()
    run(whole_run(), stdout=out)
    rows = out.getvalue().splitlines()
    assert rows[0].endswith("[93.90, 97.40]     0.8 s")
    assert max(len(row) for row in rows) < 80
    monkeypatch.setenv("COLUMNS", "45")
    out = FakeTerminal()
    run(whole_run(), stdout=out)
    rows = out.getvalue().splitlines()
    assert rows[0] == "epoch 1/2  val  96.00 % [93.90, 97.40]"
    assert max(len(row) for row in rows) < 45
    assert "  10,000, evaluations: 1" in rows  # between words


def test_no_color_keeps_the_line_and_drops_the_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[36m" in run(whole_run())
    monkeypatch.setenv("NO_COLOR", "1")
    written = run(whole_run())
    assert len(drawings(written)) == 20
    assert set(ESCAPES.findall(written)) == {"\x1b[K"}


def test_an_empty_no_color_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b[36m" in run(whole_run())


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    written = run(whole_run())
    assert "\r" not in written
    assert "\x1b" not in written
    assert written.startswith("era-s6 · 19,568 parameters")


def test_with_json_the_line_is_still_on_stderr_alone() -> None:
    out = io.StringIO()
    written = run(whole_run(), stdout=out, json_lines=True)
    assert len(drawings(written)) == 20
    assert "\x1b" not in out.getvalue()
    # Redrawn in place: erasing it before each of twenty lines per second would flicker.
    assert written.count("\r\x1b[K") == 1


def test_a_download_has_a_bar_megabytes_and_percent() -> None:
    events = [
        DownloadProgress(
            dataset="kmnist", file="a.gz", done_bytes=done * 100_000, total_bytes=10_000_000
        )
        for done in (0, 42, 100)
    ]
    written = run(events)
    assert drawings(written) == [
        "kmnist a.gz ▕          ▏  0.0 of 10.0 MB    0 %",
        "kmnist a.gz ▕████▏     ▏  4.2 of 10.0 MB   42 %",
    ]
    assert "\x1b[Kdownloaded kmnist a.gz, 10.0 MB\n" in written


def test_a_download_of_unknown_size_has_neither_bar_nor_percent() -> None:
    event = DownloadProgress(dataset="kmnist", file="a.gz", done_bytes=4_200_000, total_bytes=0)
    assert drawings(run([event])) == ["kmnist a.gz  4.2 MB"]


def test_decoding_has_a_bar_and_percent() -> None:
    steps = [(1_300, 0), (0, 60_000), (15_000, 60_000)]
    written = run([DecodeProgress(folder="cats", done=done, total=total) for done, total in steps])
    assert drawings(written) == [
        "listing pictures: 1,300",
        "decoding 0 of 60,000 pictures ▕          ▏    0 %",
        "decoding 15,000 of 60,000 pictures ▕██▌       ▏   25 %",
    ]
