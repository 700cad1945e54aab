from __future__ import annotations

import pytest

from tui_trainer.terminal.notifications import MAX_WIDTH, notification

TEXT = "small finished: test 99.41 % [99.24, 99.54], 20 epochs"
OSC_9 = f"\a\x1b]9;mnist-tui: {TEXT}\x1b\\"
OSC_777 = f"\a\x1b]777;notify;mnist-tui;{TEXT}\x1b\\"
BELL = "\a"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ("TERM=xterm-kitty", OSC_9),
        ("TERM=xterm-256color TERM_PROGRAM=iTerm.app", OSC_9),
        ("TERM=xterm-256color LC_TERMINAL=iTerm2", OSC_9),  # over SSH
        ("TERM=xterm-256color TERM_PROGRAM=zed", OSC_9),
        ("TERM=xterm-ghostty", OSC_777),
        ("TERM=xterm-256color TERM_PROGRAM=ghostty", OSC_777),
        ("TERM=wezterm", OSC_777),
        ("TERM=xterm-256color TERM_PROGRAM=WezTerm", OSC_777),
        ("TERM=foot", OSC_777),
        ("TERM=foot-extra", OSC_777),
        ("TERM=contour", OSC_777),
        ("TERM=rxvt-unicode-256color", OSC_777),
        ("TERM=xterm-256color VTE_VERSION=7600", OSC_777),
        ("TERM=xterm-256color VTE_VERSION=4205", BELL),  # prints unknown sequences
        ("TERM=xterm-256color VTE_VERSION=new", BELL),
        ("TERM=xterm-256color VTE_VERSION=" + 5_000 * "9", BELL),
        # In VS Code, started from a terminal of GNOME.
        ("TERM=xterm-256color TERM_PROGRAM=vscode VTE_VERSION=7600", BELL),
        ("TERM=xterm-256color TERM_PROGRAM=Apple_Terminal", BELL),
        ("TERM=xterm-256color WT_SESSION=1", BELL),  # OSC 9 is its progress bar
        ("TERM=xterm-256color ConEmuPID=1", BELL),
        ("WT_SESSION=1", BELL),
        ("TERM=xterm", BELL),
        ("TERM=alacritty", BELL),
        ("TERM=linux", BELL),
        ("TERM=linux VTE_VERSION=7600", BELL),  # a variable of another terminal
        ("TERM=dumb", BELL),
        ("", BELL),
        ("TERM=tmux-256color TERM_PROGRAM=tmux TMUX=/tmp/tmux-0,1,0", BELL),
        ("TERM=xterm-kitty TMUX=/tmp/tmux-0,1,0", BELL),
        ("TERM=screen-256color LC_TERMINAL=iTerm2", BELL),  # over SSH
        ("TERM=xterm-ghostty STY=1.pts-0", BELL),
        ("TERM=xterm-ghostty ZELLIJ=0", BELL),
    ],
)
def test_each_terminal_gets_the_sequence_that_it_shows(environment: str, expected: str) -> None:
    variables = dict(pair.split("=", 1) for pair in environment.split())
    assert notification(TEXT, "auto", variables) == expected
    assert notification(TEXT, "bell", variables) == BELL
    assert notification(TEXT, "off", variables) == ""


@pytest.mark.parametrize("kind", ["xterm-kitty", "foot"])
@pytest.mark.parametrize(
    "text", ["4;1;50", "\x1b\\\x1b[2J", "\a\a", "a\x9cb\x90", "a\nb\r\n", "x\udcffy", "\u202eabc"]
)
def test_no_text_can_end_the_sequence_or_be_a_progress(kind: str, text: str) -> None:
    sequence = notification(text, "auto", {"TERM": kind})
    start = "\a\x1b]9;mnist-tui: " if kind == "xterm-kitty" else "\a\x1b]777;notify;mnist-tui;"
    inside = sequence.removeprefix(start).removesuffix("\x1b\\")
    assert sequence == f"{start}{inside}\x1b\\"
    assert inside.isprintable()
    assert ";" not in inside


def test_a_long_text_is_clipped() -> None:
    sequence = notification("long " * 1_000, "auto", {"TERM": "foot"})
    assert len(sequence) < MAX_WIDTH + 50
    assert "…" in sequence
