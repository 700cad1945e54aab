from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual import _wait
from textual.app import App
from textual.css.stylesheet import Stylesheet
from textual.screen import Screen

from tui_trainer.protocol.commands import Command, Inbox, Stop
from tui_trainer.protocol.errors import InputError
from tui_trainer.ui.theming import themes

_PARSED: dict[tuple[Any, ...], Any] = {}
_REFRESH = Screen._compositor_refresh


@pytest.fixture(autouse=True, scope="session")
def _parse_each_style_once() -> None:
    """Share parsed styles: each app parses the same ones, which takes a sixth of its start."""
    parse = Stylesheet._parse_rules

    def once(self: Stylesheet, *style: Any, **more: Any) -> Any:
        key = (*style, *more.items(), *self._variables.items())
        if key not in _PARSED:
            _PARSED[key] = parse(self, *style, **more)
        return _PARSED[key]

    Stylesheet._parse_rules = once  # type: ignore[method-assign]


@pytest.fixture(autouse=True, scope="session")
def _read_shipped_themes_once() -> None:
    """Each app reads the themes of the program and checks all of their colors."""
    scan, shipped = themes._scan, themes.shipped_dir()
    found, problems = scan(shipped)

    def once(folder: Path) -> tuple[dict[str, themes.LabTheme], dict[str, InputError]]:
        return scan(folder) if folder != shipped else ({**found}, {**problems})

    themes._scan = once


@pytest.fixture(autouse=True, scope="session")
def _draw_the_last_frame() -> None:
    """Nobody sees the frames of a window without a terminal, which take a quarter of its time.

    Each window draws itself once, at its end.
    """
    shutdown = App._shutdown

    def skip(self: Screen[Any]) -> None:
        if self is not self.app.screen or not self.app.is_headless or self.app.is_inline:
            _REFRESH(self)
            return
        self._dirty_widgets.clear()
        self.app._update_mouse_over(self)

    async def draw(self: App[Any]) -> None:
        if self._running and self.is_headless and self._screen_stack:
            self.screen._compositor.render_full_update()
        await shutdown(self)

    Screen._compositor_refresh = skip  # type: ignore[method-assign]
    App._shutdown = draw  # type: ignore[method-assign]


@pytest.fixture
def every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw all frames: for what a frame itself sends to the terminal."""
    monkeypatch.setattr(Screen, "_compositor_refresh", _REFRESH)


@pytest.fixture(autouse=True, scope="session")
def _wait_less_for_idle() -> None:
    """Pilot sleeps after each key until the app is idle: 10 ms of it are enough, not 20."""
    _wait.SLEEP_GRANULARITY, _wait.SLEEP_IDLE = 0.01, 0.0005


@pytest.fixture(autouse=True)
def _no_thread_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End the engines of windows that a test leaves open: a waiting thread keeps its window."""
    inboxes: list[Inbox] = []
    make = Inbox.__init__

    def made(inbox: Inbox, *commands: Command) -> None:
        make(inbox, *commands)
        inboxes.append(inbox)

    monkeypatch.setattr(Inbox, "__init__", made)
    yield
    for inbox in inboxes:
        inbox.send(Stop())
        inbox.send(Stop())  # After the end of a run, its engine answers until it is stopped again.


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep a developer's own settings out of the tests."""
    for name in ("NO_COLOR", "TEXTUAL_THEME", "TEXTUAL_COLOR_SYSTEM", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
