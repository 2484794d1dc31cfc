"""`gateway pki rotate`: the hub's own keys change, step by step, with an overlap, while it runs.

PREPARE makes the successors, SWITCH puts them in use, FINISH ends what was in use before. The hub takes each step
at its next look at its files; between the steps the authorities have time to learn of the new certificates.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.adapters.log_key import log_signers, parse_keys
from gateway.adapters.pkcs11_uri import Pkcs11Uri
from gateway.adapters.pki import write_file
from gateway.adapters.rotation import LAST, NEXT, beside, forget, switch
from gateway.adapters.store_reader import LogReader
from gateway.agreement.register import Register
from gateway.cli.pki_files import (
    end_enrolled,
    fail,
    read,
    read_certificate,
    read_issuer,
    read_register,
    write_enrolled,
    written,
)
from gateway.cli.serve import Config
from gateway.config import Settings
from gateway.config import load as load_settings
from gateway.exchangelog.flaw import ProofError
from gateway.identity.certify import PrivateKey, issue_leaf, request
from gateway.identity.enrolment import load_enrolment, written_line
from gateway.identity.issue import certificates_pem, private_pem
from gateway.identity.leaf import Purpose
from gateway.own import successors
from gateway.reading import Found, read_pair


class Step(StrEnum):
    """What `rotate` does."""

    PREPARE = "prepare"
    SWITCH = "switch"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of one of the hub's pairs."""

    purpose: Purpose
    certificate: Path
    key: Path

    @property
    def request(self) -> Path:
        """Where the request for the successor goes."""
        name = self.certificate.name.removesuffix(".pem").removesuffix(".crt")
        return beside(self.certificate.with_name(f"{name}.csr.pem"), NEXT)


