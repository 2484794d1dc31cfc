"""What `gateway pki` reads and writes, each trouble told as a code, a sentence and a remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Never, TypeVar

import typer
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway.adapters.pki import ExistsError, held, write_file
from gateway.agreement.finding import RegisterError
from gateway.agreement.register import Register, load_register
from gateway.identity.certify import Issuer, PrivateKey, issue_crl
from gateway.identity.enrolment import EnrolmentError, ended, load_enrolment
from gateway.identity.leaf import Purpose
from gateway.model import Authority, AuthorityId

T = TypeVar("T")
_SERIAL: Final = re.compile(r"[0-9A-Fa-f]{1,40}", re.ASCII)
_SERIAL_END: Final = 1 << 159  # RFC 5280 §4.1.2.2: at most 20 octets, and positive
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9900


class PkiError(Exception):
    """What the operator can put right: code, sentence, remedy."""

    def __init__(self, code: str, sentence: str, remedy: str) -> None:
        super().__init__(f"{code}: {sentence} {remedy}")


def fail(code: str, sentence: str, remedy: str) -> Never:
    raise PkiError(code, sentence, remedy)


def written(write: Callable[[], object]) -> None:
    try:
        write()
    except ExistsError as error:
        fail(
            "PKI001", f"{error}.", "Nothing is overwritten: name a new place, or remove the old one yourself."
        )
    except OSError as error:
        fail("PKI002", f"{error.filename}: {error.strerror}.", "Name a place that may be written.")


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        _unreadable(path, error)


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Of two commands that change what is in a directory at once, one waits: neither undoes what the other did."""
    with ExitStack() as stack:
        try:
            stack.enter_context(held(directory))
        except OSError as error:
            _unreadable(directory, error)
        yield


def _unreadable(path: Path, error: OSError) -> Never:
    fail("PKI003", f"{path}: {error.strerror}.", "Name a file that is there; gateway pki init makes a PKI.")


def parsed(path: Path, parse: Callable[[bytes], T]) -> T:
    data = read(path)
    try:
        return parse(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: a key that has a password
        fail("PKI004", f"{path}: not the PEM file that was expected.", "See certs/README.md for the files.")


def read_certificate(path: Path) -> x509.Certificate:
    return parsed(path, x509.load_pem_x509_certificate)


def read_list(directory: Path, name: str) -> x509.CertificateRevocationList:
    return parsed(directory / f"{name}.crl.pem", x509.load_pem_x509_crl)


def read_issuer(directory: Path, name: str) -> Issuer:
    key = read_key(directory / f"{name}.key.pem")
    return Issuer(read_certificate(directory / f"{name}.crt.pem"), key)


def read_key(path: Path) -> PrivateKey:
    key = parsed(path, lambda data: load_pem_private_key(data, None))
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        fail("PKI004", f"{path}: neither RSA nor ECDSA.", "See certs/README.md.")
    return key


def renew(directory: Path, name: str, now: datetime, revoked: list[int]) -> datetime:
    renewed = issue_crl(read_issuer(directory, name), now, before=read_list(directory, name), revoke=revoked)
    path = directory / f"{name}.crl.pem"
    written(lambda: write_file(path.resolve(), renewed.public_bytes(Encoding.PEM), replace=True))
    assert renewed.next_update_utc is not None  # issue_crl sets it
    return renewed.next_update_utc


def serial_and_issuer(directory: Path, text: str) -> tuple[int, str]:
    """The serial number, and which of the two authorities issued it."""
    with suppress(OSError):  # such as a name that is too long for one
        if Path(text).is_file():
            return _issued(directory, Path(text))
    serial = int(text, 16) if _SERIAL.fullmatch(text) else 0
    if not 0 < serial < _SERIAL_END:
        fail("PKI006", f"{text}: neither a file nor a serial number.", "gateway pki explain CERT prints it.")
    return serial, "issuing"


def _issued(directory: Path, path: Path) -> tuple[int, str]:
    certificate = read_certificate(path)
    for name in ("issuing", "root"):
        try:  # by signature: every development PKI has authorities of the same names
            certificate.verify_directly_issued_by(read_certificate(directory / f"{name}.crt.pem"))
        except (ValueError, TypeError, InvalidSignature):
            continue
        return certificate.serial_number, name
    fail("PKI006", f"{path}: not issued by {directory}.", "Name the directory of its own PKI.")


def read_register(path: Path) -> Register:
    try:
        return load_register(read(path), str(path))
    except RegisterError as error:
        fail("PKI008", f"{error}.", "Correct the register.")


def write_enrolled(path: Path, register: Register, text: str) -> None:
    """Write the list, once it is known to read; where a link leads to it, there. Raises EnrolmentError."""
    load_enrolment(text.encode(), str(path), register)
    written(lambda: write_file(path.resolve(), text.encode(), replace=True))


def end_enrolled(path: Path, register: Register, fingerprint: bytes, moment: datetime | None) -> None:
    """Write the list with the line of this certificate ended, or None without an end, and every other as it was.

    The certificate must have a line. Raises EnrolmentError.
    """
    data = read(path)
    lines = dict(load_enrolment(data, str(path), register).by_fingerprint)
    lines[fingerprint] = replace(lines[fingerprint], valid_until=moment)
    try:  # the text is edited, not written anew: TOML has more forms than the one that is edited
        text = ended(data.decode(), fingerprint, moment)
        done = load_enrolment(text.encode(), str(path), register).by_fingerprint == lines
    except (KeyError, EnrolmentError):
        done = False
    if not done:
        fail(
            "PKI018",
            f"{path}: the line of {fingerprint.hex()} is not written as gateway pki enrol writes it.",
            f"Give it valid_until = {moment.isoformat()} by hand."
            if moment
            else "Take its valid_until out by hand.",
        )
    write_enrolled(path, register, text)


def holder_of(register: Register, name: str) -> Authority:
    holder = register.hub if name == register.hub.id else register.by_id.get(AuthorityId(name))
    if holder is None:
        known = ", ".join(one.id for one in (register.hub, *register.authorities))
        fail("PKI008", f"{name}: not in the register.", f"Name one of {known}.")
    return holder


def require_unused_key(pem: bytes, purpose: Purpose, directories: Iterable[Path]) -> None:
    """No key both signs messages and speaks TLS: a handshake must not be made to sign a message.

    Certificates elsewhere are not known here. A request that does not read is refused later.
    """
    try:
        key = x509.load_pem_x509_csr(pem).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return
    for path in sorted({path for one in directories for path in one.glob("*.crt.pem")}):
        with suppress(ValueError, UnsupportedAlgorithm, x509.ExtensionNotFound):
            found = x509.load_pem_x509_certificate(read(path))
            signs = found.extensions.get_extension_for_class(x509.KeyUsage).value.content_commitment
            if found.public_key() == key and signs is not (purpose is Purpose.SIGN):
                fail(
                    "PKI010",
                    f"{path}: has this key for the other purpose.",
                    "Make a key for each: gateway pki csr.",
                )


def zoned_time(text: str) -> datetime:
    """An ISO 8601 time with its zone, of a year that certificates and what they last beyond it can have."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise typer.BadParameter("Give the zone too: 2026-11-02T08:00:00Z.")
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise typer.BadParameter(f"Give a year from {_FIRST_YEAR} to {_LAST_YEAR}.")
    return moment.astimezone(UTC)
