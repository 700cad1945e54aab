"""The benchmark of the lessons: its input errors, and a line for each lesson."""

from __future__ import annotations

import pytest

from tests.benchmarks.lessons import main


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [(["alchemy"], "unknown network 'alchemy'"), (["tiny", "--only", "alchemy"], "no lesson")],
)
def test_what_there_is_not_is_refused(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)

    assert left.value.code == 2
    assert problem in capsys.readouterr().err


def test_each_lesson_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiny", "--only", "softmax", "kernels", "--at-once"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["softmax", "kernels", "slowest:"]
