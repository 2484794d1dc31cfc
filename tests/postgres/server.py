"""A real PostgreSQL server for the tests of a session, on a Unix socket only; each test has a database of its own.

PostgreSQL does not run as root: there it runs as `nobody`. What is committed is synced as in an office: the rest of its
settings spares memory and noise.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg

from gateway.adapters.postgres_uri import PostgresUri
from gateway.adapters.store_migrate import migrate

BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
USER = "nobody" if os.getuid() == 0 else None
_LOOKS, _PAUSE = 1200, 0.05
_TEMPLATE = "template_store"
_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "jit": "off",
    "log_min_messages": "warning",
}


class Server:
    """One server, running in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._names = map("store_{}".format, count())
        make(self._data)
        self.process = self._start()
        self.ask(f"CREATE DATABASE {_TEMPLATE}")
        migrate(self.uri(_TEMPLATE))

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def uri(self, database: str) -> PostgresUri:
        return PostgresUri.parse(f"postgresql://postgres@/{database}?host={self.directory}")

    def database(self) -> PostgresUri:
        """A new one: its tables are there, and no log."""
        name = next(self._names)
        self.ask(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self.uri(name)

    def empty_database(self) -> PostgresUri:
        """A new one without a table."""
        name = next(self._names)
        self.ask(f"CREATE DATABASE {name}")
        return self.uri(name)

    def ask(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """What the last one says. As superuser, each by itself."""
        with closing(psycopg.connect(self.uri(database).uri, autocommit=True)) as connection:
            for statement in statements:
                result = connection.execute(statement)
            return result.fetchall() if result.description else []

    def signal(self, number: signal.Signals) -> None:
        """To all of its processes, the one that begins others first."""
        for pid in (self.process.pid, *_children(self.process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGQUIT)  # at once: nobody needs the data any more
        self.process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        settings = {**_SETTINGS, "unix_socket_directories": str(self.directory)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        with (self.directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [BIN / "postgres", "-D", self._data, *options],
                stdout=log,
                stderr=log,
                user=USER,
                cwd=self.directory,
            )
        for _ in range(_LOOKS):
            assert process.poll() is None, (self.directory / "log").read_text()[-2000:]
            try:
                self.ask("SELECT 1")
            except psycopg.OperationalError:
                time.sleep(_PAUSE)
            else:
                return process
        raise AssertionError("the server takes no connection")


def make(data: Path) -> None:
    """What a server needs in its directory, once."""
    run(data.parent, "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C", "-A", "trust", "-N")


def run(directory: Path, program: str, *arguments: str | Path) -> None:
    """A program of PostgreSQL, as the user of its servers."""
    subprocess.run([BIN / program, *arguments], user=USER, cwd=directory, check=True, capture_output=True)


@contextmanager
def owned_directory() -> Iterator[Path]:
    """Of the user of the servers. A socket's path has at most 107 bytes: pytest's own directories are longer, and closed."""
    directory = Path(tempfile.mkdtemp(prefix="wib-pg-", dir="/tmp"))
    try:
        if USER is not None:
            shutil.chown(directory, USER)
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def running_server() -> Iterator[Server]:
    with owned_directory() as directory:
        server = Server(directory)
        try:
            yield server
        finally:
            server.stop()


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
