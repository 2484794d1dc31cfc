"""The revisions of the agreement that a store keeps, read beside a running hub or without one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import apsw

from gateway.adapters import store_agreements
from gateway.adapters.store_file import Use, connect, unreadable
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.refusal import Refusal

_KEPT: Final = "SELECT revision FROM agreements ORDER BY remembered DESC"


class AgreementArchive:
    """What the hub has served under. Nothing read here is believed: whoever compiles files compares their hash."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises `ProofError`."""
        return cls(connect(path, Use.READ))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def kept(self) -> list[str]:
        """Every revision, the one under which the hub last started first. Raises `ProofError`."""
        try:
            return [str(revision) for (revision,) in self._connection.execute(_KEPT)]
        except apsw.Error as error:
            raise unreadable(error) from error

    def files(self, revision: str) -> Mapping[str, bytes] | None:
        """The files of a revision; None when it is not kept. Raises `ProofError`."""
        try:
            return store_agreements.agreement(self._connection, revision)
        except Refusal as refusal:
            raise ProofError(Flaw.UNREADABLE, f"revision {revision}") from refusal
