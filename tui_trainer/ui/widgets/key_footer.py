"""The footer: the keys that do something here and now."""

from __future__ import annotations

from textual.binding import Binding
from textual.widgets import Footer


class KeyFooter(Footer):
    """Builds its keys anew only if one of them is another.

    Textual rebuilds a footer each time the focus moves or a screen comes to the front, several
    times over: some tenths of a second in which nothing else is painted.
    """

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self._shown: list[tuple[Binding, bool, str]] | None = None

    async def recompose(self) -> None:
        """Show the keys of the screen, once it is in front: till then they change to and fro."""
        if not self.screen.is_current:
            return
        active = self.screen.active_bindings.values()
        keys = [(key.binding, key.enabled, key.tooltip) for key in active if key.binding.show]
        if keys != self._shown:
            self._shown = keys
            await super().recompose()
