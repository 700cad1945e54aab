"""Untrusted text in Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io

import pytest

from tui_trainer.text.escaping import csv_safe, latex_escape, markdown_escape
from tui_trainer.text.tables import csv_table, latex_table, markdown_table, right_aligned


@pytest.mark.parametrize(
    ("typed", "escaped"),
    [
        ("conv1", "conv1"),
        ("layer1.0.conv_1", r"layer1.0.conv_1"),
        ("_a_ _ __b__ c_", r"\_a\_ \_ \_\_b\_\_ c\_"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("&lt;", "&amp;lt;"),
        ("a|b", r"a\|b"),
        ("a\\|b", r"a<span>&#92;</span>\|b"),
        (r"\(x\)", "<span>&#92;</span>(x<span>&#92;</span>)"),
        ("99.31 % [99.13, 99.45], epoch 2", "99.31 % [99.13, 99.45], epoch 2"),
        ("+1.10 [+0.42, −1.78]", "+1.10 [+0.42, −1.78]"),
        ("[1.5](javascript:y)", r"\[1.5\](javascript:y)"),
        ("[1]: javascript:y", r"\[1\]: javascript:y"),
        ("[1][2] [x]", r"\[1\][2] \[x\]"),
        ("see https://a.b or www.c.d", r"see https\://a.b or www\.c.d"),
        ("שלום 1", "\u2068שלום 1\u2069"),
        ("a\u202egnp.exe", "a gnp.exe"),
        ("[x](javascript:y)", r"\[x\](javascript:y)"),
        (
            "**bold** `code` $x$ ~~no~~",
            r"\*\*bold\*\* \`code\` <span>&#36;</span>x<span>&#36;</span> \~\~no\~\~",
        ),
        ("# heading", r"\# heading"),
        ("- item", r"\- item"),
        ("-0.5", "-0.5"),
        ("---", r"\---"),
        ("===", r"\==="),
        ("12. step", r"12\. step"),
        ("12.5 seconds", "12.5 seconds"),
        ("two\n\n# lines", "two # lines"),
        ("    code", "code"),
    ],
)
def test_markdown_shows_what_was_typed(typed: str, escaped: str) -> None:
    assert markdown_escape(typed) == escaped


@pytest.mark.parametrize(
    ("typed", "escaped"),
    [
        ("conv_1 50% & #2 $x {y}", r"conv\_1 50\% \& \#2 \$x \{y\}"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        ("3×5", r"3$\times$5"),
        ("era-s6", "era-s6"),
        ("a--b ---", "a-{}-b -{}-{}-"),
        ("größe", r"gr\"{o}\ss{}e"),
        ("gro\u0308ße", r"gr\"{o}\ss{}e"),
        ("λ1", r"$\lambda$1"),
        ("层", "U+5C42"),
        ("two\nlines", "two lines"),
    ],
)
def test_latex_shows_what_was_typed(typed: str, escaped: str) -> None:
    assert latex_escape(typed) == escaped
    assert latex_escape(typed).isascii()


@pytest.mark.parametrize(
    ("typed", "safe"),
    [
        ("conv1", "conv1"),
        ("=cmd()", "'=cmd()"),
        ("  =1+1", "'  =1+1"),
        ("+cmd", "'+cmd"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("＝1+1", "'＝1+1"),
        ("a;=1+1", "a;'=1+1"),
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        ("batch-norm = 1", "batch-norm = 1"),
        ("", ""),
    ],
)
def test_a_spreadsheet_runs_nothing(typed: str, safe: str) -> None:
    assert csv_safe(typed) == safe


def test_columns_of_numbers_are_aligned_to_the_right() -> None:
    rows = [("conv1", "3", "—", "", "1"), ("1x1", "3×5", "-0.5", "", "a")]
    assert right_aligned(rows) == {1, 2}


def test_a_markdown_table_has_a_bold_total() -> None:
    lines = markdown_table(("layer", "K"), [("a|b_1", "3"), ("total", "")], has_total=True)
    assert lines == ["| layer | K |", "| --- | ---: |", r"| a\|b_1 | 3 |", "| **total** |  |"]


def test_a_latex_table_has_rules_and_breaks_if_it_is_long() -> None:
    lines = latex_table(("layer", "K"), [("[a]_1", "3"), ("total", "")], has_total=True)
    assert lines[2:] == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"{}layer & K \\",
        r"\midrule",
        r"{}[a]\_1 & 3 \\",
        r"\midrule",
        r"{}total &  \\",
        r"\bottomrule",
        r"\end{tabular}}",
    ]
    assert r"\begin{longtable}{lr}" in latex_table(("layer", "K"), [("a", "3")] * 41)


def test_a_csv_table_quotes_what_it_must() -> None:
    text = csv_table(["name", "=x"], [["a,b", '=HYPERLINK("x")'], [0.1, None]])
    assert [*csv.reader(io.StringIO(text))] == [
        ["name", "'=x"],
        ["a,b", '\'=HYPERLINK("x")'],
        ["0.1", ""],
    ]
