from __future__ import annotations

import pytest

from tui_trainer.protocol.errors import InputError
from tui_trainer.sweeps.location import PASSWORD_VARIABLE, DatabaseUrl, is_url, redacted

SECRET = "p@ss:w/rd"
URLS = [
    "postgresql://ann:p%40ss%3Aw%2Frd@db.example/sweeps",
    "postgresql://ann:p@ss:w/rd@db.example/sweeps",
    "postgres://ann:p%40ss%3Aw%2Frd@db.example/sweeps?sslmode=require",
    "mysql://ann:p%40ss%3Aw%2Frd@db.example:3306/sweeps",
]


@pytest.mark.parametrize("text", URLS)
def test_a_password_is_kept_apart_and_never_shown(text: str) -> None:
    url = DatabaseUrl.parse(text, {})
    assert url.password == SECRET
    assert "p%40ss%3Aw%2Frd@db.example" in url.for_driver
    for shown in (str(url), repr(url), url.url, redacted(text), f"{url}"):
        assert "ss" not in shown.replace("sslmode", "")
        assert "db.example" in shown


def test_the_messages_of_a_driver_do_not_show_it_either() -> None:
    url = DatabaseUrl.parse(URLS[0], {})
    for text in (SECRET, "p%40ss%3Aw%2Frd", URLS[0], url.for_driver):
        shown = url.without_password(f'could not use "{text}"\nat all')
        assert "w/rd" not in shown
        assert "w%2Frd" not in shown
        assert "\n" not in shown


def test_the_environment_gives_the_password_of_a_url_without_one() -> None:
    environment = {PASSWORD_VARIABLE: SECRET}
    url = DatabaseUrl.parse("postgresql://ann@db.example/sweeps", environment)
    assert url.for_driver == "postgresql+psycopg://ann:p%40ss%3Aw%2Frd@db.example/sweeps"
    assert str(url) == "postgresql://ann:***@db.example/sweeps"
    explicit = DatabaseUrl.parse("postgresql://ann:mine@db.example/sweeps", environment)
    assert explicit.password == "mine"


def test_a_url_without_a_password_stays_as_it_is() -> None:
    url = DatabaseUrl.parse("mysql://db.example/sweeps", {})
    assert str(url) == "mysql://db.example/sweeps"
    assert url.for_driver == "mysql+pymysql://db.example/sweeps"
    assert url.extra == "mysql"


def test_a_chosen_driver_is_kept() -> None:
    url = DatabaseUrl.parse("postgresql+psycopg2://ann@db.example/s", {})
    assert url.for_driver.startswith("postgresql+psycopg2://")


@pytest.mark.parametrize(
    "text", ["sqlite:///sweep.db", "redis://host", "oracle://a:secret@b/c", "https://x/y"]
)
def test_other_databases_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError, match="not a supported database; use postgresql://") as caught:
        DatabaseUrl.parse(text, {})
    assert "secret" not in str(caught.value)


def test_a_password_in_the_query_is_refused_and_not_shown() -> None:
    with pytest.raises(InputError, match="USER:PASSWORD@HOST") as caught:
        DatabaseUrl.parse("postgresql://ann@db.example/s?password=secret&sslmode=require", {})
    assert "secret" not in str(caught.value)


def test_folders_are_no_urls() -> None:
    assert is_url("postgresql://x/y")
    assert not is_url("runs/sweep-1")
    assert not is_url("C:\\sweeps")
