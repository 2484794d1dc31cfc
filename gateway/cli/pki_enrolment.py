"""`gateway pki enrol`, `withdraw` and `explain`: what the operator of a hub does with certificates.

Whoever issues certificates owns the PKI's directory; whoever runs the hub owns its settings, and the list of
enrolled certificates that they name. These commands work with the latter.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.adapters.destinations import Destinations
from gateway.adapters.ocsp import OcspClient
from gateway.agreement.register import Register
from gateway.cli.lines import plain, write
from gateway.cli.pki_files import (
    alone,
    end_enrolled,
    fail,
    holder_of,
    read,
    read_certificate,
    read_register,
    write_enrolled,
    zoned_time,
)
from gateway.cli.pki_show import describe, lines
from gateway.cli.serve import Config
from gateway.config import Settings
from gateway.config import load as load_settings
from gateway.edge.responders import ask
from gateway.identity.chain import Certificates
from gateway.identity.enrolment import Enrolled, load_enrolment, written_line
from gateway.identity.explain import REASONS, Explained, Step
from gateway.identity.explain import explain as explain_certificate
from gateway.identity.leaf import Usage, read_leaf
from gateway.identity.responders import Responder, issued
from gateway.identity.revocation import Word
from gateway.loading import load_destinations
from gateway.model import AuthorityId
from gateway.reading import Found
from gateway.refusal import Refusal
from gateway.trusted import load_certificates, load_responders

CertificateFile = Annotated[Path, typer.Argument(metavar="CERT", help="A certificate, PEM.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
At = Annotated[
    datetime | None,
    typer.Option("--at", parser=zoned_time, metavar="TIME", help="When it ends; by default now."),
]
Now = Annotated[
    datetime | None,
    typer.Option("--now", parser=zoned_time, metavar="TIME", help="Judge it as if it were this time."),
]


def enrol(
    certificate: CertificateFile,
    *,
    config: Config,
    authority: Annotated[str, typer.Option("--authority", help="Id in the register; HUB is the hub.")],
    as_json: AsJson = False,
) -> None:
    """Let a certificate speak for an authority at this hub, beside those that do already; also one that was withdrawn.

    Compare the fingerprint that is printed with what the authority tells you on another way.
    """
    settings, found = load_settings(config), read_certificate(certificate)
    register = read_register(settings.contracts.register)
    holder, der = holder_of(register, authority), found.public_bytes(Encoding.DER)
    purposes = {usage.purpose for usage in Usage if _holder(der, usage) == holder.enterprise}
    if not purposes:
        fail(
            "PKI011",
            f"{certificate}: no signing or TLS certificate of {authority}.",
            f"gateway pki explain {certificate} says whose it is.",
        )
    path, fingerprint = settings.trust.enrolled, found.fingerprint(SHA256())
    with alone(path.resolve().parent):
        data = read(path)
        line = load_enrolment(data, str(path), register).by_fingerprint.get(fingerprint)
        if line is None:
            write_enrolled(path, register, data.decode() + written_line(holder.id, purposes.pop(), found))
        elif line.valid_until is None or datetime.now(UTC) < line.valid_until:
            fail("PKI012", f"{certificate}: has a line already.", "gateway pki explain says which.")
        else:  # it was withdrawn, and speaks again
            end_enrolled(path, register, fingerprint, None)
    _print_judged(found, settings, register, None, as_json)


def withdraw(certificate: CertificateFile, *, config: Config, at: At = None, as_json: AsJson = False) -> None:
    """End what a certificate may do at this hub. It works once the hub has read the list anew."""
    settings, found = load_settings(config), read_certificate(certificate)
    register, moment = read_register(settings.contracts.register), at or datetime.now(UTC)
    fingerprint, path = found.fingerprint(SHA256()), settings.trust.enrolled
    with alone(path.resolve().parent):
        line = load_enrolment(read(path), str(path), register).by_fingerprint.get(fingerprint)
        if line is None:
            fail("PKI013", f"{certificate}: has no line in {path}.", "Nothing is left to do.")
        if line.valid_from is not None:
            moment = max(moment, line.valid_from)  # a line that has not begun never does
        if line.valid_until is not None and line.valid_until <= moment:  # an end is never put off
            fail(
                "PKI019",
                f"{certificate}: ends already, at {line.valid_until.isoformat()}.",
                "Nothing is left to do.",
            )
        end_enrolled(path, register, fingerprint, moment)
    facts = {"sha256": fingerprint.hex(), "authority": line.authority.id, "valid_until": moment.isoformat()}
    write(
        json.dumps(facts, indent=2)
        if as_json
        else f"{fingerprint.hex()} speaks for {line.authority.id} until {moment.isoformat()}."
    )


def explain(
    certificate: CertificateFile,
    *,
    config: Annotated[
        Path | None, typer.Option(help="Settings of the hub that is to judge it; its responders are asked.")
    ] = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Print whose a certificate is and what for; with --config, whether a hub accepts it now, and if not, every reason."""
    if now is not None and config is None:
        raise typer.BadParameter("needs --config: without a hub nothing is judged", param_hint="--now")
    found = read_certificate(certificate)
    if config is None:
        facts = describe(found)
        write(json.dumps(facts, indent=2) if as_json else "\n".join(lines(facts)))
        return
    settings = load_settings(config)
    _print_judged(found, settings, read_register(settings.contracts.register), now, as_json)


