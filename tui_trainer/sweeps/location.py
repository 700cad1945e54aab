"""Where a sweep is stored, as the user gives it: a folder, or the URL of a database."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from tui_trainer.protocol.errors import InputError
from tui_trainer.text.fmt import one_line, printable

PASSWORD_VARIABLE = "MNIST_TUI_STORAGE_PASSWORD"
"""The environment variable with the password of a database whose URL has none."""

HIDDEN = "***"
"""What is shown in place of a password."""

_DRIVERS = {
    "postgresql": ("postgresql+psycopg", "postgresql"),
    "postgres": ("postgresql+psycopg", "postgresql"),
    "mysql": ("mysql+pymysql", "mysql"),
    "mariadb": ("mysql+pymysql", "mysql"),
}
"""The driver of each scheme, as SQLAlchemy names it, and the extra that installs it."""

_URL = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*)://(?P<rest>.*)", re.DOTALL)
# A password may contain an "@" that nobody has escaped, but the host cannot.
_ACCESS = re.compile(r"(?P<user>[^:/?#]*)(?P<secret>:.*)?@", re.DOTALL)
_QUERY_SECRET = re.compile(r"(?<=[?&])(?P<key>[^=&]*pass[^=&]*)=(?P<value>[^&]*)", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Return whether a text is the URL of a database, not a folder."""
    return _URL.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The URL of a database. Its text never shows the password.

    Attributes:
        url: The URL without its password.
        password: The password; empty if there is none.
    """

    url: str
    password: str = ""

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] = os.environ) -> DatabaseUrl:
        """Split a URL; the environment may give the password.

        Raises:
            InputError: If it is not the URL of a supported database.
        """
        shown = printable(redacted(text))
        found = _URL.fullmatch(text)
        scheme = found["scheme"].lower() if found is not None else ""
        kind = scheme.partition("+")[0]
        if found is None or kind not in _DRIVERS:
            raise InputError(
                f"{shown}: not a supported database; use postgresql://USER@HOST/DATABASE, "
                "mysql://USER@HOST/DATABASE, or a folder"
            )
        rest, secret = found["rest"], ""
        if (access := _ACCESS.match(rest)) is not None and access["secret"]:
            secret = unquote(access["secret"][1:])
            rest = f"{access['user']}@{rest[access.end() :]}"
        if _QUERY_SECRET.search(rest):
            raise InputError(f"{shown}: give the password as postgresql://USER:PASSWORD@HOST/…")
        return cls(f"{found['scheme']}://{rest}", secret or environment.get(PASSWORD_VARIABLE, ""))

    @property
    def extra(self) -> str:
        """The extra of mnist-tui that installs its driver."""
        return _DRIVERS[self._scheme.partition("+")[0]][1]

    @property
    def for_driver(self) -> str:
        """The URL for SQLAlchemy: with the driver of the extra, and the password."""
        rest = self.url.partition("://")[2]
        scheme = self._scheme
        scheme = scheme if "+" in scheme else _DRIVERS[scheme][0]
        user, found, place = rest.rpartition("@")
        if self.password and found:
            return f"{scheme}://{user}:{quote(self.password, safe='')}@{place}"
        return f"{scheme}://{rest}"

    def without_password(self, text: str) -> str:
        """Return a message of a driver as one line that does not show the password."""
        for secret in {self.password, quote(self.password, safe=""), quote(self.password)} - {""}:
            text = text.replace(secret, HIDDEN)
        return one_line(redacted(text))

    def __str__(self) -> str:
        """Return the URL with ``***`` for the password."""
        user, found, place = self.url.rpartition("@")
        if self.password and found:
            return printable(f"{user}:{HIDDEN}@{place}")
        return printable(self.url)

    def __repr__(self) -> str:
        """Return the text: a traceback must not show the password either."""
        return f"DatabaseUrl({str(self)!r})"

    @property
    def _scheme(self) -> str:
        return self.url.partition("://")[0].lower()


def redacted(text: str) -> str:
    """Return a text in which the password of a URL is replaced by ``***``."""
    text = re.sub(r"(://[^:/?#\s]*):[^\s]*@", rf"\1:{HIDDEN}@", text)
    return _QUERY_SECRET.sub(rf"\g<key>={HIDDEN}", text)


def absolute(where: str) -> str:
    """Return a location that holds in any folder: a path is made absolute, a URL is kept."""
    return where if is_url(where) else str(Path(where).expanduser().absolute())
