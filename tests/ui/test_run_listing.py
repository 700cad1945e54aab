from __future__ import annotations

from pathlib import Path

import pytest

from tests.ui.fakes import recording, run_folder
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.folder import RunFolder, list_runs
from tui_trainer.recording.run_table import COLUMNS
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import plain
from tui_trainer.ui.runs import run_listing
from tui_trainer.ui.runs.run_listing import ListedGroup, RunListing, key_of
from tui_trainer.ui.widgets.run_list import ListTable, list_cells, list_table, mark_cells

FINISHED, PAUSED = recording("finished"), recording("paused")


def config(folder: RunFolder, text: str) -> None:
    folder.config.write_text(text, encoding="utf-8")


@pytest.fixture
def listing(tmp_path: Path) -> RunListing:
    """Four runs of two learning rates, and a damaged one; the latest first."""
    for hour, (lr, events) in enumerate(
        ((0.1, FINISHED), (0.1, PAUSED), (0.2, FINISHED), (0.2, FINISHED)), 10
    ):
        folder = run_folder(tmp_path / f"2026-11-22-{hour}15-run", events)
        config(folder, f'model = "small"\nlr = {lr}\nepochs = 7\n')
    damaged = run_folder(tmp_path / "2026-11-22-0915-bad", FINISHED)
    damaged.summary.write_text("{", encoding="utf-8")
    found = RunListing()
    found.set_runs(list_runs(tmp_path))
    return found


def names(listing: RunListing) -> list[str]:
    return [row.name for row in listing.rows]


def texts(table: ListTable) -> list[list[str]]:
    return [[cell.text.strip() for cell in cells] for _, cells in table.rows]


def table(listing: RunListing, width: int = 200) -> ListTable:
    return list_table(listing, width=width, gap=2, live_folder=None)


def line(cells: list[Cell]) -> str:
    return plain([cells])[0]


def test_runs_are_filtered_and_sorted(listing: RunListing) -> None:
    assert names(listing)[0] == "2026-11-22-1315-run"
    listing.set_filter("state = completed and lr = 0.2")
    assert names(listing) == ["2026-11-22-1315-run", "2026-11-22-1215-run"]
    assert "2 of 5 runs · filter state = completed and lr = 0.2" in line(list_cells(listing, False))
    listing.set_sort("name")
    assert names(listing) == ["2026-11-22-1215-run", "2026-11-22-1315-run"]
    assert table(listing).heads["name"].strip() == "run ▲"
    with pytest.raises(InputError, match="unknown field"):
        listing.set_filter("stat = completed")
    assert len(listing.rows) == 2  # a wrong filter changes nothing


def test_groups_have_means_and_unfold(listing: RunListing) -> None:
    listing.set_filter("state = completed")
    listing.set_group("lr")
    assert names(listing) == ["lr 0.1", "lr 0.2"]
    cells = texts(table(listing))
    assert cells[0][0] == "▸ lr 0.1 (1)"
    assert cells[1][0] == "▸ lr 0.2 (2)"
    group = listing.rows[1]
    listing.opened.add(key_of(group))
    listing.arrange()
    assert names(listing)[2:] == ["2026-11-22-1315-run", "2026-11-22-1215-run"]
    assert texts(table(listing))[1][0] == "▾ lr 0.2 (2)"


def test_groups_are_sorted_by_their_means(listing: RunListing) -> None:
    listing.set_filter("state = completed")
    listing.set_columns(("name", "state"))  # the field need not be shown
    listing.set_group("lr")
    listing.set_sort("-lr")
    assert names(listing) == ["lr 0.2", "lr 0.1"]
    listing.set_sort("time")
    assert {*names(listing)} == {"lr 0.1", "lr 0.2"}


def test_names_of_groups_omit_what_they_have_in_common(listing: RunListing) -> None:
    listing.set_filter("not state = damaged")
    listing.set_group("recipe")
    assert names(listing) == ["small", "small lr=0.2"]  # not epochs=7
    listing.set_filter("lr = 0.2")
    assert names(listing) == ["small epochs=7 lr=0.2"]


def test_the_mean_is_over_the_runs_that_have_a_value(listing: RunListing) -> None:
    listing.set_columns(("name", "best", "test_acc", "seed", "state"))
    listing.set_group("lr")
    row = next(row for row in listing.rows if row.name == "lr 0.1")
    assert isinstance(row, ListedGroup)
    cells = dict(zip(listing.columns, texts(table(listing))[listing.rows.index(row)], strict=True))
    assert cells["name"] == "▸ lr 0.1 (2)"
    assert cells["best"].endswith("% (1 of 2)")  # the other one is not finished
    assert sorted(cells["state"].split()) == ["1", "1", "▲", "✓"]


def test_marks_keep_their_styles_and_follow_the_filter(
    listing: RunListing, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = listing.rows[:3]
    for row in (first, second):
        assert listing.toggle_mark(row)
    assert listing.toggle_mark(first)  # no longer marked: its style is free
    assert listing.free_place == 0
    assert [place for _, place in listing.shown(third)] == [1, 0]
    assert mark_cells(listing.shown(third))[key_of(third)].text == "●"
    assert listing.toggle_mark(third)
    listing.set_filter("seed = 12345")
    assert not listing.rows
    assert {key_of(row) for row, _ in listing.shown(None)} == {key_of(second), key_of(third)}
    monkeypatch.setattr(run_listing, "MOST_MARKS", 2)
    assert not listing.toggle_mark(first)
    listing.set_runs(listing.runs[3:])
    assert not listing.marks


def test_one_marked_run_is_compared_with_the_one_under_the_cursor(listing: RunListing) -> None:
    first, second, third = listing.rows[:3]
    assert listing.compared(third) == []
    listing.toggle_mark(second)
    assert listing.compared(third) == [second, third]
    listing.toggle_mark(first)
    assert listing.compared(third) == [second, first]


def test_a_narrow_list_drops_the_usual_columns_only(listing: RunListing) -> None:
    assert list(table(listing).heads) == [*COLUMNS]
    assert list(table(listing, 80).heads) == ["name", "epochs", "best", "state"]
    listing.set_columns((*COLUMNS, "lr"))
    assert list(table(listing, 80).heads) == [*COLUMNS, "lr"]  # it scrolls


def test_a_damaged_run_has_no_results(listing: RunListing) -> None:
    row = texts(table(listing))[-1]
    assert row == ["2026-11-22-0915-bad", "", "", "", "", "", "", "✗ damaged"]
