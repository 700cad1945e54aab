"""The leaderboard: tables and plots from the records, and the figures of the README."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.benchmarks import leaderboard
from tests.benchmarks.leaderboard import (
    Published,
    Result,
    accuracy_text,
    parameters_plot,
    preset_rows,
    published,
    published_rows,
    recorded,
    time_plot,
)
from tests.benchmarks.preset_records import Record, append, settings_of
from tests.benchmarks.scatter import ACCURACIES, Plane, Point, plane_of, scatter, style
from tests.docs.pages import ROOT, text_of
from tui_trainer.stats.means import mean_interval

ACCURATE = (9_946, 9_944, 9_942)
OTHER = Published("other & sons", "https://example.org", 0.991, "best", "best run", "read", 900)


def records(preset: str, parameters: int, *, jobs: int = 1) -> list[Record]:
    return [
        Record(
            preset=preset,
            settings=settings_of(preset),
            seed=100 + index,
            parameters=parameters,
            epochs=5,
            test_correct=correct,
            test_total=10_000,
            seconds=30.0 + index,
            threads=2,
            jobs=jobs,
            device="cpu",
            torch="2.13.0",
            processor="a processor",
            commit="0123456789ab",
        )
        for index, correct in enumerate(ACCURATE)
    ]


def result(preset: str = "fast", parameters: int = 19_810, *, jobs: int = 1) -> Result:
    return Result(preset, records(preset, parameters, jobs=jobs))


def test_a_row_has_the_mean_its_interval_and_the_seeds() -> None:
    assert preset_rows([result()]) == [
        (
            "`mnist-tui --no-ui --preset fast`",
            "19,810",
            "99.44 % [99.39, 99.49]",
            "99.42 – 99.46",
            "3: 100–102",
            "5",
            "31 s, 2 threads",
        )
    ]
    assert preset_rows([result(jobs=2)])[0][-1] == "31 s, 2 threads, 2 runs at a time"
    assert accuracy_text(mean_interval([0.99])) == "99.00 %"


def test_presets_are_in_the_order_of_their_parameters(tmp_path: Path) -> None:
    for record in (*records("fast", 19_810), *records("tiny", 4_714)):
        append(record, tmp_path)
    assert [each.preset for each in recorded(tmp_path)] == ["tiny", "fast"]


def test_each_published_figure_is_described() -> None:
    for each in published():
        assert each.kind in leaderboard.KINDS
        assert each.url.startswith("https://")
        assert each.figure
        assert each.test
        assert (each.seconds is None) == (each.hardware == "")
        assert each.parameters or each.seconds
    parameters = [each.parameters for each in published() if each.parameters]
    shown = [row[1] for row in published_rows(published()) if row[1]]
    assert shown == [f"{each:,}" for each in sorted(parameters)]


def test_the_plots_have_every_name_and_interval() -> None:
    timed = replace(OTHER, seconds=3.0, hardware="a GPU")
    for plot in (parameters_plot([result()], [OTHER]), time_plot([result()], [timed])):
        root = ElementTree.fromstring(plot)
        texts = [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]
        assert "fast" in texts
        assert any(text.startswith("other & sons") for text in texts)
    # One vertical interval, and in the plot of times also a horizontal one.
    assert parameters_plot([result()], [OTHER]).count("class='line'") == 1
    assert time_plot([result()], [timed]).count("class='line'") == 2
    # A run that shared the processor has no comparable time.
    assert "fast" not in time_plot([result(jobs=2)], [timed])


def test_the_plane_is_logarithmic_and_has_room_for_everything() -> None:
    points = [
        Point("a", 100, 0.99, 0, 0, accuracy_range=(0.979, 0.9931)),
        Point("b", 10_000, 0.992, 0, 0),
    ]
    plane = plane_of(points)
    assert plane == Plane(100 / 1.4, 14_000, 0.975, 0.994)
    assert plane.across(1_000) == pytest.approx((plane.across(100) + plane.across(10_000)) / 2)
    assert plane.down(0.9999) == plane.down(ACCURACIES[6])


def test_names_do_not_cover_one_another() -> None:
    points = [Point(f"name {index}", 1_000, 0.99 + index * 1e-4, 0, 0) for index in range(6)]
    places = re.findall(
        r"<text x='([\d.]+)' y='([\d.]+)' class='name'>name", scatter("a", "b", points, ())
    )
    assert len(set(places)) == 6


def test_the_style_has_the_colors_of_light_and_dark_pages() -> None:
    assert re.findall(r"--paper:(#\w+)", style()) == ["#ffffff", "#0f151f"]


def test_the_readme_and_the_recipes_have_the_recorded_figures() -> None:
    pages = text_of(ROOT / "README.md"), text_of(ROOT / "docs" / "recipes.md")
    for each in recorded():
        pattern = rf"^\| `mnist-tui --no-ui --preset {each.preset}` \|.*$"
        for row in (row for page in pages for row in re.findall(pattern, page, re.MULTILINE)):
            assert accuracy_text(each.accuracy) in row
