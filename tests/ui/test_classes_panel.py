from __future__ import annotations

import pytest

from tests.names import CIFAR, HOSTILE
from tui_trainer.text.lines import line_width, plain
from tui_trainer.ui.widgets.classes_panel import class_bars

ACCURACY = (0.9, 0.0, None, 0.5, 0.75, 0.25, 1.0, 0.6, 0.7, 0.8)


def test_bars_begin_in_one_column_after_names_and_numbers() -> None:
    lines = plain(class_bars(ACCURACY, 60, 20, CIFAR))

    assert lines[0].startswith("airplane     10.00 %")
    assert lines[1].startswith("automobile  100.00 %")
    assert len({line.index("%") for line in lines}) == 1
    assert not any(line.startswith("bird") for line in lines)  # it has no images
    assert plain(class_bars(ACCURACY[:1], 40, 20))[0].startswith("0  10.00 %")


@pytest.mark.parametrize("width", [24, 38, 60, 90])
@pytest.mark.parametrize("names", [(), CIFAR, HOSTILE])
def test_lines_fit_the_panel(names: tuple[str, ...], width: int) -> None:
    for height in (3, 20):
        lines = class_bars(ACCURACY, width, height, names)
        assert len(lines) == min(height, 9)
        assert len({line_width(line) for line in lines}) == 1
        assert line_width(lines[0]) <= width
