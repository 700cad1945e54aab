"""Fixtures of the tests of sweeps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sweeps.postgres import Server, running_server, why_unavailable


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """A running PostgreSQL server."""
    if why := why_unavailable():
        pytest.skip(why)
    with running_server() as server:
        yield server
