"""Settings → everything that a hub reads from files, found consistent, before anything is opened.

Whatever is wrong is said all at once: an operator corrects a list, not one line after the other. Running the
hub is for `app`; `gateway check` needs no more than this and the store.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import SplitResult, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.adapters.shelf import Shelf
from gateway.adapters.spool import Spool, SpoolError
from gateway.adapters.tls import TlsError, client_context, server_context
from gateway.agreement.admit import Terms
from gateway.agreement.load import Agreement, load_agreement, require_in_force
from gateway.agreement.register import Register, load_register
from gateway.broker.reply import Signer
from gateway.broker.rules import Rules
from gateway.config import ConfigError, DeliverySettings, Keys, OcspResponder, Settings
from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.note import Signer as LogSigner
from gateway.exchangelog.note import Verifier
from gateway.identity.chain import Certificates, Trust, Usage
from gateway.identity.enrolment import load_enrolment
from gateway.identity.explain import Explained, explain
from gateway.identity.responders import Responder, issued
from gateway.identity.revocation import Answers
from gateway.reading import Found, StartError, read, read_log_keys, read_pair, read_pem, secret_key
from gateway.soap.xml import Limits
from gateway.wss.profile import Window
from gateway.wss.sign import SigningKey

__all__ = ["Loaded", "StartError", "clock", "contract_files", "load", "secret_key", "trust_files"]

T = TypeVar("T")
# C2SP tlog-checkpoint: a schema-less URL without slash at its end; no space, no plus sign.
_ORIGIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(?::\d{1,5})?(?:/[A-Za-z0-9._~-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read. Private keys are in it."""

    rules: Rules
    digest: bytes  # of the files that may change while the hub runs, as they were before they were read
    log_keys: Sequence[ed25519.Ed25519PrivateKey]  # each signs checkpoints
    payload_key: bytes  # of what waits in the store
    spool: Spool  # of documents that are under way
    shelf: Shelf  # of documents that were uploaded
    verifiers: Sequence[Verifier]  # of the exchange log: the configured origin and keys
    certificates: Mapping[str, datetime]  # of the hub itself: name → end of validity
    own: frozenset[bytes]  # the same certificates, DER
    responders: tuple[Responder, ...]  # who is asked about revocation


def clock() -> datetime:
    """The one clock: UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Identities:
    """Who takes part, whom they are believed by, and the hub's own pairs: what may change while the hub runs."""

    register: Register
    certificates: Certificates
    responders: tuple[Responder, ...]
    pairs: Mapping[str, SigningKey]  # "tls", and those that sign by their suites

    @property
    def expiry(self) -> Mapping[str, datetime]:
        return {
            name: x509.load_der_x509_certificate(pair.certificate).not_valid_after_utc
            for name, pair in self.pairs.items()
        }

    @property
    def own(self) -> frozenset[bytes]:
        return frozenset(pair.certificate for pair in self.pairs.values())

    @property
    def signing(self) -> Mapping[str, SigningKey]:
        return {name: pair for name, pair in self.pairs.items() if name != "tls"}


def load(settings: Settings) -> Loaded:
    """Read and cross-check all files that the settings name.

    Raises StartError with every ConfigError, TrustError and AgreementError, each naming file or setting.
    """
    found, keys, digest = Found(), settings.keys, digest_of(settings)
    found.of(partial(_require_url, settings.listen.public_url))
    found.of(partial(_require_lease, settings))
    found.of(partial(_require_retries, settings.delivery))
    documents = found.of(partial(_documents, settings))
    agreement = found.of(partial(_agreement, settings.contracts.directory))
    identities = _identities(settings, found)
    log_keys = found.of(partial(read_log_keys, keys.log_key))
    verifiers = found.of(partial(_verifiers, settings.log.origin, log_keys or ()))
    person_key = found.of(partial(secret_key, keys.directory_key))
    payload_key = found.of(partial(secret_key, keys.payload_key))
    if person_key is not None and payload_key is not None:
        found.of(partial(_require_two_keys, person_key, payload_key))
    found.done()
    assert identities is not None  # and so on: `done` raises when anything is missing
    assert agreement is not None
    assert log_keys is not None
    assert verifiers is not None
    assert person_key is not None
    assert payload_key is not None
    assert documents is not None
    terms = Terms(settings.listen.public_url, Window(), settings.test_numbers)
    rules = Rules(
        agreement=agreement,
        register=identities.register,
        certificates=identities.certificates,
        limits=Limits(bytes=max(settings.limits.request_bytes, settings.limits.answer_bytes)),
        terms=terms,
        directory_key=person_key,
        signer=Signer(identities.signing, identities.register.hub, terms.window),
    )
    return Loaded(
        rules,
        digest,
        log_keys,
        payload_key,
        *documents,
        verifiers,
        identities.expiry,
        identities.own,
        identities.responders,
    )


