"""LaTeX tables, compiled by pdflatex."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.test_models import HOSTILE
from tui_trainer.protocol.config import MODELS
from tui_trainer.text.escaping import latex_escape
from tui_trainer.text.tables import latex_table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed"),
]

PREAMBLE = r"\documentclass{article}\usepackage{booktabs,graphicx,longtable}\begin{document}"


def compile_latex(folder: Path, body: str) -> str:
    """Compile a document, and return TeX's log; any error or missing character fails."""
    path = folder / "table.tex"
    path.write_text(f"{PREAMBLE}\n{body}\n\\end{{document}}\n", encoding="ascii")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"]
    done = subprocess.run(
        [*command, path.name], cwd=folder, capture_output=True, timeout=300, check=False
    )
    log = path.with_suffix(".log").read_text(encoding="latin-1")
    assert done.returncode == 0, log[-2_000:]
    assert "Missing character" not in log
    return log


def test_the_tables_of_all_models_compile(run: Cli, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(HOSTILE, encoding="utf-8")
    tables = [
        run("model", name, "--format", "latex")[1] for name in (*MODELS, f"{tmp_path}/net.py:Net")
    ]
    log = compile_latex(tmp_path, "\n\n".join(tables))

    assert "Overfull" not in log


def test_every_character_compiles(tmp_path: Path) -> None:
    """All of Latin, Greek and the signs that have a command, and some that have none."""
    ranges = (range(0x20, 0x180), range(0x370, 0x400), range(0x2010, 0x2040), range(0x4E00, 0x4E08))
    lines = ["".join(chr(code) for code in codes) for codes in ranges]
    lines += ["×·−±≤≥→∞∂²µ€", "a--b ---c ,,d ?` !` << >>", "\\input{/etc/passwd} %x ^^5c"]

    long = latex_table(("layer", "K"), [("[a]_1", "3×5"), ("*", "")] * 60, has_total=True)
    lines_of_text = (r"\raggedright " + latex_escape(line) for line in lines)
    compile_latex(tmp_path, "\n\n".join([*lines_of_text, "\n".join(long)]))
