"""PostgreSQL that is killed and comes back: a server alone, or a primary with a standby that it may wait for."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.postgres.server import BIN, USER, make, owned_directory, run

DATABASE, OWNER = "gateway", "gateway"
_LOOKS, _PAUSE = 1200, 0.05
# fsync stays on: what these tests are about is what is durable. The rest spares memory and noise.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_wal_senders": "4",
    "max_replication_slots": "4",
    "wal_level": "replica",
    "autovacuum": "off",
    "log_min_messages": "warning",
}


@dataclass
class Server:
    """One server in its directory. Its port stays the same."""

    place: Path
    name: str
    port: int = field(default_factory=lambda: _free_port())  # noqa: PLW0108 - it stands below
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.place / self.name

    def start(self, **settings: str) -> None:
        """Until it takes connections."""
        given = {**_SETTINGS, **settings, "port": str(self.port), "cluster_name": self.name}
        given["unix_socket_directories"] = str(self.place)
        options = [f"--{name}={value}" for name, value in given.items()]
        with (self.place / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [BIN / "postgres", "-D", self.data, *options],
                stdout=log,
                stderr=log,
                user=USER,
                cwd=self.place,
            )
        self.until_reachable()

    def start_again(self) -> None:
        """Whether it came back by itself or has given up."""
        if self.process.poll() is None:
            self.until_reachable()
        else:
            self.start()

    def until_reachable(self) -> None:
        for _ in range(_LOOKS):
            assert self.process.poll() is None, (self.place / f"{self.name}.log").read_text()[-2000:]
            try:
                self.ask("SELECT 1")
            except psycopg.OperationalError:
                time.sleep(_PAUSE)
            else:
                return
        raise AssertionError("the server takes no connection")

    def ask(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """What the last one says. As superuser, each by itself."""
        where = {"host": "127.0.0.1", "port": self.port, "user": "postgres", "dbname": database}
        with closing(psycopg.connect(**where, autocommit=True, connect_timeout=5)) as connection:
            for statement in statements:
                result = connection.execute(statement)
            return result.fetchall() if result.description else []

    def processes(self) -> list[int]:
        """The postmaster first, then each of its children."""
        owner = self.process.pid
        return [owner, *(pid for pid in _pids() if _parent(pid) == owner)]

    def kill(self) -> None:
        """As a machine that stops: the postmaster cannot begin another process meanwhile."""
        self.process.send_signal(signal.SIGSTOP)
        for pid in reversed(self.processes()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """To all of its processes: SIGSTOP makes it hang, SIGCONT lets it go on."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def promote(self) -> None:
        """A standby becomes a primary."""
        run(self.place, "pg_ctl", "promote", "-w", "-D", self.data)


@dataclass
class Cluster:
    """A primary with a standby."""

    primary: Server
    standby: Server

    @property
    def servers(self) -> list[Server]:
        return sorted((self.primary, self.standby), key=lambda one: one.name)

    def follow(self) -> None:
        """The standby is made anew from the primary, and follows it; nobody waits for it yet."""
        shutil.rmtree(self.standby.data, ignore_errors=True)
        place, data = self.standby.place, self.standby.data
        at = f"host=127.0.0.1 port={self.primary.port} user=postgres"
        run(place, "pg_basebackup", "-D", data, "-d", at, "-R", "-X", "stream", "-c", "fast", "-N")
        self.standby.start()

    def until_caught_up(self) -> None:
        """The standby has all that the primary has committed so far."""
        ((end,),) = self.primary.ask("SELECT pg_current_wal_flush_lsn()::text")
        reached = f"SELECT pg_last_wal_replay_lsn() >= '{end}'::pg_lsn"
        for _ in range(_LOOKS):
            if self.standby.ask(reached) == [(True,)]:
                return
            time.sleep(_PAUSE)
        raise AssertionError("the standby does not follow")

    def fail_over(self) -> None:
        """The primary dies, the standby takes its place."""
        self.primary.kill()
        self.promote()

    def promote(self) -> None:
        """The standby takes the place of the primary."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def wait_for_standby(self) -> None:
        """From now on a commit is acknowledged when the standby has it."""
        self.primary.ask(f"ALTER SYSTEM SET synchronous_standby_names = '{self.standby.name}'")
        self.primary.ask("SELECT pg_reload_conf()")
        for _ in range(_LOOKS):
            if self.primary.ask("SELECT sync_state FROM pg_stat_replication") == [("sync",)]:
                return
            time.sleep(_PAUSE)
        raise AssertionError("the standby is not synchronous")


def uri(*ports: int, database: str = DATABASE) -> str:
    """Of the server at one of these ports that can be written to."""
    hosts = ",".join("127.0.0.1" for _ in ports)
    named = ",".join(map(str, ports))
    return f"postgresql://{OWNER}@/{database}?host={hosts}&port={named}&target_session_attrs=read-write"


@contextmanager
def server() -> Iterator[Server]:
    """A server alone, with an empty database."""
    with owned_directory() as place:
        one = Server(place, "db1")
        make(one.data)
        try:
            one.start()
            one.ask(f"CREATE ROLE {OWNER} LOGIN", f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
            yield one
        finally:
            one.close()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A primary with a standby that follows it, and an empty database; nobody waits for the standby yet."""
    with server() as primary:
        both = Cluster(primary, Server(primary.place, "db2"))
        try:
            both.follow()
            yield both
        finally:
            both.standby.close()
            both.primary.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it ended meanwhile
        return None