def reload(settings: Settings, before: Loaded) -> Loaded:
    """What may change while the hub runs, read anew and cross-checked as `load` does; the rest as it was.

    Raises StartError.
    """
    found, digest, known = Found(), digest_of(settings), before.rules.certificates
    identities = _identities(settings, found, known.answers, before.own)
    log_keys = found.of(partial(read_log_keys, settings.keys.log_key))
    found.done()
    assert identities is not None  # `done` raises when anything is missing
    assert log_keys is not None
    identities.certificates.graced = known.graced
    rules = replace(
        before.rules,
        register=identities.register,
        certificates=identities.certificates,
        signer=replace(before.rules.signer, keys=identities.signing, hub=identities.register.hub),
    )
    return replace(
        before,
        rules=rules,
        digest=digest,
        log_keys=log_keys,
        verifiers=_verifiers(settings.log.origin, log_keys),
        certificates=identities.expiry,
        own=identities.own,
        responders=identities.responders,
    )


def digest_of(settings: Settings) -> bytes:
    """Of the files that may change while the hub runs, those that are not there too."""
    digest = sha256()
    trust, others = settings.trust, [settings.contracts.register, settings.trust.enrolled]
    others += [one.issuer for one in trust.ocsp]
    for path in (*others, *_own_files(settings.keys), *trust_files(settings)):
        try:
            content = path.read_bytes()
        except OSError as error:
            content = type(error).__name__.encode()
        digest.update(sha256(content).digest())
    return digest.digest()


def _own_files(keys: Keys) -> Iterator[Path]:
    """Of the hub's own pairs, and of the log."""
    yield from (keys.tls_certificate, keys.tls_key)
    yield from (keys.sign_rsa_certificate, keys.sign_rsa_key)
    yield from (keys.sign_ec_certificate, keys.sign_ec_key)
    yield keys.log_key


def revocation_lists(trust: Trust) -> Mapping[str, tuple[datetime, datetime]]:
    """The thisUpdate and nextUpdate of each revocation list, by the name of its issuer."""
    return {
        one.crl.issuer.rfc4514_string(): (one.this_update, one.next_update)
        for one in trust.revocations.values()
    }


def _identities(
    settings: Settings, found: Found, answers: Answers | None = None, in_force: Collection[bytes] = ()
) -> _Identities | None:
    """`answers`: of responders so far; `in_force`: the hub's own certificates at this moment."""
    keys = settings.keys
    register = found.of(partial(_register, settings.contracts.register))
    certificates = load_certificates(settings, register, found, answers)
    responders = load_responders(settings, certificates, found)
    read = {
        "tls": found.of(partial(read_pair, keys.tls_certificate, keys.tls_key)),
        "rsa-sha256": found.of(partial(read_pair, keys.sign_rsa_certificate, keys.sign_rsa_key)),
        "ecdsa-sha256": found.of(partial(read_pair, keys.sign_ec_certificate, keys.sign_ec_key)),
    }
    pairs = {name: pair for name, pair in read.items() if pair is not None}
    if certificates is None or register is None:
        return None
    judge = partial(
        _require_own,
        certificates=certificates,
        register=register,
        responders=responders,
        in_force=in_force,
    )
    _require_hub(pairs, judge, found)
    if "tls" in pairs:
        found.of(partial(_require_openssl, settings))
    return _Identities(register, certificates, responders, pairs)


