"""A real PostgreSQL server in a temporary folder, from the binaries of the system."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ADMIN = "mnist"
PASSWORD = "s3cr3t/w:rd"
"""A password with characters that a URL must escape."""

ESCAPED = "s3cr3t%2Fw%3Ard"

_SPEED = ("-c fsync=off", "-c full_page_writes=off")
"""The data of a test need not survive a power cut."""


def find_binaries() -> Path | None:
    """Return the folder of ``initdb`` and ``pg_ctl``; None if they are not installed."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


def why_unavailable() -> str:
    """Return why no server can be started here; empty if one can."""
    if find_binaries() is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and not _has_postgres_user():
        return "PostgreSQL does not run as root, and there is no user postgres"
    return ""


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        folder: Its folder.
        port: Its port on 127.0.0.1.
    """

    folder: Path
    port: int

    def url(self, database: str = "postgres", password: str = ESCAPED) -> str:
        """Return the URL of a database."""
        return f"postgresql://{ADMIN}:{password}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Create an empty database; return its URL."""
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        _call("createdb", *self._place, "-U", ADMIN, database, env=environment)
        return self.url(database)

    def stop(self) -> None:
        """Stop the server; its connections are lost."""
        _call("pg_ctl", "-D", str(self.folder / "data"), "-m", "fast", "-w", "stop")

    def start(self) -> None:
        """Start the server; return when it accepts connections."""
        options = f"-p {self.port} -k {self.folder} -h 127.0.0.1 {' '.join(_SPEED)}"
        log = str(self.folder / "server.log")
        _call("pg_ctl", "-D", str(self.folder / "data"), "-l", log, "-w", "-o", options, "start")

    @property
    def _place(self) -> tuple[str, ...]:
        return "-h", "127.0.0.1", "-p", str(self.port)


@contextmanager
def running_server() -> Iterator[Server]:
    """Start a server with an empty cluster; stop it and delete its files at the end."""
    # Not in pytest's folder: the user of the server cannot enter that of root. Short, as the path
    # of a socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="mnist-pg-"))
    try:
        passwords = folder / "password"
        passwords.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (folder, passwords):
                shutil.chown(path, "postgres", "postgres")
        _call(
            *("initdb", "-D", str(folder / "data"), "-U", ADMIN, f"--pwfile={passwords}"),
            *("--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C"),
        )
        server = Server(folder, _free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _call(program: str, *arguments: str, **options: Any) -> None:
    binaries = find_binaries()
    assert binaries is not None
    if os.geteuid() == 0:
        options |= {"user": "postgres", "group": "postgres", "extra_groups": []}
    result = subprocess.run(
        [str(binaries / program), *arguments],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # Not a pipe: the server would inherit it and keep it open.
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
        **options,
    )
    if result.returncode:
        raise RuntimeError(f"{program} ended with exit code {result.returncode}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _has_postgres_user() -> bool:
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return False
    return True
