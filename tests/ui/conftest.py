from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual import _wait
from textual.css.stylesheet import Stylesheet

from tui_trainer.protocol.errors import InputError
from tui_trainer.ui.theming import themes

_PARSED: dict[tuple[Any, ...], Any] = {}


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
def _wait_less_for_idle() -> None:
    """Pilot sleeps after each key until the app is idle: 10 ms of it are enough, not 20."""
    _wait.SLEEP_GRANULARITY, _wait.SLEEP_IDLE = 0.01, 0.0005


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep a developer's own settings out of the tests."""
    for name in ("NO_COLOR", "TEXTUAL_THEME", "TEXTUAL_COLOR_SYSTEM", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