def contract_files(directory: Path) -> Mapping[str, bytes]:
    """The files of the protocol agreement by their path below `directory`'s parent. Raises ConfigError."""
    if not (directory / "agreement.toml").is_file():
        raise ConfigError(
            "CFG016",
            f"{directory.resolve()}: no agreement.toml here.",
            "Name the directory that holds agreement.toml, xsd/ and wsdl/.",
        )
    wanted = ("agreement.toml", "procedures.toml", "places.toml", "xsd/*.xsd", "wsdl/*.wsdl")
    found = [path for pattern in wanted for path in sorted(directory.glob(pattern))]
    return {f"contracts/{path.relative_to(directory).as_posix()}": read(path) for path in found}


def trust_files(settings: Settings) -> list[Path]:
    """Anchors, intermediates and revocation lists, as OpenSSL takes them: all alike."""
    return [path for paths in _trust_paths(settings) for path in paths]


def _require_url(url: str) -> None:
    parts = _split(url)
    sound = parts is not None and parts.scheme == "https" and parts.hostname and parts.port != 0
    if parts is None or not sound or parts.query or parts.fragment or parts.username:
        raise ConfigError(
            "CFG014",
            f"listen.public_url: {url} is not an https URL.",
            "Give the address that authorities use, such as https://gateway.example.be/soap/v1.",
        )


def _split(url: str) -> SplitResult | None:
    """None for a URL that does not read, also for a port that is no number."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _require_lease(settings: Settings) -> None:
    """A lease that ends first lets another process deliver what this one is still delivering."""
    lease, attempt = settings.delivery.lease_seconds, settings.limits.provider_seconds
    if lease <= attempt:
        raise ConfigError(
            "CFG017",
            f"delivery.lease_seconds: {lease:g} is not longer than limits.provider_seconds, {attempt:g}.",
            "Lengthen the lease, or shorten the wait for a provider.",
        )


def _require_retries(delivery: DeliverySettings) -> None:
    first, longest = delivery.first_retry_seconds, delivery.max_retry_seconds
    if longest < first:
        raise ConfigError(
            "CFG018",
            f"delivery.max_retry_seconds: {longest:g} is less than delivery.first_retry_seconds, {first:g}.",
            "Give the longest time between two attempts.",
        )


def _require_two_keys(directory: bytes, payload: bytes) -> None:
    """One is of digests for ever, the other is renewed whenever nothing waits."""
    if directory == payload:
        raise ConfigError(
            "CFG019",
            "keys.payload_key: is the same key as keys.directory_key.",
            "Make another when nothing waits: openssl rand -hex 32",
        )


def _documents(settings: Settings) -> tuple[Spool, Shelf]:
    """Where documents are kept. Raises ConfigError."""
    paths = settings.documents
    spool = _directory("spool", lambda: Spool(paths.spool, settings.limits.spool_bytes))
    return spool, _directory("store", lambda: Shelf(paths.store, spool.claim))


def _directory(setting: str, opened: Callable[[], T]) -> T:
    try:
        return opened()
    except SpoolError as error:
        raise ConfigError(
            "CFG014",
            f"documents.{setting}: {error}.",
            "Name a directory on a disk that the hub may write to.",
        ) from error


def _register(path: Path) -> Register:
    return load_register(read(path), str(path))


def _agreement(directory: Path) -> Agreement:
    agreement = load_agreement(contract_files(directory))
    require_in_force(agreement, clock().date())
    return agreement


def load_certificates(
    settings: Settings, register: Register | None, found: Found, answers: Answers | None = None
) -> Certificates | None:
    """Whom the hub believes, and which certificates are enrolled; None when something was found wrong.

    `answers`: of responders, from before the files were read anew.
    """
    trust, path = _trust(settings, found), settings.trust.enrolled
    data = found.of(partial(read, path))
    if register is None or data is None:
        return None
    enrolment = found.of(partial(load_enrolment, data, str(path), register))
    if trust is None or enrolment is None:
        return None
    return Certificates(trust, enrolment, answers, grace=timedelta(hours=settings.trust.grace_hours))


def load_responders(
    settings: Settings, certificates: Certificates | None, found: Found
) -> tuple[Responder, ...]:
    """Who is asked about revocation: each responder answers for an issuer that is trusted."""
    if certificates is None:
        return ()
    trust = certificates.trust
    known = [found.of(partial(_responder, one, trust)) for one in settings.trust.ocsp]
    return tuple(one for one in known if one is not None)


def _responder(one: OcspResponder, trust: Trust) -> Responder:
    parts = _split(one.url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ConfigError(
            "CFG020", f"trust.ocsp: {one.url} is no http or https URL.", "Name the responder's address."
        )
    pem = read_pem(one.issuer)
    for issuer in (*trust.anchors, *trust.intermediates):
        if issuer.public_bytes(Encoding.PEM).strip() in pem:
            return Responder(issuer, one.url, one.nonce)
    raise ConfigError(
        "CFG021",
        f"trust.ocsp: {one.issuer} is no certificate of trust.anchors or trust.intermediates.",
        "Name the file of the issuer that the responder answers for.",
    )


def _trust(settings: Settings, found: Found) -> Trust | None:
    read = [[found.of(partial(read_pem, path)) for path in paths] for paths in _trust_paths(settings)]
    whole = [[one for one in data if one is not None] for data in read]
    return found.of(lambda: Trust.load(*whole)) if whole == read else None


def _trust_paths(settings: Settings) -> tuple[list[Path], list[Path], list[Path]]:
    return settings.trust.anchors, settings.trust.intermediates, settings.trust.crls


def _verifiers(origin: str, keys: Sequence[ed25519.Ed25519PrivateKey]) -> Sequence[Verifier]:
    """The log's public keys under its name."""
    if _ORIGIN.fullmatch(origin) is None:
        raise ConfigError(
            "CFG015",
            f"log.origin: {origin} is not a URL without schema.",
            "Name the log like gateway.example.be/exchange-log/2026.",
        )
    try:
        return [LogSigner.of(origin, key).verifier for key in keys]
    except ProofError as error:
        raise ConfigError("CFG015", f"log.origin: {error}.", "Give the log another name.") from error


