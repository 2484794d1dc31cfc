"""The directory of a sandbox: certificates, register, settings and store, and how to find each.

    pki/           the development PKI (certs/README.md)
    signatures/    of the parties over the agreement
    register.toml  the register of authorities with endpoints on this machine
    gateway.toml   the hub's settings
    store.db       the exchange log and the dossier directory
    hub.log        what the hub wrote on standard error
    lock           held while it runs

What runs in it is for `world`; `client` needs nothing but this directory.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate, load_pem_x509_crl

from gateway.adapters.pki import write_file, write_pki
from gateway.agreement.finding import AgreementError
from gateway.agreement.register import Register, load_register
from gateway.config import ConfigError, Settings, load
from gateway.exchangelog.note import Verifier
from gateway.identity.certify import Issuer, issue_crl
from gateway.identity.issue import issue_pki
from gateway.model import Authority, AuthorityId
from gateway.sandbox.settings import hub_settings, register_with_endpoints
from gateway.sandbox.signatures import sign_agreement

# Authorities without a service of their own: what they are told waits in their mailbox.
MAILBOXES: Final = frozenset({AuthorityId("POST_NEW_DELHI"), AuthorityId("MUN_EUPEN")})
_LIST_LASTS: Final = timedelta(days=7)  # at least, of a revocation list
_CONTRACTS: Final = Path(__file__).resolve().parents[2] / "contracts"
_SUITES: Final = {"rsa-sha256": "sign-rsa", "ecdsa-sha256": "sign-ec"}


@dataclass(frozen=True, slots=True)
class Identity:
    """The key files of one authority."""

    tls_certificate: Path
    tls_key: Path
    sign_certificate: Path
    sign_key: Path


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports."""

    hub: int
    operations: int
    offices: Mapping[AuthorityId, int]


class Place:
    """A sandbox's directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()

    @property
    def config(self) -> Path:
        return self.directory / "gateway.toml"

    @property
    def anchor(self) -> Path:
        return self.directory / "pki" / "root.crt.pem"

    @property
    def log_vkey(self) -> Path:
        return self.directory / "pki" / "HUB" / "log.vkey"

    def log_pin(self, authority: AuthorityId) -> Path:
        """What the authority has seen of the log."""
        return self.directory / "pki" / authority / "log.pin"

    def log_keys(self) -> list[Verifier]:
        """The log's keys, former ones too; read each time, for the hub may change them."""
        return [Verifier.parse(one) for one in self.log_vkey.read_text("utf-8").split()]

    @property
    def hub_log(self) -> Path:
        return self.directory / "hub.log"

    @cached_property
    def settings(self) -> Settings:
        """Raises ConfigError when there is no sandbox here."""
        if not self.config.is_file():
            raise ConfigError(
                "SBX006", f"{self.directory}: there is no sandbox here.", "Start one: gateway sandbox"
            )
        return load(self.config)

    @cached_property
    def register(self) -> Register:
        """Raises ConfigError when there is no sandbox here; RegisterError when it does not read."""
        path = self.settings.contracts.register
        return load_register(path.read_bytes(), str(path))

    def authority(self, name: str) -> Authority:
        """Raises ConfigError when the register has none of this id."""
        found = self.register.by_id.get(AuthorityId(name))
        if found is None:
            known = ", ".join(self.register.by_id)
            raise ConfigError(
                "SBX001", f"There is no authority {name} in the register.", f"Name one of {known}."
            )
        return found

    def identity(self, name: AuthorityId) -> Identity:
        folder = self.directory / "pki" / name
        files = ("tls.crt.pem", "tls.key.pem", "sign.crt.pem", "sign.key.pem")
        return Identity(*(folder / file for file in files))

    def hub_certificate(self, suite: str) -> Path:
        """The certificate of the hub that replies in this suite are signed with: what a client pins."""
        return self.directory / "pki" / "HUB" / f"{_SUITES[suite]}.crt.pem"


