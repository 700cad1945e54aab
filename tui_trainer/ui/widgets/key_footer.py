"""The footer: the keys that are active now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import ActiveBinding, Binding
from textual.events import Click, MouseMove
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from tui_trainer.text.fmt import columns
from tui_trainer.ui.keys.binding import key_text
from tui_trainer.ui.keys.keymap import FIRST_TO_GO, with_keys

ROOMY = 100
"""Minimum columns for wider spacing between keys."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the footer: a key or its label.

    Attributes:
        text: The text, with spaces.
        action: The action of the key.
        presses: The key that a click presses; empty for the label of a group.
        tooltip: The tooltip.
        is_key: Whether it is a key, not a label.
        is_enabled: Whether the key has an effect now.
    """

    text: str
    action: str
    presses: str
    tooltip: str
    is_key: bool
    is_enabled: bool


class KeyFooter(Widget):
    """The keys in one line, painted only if they change.

    Textual's Footer has a widget per key, and recreates all of them whenever the focus or the
    screen
    changes: this blocks painting for some tenths of a second.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"key-footer--key", "key-footer--name"}
    DEFAULT_CSS = """
    KeyFooter {
        dock: bottom;
        height: 1;
        color: $footer-foreground;
        background: $footer-background;
        pointer: pointer;

        .key-footer--key {
            color: $footer-key-foreground;
            background: $footer-key-background;
            text-style: bold;
        }

        .key-footer--name {
            color: $footer-description-foreground;
            background: $footer-description-background;
        }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[Piece] = []
        self._strip: Strip | None = None

    def on_mount(self) -> None:
        """Subscribe to changes of the bindings and the theme."""
        self.screen.bindings_updated_signal.subscribe(self, self._follow)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._repaint())

    def on_resize(self) -> None:
        """Choose the keys that fit."""
        self.update()

    def _follow(self, screen: Screen[object]) -> None:
        self.call_after_refresh(self.update)

    def update(self) -> None:
        """Show the keys of the screen, if it is the current one."""
        if not self.is_attached or not self.screen.is_current:
            return
        active = [key for key in self.screen.active_bindings.values() if key.binding.show]
        # Textual moves bindings with custom keys to the end of their node: restore the order.
        nodes = list(dict.fromkeys(key.node for key in active))
        active.sort(key=lambda key: (nodes.index(key.node), _place(key)))
        parts: dict[str, list[tuple[Binding, bool]]] = {}
        actions: set[str] = set()
        for _, binding, is_enabled, _ in active:
            # Show only the first of several bindings of one action.
            if binding.action not in actions:
                actions.add(binding.action)
                parts.setdefault(_part(binding), []).append((binding, is_enabled))
        laid = {name: self._laid(keys) for name, keys in parts.items()}
        for name in FIRST_TO_GO:
            if sum(map(_width, laid.values())) - 1 <= self.size.width:
                break
            laid.pop(name, None)
        pieces = [piece for part in laid.values() for piece in part]
        if pieces != self.pieces:
            self.pieces = pieces
            self._repaint()

    def _laid(self, keys: Sequence[tuple[Binding, bool]]) -> list[Piece]:
        """Return the keys of one action or group, followed by their label."""
        lead = "" if self.size.width < ROOMY else " "
        first, is_enabled = keys[0]
        group = first.group if len(keys) > 1 else None
        texts = [key_text(binding.key) for binding, _ in keys]
        gap = "" if max(map(len, texts)) == 1 else " "
        pieces = [
            Piece(
                f"{gap if number else lead}{text}",
                binding.action,
                binding.key,
                self._limit(binding.action) or with_keys(binding.tooltip),
                True,
                enabled,
            )
            for number, ((binding, enabled), text) in enumerate(zip(keys, texts, strict=True))
        ]
        if group is not None:
            is_possible = any(enabled for _, enabled in keys)
            name = Piece(f" {group.description} ", "", "", "", False, is_possible)
        else:
            text = f" {first.description} "
            name = Piece(text, first.action, first.key, with_keys(first.tooltip), False, is_enabled)
        return [*pieces, name]

    def _limit(self, action: str) -> str:
        """Return why the run cannot do what a key asks for; empty if it can."""
        limit: Callable[[str], str] | None = getattr(self.app, "limit", None)
        return "" if limit is None else limit(action)

    def _repaint(self) -> None:
        self._strip = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the line."""
        if self._strip is None:
            ground = self.rich_style
            key, name = (
                ground + self.get_component_rich_style(f"key-footer--{part}")
                for part in ("key", "name")
            )
            dim = Style(dim=True)
            line = [
                Segment(p.text, (key if p.is_key else name) + (Style() if p.is_enabled else dim))
                for p in self.pieces
            ]
            self._strip = Strip(line).adjust_cell_length(self.size.width, ground)
        return self._strip

    def on_click(self, event: Click) -> None:
        """Press the clicked key."""
        piece = self._at(event.x)
        if piece is not None and not piece.is_enabled and not self._limit(piece.action):
            self.app.bell()
        elif piece is not None and piece.presses:
            self.app.simulate_key(piece.presses)

    def on_mouse_move(self, event: MouseMove) -> None:
        """Show the tooltip of the key under the mouse."""
        piece = self._at(event.x)
        tooltip = piece.tooltip if piece is not None else ""
        if tooltip != (self.tooltip or ""):
            self.tooltip = tooltip or None

    def _at(self, x: int) -> Piece | None:
        """Return the piece in a column."""
        for piece in self.pieces:
            x -= columns(piece.text)
            if x < 0:
                return piece
        return None


def _place(key: ActiveBinding) -> int:
    """Return the declared position of a binding in its node."""
    declared = [(binding.id, binding.action) for _, binding in key.node._bindings]
    return declared.index((key.binding.id, key.binding.action))


def _width(part: Sequence[Piece]) -> int:
    return sum(columns(piece.text) for piece in part)


def _part(key: Binding) -> str:
    """Return the part of the footer for a key: the name of its group, or its action."""
    return key.action if key.group is None else key.group.description