def _require_hub(
    pairs: Mapping[str, SigningKey], judge: Callable[[str, bytes, Usage], None], found: Found
) -> None:
    """The hub's own certificates are judged like anybody's, so that a wrong one stops the start."""
    for name, pair in pairs.items():
        for usage in (Usage.TLS_SERVER, Usage.TLS_CLIENT) if name == "tls" else (Usage.SIGNING,):
            found.of(partial(judge, name, pair.certificate, usage))


def _require_own(  # noqa: PLR0913 - a certificate, and all that it is judged by
    name: str,
    der: bytes,
    usage: Usage,
    *,
    certificates: Certificates,
    register: Register,
    responders: Sequence[Responder],
    in_force: Collection[bytes],
) -> None:
    told = explain(der, certificates, register, clock())
    if told.enterprise is not None and told.authority is not register.hub:
        raise ConfigError(
            "CFG006",
            f"keys: the {name} certificate names {told.enterprise}, the register's hub is {register.hub.enterprise}.",
            "Use the hub's certificate.",
        )
    if der in in_force:  # whatever is wrong with it, it would stay: that must hold up no suspension
        return
    if usage not in told.usages:
        told.because("usage")
    reasons = [
        one for one in told.reasons if one != "revocation unknown" or not _will_be_asked(told, responders)
    ]
    if reasons:
        raise ConfigError(
            "CFG005",
            f"keys: the {name} certificate of the hub is not accepted: {', '.join(reasons)}.",
            "gateway pki explain says more.",
        )


def _will_be_asked(told: Explained, responders: Sequence[Responder]) -> bool:
    """No responder is asked before the hub runs; whom one will be asked about need not be cleared yet."""
    unclear = [one.certificate for one in told.steps if one.unclear == "revocation unknown"]
    return all(any(issued(one, responder.issuer) for responder in responders) for one in unclear)


def _require_openssl(settings: Settings) -> None:
    """What is sound to us may still not be so to OpenSSL, which does the handshakes."""
    own = settings.keys.tls_certificate, settings.keys.tls_key, trust_files(settings)
    try:
        server_context(*own)
        client_context(*own)
    except TlsError as error:
        raise ConfigError("CFG012", f"{error}.", "Name PEM files that OpenSSL can read.") from error
