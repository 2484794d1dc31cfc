"""Deployment settings: one TOML file → frozen values, unknown keys refused.

Settings say where things are and how much may be used; legal terms stand in the agreement. Paths are
relative to the settings file. deploy/gateway.toml shows every setting with its default and its unit; a
test holds that file, this module and PROTOCOL.md's annex together.
"""

from __future__ import annotations

import re
from abc import ABC
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from gateway.adapters.pkcs11_uri import SCHEME, Pkcs11Uri
from gateway.adapters.postgres_uri import SCHEMES, PostgresUri
from gateway.model import AuthorityId

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]
Pause = Annotated[float, Meta(ge=0, le=3600)]  # seconds; none is 0
Count = Annotated[int, Meta(ge=1)]
Patience = Annotated[float, Meta(gt=0, le=31_622_400)]  # seconds, at most a year
Host = Annotated[str, Meta(pattern="^[!-~]+$")]  # an empty one would be every address of the machine
Days = Annotated[float, Meta(gt=0, le=3660)]
Hours = Annotated[float, Meta(gt=0, le=720)]
# Of [limits]: what the processes of a hub may use together; everything else each may use, or each peer.
_OF_THE_HUB = (
    "connections",
    "connections_per_address",
    "connections_per_authority",
    "provider_connections",
    "spool_bytes",
    "in_flight",
    "in_flight_per_authority",
    "in_flight_bytes",
)
_KEY_ITSELF = re.compile(r"[\x00-\x1f]|PRIVATE KEY|\A[0-9A-Fa-f]{64}\Z")  # PEM or 32 bytes in hexadecimal

if TYPE_CHECKING:
    KeyPlace: TypeAlias = Path | Pkcs11Uri
    StorePlace: TypeAlias = Path | PostgresUri
else:

    class StorePlace(ABC):  # noqa: B024 - as below
        """A file, or a database on a server."""

    StorePlace.register(Path)
    StorePlace.register(PostgresUri)

    class KeyPlace(ABC):  # noqa: B024 - a name for two classes that have nothing else in common
        """A file, or a key in a token: msgspec takes one class of ours for a setting, and no union of two."""

    KeyPlace.register(Path)
    KeyPlace.register(Pkcs11Uri)


class ConfigError(Exception):
    """The settings cannot be used. `code` is stable; the message names file and setting, then the remedy."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(f"{code}: {message} {remedy}")
        self.code = code


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a settings file, or all of it."""


_Settings = TypeVar("_Settings", bound=Section)


class Listen(Section, frozen=True, kw_only=True):
    """[listen]: where the hub is reached."""

    host: Host = "127.0.0.1"
    port: Port = 8443  # signed SOAP over mutual TLS; 0 takes a free one
    operations_port: Port = 9464  # /metrics, /healthz, /readyz in plain HTTP: keep it inside
    public_url: str  # what WSDLs say, and what wsa:To must name
    drain_seconds: Pause = 0.0  # told to stop, it serves on so long while /readyz says no: for a balancer


class Contracts(Section, frozen=True, kw_only=True):
    """[contracts]: the protocol agreement and who takes part."""

    directory: Path  # holds agreement.toml, xsd/ and wsdl/
    register: Path
    signatures: Path  # directory of the parties' signatures over the agreement, *.xml


class Keys(Section, frozen=True, kw_only=True):
    """[keys]: keys and certificates of the hub; PEM files but for the last two.

    A `KeyPlace` is a PEM file, or a PKCS #11 URI: the key stays in its token.
    """

    tls_certificate: Path  # with the issuing chain behind it
    tls_key: Path
    sign_rsa_certificate: Path
    sign_rsa_key: KeyPlace
    sign_ec_certificate: Path
    sign_ec_key: KeyPlace
    log_key: KeyPlace  # Ed25519: signs checkpoints of the exchange log
    log_ml_dsa_key: Path | None = None  # PEM, ML-DSA-44: signs them, too
    directory_key: (
        Path  # 32 bytes, or in hexadecimal: under it the directory keeps a digest of each worker's INSZ
    )
    payload_key: Path  # 32 bytes, or in hexadecimal: notifications wait in the store encrypted under it


class OcspResponder(Section, frozen=True, kw_only=True):
    """An element of trust.ocsp: who is asked about the certificates of one issuer."""

    issuer: Path  # an anchor or intermediate, PEM
    url: str  # http or https; no address inside a certificate is ever used
    nonce: bool = True  # its answers must repeat ours; false for a responder that signs them in advance


