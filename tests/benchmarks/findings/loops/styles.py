"""The healthy styles of user loops."""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.findings.loops.suite import Loop, Seeds

BOTH: tuple[Loop, ...] = ()
"""The styles that both halves have."""

JUDGING_ALONE: tuple[Loop, ...] = ()


def styles(seeds: Seeds) -> Sequence[Loop]:
    """Return the styles of one half."""
    return BOTH if seeds == "tuning" else (*BOTH, *JUDGING_ALONE)
