"""Settings → everything that a hub reads from files, found consistent, before anything is opened.

Whatever is wrong is said all at once: an operator corrects a list, not one line after the other. Running the
hub is for `app`; `gateway check` needs no more than this and the store.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Final, TypeVar

from gateway.adapters.destinations import Destinations
from gateway.adapters.pin import read_pin
from gateway.adapters.pkcs11_uri import Pkcs11Uri
from gateway.adapters.shelf import Shelf
from gateway.adapters.spool import Spool, SpoolError
from gateway.agreed import adopted, before_start, read_agreement
from gateway.agreement.admit import Terms
from gateway.agreement.register import Register
from gateway.agreement.terms import Agreement
from gateway.broker.reply import SIGNING_SECONDS, Signer
from gateway.broker.rules import Rules
from gateway.config import ConfigError, DeliverySettings, Settings
from gateway.evidence.adoption import Adopted
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.cosignature import Cosigner
from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.note import PrivateKey, Verifier
from gateway.exchangelog.note import Signer as LogSigner
from gateway.exchangelog.quorum import TrustPolicy
from gateway.identity.responders import Responder
from gateway.identity.trust import require_successors
from gateway.model import PATH, AuthorityId
from gateway.own import Identities, load_identities, own_files
from gateway.reading import (
    Found,
    StartError,
    clock,
    contract_files,
    read,
    read_log_keys,
    read_ml_dsa_key,
    secret_key,
)
from gateway.soap.xml import Limits
from gateway.trusted import split, trust_files
from gateway.wss.profile import Window

__all__ = ["Loaded", "StartError", "clock", "contract_files", "load", "secret_key", "trust_files"]

T = TypeVar("T")
# C2SP tlog-checkpoint: a schema-less URL without slash at its end; no space, no plus sign.
_ORIGIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(?::\d{1,5})?(?:/[A-Za-z0-9._~-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read. Private keys are in it."""

    rules: Rules
    digest: bytes  # of the files that may change while the hub runs, as they were before they were read
    log_keys: Sequence[PrivateKey]  # each signs checkpoints
    payload_key: bytes = field(repr=False)  # of what waits in the store
    spool: Spool  # of documents that are under way
    shelf: Shelf  # of documents that were uploaded
    verifiers: Sequence[Verifier]  # of the exchange log: the configured origin and keys
    certificates: Mapping[str, datetime]  # of the hub itself: name → end of validity
    own: frozenset[bytes]  # the same certificates, DER
    responders: tuple[Responder, ...]  # who is asked about revocation
    policy: TrustPolicy | None = None  # who cosigns the log's checkpoints
    beside: Cosigner | None = None  # signs them by ML-DSA-44, beside the log's own keys


def load(settings: Settings) -> Loaded:
    """Read and cross-check all files that the settings name.

    Raises StartError with every ConfigError, TrustError, AgreementError and ProofError, each naming file or setting.
    """
    found, keys, digest = Found(), settings.keys, digest_of(settings)
    found.of(partial(_require_url, settings.listen.public_url))
    found.of(partial(_require_lease, settings))
    found.of(partial(_require_retries, settings.delivery))
    documents = found.of(partial(_documents, settings))
    destinations = found.of(partial(load_destinations, settings.outbound.allow))
    agreement = found.of(partial(read_agreement, settings.contracts.directory))
    policy = found.of(partial(_policy, settings))
    identities = load_identities(settings, found)
    if identities is not None and destinations is not None:
        _require_allowed(settings, identities.register, destinations, found, policy)
    adoption = None
    if identities is not None and agreement is not None:
        adoption = found.of(partial(_adopted, settings, agreement, identities))
    if identities is not None:
        found.of(partial(_require_readers, settings.log.readers, identities.register))
    log_keys = found.of(partial(read_log_keys, keys.log_key))
    verifiers = found.of(partial(_verifiers, settings.log.origin, log_keys or ()))
    beside = found.of(partial(_beside, settings)) if verifiers else None
    person_key = found.of(partial(secret_key, keys.directory_key))
    payload_key = found.of(partial(secret_key, keys.payload_key))
    if person_key is not None and payload_key is not None:
        found.of(partial(_require_two_keys, person_key, payload_key))
    found.done()
    assert identities is not None  # and so on: `done` raises when anything is missing
    assert adoption is not None
    assert log_keys is not None
    assert verifiers is not None
    assert person_key is not None
    assert payload_key is not None
    assert documents is not None
    terms = Terms(settings.listen.public_url, Window(), settings.test_numbers)
    rules = Rules(
        announced=identities.announced,
        agreement=adoption.agreement,
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
        policy,
        beside,
    )