class TrustFiles(Section, frozen=True, kw_only=True):
    """[trust]: whose certificates are believed."""

    anchors: list[Path]
    intermediates: list[Path]
    crls: list[
        Path
    ]  # one for every issuer of a chain; without it, or an OCSP answer, nothing of it is accepted
    enrolled: Path  # which certificates speak for which authority, TOML
    ocsp: tuple[OcspResponder, ...] = ()
    ocsp_seconds: Seconds = 600.0  # from one round of questions to the next
    grace_hours: Hours = 24.0  # for authorities with revocation = "soft": what ran out counts so long
    refresh_seconds: Seconds = 60.0  # between two looks at these files, the register and the hub's own pairs


class Right(StrEnum):
    """What an officer may do with the exchange log."""

    SEARCH = "search"  # list and show entries, and prove them and their views
    PERSON = "person"  # find entries by dossier or person, and make the report for a person; each is recorded
    EXPORT = "export"  # write all that matches, to be kept elsewhere; with `person` also evidence files
    ERASE = "erase"  # erase and prune; of the whole log only


class Officer(Section, frozen=True, kw_only=True):
    """An element of log.officers: who may look into the exchange log with the commands of this program."""

    user: str  # login at the hub's machine
    id: str  # to whom the log commits itself, when this officer looks somebody up
    authority: str  # an id of the register, whose exchanges are shown; the hub's own: all
    rights: tuple[Right, ...]


class LogSettings(Section, frozen=True, kw_only=True):
    """[log]: the exchange log and dossier directory."""

    store: (
        StorePlace  # one SQLite file, on a disk of its own if possible; or the URI of a PostgreSQL database
    )
    origin: str  # the log's name in checkpoints, a schema-less URL
    bucket_keys: Path  # directory of the keys under which seeds are wrapped; in no backup of the store
    readers: tuple[AuthorityId, ...] = ()  # may read every entry over HTTP, so who asks whom, when and why
    officers: tuple[Officer, ...] = ()  # nobody else searches it with --config
    former: tuple[StorePlace, ...] = ()  # stores of the logs that this one succeeds, the oldest first
    pin: Path | None = None  # a file on another disk: the last checkpoint, which the store must extend


class WitnessesSettings(Section, frozen=True, kw_only=True):
    """[witnesses]: who cosigns the log's checkpoints."""

    policy: Path | None = None  # C2SP tlog-policy: witnesses, each with its URL, and how many are enough
    anchors: tuple[Path, ...] = ()  # PEM: whom their TLS certificates are judged by; none: as in [trust]
    answer_seconds: Seconds = 10.0  # from connecting to the last byte of an answer
    warn_seconds: Seconds = 900.0  # without enough cosignatures
    stop_seconds: Patience | None = None  # of the same: then exchanges are refused; none: they go on
    at_start: Literal["warn", "refuse"] = "warn"  # when too few can be asked before the start


class DocumentSettings(Section, frozen=True, kw_only=True):
    """[documents]: where documents are while they pass, and where those that were uploaded are kept."""

    spool: Path  # directory on a disk, not in memory; what is in it is sealed and has no name
    store: Path  # directory on a disk; what is in it is sealed under keys.payload_key


class OutboundSettings(Section, frozen=True, kw_only=True):
    """[outbound]: where the hub may connect to."""

    allow: list[str]  # networks in CIDR form, of endpoints and responders; nothing else is connected to


class LimitSettings(Section, frozen=True, kw_only=True):
    """[limits]: what one message or peer may use."""

    request_bytes: Count = 256 * 1024  # without the document that it may attach
    answer_bytes: Count = 16 * 1024 * 1024  # a provider's answer may be a document
    header_seconds: Seconds = (
        10.0  # to the end of the TLS handshake, then to the end of each request's headers
    )
    reply_seconds: Seconds = 60.0  # for a peer to take a reply
    connections: Count = 1024  # open at once; beyond that new ones are closed, before their TLS handshake
    connections_per_address: Count = 256  # of those, from one IP address
    connections_per_authority: Count = 256  # of those, after the handshake
    body_seconds: Seconds = 20.0  # from headers to the last byte of a request
    provider_seconds: Seconds = 15.0  # from connecting to the last byte of an answer
    provider_connections: Count = 64  # at once, per provider
    document_bytes: Count = 256 * 1024 * 1024  # of one document, when it is an attachment
    document_seconds: Seconds = 300.0  # to receive one; again to send it to the requester
    spool_bytes: Count = 4 * 1024 * 1024 * 1024  # of all documents that are under way
    in_flight: Count = 512  # exchanges at once; beyond that callers are told to come back
    in_flight_per_authority: Count = 128  # of those, for one authority
    in_flight_bytes: Count = 64 * 1024 * 1024  # of their requests, without attachments
    wait_seconds: Seconds = 3.0  # for its turn, of an exchange that has not begun


