"""``mnist-tui learn backpropagation --as xlsx``: its formulas, and what they compute."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, Refused
from tui_trainer.lab.lessons.backpropagation import workbook
from tui_trainer.lab.lessons.backpropagation.arithmetic import (
    COLUMNS,
    ETAS,
    START,
    WEIGHTS,
    HiddenChain,
    OutputChain,
    TwoLayerNet,
    chains,
    table,
    updated,
)

openpyxl = pytest.importorskip("openpyxl")

Value = Callable[[str, str], Any]
"""The value of a cell, by sheet and address."""

TOLERANCE = 1e-9
FIRST_ROW = 4
EDITED = {"i_1": 0.7, "t_2": -0.3, "w_2": -1.5, "w_5": 2.25, "eta": 0.37}


def addresses(book: Any) -> dict[str, tuple[str, str]]:
    """Return the sheet and the address of each defined name."""
    found = {}
    for name, defined in book.defined_names.items():
        ((sheet, address),) = defined.destinations
        found[name] = (sheet, address.replace("$", ""))
    return found


def evaluated(book: Any) -> Value:
    """Return the values of a workbook's cells, computed from its formulas."""
    names = addresses(book)
    reference = re.compile(r"(?:'([^']+)'!|(\w+)!)?\$?([A-Z]{1,2})\$?(\d+)\b|\b([a-zA-Z_]\w*)\b")
    functions = {"EXP": _exp, "IF": lambda test, yes, no: yes if test else no}

    @cache
    def value(sheet: str, address: str) -> Any:
        content = book[sheet][address].value
        if not isinstance(content, str) or not content.startswith("="):
            return content

        def of(found: re.Match[str]) -> str:
            quoted, plain, column, row, name = found.groups()
            if name in functions:
                return name
            place = names[name] if name else (quoted or plain or sheet, f"{column}{row}")
            return f"value({place[0]!r}, {place[1]!r})"

        return eval(reference.sub(of, content[1:]), {"value": value, **functions})

    return value


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


def check_values(
    value: Value, names: dict[str, tuple[str, str]], net: TwoLayerNet, eta: float
) -> None:
    """Compare every number with the arithmetic's."""
    iterations = 12
    sheets = {workbook.TABLE: eta} | {f"eta {n}": lr for n, lr in enumerate(ETAS, start=1)}
    for sheet, lr in sheets.items():
        for row, numbers in enumerate(table(net, lr, iterations), start=FIRST_ROW):
            got = [value(sheet, f"{letter(place)}{row}") for place in range(len(COLUMNS))]
            assert got == pytest.approx(numbers, rel=TOLERANCE, abs=1e-300), (sheet, row)
    for number, lr in enumerate(ETAS):
        losses = [row[COLUMNS.index("E_total")] for row in table(net, lr, iterations)]
        column = [value(workbook.RATES, f"{'BCDEFG'[number]}{13 + n}") for n in range(13)]
        assert column == pytest.approx(losses, rel=TOLERANCE)
        ends = [value(workbook.RATES, f"{column}{5 + number}") for column in "CD"]
        assert ends == pytest.approx([losses[0], losses[-1]], rel=TOLERANCE)
    for name, expected in step_values(net, eta).items():
        assert value(*names[name]) == pytest.approx(expected, rel=TOLERANCE), name


def letter(place: int) -> str:
    return str(openpyxl.utils.get_column_letter(place + 1))


def step_values(net: TwoLayerNet, eta: float) -> dict[str, float]:
    """Return the values of the sheet that explains one update, by their names in it."""
    first, second = table(net, eta, 1)
    found = {
        (f"{name[0]}_{name[1]}" if len(name) == 2 else name): number
        for name, number in zip(COLUMNS[1:], first[1:], strict=True)
    }
    for place, chain in enumerate(chains(net)):
        if isinstance(chain, OutputChain):
            unit = f"o{1 + (place - 4) // 2}"
            found |= {f"dE_da_{unit}": chain.error, f"da_{unit}_d{unit}": chain.slope}
            found[f"dE_d{unit}"] = chain.error * chain.slope
        elif isinstance(chain, HiddenChain):
            unit = f"h{1 + place // 2}"
            found |= {f"dE_da_{unit}": chain.total, f"da_{unit}_d{unit}": chain.slope}
            found[f"dE_d{unit}"] = chain.total * chain.slope
    news = updated(net, eta).weights
    found |= {f"new_{name}": weight for name, weight in zip(WEIGHTS, news, strict=True)}
    found["E_after"] = second[COLUMNS.index("E_total")]
    return found | {"E_change": found["E_after"] - found["E_total"]}