def _holder(der: bytes, usage: Usage) -> object:
    try:
        return read_leaf(der, usage).enterprise
    except Refusal:
        return None


def _print_judged(
    certificate: x509.Certificate,
    settings: Settings,
    register: Register,
    now: datetime | None,
    as_json: bool,
) -> None:
    moment, found = now or datetime.now(UTC), Found()
    known = load_certificates(settings, register, found)
    responders = load_responders(settings, known, found)
    destinations = found.of(lambda: load_destinations(settings.outbound.allow))
    found.done()
    assert known is not None  # `done` raises otherwise
    assert destinations is not None
    asyncio.run(_ask(destinations, certificate, known, responders, moment))
    told = explain_certificate(certificate.public_bytes(Encoding.DER), known, register, moment)
    if as_json:
        write(json.dumps({**describe(certificate), **_facts(told)}, indent=2))
    else:
        write("\n".join([*lines(describe(certificate)), *_lines(told)]))


async def _ask(
    destinations: Destinations,
    certificate: x509.Certificate,
    known: Certificates,
    responders: tuple[Responder, ...],
    now: datetime,
) -> None:
    """What a running hub would have heard by now."""
    async with OcspClient(destinations) as client:
        for one in (certificate, *known.trust.intermediates):
            for responder in responders:
                if issued(one, responder.issuer):
                    await ask(client, known, responder, one, lambda: now)


def _facts(told: Explained) -> dict[str, Any]:
    return {
        "authority": told.authority.id if told.authority else None,
        "enrolled": _enrolled(told.line),
        "revocation": told.authority.revocation if told.authority else None,
        "chain": [
            {
                "subject": one.certificate.subject.rfc4514_string(),
                "list": _word(one.listed),
                "responder": _word(one.answered),
                "unclear": one.unclear or None,
            }
            for one in told.steps
        ],
        "accepted": not told.reasons,
        "reasons": told.reasons,
        "until": told.until.isoformat() if told.until else None,
    }


def _enrolled(line: Enrolled | None) -> dict[str, AuthorityId | str | None] | None:
    if line is None:
        return None
    return {
        "authority": line.authority.id,
        "purpose": line.purpose,
        "valid_from": line.valid_from.isoformat() if line.valid_from else None,
        "valid_until": line.valid_until.isoformat() if line.valid_until else None,
    }


def _word(word: Word | None) -> dict[str, str | bool] | None:
    if word is None:
        return None
    updates = {"this_update": word.this_update.isoformat(), "next_update": word.next_update.isoformat()}
    return {**updates, "revoked": word.revoked}


def _lines(told: Explained) -> Iterator[str]:
    facts = _facts(told)
    yield f"{'authority':<16}{facts['authority'] or 'none of the register'}"
    line = facts["enrolled"]
    ends = (
        ""
        if line is None
        else f" from {line['valid_from'] or 'ever'} until {line['valid_until'] or 'withdrawn'}"
    )
    yield f"{'enrolled':<16}{'no' if line is None else line['authority'] + ' to ' + line['purpose'] + ends}"
    for step in told.steps:
        yield plain(f"{'chain':<16}{step.certificate.subject.rfc4514_string()}: {_of(step)}")
    yield f"{'accepted':<16}{'no' if told.reasons else 'until ' + facts['until']}"
    for reason in told.reasons:
        yield f"{'':<16}{reason}: {REASONS[reason]}"


def _of(step: Step) -> str:
    said = [
        f"{name} {'revokes it' if word.revoked else 'clears it'}, of {word.this_update.isoformat()}"
        f" until {word.next_update.isoformat()}"
        for name, word in (("list", step.listed), ("responder", step.answered))
        if word is not None
    ]
    return "; ".join(said) or "neither a list nor an answer"