class DeliverySettings(Section, frozen=True, kw_only=True):
    """[delivery]: how notifications reach their recipients."""

    first_retry_seconds: Seconds = 5.0  # after the first failed attempt; doubles with each further one
    max_retry_seconds: Seconds = 3600.0  # the longest time between two attempts
    dead_after_days: Days = 14.0  # age at which a notification waits for the operator instead
    at_once: Count = 4  # deliveries under way, for each recipient
    lease_seconds: Seconds = 120.0  # for which a delivery under way is one process's
    breaker_failures: Count = 5  # in a row: the recipient is left alone for a while
    breaker_seconds: Seconds = 60.0  # for so long
    mailbox_lease_seconds: Seconds = 300.0  # for which a fetched message is not listed again
    mailbox_waits: Count = 2  # lists of one mailbox that may wait at once; a further one is answered at once


class Settings(Section, frozen=True, kw_only=True):
    """The whole file."""

    listen: Listen
    contracts: Contracts
    keys: Keys
    trust: TrustFiles
    log: LogSettings
    documents: DocumentSettings
    outbound: OutboundSettings
    limits: LimitSettings = LimitSettings()
    delivery: DeliverySettings = DeliverySettings()
    witnesses: WitnessesSettings = WitnessesSettings()
    test_numbers: bool = False  # accept identifiers of the test range, which no person can have


def load(path: Path) -> Settings:
    """Read the settings of a hub. Raises ConfigError."""
    return read_settings(path, Settings, "deploy/gateway.toml")


def read_settings(path: Path, kind: type[_Settings], example: str) -> _Settings:
    """Read a settings file. `example`: a file that shows every setting. Raises ConfigError."""
    try:
        settings = msgspec.toml.decode(path.read_bytes(), type=kind, dec_hook=_decode_place)
    except OSError as error:
        raise ConfigError(
            "CFG001", f"{path}: {error.strerror}.", "Name an existing settings file."
        ) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        # ValidationError, with its path, is the first; the others: not UTF-8, endless digits, endless nesting.
        raise ConfigError("CFG002", f"{path}: {error}.", f"See {example} for every setting.") from error
    return _absolute(settings, path.resolve().parent)


def share_of(settings: Settings, workers: int) -> Settings:
    """The settings of one of so many processes of a hub: of what is limited for all together, its share, rounded up."""
    if workers == 1:
        return settings
    limits, delivery = settings.limits, settings.delivery
    parts = {name: -(-getattr(limits, name) // workers) for name in _OF_THE_HUB}
    parts["spool_bytes"] = max(parts["spool_bytes"], min(limits.spool_bytes, limits.document_bytes))
    waits = {name: -(-getattr(delivery, name) // workers) for name in ("at_once", "mailbox_waits")}
    return msgspec.structs.replace(
        settings,
        limits=msgspec.structs.replace(limits, **parts),
        delivery=msgspec.structs.replace(delivery, **waits),
    )


def _decode_place(kind: type, value: object) -> object:
    """What msgspec does not know; it adds which setting to the ValueError."""
    if not isinstance(value, str):
        raise ValueError("Expected the path of a file")  # noqa: TRY004 - msgspec names the setting for this one
    if _KEY_ITSELF.search(value):  # errors quote paths, and must not quote this (attack G08)
        raise ValueError("Expected the path of a file, not what is in it")
    if value.startswith(SCHEMES) and issubclass(PostgresUri, kind):
        return PostgresUri.parse(value)
    if not value.startswith(SCHEME):
        return Path(value)
    if not issubclass(Pkcs11Uri, kind):
        raise ValueError("Expected the path of a file: what this setting names cannot be in a token")  # noqa: TRY004 - as above
    return Pkcs11Uri.parse(value)


def _absolute(section: _Settings, base: Path) -> _Settings:
    """The same settings with every path made absolute."""

    def resolve(value: object) -> object:
        if isinstance(value, Path):
            return base / value
        if isinstance(value, list | tuple):
            return type(value)(resolve(item) for item in value)
        if isinstance(value, Section):
            return type(value)(**{name: resolve(getattr(value, name)) for name in value.__struct_fields__})
        return value

    resolved = resolve(section)
    assert isinstance(resolved, type(section))
    return resolved
