"""The pictures of the documents: screenshots as SVG, still or moving."""

from __future__ import annotations

import re
from pathlib import Path

from tests.ui.animation import Frame, frame_of, picture
from tests.ui.png import to_png

SNAPSHOTS = Path(__file__).parent / "__snapshots__" / "test_snapshots"


def frame(name: str, seconds: float = 1.0) -> Frame:
    screenshot = (SNAPSHOTS / f"{name}.svg").read_text(encoding="utf-8")
    return frame_of(screenshot, "q", f"of {name}", seconds)


def words(frame: Frame) -> str:
    return "\n".join("".join(piece.text for piece in row) for row in frame.rows)


def test_a_screenshot_becomes_rows_of_text_and_color() -> None:
    small = frame("test_mid_run[80x24]")
    assert (small.columns, len(small.rows)) == (80, 24)
    assert "19,568 parameters" in words(small).splitlines()[0].replace("\xa0", " ")
    assert re.fullmatch(r"#[0-9a-f]{6}", small.background)


def test_curves_and_frames_are_shapes_and_no_font_is_fetched() -> None:
    svg = picture([frame("test_mid_run[80x24]")])
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert not re.search("[\u2500\u2502\u256d\u2801-\u28ff]", svg)
    assert "animation" not in svg
    assert to_png(svg).startswith(b"\x89PNG")


def test_a_row_that_stays_is_stored_once_and_the_poster_is_seen_where_nothing_moves() -> None:
    one, other = frame("test_mid_run[80x24]", 3.0), frame("test_small_views[layers]")
    svg = picture([one, other, one], poster=1)
    assert len(svg) < len(picture([one])) + len(picture([other])) + 2_000
    assert "7.0s step-end infinite" in svg
    assert "0.00%{visibility:visible}42.86%{visibility:hidden}57.14%{visibility:visible}" in svg
    assert "prefers-reduced-motion" in svg
    # A program that does not animate shows the poster.
    assert to_png(svg) == to_png(picture([other]))
