from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.lines import Line2D

from tests.export.facts import TEST, short_run
from tests.protocol.facts import changed, epoch_done, started, step
from tui_trainer.export import curve_picture
from tui_trainer.export.curves import write_picture
from tui_trainer.export.ticks import accuracy_ticks, from_nines, nines
from tui_trainer.history.history import History
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event

SVG = "{http://www.w3.org/2000/svg}"


def history_of(events: Iterable[Event]) -> History:
    return History.of(events)


def points_of(line: Line2D) -> list[tuple[float, float]]:
    x, y = (np.asarray(values, dtype=float).tolist() for values in line.get_data(orig=True))
    return list(zip(x, y, strict=True))


def texts_in(path: Path) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.parse(path).iter(f"{SVG}text")]


def test_the_picture_shows_model_data_and_results(tmp_path: Path) -> None:
    write_picture(short_run(), tmp_path / "run.svg")

    texts = texts_in(tmp_path / "run.svg")
    assert "era-s6 · 19,568 parameters · mnist, 1,000 training images" in texts
    assert "validation 90.00 % [87.00, 92.00]" in texts
    assert "test 99.00 % [96.00, 99.80]" in texts
    assert "test 0.0300" in texts
    assert "lr 0.1 → 0.05" in texts


def test_a_png_is_a_png_whatever_the_case_of_its_name(tmp_path: Path) -> None:
    write_picture(short_run(), tmp_path / "run.PNG")

    assert (tmp_path / "run.PNG").read_bytes().startswith(b"\x89PNG\r\n")
    assert os.listdir(tmp_path) == ["run.PNG"]


@pytest.mark.slow
def test_the_same_events_give_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    """Another process needs neither torch nor the window for it."""
    code = (
        "import pathlib, sys, tests.export.facts as f, tui_trainer.export.curves as c;"
        "[c.write_picture(f.short_run(), pathlib.Path(path)) for path in sys.argv[1:]];"
        "assert not {'torch', 'matplotlib.pyplot'} & sys.modules.keys()"
    )
    there, here = ([tmp_path / f"{at}.svg", tmp_path / f"{at}.png"] for at in ("there", "here"))
    subprocess.run([sys.executable, "-c", code, *there], check=True, timeout=60)
    for path in here:
        write_picture(short_run(), path)

    assert [path.read_bytes() for path in here] == [path.read_bytes() for path in there]


def test_user_settings_neither_change_the_picture_nor_are_changed(tmp_path: Path) -> None:
    write_picture(short_run(), tmp_path / "plain.svg")
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path"}):
        write_picture(short_run(), tmp_path / "own.svg")
        assert matplotlib.rcParams["svg.fonttype"] == "path"

    assert (tmp_path / "own.svg").read_bytes() == (tmp_path / "plain.svg").read_bytes()


def test_a_datasets_name_is_no_formula(tmp_path: Path) -> None:
    events: list[Event] = [started(dataset="a$b_$c"), step(1)]
    write_picture(events, tmp_path / "run.svg")

    assert any("a$b_$c" in text for text in texts_in(tmp_path / "run.svg"))


def test_another_ending_is_refused_with_the_two_that_work(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"run\.pdf: choose a file name that ends in \.png or \.svg"
    ):
        write_picture(short_run(), tmp_path / "run.pdf")


@pytest.mark.parametrize("events", [[], [started()], [step(1)]])
def test_without_a_trained_batch_there_is_nothing_to_draw(
    tmp_path: Path, events: list[Event]
) -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        write_picture(events, tmp_path / "run.png")

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "events",
    [
        [step(1)],
        [step(1, loss=float("nan"))],
        [step(1, loss=0.0, accuracy=1.0), step(2, loss=1e30, accuracy=0.0)],
        [step(1), epoch_done(val_loss=None, val_accuracy=None, val_interval=None)],
        [step(1), epoch_done(val_loss=float("nan"), val_accuracy=1.0, val_interval=(0.99, 1.0))],
        [step(1), replace(TEST, test_loss=float("inf"), test_accuracy=1.0)],
    ],
    ids=["one batch", "nan", "zero and huge", "no validation", "nan validation", "inf test"],
)
@pytest.mark.filterwarnings("error")
def test_strange_runs_are_drawn_without_a_warning(tmp_path: Path, events: list[Event]) -> None:
    write_picture([started(), *events], tmp_path / "run.svg")

    assert "accuracy (%)" in texts_in(tmp_path / "run.svg")


