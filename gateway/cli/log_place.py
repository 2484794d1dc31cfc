"""Which log a command means and with which key it is checked, and how a command says what is wrong.

The log is named by `--store`, the key by `--vkey` or `--vkey-file`. On the hub itself `--config` names both,
and lets authorities appear by their id in the register.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.agreement.register import load_register
from gateway.config import load
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Signer, Verifier

StoreFile = Annotated[Path | None, typer.Option("--store", help="The store's SQLite file.")]
Config = Annotated[
    Path | None, typer.Option("--config", help="The hub's settings file, instead of --store and --vkey.")
]
Vkey = Annotated[str | None, typer.Option("--vkey", help="The log's verification key: name+id+key.")]
VkeyFile = Annotated[Path | None, typer.Option("--vkey-file", help="File with the log's verification key.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a log is, how it is checked, and what its parties are called."""

    store: Path
    verifier: Verifier | None = None
    names: Mapping[str, str] = field(default_factory=dict)  # enterprise number → id in the register

    def name(self, party: str) -> str:
        return self.names.get(party, party)

    def enterprise(self, name: str) -> str:
        """The enterprise number of an id of the register; anything else is taken as it is."""
        return next((party for party, known in self.names.items() if known == name), name)

    @property
    def key(self) -> Verifier:
        if self.verifier is None:
            raise ProofError(Flaw.KEY_MISSING)
        return self.verifier


def find(
    store: Path | None,
    config: Path | None,
    vkey: str | None = None,
    vkey_file: Path | None = None,
    *,
    needs_store: bool = True,
) -> Place:
    """The log that the options name; what is given on the command line goes before the settings."""
    place = _configured(config) if config is not None else None
    if store is None and place is None and needs_store:
        raise ProofError(Flaw.PLACE_MISSING)
    given = _given_key(vkey, vkey_file)
    if place is None:
        return Place(store or Path(), given)
    return Place(store or place.store, given or place.verifier, place.names)


@contextmanager
def explained() -> Iterator[None]:
    """Tells what is wrong as a code, a sentence and a remedy on stderr; exit status 1."""
    try:
        yield
    except ProofError as error:
        typer.echo(f"{error} {error.flaw.row.remedy}", err=True)
        raise typer.Exit(1) from None


def _given_key(vkey: str | None, vkey_file: Path | None) -> Verifier | None:
    if vkey_file is not None and vkey is None:
        vkey = read_file(vkey_file).decode("utf-8", "replace").strip()
    return None if vkey is None else Verifier.parse(vkey)


def _configured(path: Path) -> Place:
    settings = load(path)
    register = load_register(read_file(settings.contracts.register), str(settings.contracts.register))
    names = {str(one.enterprise): str(one.id) for one in (register.hub, *register.authorities)}
    key = _log_key(settings.keys.log_key)
    return Place(settings.log.store, Signer.of(settings.log.origin, key).verifier, names)


def _log_key(path: Path) -> Ed25519PrivateKey:
    """The settings name the private key only; its public half is what is needed here."""
    try:
        key = load_pem_private_key(read_file(path), None)
    except (ValueError, TypeError):
        raise ProofError(Flaw.KEY_FORM, str(path)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ProofError(Flaw.KEY_FORM, str(path))
    return key


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ProofError(Flaw.UNREADABLE, f"{path}: {error.strerror}") from error


def write_file(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ProofError(Flaw.UNREADABLE, f"{path}: {error.strerror}") from error