def contracts_directory(given: Path | None) -> Path:
    """`given`, or the directory beside the package. Raises ConfigError when there is no agreement in it."""
    directory = _CONTRACTS if given is None else given.resolve()
    if not (directory / "agreement.toml").is_file():
        raise ConfigError(
            "SBX002", f"{directory}: no agreement.toml here.", "Name the directory with --contracts."
        )
    return directory


def authorities(contracts: Path) -> Register:
    """The register without endpoints, as the contracts have it. Raises ConfigError, RegisterError."""
    path = contracts / "register.toml"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            "SBX002", f"{path}: {error.strerror}.", "Name the directory with --contracts."
        ) from error
    return load_register(data, str(path))


@contextmanager
def _written(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or directory
        raise ConfigError(
            "SBX014", f"{place}: {error.strerror}.", "Name a directory that can be made and written."
        ) from error


def claim(directory: Path) -> BinaryIO:
    """Make the directory this process's; closing the file gives it free again.

    Raises ConfigError when it cannot be written, or holds something else than a sandbox, or one that is running.
    """
    with _written(directory):
        return _claim(directory)


def _claim(directory: Path) -> BinaryIO:
    held = {path.name for path in directory.iterdir()} - {"lock"} if directory.exists() else set()
    if held and "pki" not in held:
        raise ConfigError(
            "SBX003", f"{directory}: holds something that is no sandbox.", "Name a new directory."
        )
    directory.mkdir(parents=True, exist_ok=True)
    lock = (directory / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise ConfigError(
            "SBX010", f"{directory}: a sandbox runs here already.", "Use it, or name another directory."
        ) from error
    return lock


def prepare(
    directory: Path, contracts: Path, ports: Ports, now: datetime, *, provider_seconds: float
) -> Place:
    """Write what a hub needs. Certificates and store of an earlier run are kept, and lists that run out renewed.

    Raises ConfigError.
    """
    with _written(directory):
        return _prepare(directory, contracts, ports, now, provider_seconds)


def earlier_ports(directory: Path) -> Ports:
    """The ports of an earlier run here, to be taken again where they are free; 0 and none when there was none."""
    place = Place(directory)
    try:
        listen, known = place.settings.listen, place.register.authorities
    except (ConfigError, AgreementError, OSError):
        return Ports(0, 0, {})
    ports = {one.id: urlsplit(one.endpoint).port or 0 for one in known if one.endpoint is not None}
    return Ports(listen.port, listen.operations_port, ports)


def _renew(pki: Path, name: str, now: datetime) -> None:
    """A sandbox that was left for a month would believe nobody, itself included."""
    path = pki / f"{name}.crl.pem"
    before = load_pem_x509_crl(path.read_bytes())
    if before.next_update_utc is not None and now + _LIST_LASTS <= before.next_update_utc:
        return
    key = load_pem_private_key((pki / f"{name}.key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # as the PKI was made
    issuer = Issuer(load_pem_x509_certificate((pki / f"{name}.crt.pem").read_bytes()), key)
    write_file(path, issue_crl(issuer, now, before=before).public_bytes(Encoding.PEM), replace=True)


def _prepare(directory: Path, contracts: Path, ports: Ports, now: datetime, provider_seconds: float) -> Place:
    register = authorities(contracts)
    origin = f"{register.hub.tls_name}/exchange-log"
    if not (directory / "pki").exists():
        write_pki(directory / "pki", issue_pki(register.hub, register.authorities, now, origin=origin))
    for name in ("root", "issuing"):
        _renew(directory / "pki", name, now)
    sign_agreement(contracts, directory / "pki", directory / "signatures", now)
    text = (contracts / "register.toml").read_text("utf-8")
    urls = {name: f"https://127.0.0.1:{port}/soap/v1" for name, port in ports.offices.items()}
    (directory / "register.toml").write_text(register_with_endpoints(text, urls), "utf-8")
    settings = hub_settings(
        contracts,
        origin,
        f"https://127.0.0.1:{ports.hub}/soap/v1",
        ports=(ports.hub, ports.operations),
        provider_seconds=provider_seconds,
    )
    (directory / "gateway.toml").write_text(settings, "utf-8")
    return Place(directory)
