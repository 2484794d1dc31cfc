"""The working directory of one benchmark: development certificates, register, settings, all of one suite.

The register is the product's own with one suite for everybody, so that hub, requester and provider all sign
with the suite that is measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway.adapters.pki import write_pki
from gateway.agreement.register import Register, load_register
from gateway.bench.trouble import BenchError
from gateway.identity.issue import issue_pki
from gateway.model import Authority, AuthorityId
from gateway.sandbox.settings import hub_settings, register_with_endpoints
from gateway.sandbox.signatures import sign_agreement
from gateway.wss.sign import SigningKey

SUITES: Final[Mapping[str, str]] = {
    "rsa": "rsa-sha256",
    "ecdsa": "ecdsa-sha256",
}  # option → the register's word
REQUESTER: Final = AuthorityId("BRUSSELS")
PROVIDER: Final = AuthorityId("PLATFORM")  # answers the requester; tells the two recipients, and the mailbox
RECIPIENTS: Final = (REQUESTER, AuthorityId("IMMIGRATION_OFFICE"))
MAILBOX_OWNER: Final = AuthorityId("MUN_EUPEN")
ORIGIN: Final = "gateway.wib.example/bench"  # of the exchange log
# Authorities with RSA suites get RSA and P-256 keys in turn (`identity.issue.key_kinds`): every other one is ours.
_HOLDERS: Final = (
    REQUESTER, AuthorityId("FLANDERS"), PROVIDER, AuthorityId("WALLONIA"), RECIPIENTS[1],
    AuthorityId("GERMAN_COMMUNITY"), MAILBOX_OWNER, AuthorityId("NSSO"),
)  # fmt: skip
PARTIES: Final = _HOLDERS[::2]
# A crowd of one authority at one address, which the shipped limits would send away; and what it tells is delivered
# as fast as it comes. Section of the settings → what it begins with.
CROWD: Final[Mapping[str, str]] = {
    "limits": "connections = 4096\nconnections_per_address = 4096\nconnections_per_authority = 4096\n"
    "in_flight = 1024\nin_flight_per_authority = 1024\n",
    "delivery": "at_once = 32\n",
}
_TRUST: Final = ("root.crt.pem", "issuing.crt.pem", "root.crl.pem", "issuing.crl.pem")


@dataclass(frozen=True, slots=True)
class Party:
    """One authority's place in the PKI directory; picklable, so that a helper process can be given it."""

    authority: Authority
    pki: Path

    @property
    def tls(self) -> tuple[Path, Path]:
        """TLS certificate with its chain, and key."""
        return self._file("tls.crt.pem"), self._file("tls.key.pem")

    @property
    def trust(self) -> tuple[Path, ...]:
        """Anchors, intermediates and revocation lists, for a TLS context."""
        return tuple(self.pki / name for name in _TRUST)

    def signing_key(self, name: str = "sign") -> SigningKey:
        """The key that signs messages, with its certificate."""
        key = load_pem_private_key(self._file(f"{name}.key.pem").read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        return SigningKey(key, self._der(f"{name}.crt.pem"))

    def _der(self, name: str) -> bytes:
        return x509.load_pem_x509_certificate(self._file(name).read_bytes()).public_bytes(Encoding.DER)

    def _file(self, name: str) -> Path:
        return self.pki / self.authority.id / name


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything of one suite lies. `settings` is what `gateway serve --config` is given."""

    suite: str
    directory: Path
    register: Register

    @property
    def settings(self) -> Path:
        return self.directory / "gateway.toml"

    @property
    def store(self) -> Path:
        return self.directory / "store.db"

    @property
    def bucket_keys(self) -> Path:
        return self.directory / "bucket-keys"

    @property
    def log_key(self) -> Path:
        return self.directory / "pki" / "HUB" / "log.key.pem"

    @property
    def directory_key(self) -> Path:
        return self.directory / "pki" / "HUB" / "directory.key"

    @property
    def hub(self) -> Party:
        return Party(self.register.hub, self.directory / "pki")

    @property
    def hub_key(self) -> SigningKey:
        """The hub's signing key of this suite."""
        return self.hub.signing_key("sign-rsa" if self.suite == "rsa" else "sign-ec")

    def party(self, authority: AuthorityId) -> Party:
        found = self.register.by_id.get(authority)
        assert found is not None  # the product's register has both
        return Party(found, self.directory / "pki")


def prepare(directory: Path, suite: str, contracts: Path, limits: Mapping[str, str]) -> Place:
    """Fill `directory` but for the endpoints (`write_endpoints`). `limits`: as CROWD, or {} for those that are
    shipped. Raises BenchError.
    """
    source = contracts / "register.toml"
    if not source.is_file():
        raise BenchError(
            "BEN005", f"{source} does not exist.", "Name the directory of the contracts with --contracts."
        )
    register = _with_suite(source.read_text(), suite)
    place = Place(suite, directory, load_register(register.encode(), str(source)))
    certify(place, _HOLDERS, contracts)
    for name in PARTIES:
        assert place.party(name).signing_key().method == place.hub_key.method
    settings = hub_settings(contracts, ORIGIN, "https://gateway.wib.example/soap/v1")
    for section, lines in limits.items():
        settings = re.sub(rf"(?m)^\[{section}\].*\n", rf"\g<0>{lines}", settings)
    place.settings.write_text(settings)
    (directory / "register.toml").write_text(register)
    return place


def certify(place: Place, holders: Iterable[AuthorityId], contracts: Path) -> None:
    """Certificates for these authorities, among them all parties of the agreement, which they sign."""
    now, pki = datetime.now(UTC), place.directory / "pki"
    authorities = [place.party(name).authority for name in holders]
    write_pki(pki, issue_pki(place.register.hub, authorities, now, origin=ORIGIN))
    sign_agreement(contracts, pki, place.directory / "signatures", now)


def write_endpoints(place: Place, urls: Mapping[AuthorityId, str]) -> None:
    """Say in the register where authorities answer."""
    path = place.directory / "register.toml"
    path.write_text(register_with_endpoints(path.read_text(), urls))


def _with_suite(register: str, suite: str) -> str:
    """Everybody has this suite; and a quota that no load reaches, since a benchmark is no fair use."""
    line = f'suite = "{SUITES[suite]}"\nquota = {{ per_second = 100000.0, burst = 1000000 }}'
    return re.sub(r'(?m)^suite = ".*"$', line, register)
