"""Color roles: the meanings of colors in this app, with a color for each in any theme."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from textual.color import BLACK, WHITE, Color, rgb_to_lab
from textual.theme import Theme

# Sources of a role that a theme does not define: the theme's base colors with the closest meaning,
# then the role's usual hue.
_CURVES: Mapping[str, tuple[str, ...]] = {
    "role-train": ("primary", "#7cc1fa"),
    "role-validation": ("warning", "accent", "secondary", "#f3a05c"),
    "role-test": ("accent", "secondary", "#c079db"),
    "role-intervention": ("success", "#c6e67d"),
}
_SEVERITIES: Mapping[str, tuple[str, str]] = {
    "role-ok": ("success", "#45c9a1"),
    "role-warning": ("warning", "#f2c864"),
    "role-error": ("error", "#f06a77"),
}
_QUIET = ("role-train-band", "role-axis", "role-muted", "role-border", "role-title")

# The runs of a chart with several, in the order in which they are given; hues after Okabe and Ito,
# "Color Universal Design" (2008).
_RUNS: Mapping[str, str] = {
    "role-run-1": "#5cb3f2",
    "role-run-2": "#f0a030",
    "role-run-3": "#2fbf8f",
    "role-run-4": "#d88ac0",
    "role-run-5": "#e8dc50",
    "role-run-6": "#f0704a",
    "role-run-7": "#8f8ff5",
    "role-run-8": "#b8b8b8",
}
RUN_ROLES: tuple[str, ...] = tuple(role.removeprefix("role-") for role in _RUNS)
"""The roles of runs in a chart of several runs, without the prefix of their variables."""

ROLES: tuple[str, ...] = (*_CURVES, *_SEVERITIES, *_QUIET, *_RUNS)
"""All color roles; each one is a ``$variable`` in every theme."""

# CIE76 distance in Lab above which two colors are clearly different; 2.3 is just noticeable.
_MIN_DISTANCE = 40.0
# WCAG 2.2, success criterion 1.4.3: the least contrast of text with its background.
_TEXT_CONTRAST = 4.5


@dataclass
class LabTheme(Theme):
    """A Textual theme in which every one of ``ROLES`` is a solid ``#RRGGBB`` variable.

    Attributes:
        description: One line about the theme, for lists of themes.
    """

    description: str = ""


def role_defaults(theme: Theme) -> dict[str, str]:
    """Derive a color for every role from the base colors of any Textual theme.

    The four curves are clearly different from each other, and text has a contrast of at least 4.5:1
    with the background.
    """
    colors = theme.to_color_system().generate()
    ground = _rgb(colors["background"], BLACK if theme.dark else WHITE)
    ink = _rgb(colors["foreground"], WHITE if theme.dark else BLACK)
    roles = _curves(theme, ground)
    for role, (source, usual) in _SEVERITIES.items():
        roles[role] = _legible(_rgb(getattr(theme, source) or usual), ground)
    roles["role-train-band"] = roles["role-train"].blend(ground, 0.6)
    roles["role-axis"] = _legible(ink.blend(ground, 0.45), ground)
    roles["role-muted"] = _legible(ink.blend(ground, 0.35), ground)
    roles["role-border"] = ink.blend(ground, 0.7)
    roles["role-title"] = _legible(ink, ground)
    roles |= {role: _legible(Color.parse(usual), ground) for role, usual in _RUNS.items()}
    return {role: roles[role].hex6 for role in ROLES}


def _curves(theme: Theme, ground: Color) -> dict[str, Color]:
    """Give each curve the first of its colors that is far from those of earlier curves."""
    spare = [sources[-1] for sources in _CURVES.values()]
    taken: dict[str, Color] = {}

    def distance(color: Color) -> float:
        one, others = rgb_to_lab(color), map(rgb_to_lab, taken.values())
        distances = (math.hypot(one.L - lab.L, one.a - lab.a, one.b - lab.b) for lab in others)
        return min(distances, default=_MIN_DISTANCE)

    for role, sources in _CURVES.items():
        named = (getattr(theme, source, source) for source in (*sources, *spare))
        colors = [_legible(_rgb(text), ground) for text in named if text]
        free = (color for color in colors if distance(color) >= _MIN_DISTANCE)
        taken[role] = next(free, None) or max(colors, key=distance)
    return taken


def _rgb(text: str, terminal: Color = BLACK) -> Color:
    """Return a color as RGB; ``terminal`` stands for the terminal's default color."""
    color = Color.parse(text)
    return terminal if color.ansi == -1 else Color(*color.rgb)


def _legible(color: Color, ground: Color) -> Color:
    """Lighten or darken a color until it is legible as text on the background."""
    end, sign = (WHITE, 1) if _luminance(ground) < 0.18 else (BLACK, -1)
    shades = (color.lighten(sign * step / 50) if step else color for step in range(50))
    return next((shade for shade in shades if _contrast(shade, ground) >= _TEXT_CONTRAST), end)


def _contrast(one: Color, other: Color) -> float:
    """Return the contrast ratio of two colors, from 1 to 21 (WCAG 2.2, "contrast ratio")."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: Color) -> float:
    """Return the relative luminance, from 0 to 1 (WCAG 2.2, "relative luminance")."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in color.normalized
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