def reload(settings: Settings, before: Loaded) -> Loaded:
    """What may change while the hub runs, read anew and cross-checked as `load` does; the rest as it was.

    Raises StartError.
    """
    found, digest, known = Found(), digest_of(settings), before.rules.certificates
    identities = load_identities(settings, found, known.answers, before.own, before.rules.signer.keys)
    place = settings.keys.log_key
    log_keys = before.log_keys if isinstance(place, Pkcs11Uri) else found.of(partial(read_log_keys, place))
    if identities is not None:
        found.of(partial(require_successors, identities.certificates.trust, known.trust, clock()))
        found.of(partial(_require_whole, identities, before))
        _require_allowed(settings, identities.register, load_destinations(settings.outbound.allow), found)
    found.done()
    assert identities is not None  # `done` raises when anything is missing
    assert log_keys is not None
    identities.certificates.graced = known.graced
    rules = replace(
        before.rules,
        register=identities.register,
        certificates=identities.certificates,
        announced=identities.announced,
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


def pinned(settings: Settings, loaded: Loaded) -> Checkpoint | None:
    """What the log must extend; None where the settings name no pin. Raises ProofError (LOG701)."""
    return None if settings.log.pin is None else read_pin(settings.log.pin, loaded.verifiers)


def _adopted(settings: Settings, agreement: Agreement, identities: Identities) -> Adopted:
    """Raises as `adopted`, and ProofError for a store that does not tell what was in force before."""
    judges = identities.certificates, identities.register.hub.enterprise
    before = before_start(settings.log.store)
    lasting = before is not None and before.revision == agreement.revision
    return adopted(settings.contracts, agreement, *judges, before, lasting=lasting)


def _require_whole(identities: Identities, before: Loaded) -> None:
    """A list of enrolled certificates that was cut between two lines is a list, too. Lines are ended, not taken away, as
    long as their authority takes part. Raises ConfigError.
    """
    lines, known = (
        one.enrolment.by_fingerprint for one in (identities.certificates, before.rules.certificates)
    )
    gone = {one.authority.id for one in known.values()} - {one.authority.id for one in lines.values()}
    register = identities.register
    missing = sorted(one.id for one in (register.hub, *register.authorities) if one.id in gone and one.active)
    if missing or any(sha256(der).digest() not in lines for der in before.own):
        raise ConfigError(
            "CFG026",
            f"trust.enrolled: lines are gone that were there: {', '.join(missing) or register.hub.id}.",
            "Put the whole list in place, written beside and renamed. To end one, use gateway pki withdraw, or suspend.",
        )


def digest_of(settings: Settings) -> bytes:
    """Of the files that may change while the hub runs, those that are not there too."""
    digest = sha256()
    trust, others = settings.trust, [settings.contracts.register, settings.trust.enrolled]
    others += [one.issuer for one in trust.ocsp]
    for path in (*others, *own_files(settings.keys), *trust_files(settings)):
        try:
            content = path.read_bytes() if path.is_file() else b"no file"  # a pipe would be waited for
        except OSError as error:
            content = type(error).__name__.encode()
        digest.update(sha256(content).digest())
    return digest.digest()


def _require_url(url: str) -> None:
    parts = split(url)
    sound = parts is not None and parts.scheme == "https" and parts.hostname and parts.port != 0
    if (
        parts is None
        or not sound
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
        or parts.path != PATH
    ):
        raise ConfigError(
            "CFG014",
            f"listen.public_url: {url} is not an https URL that ends in {PATH}.",
            f"Give the address that authorities use, such as https://gateway.example.be{PATH}.",
        )


def _require_lease(settings: Settings) -> None:
    """A lease that ends first lets another process deliver what this one is still delivering."""
    keys, lease, attempt = settings.keys, settings.delivery.lease_seconds, settings.limits.provider_seconds
    if any(isinstance(place, Pkcs11Uri) for place in (keys.sign_rsa_key, keys.sign_ec_key)):
        attempt += SIGNING_SECONDS
    if lease <= attempt:
        raise ConfigError(
            "CFG017",
            f"delivery.lease_seconds: {lease:g} is not longer than an attempt may take, {attempt:g}.",
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


def _require_readers(readers: Sequence[AuthorityId], register: Register) -> None:
    """A name that is mistyped would let in whoever is given that name one day."""
    unknown = sorted(set(readers) - {one.id for one in register.authorities})
    if unknown:
        raise ConfigError(
            "CFG027",
            f"log.readers: no authority of the register: {', '.join(unknown)}.",
            "Name authorities by their id in the register.",
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


def load_destinations(networks: Sequence[str]) -> Destinations:
    """Where the hub may connect to. Raises ConfigError."""
    try:
        return Destinations(networks)
    except ValueError as error:
        raise ConfigError(
            "CFG022",
            f"outbound.allow: {error}.",
            'List networks like "10.1.0.0/16", or one address as "10.1.2.3/32".',
        ) from error


def connected_to(
    settings: Settings, register: Register, policy: TrustPolicy | None = None
) -> Iterator[tuple[str, str]]:
    """What the hub connects to, and the host of each: endpoints of active authorities, responders, witnesses."""
    urls = {str(one.id): one.endpoint for one in register.authorities if one.active and one.endpoint}
    urls |= {one.url: one.url for one in settings.trust.ocsp}
    if policy is not None:
        urls |= {one.url: one.url for one in policy.witnesses.values() if one.url}
    for what, url in urls.items():
        parts = split(url)
        if parts is not None and parts.hostname:
            yield what, parts.hostname


def _require_allowed(
    settings: Settings,
    register: Register,
    destinations: Destinations,
    found: Found,
    policy: TrustPolicy | None = None,
) -> None:
    """Of hosts that are given as an address. Where a name leads, only the moment of connecting tells."""
    for what, host in connected_to(settings, register, policy):
        with suppress(ValueError):  # a name
            found.of(partial(require_allowed, what, [host], destinations))


def require_allowed(what: str, addresses: Sequence[str], destinations: Destinations) -> None:
    """Raises ConfigError when none of the addresses is allowed, ValueError for what is no address."""
    if not any(destinations.allow(one) for one in addresses):
        raise ConfigError(
            "CFG023",
            f"outbound.allow: holds no address of {what}: {', '.join(addresses)}.",
            "List its network, or correct where the settings, the register or the name service say that it is.",
        )


def _policy(settings: Settings) -> TrustPolicy | None:
    """Who cosigns. Every witness must be one that can be asked. Raises ConfigError."""
    path, patience = settings.witnesses.policy, settings.witnesses
    if path is None:
        if patience.stop_seconds is not None or patience.at_start == "refuse":
            raise ConfigError(
                "CFG041",
                "witnesses.stop_seconds, witnesses.at_start: without witnesses.policy nobody is waited for.",
                "Name the policy, or leave them out.",
            )
        return None
    if patience.stop_seconds is not None and patience.stop_seconds <= patience.warn_seconds:
        raise ConfigError(
            "CFG041",
            "witnesses.stop_seconds: is not longer than witnesses.warn_seconds.",
            "Warn first; or leave stop_seconds out.",
        )
    try:
        policy = TrustPolicy.parse(read(path))
    except ProofError as error:
        raise ConfigError("CFG040", f"{path}: {error}.", error.flaw.row.remedy) from error
    for one in policy.witnesses.values():
        parts = split(one.url or "")
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(
                "CFG040", f"{path}: {one.key.name} has no URL.", "Give its submission prefix behind its key."
            )
    return policy


def _beside(settings: Settings) -> Cosigner | None:
    path = settings.keys.log_ml_dsa_key
    return None if path is None else Cosigner.of(settings.log.origin, read_ml_dsa_key(path))


def _verifiers(origin: str, keys: Sequence[PrivateKey]) -> Sequence[Verifier]:
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
