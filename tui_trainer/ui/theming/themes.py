"""Color themes: those that ship with the app, and the user's."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.protocol.toml_file import suggestion
from tui_trainer.ui.theming.roles import ROLES, LabTheme, role_defaults
from tui_trainer.ui.theming.theme_file import load_theme

__all__ = [
    "DEFAULT_THEME",
    "ROLES",
    "LabTheme",
    "available",
    "find",
    "load_theme",
    "role_defaults",
    "shipped_dir",
    "user_dir",
]

DEFAULT_THEME = "midnight"


def shipped_dir() -> Path:
    """Return the folder of the shipped themes: in the package, or in the checkout."""
    package = Path(__file__).resolve().parents[2]
    packaged = package / "_themes"
    return packaged if packaged.is_dir() else package.parent / "themes"


def user_dir() -> Path:
    """Return the folder of the user's themes; it may not exist."""
    return platformdirs.user_config_path("mnist-tui") / "themes"


def available(user: Path | None = None) -> tuple[dict[str, LabTheme], list[str]]:
    """Return all valid themes by name, and one line for each invalid theme file.

    Args:
        user: The folder of the user's themes, which override shipped ones of the same name; by
            default :func:`user_dir`.
    """
    themes, broken = _scan(shipped_dir())
    user_themes, user_broken = _scan(user or user_dir())
    problems = [str(error) for error in (*broken.values(), *user_broken.values())]
    return dict(sorted({**themes, **user_themes}.items())), problems


def find(name: str, user: Path | None = None) -> LabTheme:
    """Return a theme by name or path.

    Args:
        name: A theme's name, or the path of a theme file: it contains a separator or ends in
            ``.toml``.
        user: As for :func:`available`.

    Raises:
        InputError: If there is no such theme (the message lists all themes), or it is invalid.
    """
    if name.endswith(".toml") or Path(name).name != name:
        # Not Path.expanduser, which raises if the home does not exist.
        return load_theme(Path(os.path.expanduser(name)))
    known: set[str] = set()
    problems: list[str] = []
    for folder in (user or user_dir(), shipped_dir()):
        themes, broken = _scan(folder)
        if name in themes:
            return themes[name]
        # An invalid user file is reported, even if a shipped theme has the same name.
        if name in broken:
            raise broken[name]
        known |= themes.keys()
        problems += [f"; or fix {error}" for error in broken.values()]
    problem = f"unknown theme {name!r}{suggestion(name, known)}"
    choices = f"choose {', '.join(sorted(known))} or the path of a .toml file"
    raise InputError(f"{problem}; {choices}{''.join(problems)}")


def _scan(folder: Path) -> tuple[dict[str, LabTheme], dict[str, InputError]]:
    """Load a folder: valid themes by name, and the errors of the others by file name."""
    themes: dict[str, LabTheme] = {}
    broken: dict[str, InputError] = {}
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except FileNotFoundError:
        paths = []
    except OSError as error:
        return {}, {"": path_error(folder, f"cannot be read: {reason(error)}")}
    for path in paths:
        try:
            theme = load_theme(path, taken=themes)
        except InputError as error:
            broken[path.stem] = error
        else:
            themes[theme.name] = theme
    return themes, broken