def edited(net: TwoLayerNet) -> tuple[TwoLayerNet, float]:
    """Return the network and the learning lr with the edited numbers."""
    weights = list(net.weights)
    weights[1], weights[4] = EDITED["w_2"], EDITED["w_5"]
    changed = replace(
        net,
        inputs=(EDITED["i_1"], net.inputs[1]),
        targets=(net.targets[0], EDITED["t_2"]),
        weights=tuple(weights),
    )
    return changed, EDITED["eta"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sheet") / "sheet.xlsx"
    workbook.build(START, 1.0, 12).save(path)
    return path


def test_every_number_is_a_formula_with_the_arithmetics_value(file: Path) -> None:
    book = openpyxl.load_workbook(file)
    names = addresses(book)
    check_values(evaluated(book), names, START, 1.0)

    editable = {names[name] for name in ("i_1", "i_2", "t_1", "t_2", "eta")}
    editable |= {names[f"w_{number}"] for number in range(1, 9)}
    editable |= {(workbook.RATES, f"B{5 + number}") for number in range(len(ETAS))}
    numbers = {
        (sheet.title, cell.coordinate)
        for sheet in book
        for line in sheet.iter_rows()
        for cell in line
        if isinstance(cell.value, int | float)
    }
    starts = {(sheet.title, f"A{FIRST_ROW}") for sheet in book if sheet["A3"].value == "iteration"}
    assert numbers == editable | starts


def test_every_number_changes_with_the_edited_cells(file: Path) -> None:
    book = openpyxl.load_workbook(file)
    names = addresses(book)
    for name, number in EDITED.items():
        sheet, address = names[name]
        book[sheet][address] = number

    check_values(evaluated(book), names, *edited(START))


def test_large_weights_do_not_overflow(file: Path) -> None:
    book = openpyxl.load_workbook(file)
    names = addresses(book)
    for name in ("i_1", "w_1", "w_3"):
        sheet, address = names[name]
        book[sheet][address] = -100 if name == "w_1" else 100
    value = evaluated(book)

    assert [value(*names[name]) for name in ("a_h1", "a_h2")] == [0, 1]


def test_it_has_names_charts_and_explanations(file: Path) -> None:
    book = openpyxl.load_workbook(file)
    step, rates = book[workbook.STEP], book[workbook.RATES]

    assert book.sheetnames[:3] == [workbook.STEP, workbook.TABLE, workbook.RATES]
    assert [len(sheet._charts) for sheet in (step, rates)] == [1, 1]
    assert len(rates._charts[0].series) == len(ETAS)
    names = addresses(book)
    assert {"eta", "w_1", "a_h1", "E_total", "dE_dw1", "new_w8"} <= {*names}
    for name, (sheet, address) in names.items():
        assert book[sheet][f"D{address[1:]}"].value, name
    assert book.calculation.fullCalcOnLoad


# --- the command


def test_the_file_has_a_default_name_and_is_never_replaced(
    run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("learn", "backprop", "--as", "xlsx", "--iterations", 2, "--eta", 0.5)
    assert (code, err) == (0, "")
    assert out.startswith("backpropagation.xlsx: 2 updates with η = 0.5, ")
    book = openpyxl.load_workbook(tmp_path / "backpropagation.xlsx")
    assert book[workbook.STEP][addresses(book)["eta"][1]].value == 0.5
    before = (tmp_path / "backpropagation.xlsx").read_bytes()

    code, out, err = run("learn", "backprop", "--as", "xlsx")
    assert (code, out) == (2, "")
    assert "backpropagation.xlsx: exists already; choose another name with --out FILE" in err
    assert (tmp_path / "backpropagation.xlsx").read_bytes() == before


def test_csv_is_written_to_a_file_as_well(run: Cli, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    printed = run("learn", "backprop", "--as", "csv", "--iterations", 3)[1]
    code, out, err = run("learn", "backprop", "--as", "csv", "--iterations", 3, "--out", path)

    assert (code, err) == (0, "")
    assert "3 updates with η = 1" in out
    assert path.read_text(encoding="utf-8") == printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--as", "pdf"], "--as pdf: choose from csv, xlsx"),
        (["--out", "a.xlsx"], "--out: add --as csv or --as xlsx"),
        (["--as", "xlsx", "--out", "a.csv"], "--out a.csv: the name of a workbook must end with"),
        (["--as", "xlsx", "--out", "no/a.xlsx"], "--out no/a.xlsx: folder no does not exist"),
        (["--as", "xlsx", "--iterations", "0"], "--iterations 0: choose from 1 to 1,000"),
        (["--as", "xlsx", "--iterations", "1001"], "--iterations 1001: choose from 1 to 1,000"),
    ],
)
def test_unusable_options_are_one_line(
    data_refused: Refused, arguments: list[str], words: str
) -> None:
    assert words in data_refused("learn", "backprop", *arguments)


def test_without_openpyxl_one_line_has_the_command(
    data_refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    line = data_refused("learn", "backprop", "--as", "xlsx", "--out", "new.xlsx")

    assert (
        'the spreadsheet needs openpyxl, which is not installed: pip install "mnist-tui[xlsx]"'
        in line
    )
    assert not Path("new.xlsx").exists()


# --- recalculated by LibreOffice


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
@pytest.mark.parametrize("is_edited", [False, True])
def test_libreoffice_computes_the_same(file: Path, tmp_path: Path, is_edited: bool) -> None:
    path = file
    net, eta = START, 1.0
    if is_edited:
        book = openpyxl.load_workbook(file)
        for name, number in EDITED.items():
            sheet, address = addresses(book)[name]
            book[sheet][address] = number
        path = tmp_path / "edited.xlsx"
        book.save(path)
        net, eta = edited(START)
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    command = ["soffice", profile, "--headless", "--convert-to", "xlsx", "--outdir"]
    subprocess.run(
        [*command, str(tmp_path / "out"), str(path)], check=True, capture_output=True, timeout=300
    )
    book = openpyxl.load_workbook(tmp_path / "out" / path.name, data_only=True)

    check_values(lambda sheet, address: book[sheet][address].value, addresses(book), net, eta)
    head = [book[workbook.RATES][f"{column}12"].value for column in "BCDEFG"]
    assert head == [f"η = {lr:g}" for lr in ETAS]