def rotate(
    step: Annotated[Step, typer.Argument(help="prepare, then switch, then finish.")],
    *,
    config: Config,
    directory: Annotated[
        Path | None,
        typer.Option("--pki", help="Development PKI that certifies; without it requests are written."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Change the hub's TLS, signing and log keys with an overlap: prepare, switch, finish."""
    settings = load_settings(config)
    register = read_register(settings.contracts.register)
    match step:
        case Step.PREPARE:
            told = _prepare(settings, register, directory)
        case Step.SWITCH:
            told = _switch(settings)
        case Step.FINISH:
            told = _finish(settings, register)
    typer.echo(json.dumps({"step": step, "did": told}, indent=2) if as_json else "\n".join(told))


def _prepare(settings: Settings, register: Register, directory: Path | None) -> list[str]:
    for pair in _pairs(settings):
        for path in (beside(pair.key, NEXT), beside(pair.key, LAST)):
            if path.exists():
                fail(
                    "PKI014",
                    f"{path}: a rotation is under way.",
                    "End it: gateway pki rotate switch, finish.",
                )
    told = []
    for pair in _pairs(settings):
        key = _like(_read_key(pair))
        if directory is None:
            asked = request(key, register.hub, pair.purpose).public_bytes(Encoding.PEM)
            written(lambda pair=pair, asked=asked: write_file(pair.request, asked, replace=True))  # type: ignore[misc]
            told.append(
                f"{pair.request}: have it certified, as {beside(pair.certificate, NEXT)}, and enrol that."
            )
        else:
            told.append(_certify(settings, register, directory, pair, key))
        path, content = beside(pair.key, NEXT), private_pem(key)
        written(lambda path=path, content=content: write_file(path, content, private=True))  # type: ignore[misc]
    return [*told, *_held(settings), *_prepare_log(settings), *_what_next()]


def _certify(settings: Settings, register: Register, directory: Path, pair: Pair, key: PrivateKey) -> str:
    """The successor's certificate, enrolled beside the one in use before anybody can read it."""
    issuer = read_issuer(directory, "issuing")
    certificate = issue_leaf(key.public_key(), register.hub, pair.purpose, issuer, datetime.now(UTC))
    chain = [certificate, issuer.certificate] if pair.purpose is Purpose.TLS else [certificate]
    line = written_line(register.hub.id, pair.purpose, certificate)
    write_enrolled(settings.trust.enrolled, register, read(settings.trust.enrolled).decode() + line)
    path = beside(pair.certificate, NEXT)
    written(lambda: write_file(path, certificates_pem(chain)))
    return f"{path}: sha256 {certificate.fingerprint(SHA256()).hex()}, enrolled."


def _prepare_log(settings: Settings) -> Iterator[str]:
    """Both keys sign from now on."""
    path, origin = settings.keys.log_key, settings.log.origin
    if isinstance(path, Pkcs11Uri):
        return
    if len(log_signers(path, origin)) == 1:
        content = read(path) + private_pem(Ed25519PrivateKey.generate())
        written(lambda: write_file(path, content, replace=True, private=True))
    old, vkey = (one.verifier.vkey for one in log_signers(path, origin))
    listed = path.with_name("log.vkey")  # of a development PKI: all keys that the log has had
    if listed.exists() and old in (text := read(listed).decode()) and vkey not in text:
        written(lambda: write_file(listed, f"{text}{vkey}\n".encode(), replace=True))
    yield f"{path}: the exchange log is signed by {vkey} too."


def _what_next() -> Iterator[str]:
    yield "Now the hub announces the new certificates at ?certificates, once it has looked at its files."
    yield "When every authority takes them, and whoever checks the log has the new key: gateway pki rotate switch"


def _switch(settings: Settings) -> list[str]:
    pairs = [pair for pair in _pairs(settings) if beside(pair.certificate, NEXT).exists()]
    waiting = [beside(pair.key, NEXT) for pair in _pairs(settings) if beside(pair.key, NEXT).exists()]
    for path in waiting:
        if path not in {beside(pair.key, NEXT) for pair in pairs}:
            fail("PKI015", f"{path}: its certificate is not there.", "Have the request certified first.")
    if not pairs:
        fail("PKI015", "Nothing is prepared.", "gateway pki rotate prepare")
    _require_sound(settings, pairs)
    for pair in pairs:
        written(lambda pair=pair: switch(pair.certificate, pair.key))  # type: ignore[misc]
    return [
        *(f"{pair.certificate}: in use." for pair in pairs),
        "When the hub has looked at its files and nothing is under way from before: gateway pki rotate finish",
    ]


def _require_sound(settings: Settings, pairs: list[Pair]) -> None:
    """A hub would take them. A pair whose key has been put in use before an interruption is only completed."""
    found = Found()
    sound = successors(settings, found)
    found.done()
    for pair in pairs:
        if beside(pair.key, NEXT).exists() and beside(pair.certificate, NEXT) not in sound:
            fail(
                "PKI015",
                f"{beside(pair.certificate, NEXT)}: not acceptable.",
                "gateway pki explain says why.",
            )


def _finish(settings: Settings, register: Register) -> list[str]:
    pairs = list(_pairs(settings))
    if any(beside(pair.certificate, NEXT).exists() for pair in pairs):
        fail("PKI016", "What is prepared is not in use yet.", "gateway pki rotate switch")
    told = [*_finish_log(settings)]
    for pair in pairs:
        path = beside(pair.certificate, LAST)
        if not path.exists():
            continue
        _withdraw(settings, register, read_certificate(path))
        written(lambda pair=pair: forget(pair.certificate, pair.key))  # type: ignore[misc]
        pair.request.unlink(missing_ok=True)
        told.append(f"{path}: ended; its key is gone.")
    return told


def _withdraw(settings: Settings, register: Register, certificate: x509.Certificate) -> None:
    path, fingerprint = settings.trust.enrolled, certificate.fingerprint(SHA256())
    if fingerprint in load_enrolment(read(path), str(path), register).by_fingerprint:
        end_enrolled(path, register, fingerprint, datetime.now(UTC))


def _finish_log(settings: Settings) -> Iterator[str]:
    """The old key ends once the new one has signed the head: otherwise nobody could open the log again."""
    path = settings.keys.log_key
    if isinstance(path, Pkcs11Uri):
        return
    signers = log_signers(path, settings.log.origin)
    if len(signers) == 1:
        return
    try:
        with LogReader.open(settings.log.store) as log:
            log.signed([signers[-1].verifier])
    except ProofError as error:
        fail(
            "PKI017",
            f"{path}: the new key has not signed the log yet ({error}).",
            "Have the hub look at its files: systemctl reload gateway.",
        )
    content = private_pem(parse_keys(read(path))[-1])
    written(lambda: write_file(path, content, replace=True, private=True))
    yield f"{path}: the exchange log is signed by {signers[-1].verifier.vkey} alone."


def _pairs(settings: Settings) -> Iterator[Pair]:
    """Those whose keys are files: a key in a token gets its successor there, and the settings name it."""
    keys = settings.keys
    yield Pair(Purpose.TLS, keys.tls_certificate, keys.tls_key)
    signing = (keys.sign_rsa_certificate, keys.sign_rsa_key), (keys.sign_ec_certificate, keys.sign_ec_key)
    yield from (Pair(Purpose.SIGN, certificate, key) for certificate, key in signing if isinstance(key, Path))


def _held(settings: Settings) -> Iterator[str]:
    """What a rotation of files passes over."""
    keys = settings.keys
    for name in ("sign_rsa_key", "sign_ec_key", "log_key"):
        if isinstance(getattr(keys, name), Pkcs11Uri):
            yield f"keys.{name}: is in a token; make its successor there, name it in the settings, and restart."


def _read_key(pair: Pair) -> PrivateKey:
    key = read_pair(pair.certificate, pair.key).key
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)  # a file's
    return key


def _like(key: PrivateKey) -> PrivateKey:
    """A new key of the same kind and size."""
    if isinstance(key, rsa.RSAPrivateKey):
        return rsa.generate_private_key(65537, key.key_size)
    return ec.generate_private_key(key.curve)
