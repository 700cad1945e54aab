"""Detecting graphics protocols: queries, and replies that leave no trace."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tui_trainer.protocol.errors import InputError
from tui_trainer.ui.terminal import graphics_protocol
from tui_trainer.ui.terminal.graphics_protocol import CELL, Display, Reply, detect_graphics, query

DA1, SIZE, KITTY = b"\x1b[c", b"\x1b[16t", b"\x1b_Gi=31"
Replies = Callable[[bytes], bytes]


@contextmanager
def terminal(replies: Replies) -> Iterator[tuple[int, bytearray]]:
    """A terminal that replies to queries; yields the program's end, and the queries."""
    ours, theirs = pty.openpty()
    seen = bytearray()

    def answer() -> None:
        while True:
            try:
                raw = os.read(ours, 1_024)
            except OSError:
                return
            seen.extend(raw)
            if reply := replies(raw):
                os.write(ours, reply)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield theirs, seen
    finally:
        os.close(theirs)
        thread.join(5.0)
        os.close(ours)


def replying(**replies: bytes) -> Replies:
    """Answer in the order of the questions, as terminals do."""
    known = {SIZE: replies.get("size", b""), KITTY: replies.get("kitty", b"")}
    known[DA1] = replies.get("da1", b"")

    def reply(raw: bytes) -> bytes:
        found = re.findall(rb"\x1b\[16t|\x1b_Gi=31|\x1b\[c", raw)
        return b"".join(known[question] for question in found)

    return reply


def ask(replies: Replies) -> tuple[Reply, bytes, bytes]:
    """Return the reply, the queries, and the unread input."""
    with terminal(replies) as (end, seen):
        import termios

        before = termios.tcgetattr(end)
        with query(end, end) as answer:
            time.sleep(0.02)
        assert termios.tcgetattr(end) == before
        os.set_blocking(end, False)
        try:
            left = os.read(end, 1_024)
        except BlockingIOError:
            left = b""
    return answer, bytes(seen), left


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("TMUX", graphics_protocol.VARIABLE):
        monkeypatch.delenv(name, raising=False)


def test_a_terminal_with_sixel_gets_no_second_query() -> None:
    answer, seen, left = ask(replying(da1=b"\x1b[?62;4;22c", size=b"\x1b[6;22;11t"))

    assert answer.display(None) == Display("sixel", (11, 22))
    assert KITTY not in seen
    assert left == b""


def test_kitty_is_recognized_by_its_reply() -> None:
    answer, _, left = ask(replying(da1=b"\x1b[?62c", kitty=b"\x1b_Gi=31;OK\x1b\\"))

    assert answer.display(None) == Display("kitty", CELL)
    assert left == b""


@pytest.mark.parametrize("kitty", [b"", b"\x1b_Gi=31;ENOTSUPPORTED:no\x1b\\"])
def test_other_terminals_have_half_blocks(kitty: bytes) -> None:
    answer, _, left = ask(replying(da1=b"\x1b[?65;1;9c", size=b"\x1b[6;20;10t", kitty=kitty))

    assert answer.display(None) == Display("blocks", (1, 2))
    assert left == b""


def test_the_environment_overrides_the_detected_protocol() -> None:
    answer = Reply(attributes=("62", "4"), cell=(9, 18))

    assert answer.display("kitty") == Display("kitty", (9, 18))
    assert answer.display("blocks") == Display()


@pytest.mark.parametrize(("name", "value"), [("TERM", "screen-256color"), ("TMUX", "/tmp/x,1,0")])
def test_terminals_that_print_the_kitty_query_are_not_sent_it(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    answer, seen, _ = ask(replying(da1=b"\x1b[?1;2c"))

    assert answer.display(None).protocol == "blocks"
    assert DA1 in seen
    assert KITTY not in seen


def test_a_terminal_that_never_replies_is_queried_only_once() -> None:
    answer, seen, _ = ask(lambda _: b"")

    assert answer == Reply()
    assert seen == SIZE + DA1


def test_a_late_reply_leaves_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    from textual._xterm_parser import XTermParser

    monkeypatch.setattr(graphics_protocol, "ANSWER_TIMEOUT", 0.0)
    with terminal(lambda _: b"") as (end, _), query(end, end) as answer:
        pass

    assert answer.attributes is None
    # Only the replies to the first queries can be late.
    for late in ("\x1b[?62;4;22c", "\x1b[6;20;10t"):
        assert not list(XTermParser().feed(late))


def test_keys_typed_before_are_not_a_reply() -> None:
    answer, _, _ = ask(lambda raw: b"q3\x1b[?62;4c" if DA1 in raw else b"")

    assert answer.display(None).protocol == "sixel"


def test_a_stream_that_is_no_terminal_is_not_queried() -> None:
    code = (
        "from tui_trainer.ui.terminal.graphics_protocol import display, detect_graphics\n"
        "with detect_graphics(): pass\n"
        "import sys; print(display().protocol, 'PIL' in sys.modules, end=' ')\n"
        "print('textual_image' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "blocks False False\n"
    assert done.stderr == ""


def test_an_unknown_protocol_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(graphics_protocol.VARIABLE, "jpeg")

    with pytest.raises(InputError, match=r"jpeg.*auto, kitty, sixel, blocks"), detect_graphics():
        pass


def test_the_library_is_imported_without_a_query() -> None:
    code = (
        "import os, sys\n"
        "from PIL import Image\n"
        "from tui_trainer.ui.terminal.graphics_protocol import Display, picture_widget\n"
        "for way in ('kitty', 'sixel'):\n"
        "    made = picture_widget(Image.new('RGB', (22, 44)), Display(way, (11, 22)))\n"
        "    print(type(made).__module__, type(made).__name__, file=sys.stderr)\n"
        "from textual_image._terminal import get_cell_size\n"
        "print(tuple(get_cell_size()), os.environ.get('TEXTUAL_CELL_WIDTH'), file=sys.stderr)\n"
    )
    with terminal(replying(da1=b"\x1b[?62;4c")) as (end, seen):
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdin=end,
            stdout=end,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
    assert done.stderr.splitlines() == [
        "textual_image.widget TGPImage",
        "textual_image.widget.sixel Image",
        "(11, 22) None",
    ]
    assert bytes(seen) == b""
