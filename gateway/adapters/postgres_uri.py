"""The name of a PostgreSQL database: a connection URI of libpq, without any secret in it.

The password comes from where libpq looks for it: a password file, the service file, the peer of a Unix socket, or a
client certificate takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

SCHEMES: Final = ("postgresql://", "postgres://")
_SECRETS: Final = ("password", "sslpassword")


@dataclass(frozen=True, slots=True)
class PostgresUri:
    """One database, perhaps on several hosts of which one is the primary."""

    uri: str

    @classmethod
    def parse(cls, uri: str) -> PostgresUri:
        """Raises ValueError; its message never repeats a value, for one may be a password."""
        named = _named(uri)
        if any(name in named for name in _SECRETS):
            raise ValueError("a PostgreSQL URI must not hold a password: put it in a file, named by passfile")
        if "service" not in named and not named.get("host") and not named.get("hostaddr"):
            raise ValueError("a PostgreSQL URI names a host, a directory of Unix sockets, or a service")
        if named.get("sslmode") != "verify-full" and not _stays_here(named):
            raise ValueError("a PostgreSQL URI of another machine has sslmode=verify-full")
        return cls(uri)

    def conninfo(self, options: str = "", **settings: str | int) -> str:
        """For libpq, with further settings; `options` are added to its own."""
        from psycopg.conninfo import make_conninfo  # noqa: PLC0415 - see `_named`

        own = _named(self.uri)
        return make_conninfo(
            self.uri, **settings | {"options": f"{own.get('options', '')} {options}".strip()}
        )

    @property
    def several(self) -> bool:
        """Whether it names more than one server."""
        own = _named(self.uri)
        return any("," in str(own.get(name) or "") for name in ("host", "hostaddr"))

    @property
    def target(self) -> str:
        """Which server of several is taken for reading: the primary, unless the URI says otherwise."""
        own = _named(self.uri).get("target_session_attrs", "read-write")
        return "primary" if own == "read-write" else str(own)  # a session that only reads is not read-write

    def __str__(self) -> str:
        return self.uri


def _named(uri: str) -> dict[str, str | int | None]:
    """What libpq finds in it. Raises ValueError."""
    import psycopg  # noqa: PLC0415 - it is for those who have a server
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - the same

    try:
        return dict(conninfo_to_dict(uri))
    except psycopg.Error:
        raise ValueError("Expected a connection URI of PostgreSQL") from None


def _stays_here(named: dict[str, str | int | None]) -> bool:
    """Every host is a Unix socket or the loopback: nobody is in between."""
    places = [one for name in ("host", "hostaddr") for one in str(named.get(name) or "").split(",") if one]
    return "service" not in named and all(_is_local(one) for one in places)


def _is_local(host: str) -> bool:
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
