"""A database as Optuna's storage of a sweep."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage

from tui_trainer.protocol.errors import InputError
from tui_trainer.sweeps.location import DatabaseUrl
from tui_trainer.sweeps.patience import FIRST_PAUSE, Announce, Patience
from tui_trainer.text.fmt import clip

_MESSAGE_WIDTH = 300

_CONNECTION: dict[str, dict[str, Any]] = {
    "postgresql": {
        **{"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10},
        **{"keepalives_count": 3, "tcp_user_timeout": 60_000},
    },
    "mysql": {"connect_timeout": 10, "read_timeout": 60, "write_timeout": 60},
}
"""Options by which a connection that hangs becomes an error."""


def open_database(url: DatabaseUrl, announce: Announce = lambda line: None) -> RDBStorage:
    """Open a database.

    Args:
        url: Its URL.
        announce: Gets a line when the database goes away, and one when it is back.

    Raises:
        InputError: If it cannot be reached, has other tables, or its driver is missing.
    """
    try:
        return _opened(url, Patience(str(url), announce))
    except ImportError:
        raise InputError(
            f'{url}: its driver is not installed; run: pip install "mnist-tui[{url.extra}]"'
        ) from None
    except Exception as error:
        raise InputError(f"{url}: {_why_not_opened(url, error)}") from None


def _opened(url: DatabaseUrl, patience: Patience) -> RDBStorage:
    from sqlalchemy.exc import DBAPIError, OperationalError

    options = {"connect_args": _CONNECTION[url.extra], "pool_pre_ping": True}
    tries = 5
    while True:
        tries -= 1
        try:
            return _Database(url, patience, options)
        except OperationalError:
            raise
        except DBAPIError:
            if not tries:
                raise
            # Another worker is creating the same tables at this moment.
            time.sleep(FIRST_PAUSE)


def _why_not_opened(url: DatabaseUrl, error: Exception) -> str:
    """Return what is wrong with a database that cannot be opened, and what to do."""
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

    if isinstance(error, OperationalError):
        problem = _driver_message(url, error)
        remedy = "check the address and the password, and that the server runs"
        return f"cannot be reached: {problem}; {remedy}"
    if isinstance(error, RuntimeError):  # Optuna's check of its schema
        return (
            "has the tables of another version of Optuna than "
            f"{optuna.__version__}; install that version, or use another database"
        )
    if isinstance(error, DBAPIError):
        return f"its tables are not Optuna's: {_driver_message(url, error)}; use an empty database"
    if isinstance(error, NoSuchModuleError | ArgumentError | ValueError):
        return (
            "not a valid URL; write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
            "special characters of the password as %XX"
        )
    return clip(url.without_password(f"{type(error).__name__}: {error}"), _MESSAGE_WIDTH)


def _driver_message(url: DatabaseUrl, error: BaseException) -> str:
    """Return the first line of the message of a driver, without the SQL of the statement."""
    text = str(getattr(error, "orig", None) or error)
    first = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    return clip(url.without_password(first), _MESSAGE_WIDTH)


class _Database(RDBStorage):
    """A database whose operations outlast its absence."""

    def __init__(self, url: DatabaseUrl, patience: Patience, options: dict[str, Any]) -> None:
        self._location = url
        self._patience: Patience | None = None  # while it is opened, a failure counts at once
        super().__init__(url.for_driver, options)
        self._patience = patience

    def _problem(self, error: Exception) -> str | None:
        """Return what is wrong with the database; None for an error that is not its absence."""
        from sqlalchemy.exc import InterfaceError, OperationalError

        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OperationalError | InterfaceError):
                return _driver_message(self._location, cause)
            cause = cause.__cause__
        return None


def _retried(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: _Database, *args: Any, **options: Any) -> Any:
        if self._patience is None:
            return method(self, *args, **options)
        return self._patience.call(lambda: method(self, *args, **options), self._problem)

    return call


_OF_CACHE = ("_create_new_trial", "_get_best_trial_id", "_get_trials", "_set_trial_param")
"""What Optuna's cache calls in addition to the methods of a storage."""

for _name in (*sorted(BaseStorage.__abstractmethods__), *_OF_CACHE):
    if hasattr(RDBStorage, _name):
        setattr(_Database, _name, _retried(getattr(RDBStorage, _name)))
