from __future__ import annotations

import socket

import optuna
import pytest

from tests.sweeps.postgres import PASSWORD, Server
from tui_trainer.protocol.errors import InputError
from tui_trainer.sweeps.database import open_database
from tui_trainer.sweeps.location import DatabaseUrl
from tui_trainer.sweeps.patience import PATIENCE, Patience, StorageAwayError


class Clock:
    """A clock that advances while it sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def patience(lines: list[str], clock: Clock) -> Patience:
    return Patience("storage", lines.append, clock=clock, sleep=clock.sleep)


def why(error: Exception) -> str | None:
    return str(error) if isinstance(error, OSError) else None


def test_an_operation_is_tried_again_until_the_storage_is_back() -> None:
    lines: list[str] = []
    failures = [OSError("away"), OSError("away")]

    def operation() -> int:
        if failures:
            raise failures.pop()
        return 7

    assert patience(lines, Clock()).call(operation, why) == 7
    assert lines == ["storage: away; trying again for 5:00", "storage: back"]


def test_after_a_while_the_error_shows_how_to_go_on() -> None:
    clock = Clock()

    def operation() -> None:
        raise OSError("away")

    with pytest.raises(StorageAwayError, match=r"storage: away for 5:00: away; .*--resume"):
        patience([], clock).call(operation, why)
    assert PATIENCE <= clock.now < PATIENCE + 11


def test_errors_of_another_kind_are_not_tried_again() -> None:
    clock = Clock()

    def operation() -> None:
        raise KeyError("no such trial")

    with pytest.raises(KeyError):
        patience([], clock).call(operation, why)
    assert clock.now == 0


def test_a_server_that_does_not_run_is_one_line() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = DatabaseUrl.parse(f"postgresql://ann:secret@127.0.0.1:{port}/x")
    with pytest.raises(InputError, match=r"cannot be reached: .*refused.*check the address") as e:
        open_database(url)
    assert "secret" not in str(e.value)
    assert "\n" not in str(e.value)


def test_a_missing_driver_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pymysql", None)
    with pytest.raises(InputError, match=r'pip install "mnist-tui\[mysql\]"'):
        open_database(DatabaseUrl.parse("mysql://ann:secret@127.0.0.1/x"))


@pytest.mark.parametrize("text", ["postgresql://a:b@h:port/d", "postgresql+nothing://h/d"])
def test_an_invalid_url_is_one_line(text: str) -> None:
    with pytest.raises(InputError, match="not a valid URL"):
        open_database(DatabaseUrl.parse(text))


def test_a_real_database_and_its_errors(postgres: Server) -> None:
    import sqlalchemy

    url = DatabaseUrl.parse(postgres.create("good"))
    study = optuna.create_study(storage=open_database(url), study_name="s")
    again = optuna.load_study(study_name="s", storage=open_database(url))
    study.set_user_attr("a", 1)
    assert again.user_attrs == {"a": 1}

    for other, problem in (
        (postgres.url("good", "wrong"), "password authentication failed"),
        (postgres.url("missing"), 'database "missing" does not exist'),
    ):
        with pytest.raises(InputError, match=problem) as caught:
            open_database(DatabaseUrl.parse(other))
        assert "wrong" not in str(caught.value)
        assert PASSWORD not in str(caught.value)

    storage = open_database(url)
    with storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = 'v99.0.0'"))
    with pytest.raises(InputError, match="tables of another version of Optuna"):
        open_database(url)

    foreign = DatabaseUrl.parse(postgres.create("foreign"))
    with sqlalchemy.create_engine(foreign.for_driver).begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE studies (foo integer)"))
    with pytest.raises(InputError, match="tables are not Optuna's"):
        open_database(foreign)


def test_a_database_that_comes_back_loses_nothing(postgres: Server) -> None:
    lines: list[str] = []

    def announce(line: str) -> None:
        lines.append(line)
        if "trying again" in line:
            postgres.start()

    url = DatabaseUrl.parse(postgres.create("restart"))
    study = optuna.create_study(storage=open_database(url, announce), study_name="s")
    trial = study.ask()
    postgres.stop()
    trial.set_user_attr("a", 1)
    assert study.trials[0].user_attrs == {"a": 1}
    assert len(lines) == 2
    assert lines[1].endswith(": back")
    assert PASSWORD not in "".join(lines)