# --- positions in the picture


def test_points_stand_at_their_epoch_with_wilsons_bars() -> None:
    loss, accuracy = curve_picture.draw(history_of(short_run())).axes

    assert loss.get_yscale() == "log"
    (bars,) = accuracy.containers
    points, (lower, upper), (lines,) = bars
    assert points_of(points) == [(1, 0.9), (2, 0.9), (3, 0.9)]
    assert [y for _, y in points_of(lower)] == pytest.approx([0.87] * 3)
    assert [y for _, y in points_of(upper)] == pytest.approx([0.92] * 3)
    assert len(lines.get_segments()) == 3
    (test,) = (line for line in accuracy.lines if line.get_marker() == "D")
    assert points_of(test) == [(3.0, 0.99)]


def test_everything_that_counts_is_within_the_axes() -> None:
    for axes in curve_picture.draw(history_of(short_run())).axes:
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        for line in axes.lines:
            if line.get_linestyle() in ("-", "None"):
                for x, y in points_of(line):
                    assert left <= x <= right
                    assert bottom <= y <= top


def test_an_intervention_is_a_line_on_both_panels() -> None:
    for axes in curve_picture.draw(history_of(short_run())).axes:
        assert [(1.4, 0), (1.4, 1)] in [points_of(line) for line in axes.lines]


def test_interventions_far_apart_have_a_label_each() -> None:
    changes = [
        changed("base_lr", 0.1, 0.05, images=500),
        changed("batch_size", 128, 1_024, images=1_500),
        changed("augmentation", 1, 0, images=2_500),
    ]
    assert curve_picture.labels(history_of([started(), step(30), *changes])) == [
        (0.5, "lr 0.1 → 0.05"),
        (1.5, "batch 128 → 1,024"),
        (2.5, "augmentation on → off"),
    ]


def test_interventions_close_together_share_a_label_from_first_to_last_value() -> None:
    changes = [
        changed("base_lr", 0.1, 0.05, images=2_000),
        changed("dropout", 0.0, 0.05, images=2_010),
        changed("base_lr", 0.05, 0.02, images=2_050),
    ]
    events: list[Event] = [started(), step(30), *changes]

    assert curve_picture.labels(history_of(events)) == [(2.05, "lr 0.1 → 0.02 · dropout 0 → 0.05")]


def test_labels_are_never_nearer_than_their_room_or_longer_than_the_panel() -> None:
    settings = ("base_lr", "batch_size", "augmentation", "dropout")
    changes = [changed(settings[n % 4], 1, 2, images=n * n) for n in range(1, 60)]
    events: list[Event] = [started(), step(40), *changes]

    message = curve_picture.labels(history_of(events))

    assert 1 < len(message) < len(changes)
    gaps = np.diff([x for x, _ in message])
    assert gaps.min() > curve_picture.LABEL_ROOM * 4
    assert max(len(words) for _, words in message) == curve_picture.LABEL_LENGTH


def test_each_nine_is_as_far_as_the_last_and_all_has_a_place() -> None:
    heights = nines(np.array([0.0, 0.9, 0.99, 0.999]))
    assert list(heights) == pytest.approx([0, 1, 2, 3])
    assert from_nines(heights) == pytest.approx([0.0, 0.9, 0.99, 0.999])
    assert np.isfinite(nines(np.array(1.0)))


@pytest.mark.parametrize(("bottom", "top"), [(0, 10), (0, 100), (0, 99), (95, 99.5), (99.9, 100)])
def test_ticks_reach_from_end_to_end_and_keep_apart(bottom: float, top: float) -> None:
    ticks = accuracy_ticks(bottom, top)

    assert (ticks[0], ticks[-1]) == (bottom, top)
    heights = nines(np.array(ticks) / 100)
    assert np.diff(heights).min() > 0.05 * (heights[-1] - heights[0])
