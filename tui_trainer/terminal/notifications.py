"""Notifications: the bell, and where the terminal shows it, a text on the desktop.

Two escape sequences show a text: OSC 9 (of iTerm2) and OSC 777 (of an extension of urxvt). No query
tells which one a terminal understands, so its name decides. A terminal that is not known to show
one gets the bell alone: some print a sequence that they do not know, and for ConEmu and Windows
Terminal OSC 9 with a number is a progress bar.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from tui_trainer.text.fmt import clip, one_line

CHOICES = ("auto", "bell", "off")

TITLE = "mnist-tui"

MAX_WIDTH = 200
"""The maximum width of a text, in terminal columns."""

BELL = "\a"

_OSC_9 = "\x1b]9;{title}: {text}\x1b\\"
_OSC_777 = "\x1b]777;notify;{title};{text}\x1b\\"

_BY_TERM = {
    "xterm-kitty": _OSC_9,
    "xterm-ghostty": _OSC_777,
    "wezterm": _OSC_777,
    "foot": _OSC_777,
    "contour": _OSC_777,
    "rxvt-unicode": _OSC_777,
}
"""How ``TERM`` begins: SSH passes it on, unlike the other variables."""

_BY_PROGRAM = {
    "iTerm.app": _OSC_9,
    "kitty": _OSC_9,
    "zed": _OSC_9,
    "WezTerm": _OSC_777,
    "ghostty": _OSC_777,
}
"""``TERM_PROGRAM``; a program that is not listed here gets the bell."""

_MULTIPLEXERS = ("TMUX", "STY", "ZELLIJ")
"""Their variables; ``TERM`` names them after SSH. They pass on a bell, but no unknown sequence."""

_VTE_IGNORES_UNKNOWN = 4_600
"""From this ``VTE_VERSION`` on, VTE does not print an OSC 777 that it does not show."""


def notification(text: str, how: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return what to write to the terminal to notify the user; empty if ``how`` is ``off``.

    Args:
        text: The text of the notification.
        how: ``auto``, ``bell`` (never a text) or ``off``.
        environment: The environment variables, which name the terminal.
    """
    if how == "off":
        return ""
    sequence = _sequence(environment) if how == "auto" else ""
    return BELL + sequence.format(title=TITLE, text=_safe(text))


def _sequence(environment: Mapping[str, str]) -> str:
    """Return the template of the escape sequence for this terminal; empty for the bell alone."""
    kind = environment.get("TERM", "")
    if kind.startswith(("tmux", "screen")) or any(map(environment.get, _MULTIPLEXERS)):
        return ""
    for name, sequence in _BY_TERM.items():
        if kind.startswith(name):
            return sequence
    if program := environment.get("TERM_PROGRAM"):
        return _BY_PROGRAM.get(program, "")
    if not kind.startswith("xterm"):
        return ""
    if environment.get("LC_TERMINAL") == "iTerm2":
        return _OSC_9
    version = environment.get("VTE_VERSION", "")
    is_vte = version.isascii() and version.isdigit() and len(version) < 8
    return _OSC_777 if is_vte and int(version) >= _VTE_IGNORES_UNKNOWN else ""


def _safe(text: str) -> str:
    """Return a text that cannot end the sequence, start another one, or add a field to it."""
    return clip(one_line(text).replace(";", ","), MAX_WIDTH)
