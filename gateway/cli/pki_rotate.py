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
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.adapters.pkcs11_uri import Pkcs11Uri
from gateway.adapters.pki import write_file
from gateway.adapters.rotation import LAST, NEXT, beside, forget, switch
from gateway.agreement.register import Register
from gateway.cli.lines import write
from gateway.cli.pki_files import (
    alone,
    end_enrolled,
    fail,
    read,
    read_certificate,
    read_issuer,
    read_key,
    read_register,
    write_enrolled,
    written,
)
from gateway.cli.pki_rotate_log import finish_log, is_prepared, prepare_log
from gateway.cli.serve import Config
from gateway.config import Settings
from gateway.config import load as load_settings
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
    with alone(settings.trust.enrolled.resolve().parent):
        match step:
            case Step.PREPARE:
                told = _prepare(settings, register, directory)
            case Step.SWITCH:
                told = _switch(settings)
            case Step.FINISH:
                told = _finish(settings, register)
    write(json.dumps({"step": step, "did": told}, indent=2) if as_json else "\n".join(told))


def _prepare(settings: Settings, register: Register, directory: Path | None) -> list[str]:
    """An interrupted step is taken up: a key that has no certificate yet gets one, and no key is made twice."""
    pairs = list(_pairs(settings))
    _require_to_do(settings, pairs)
    told = [
        _prepare_pair(settings, register, directory, pair)
        for pair in pairs
        if not beside(pair.certificate, NEXT).exists()
    ]
    return [*told, *_held(settings), *prepare_log(settings), *_what_next()]


def _require_to_do(settings: Settings, pairs: list[Pair]) -> None:
    done = is_prepared(settings)
    for pair in pairs:
        certificate, key = beside(pair.certificate, NEXT), beside(pair.key, NEXT)
        if certificate.exists() and not key.exists() and not beside(pair.key, LAST).exists():
            fail("PKI001", f"{certificate} exists already, without {key}.", "Remove it: its key is lost.")
        done = done and certificate.exists()
    if done or any(beside(pair.key, LAST).exists() for pair in pairs):
        fail("PKI014", "A rotation is under way.", "End it: gateway pki rotate switch, finish.")


def _prepare_pair(settings: Settings, register: Register, directory: Path | None, pair: Pair) -> str:
    """The key is there before its certificate: a certificate alone says that its key is in use already."""
    path = beside(pair.key, NEXT)
    if not path.exists():
        content = private_pem(_like(_read_key(pair)))
        written(lambda: write_file(path, content, private=True))
    key = read_key(path)
    if directory is not None:
        return _certify(settings, register, directory, pair, key)
    asked = request(key, register.hub, pair.purpose).public_bytes(Encoding.PEM)
    written(lambda: write_file(pair.request, asked, replace=True))
    return f"{pair.request}: have it certified, as {beside(pair.certificate, NEXT)}, and enrol that."


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
        certificate = beside(pair.certificate, NEXT)
        if not beside(pair.key, NEXT).exists():
            if Found().of(partial(read_pair, certificate, pair.key)) is None:
                fail(
                    "PKI015",
                    f"{certificate}: its key is not there.",
                    "Bring it back, or remove this and prepare anew.",
                )
        elif certificate not in sound:
            fail("PKI015", f"{certificate}: not acceptable.", "gateway pki explain says why.")


def _finish(settings: Settings, register: Register) -> list[str]:
    pairs = list(_pairs(settings))
    for path in (beside(one, NEXT) for pair in pairs for one in (pair.key, pair.certificate)):
        if path.exists():
            fail("PKI016", f"{path}: prepared, and not in use yet.", "gateway pki rotate switch")
    told = [*finish_log(settings)]
    for pair in pairs:
        path = beside(pair.certificate, LAST)
        if not path.exists():
            continue
        _withdraw(settings, register, read_certificate(path))
        written(lambda pair=pair: forget(pair.certificate, pair.key))  # type: ignore[misc]
        pair.request.unlink(missing_ok=True)
        told.append(f"{path}: ended; its key is gone.")
    return told or ["Nothing is left to end."]


def _withdraw(settings: Settings, register: Register, certificate: x509.Certificate) -> None:
    path, fingerprint = settings.trust.enrolled, certificate.fingerprint(SHA256())
    if fingerprint in load_enrolment(read(path), str(path), register).by_fingerprint:
        end_enrolled(path, register, fingerprint, datetime.now(UTC))


def _pairs(settings: Settings) -> Iterator[Pair]:
    """Those whose keys are files."""
    keys = settings.keys
    yield Pair(Purpose.TLS, keys.tls_certificate, keys.tls_key)
    signing = (keys.sign_rsa_certificate, keys.sign_rsa_key), (keys.sign_ec_certificate, keys.sign_ec_key)
    yield from (Pair(Purpose.SIGN, certificate, key) for certificate, key in signing if isinstance(key, Path))


def _held(settings: Settings) -> Iterator[str]:
    """What a rotation of files passes over."""
    keys = settings.keys
    for name in ("sign_rsa_key", "sign_ec_key"):
        if isinstance(getattr(keys, name), Pkcs11Uri):
            yield f"keys.{name}: is in a token; make its successor there, name it in the settings, and restart."
    if isinstance(keys.log_key, Pkcs11Uri):  # the head is signed by it alone: no other opens the log
        yield "keys.log_key: is in a token, and the log keeps it; a new key means a new log, with a new origin."


def _read_key(pair: Pair) -> PrivateKey:
    key = read_pair(pair.certificate, pair.key).key
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)  # a file's
    return key


def _like(key: PrivateKey) -> PrivateKey:
    """A new key of the same kind and size."""
    if isinstance(key, rsa.RSAPrivateKey):
        return rsa.generate_private_key(65537, key.key_size)
    return ec.generate_private_key(key.curve)
