from __future__ import annotations

import math

import pytest
from textual.theme import BUILTIN_THEMES, Theme

from tests.ui.colors import CURVES, SEVERITIES, contrast, nearest, oklab
from tui_trainer.ui.theming.roles import ROLES, role_defaults


def test_measures_agree_with_known_values() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.01)
    assert oklab("#ffffff", "deuteranopia") == pytest.approx((1, 0, 0), abs=1e-3)
    assert math.dist(oklab("#d00000"), oklab("#6b5600")) > 0.15
    assert math.dist(oklab("#d00000", "protanopia"), oklab("#6b5600", "protanopia")) < 0.15


@pytest.mark.parametrize("theme", BUILTIN_THEMES.values(), ids=list(BUILTIN_THEMES))
def test_derived_roles_suit_any_theme(theme: Theme) -> None:
    roles = role_defaults(theme)
    ground = theme.to_color_system().generate()["background"]
    if ground == "ansi_default":
        ground = "#000000" if theme.dark else "#ffffff"
    assert tuple(roles) == ROLES
    assert nearest(roles, CURVES)[0] >= 0.085
    for role in (*CURVES, *SEVERITIES, "role-axis", "role-muted", "role-title"):
        assert contrast(roles[role], ground) >= 4.5, role
