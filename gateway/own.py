"""Who takes part and with which pairs the hub speaks, from their files, found consistent: what may change while it runs.

A pair has a successor and a predecessor while it is rotated (`adapters.rotation`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.adapters.rotation import LAST, NEXT, beside
from gateway.adapters.tls import TlsError, client_context, outward_context, server_context
from gateway.agreement.register import Register
from gateway.config import ConfigError, KeyPlace, Keys, Settings
from gateway.identity.chain import Certificates, Usage
from gateway.identity.explain import Explained, explain
from gateway.identity.responders import Responder, issued
from gateway.identity.revocation import Answers
from gateway.reading import Found, clock, is_there, read, read_pair
from gateway.trusted import load_certificates, load_responders, read_register, trust_files
from gateway.wss.sign import SigningKey

# Of the name, DER and use of a certificate of the hub; raises ConfigError.
Judge = Callable[[str, bytes, Usage], None]


@dataclass(frozen=True, slots=True)
class Identities:
    """Who takes part, whom they are believed by, and the hub's own pairs: what may change while the hub runs."""

    register: Register
    certificates: Certificates
    responders: tuple[Responder, ...]
    pairs: Mapping[str, SigningKey]  # "tls", and those that sign by their suites
    announced: bytes  # PEM

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


def load_identities(
    settings: Settings,
    found: Found,
    answers: Answers | None = None,
    in_force: Collection[bytes] = (),
    signing: Mapping[str, SigningKey] = MappingProxyType({}),
) -> Identities | None:
    """`answers`: of responders so far; `in_force`: the hub's own certificates at this moment, and `signing`: the pairs
    that sign, by their suites.
    """
    register = found.of(partial(read_register, settings.contracts.register))
    certificates = load_certificates(settings, register, found, answers)
    responders = load_responders(settings, certificates, found)
    read = {
        name: found.of(partial(read_pair, *files, signing.get(name)))
        for name, files in _pairs(settings.keys).items()
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
    announced = found.of(partial(announced_now, settings.keys, pairs, certificates, register, responders))
    return Identities(register, certificates, responders, pairs, announced or b"")


def announced_now(
    keys: Keys,
    pairs: Mapping[str, SigningKey],
    certificates: Certificates,
    register: Register,
    responders: Sequence[Responder],
) -> bytes:
    """PEM: what the hub signs with, and will, and did, as it is at this moment. Raises ConfigError."""
    judge = partial(
        _require_own, certificates=certificates, register=register, responders=responders, in_force=()
    )
    return _announced(pairs, keys, _sound_successors(keys, judge))


def successors(settings: Settings, found: Found) -> Collection[Path]:
    """The certificates with which `gateway pki rotate` may go on: the hub would accept them now."""
    register = found.of(partial(read_register, settings.contracts.register))
    certificates = load_certificates(settings, register, found)
    responders = load_responders(settings, certificates, found)
    if certificates is None or register is None:
        return ()
    judge = partial(
        _require_own, certificates=certificates, register=register, responders=responders, in_force=()
    )
    return set(_sound_successors(settings.keys, judge))


def _sound_successors(keys: Keys, judge: Judge) -> Mapping[Path, bytes]:
    """File → DER. One that is not sound yet, or not enrolled, is none: it holds up nothing else."""
    sound = {}
    for name, (certificate, key) in _pairs(keys).items():
        if not isinstance(key, Path):  # in a token, which keeps no successors beside it
            continue
        files, found = (beside(certificate, NEXT), beside(key, NEXT)), Found()
        pair = found.of(partial(read_pair, *files)) if is_there(files[0]) else None
        if pair is None:
            continue
        _require_hub({name: pair}, judge, found)
        if found.nothing:
            sound[files[0]] = pair.certificate
    return sound


def _announced(pairs: Mapping[str, SigningKey], keys: Keys, coming: Mapping[Path, bytes]) -> bytes:
    """Whoever pins the hub's signing certificates accepts any of these."""
    own = {name: files[0] for name, files in _pairs(keys).items() if name != "tls"}
    using = [pairs[name].certificate for name in own if name in pairs]
    soon = [coming[beside(path, NEXT)] for path in own.values() if beside(path, NEXT) in coming]
    chain = [x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in (*using, *soon)]
    return b"".join(
        [*chain, *(read(beside(path, LAST)) for path in own.values() if is_there(beside(path, LAST)))]
    )


def _pairs(keys: Keys) -> Mapping[str, tuple[Path, KeyPlace]]:
    return {
        "tls": (keys.tls_certificate, keys.tls_key),
        "rsa-sha256": (keys.sign_rsa_certificate, keys.sign_rsa_key),
        "ecdsa-sha256": (keys.sign_ec_certificate, keys.sign_ec_key),
    }


def own_files(keys: Keys) -> Iterator[Path]:
    """Of the hub's own pairs, their successors and predecessors, and of the log."""
    for path in (path for pair in _pairs(keys).values() for path in pair if isinstance(path, Path)):
        yield from (path, beside(path, NEXT), beside(path, LAST))
    if isinstance(keys.log_key, Path):
        yield keys.log_key


def _require_hub(pairs: Mapping[str, SigningKey], judge: Judge, found: Found) -> None:
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
        if settings.witnesses.anchors:
            outward_context(settings.witnesses.anchors)
    except TlsError as error:
        raise ConfigError("CFG012", f"{error}.", "Name PEM files that OpenSSL can read.") from error
