"""The footer: the keys that do something here and now."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import Footer
from textual.widgets._footer import FooterKey, FooterLabel

from tui_trainer.ui.keymap import FIRST_TO_GO


class KeyFooter(Footer):
    """Builds its keys anew only if one of them is another.

    Textual rebuilds a footer each time the focus moves or a screen comes to the front, several
    times over: some tenths of a second in which nothing else is painted.
    """

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self._shown: tuple[list[tuple[Binding, bool, str]], set[str]] | None = None

    async def recompose(self) -> None:
        """Show the keys of the screen, once it is in front: till then they change to and fro."""
        if not self.screen.is_current:
            return
        active = self.screen.active_bindings.values()
        keys = [(key.binding, key.enabled, key.tooltip) for key in active if key.binding.show]
        shown = (keys, self._without_room([key for key, _, _ in keys]))
        if shown != self._shown:
            self._shown = shown
            await super().recompose()

    def compose(self) -> ComposeResult:
        """The keys that there is room for."""
        keys, left_out = self._shown or ([], set())
        gone = {key.action for key, _, _ in keys if _part(key) in left_out}
        for part in super().compose():
            if isinstance(part, FooterKey) and part.action in gone:
                continue
            if isinstance(part, FooterLabel) and str(part.content) in left_out:
                continue
            yield part

    def _without_room(self, keys: Sequence[Binding]) -> set[str]:
        """Return the actions, and the names of groups, whose keys do not fit into the window."""
        left_out: set[str] = set()
        parts: dict[str, int] = {}
        blanks = 2 if self.compact else 3
        # Of several keys for one action the footer has the first.
        for key in {key.action: key for key in reversed(keys)}.values():
            named = key.description if key.group is None else key.group.description
            # The name has blanks on either side; the keys of a group share one name.
            parts[_part(key)] = parts.get(_part(key), len(named) + blanks) + len(
                self.app.get_key_display(key)
            )
        for action in FIRST_TO_GO:
            if sum(parts.values()) - 1 <= self.size.width:
                break
            if parts.pop(action, None) is not None:
                left_out.add(action)
        return left_out


def _part(key: Binding) -> str:
    """Return what a key stands under in the footer: its group's name, or its own action."""
    return key.action if key.group is None else key.group.description
