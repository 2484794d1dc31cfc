"""Whom the hub believes: the register, anchors and lists, enrolled certificates, responders, from their files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from cryptography import x509

from gateway.agreement.register import Register, load_register
from gateway.config import ConfigError, OcspResponder, Settings
from gateway.identity.chain import Certificates, Trust
from gateway.identity.enrolment import load_enrolment
from gateway.identity.responders import Responder
from gateway.identity.revocation import Answers
from gateway.reading import Found, read, read_pem


def trust_files(settings: Settings) -> list[Path]:
    """Anchors, intermediates and revocation lists, as OpenSSL takes them: all alike."""
    return [path for paths in _trust_paths(settings) for path in paths]


def _trust_paths(settings: Settings) -> tuple[list[Path], list[Path], list[Path]]:
    return settings.trust.anchors, settings.trust.intermediates, settings.trust.crls


def read_register(path: Path) -> Register:
    """Raises RegisterError, ConfigError."""
    return load_register(read(path), str(path))


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
    parts = split(one.url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ConfigError(
            "CFG020", f"trust.ocsp: {one.url} is no http or https URL.", "Name the responder's address."
        )
    try:
        named = x509.load_pem_x509_certificates(read_pem(one.issuer))
    except ValueError:
        named = []
    if len(named) == 1 and named[0] in (*trust.anchors, *trust.intermediates):
        return Responder(named[0], one.url, one.nonce)
    raise ConfigError(
        "CFG021",
        f"trust.ocsp: {one.issuer} is not one certificate of trust.anchors or trust.intermediates.",
        "Name a file with the certificate of the issuer that the responder answers for, and no other.",
    )


def split(url: str) -> SplitResult | None:
    """None for a URL that does not read, also for a port that is no number."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _trust(settings: Settings, found: Found) -> Trust | None:
    read = [[found.of(partial(read_pem, path)) for path in paths] for paths in _trust_paths(settings)]
    whole = [[one for one in data if one is not None] for data in read]
    return found.of(lambda: Trust.load(*whole)) if whole == read else None


def revocation_lists(trust: Trust) -> Mapping[str, tuple[datetime, datetime]]:
    """The thisUpdate and nextUpdate of each revocation list, by the name of its issuer.

    Of two issuers of one name, as while an authority changes its key, the earliest of both: what runs out first.
    """
    found: dict[str, tuple[datetime, datetime]] = {}
    for one in trust.revocations.values():
        name = one.crl.issuer.rfc4514_string()
        since, until = found.get(name, (one.this_update, one.next_update))
        found[name] = min(since, one.this_update), min(until, one.next_update)
    return found
