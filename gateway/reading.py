"""The files that settings name: each read into what it must be, or told as one finding.

Whether they fit each other is for `loading`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway.adapters.log_key import parse_keys
from gateway.adapters.pkcs11_uri import Pkcs11Uri
from gateway.adapters.secret_file import ExposedError, open_at_once, read_own_secret
from gateway.adapters.tls import TlsError
from gateway.adapters.token_trouble import TokenError
from gateway.agreement.finding import AgreementError
from gateway.config import ConfigError, KeyPlace
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import PrivateKey
from gateway.identity.trust import TrustError
from gateway.policy.person import parse_key
from gateway.wss.profile import CURVES
from gateway.wss.sign import SigningKey

T = TypeVar("T")
_LONGEST_SIGNATURE: Final = 1024 * 1024  # bytes; one has some thousand


def clock() -> datetime:
    """The one clock: UTC."""
    return datetime.now(UTC)


class StartError(Exception):
    """The hub cannot start. `errors`: everything that was found."""

    def __init__(self, errors: Sequence[Exception]) -> None:
        super().__init__("\n".join(str(one) for one in errors))
        self.errors: Final = tuple(errors)


FORESEEN: Final = (
    StartError,
    ConfigError,
    ProofError,
    TrustError,
    AgreementError,
    TlsError,
    TokenError,
    ExposedError,
)


def in_words(error: Exception) -> Iterator[str]:
    """For each thing that is wrong a line that begins with its code and ends with what to do. `error` is one of
    FORESEEN.
    """
    match error:
        case StartError():
            for one in error.errors:
                yield from in_words(one)
        case ProofError():
            yield f"{error} {error.flaw.row.remedy}"
        case AgreementError():
            yield f"CFG010: {error.what}.\n{error}\nCorrect each place named above."
        case TlsError():
            yield f"CFG012: {error}. Name PEM files that OpenSSL can read."
        case TokenError():
            yield f"{error.code}: {error}. {error.remedy}"
        case ExposedError():
            yield f"CFG009: {error} {error.remedy}"
        case _:
            yield str(error)


def of_file(error: Exception) -> Exception:
    """What is wrong with the file that an error of the system names, such as one in a directory that others may not
    search: not even whether it is there can be asked. Any other error is itself.
    """
    if not isinstance(error, OSError) or error.filename is None:
        return error
    return ProofError(Flaw.FILE, f"{error.filename}: {error.strerror}")


class Found:
    """Collects what is wrong, so that one mistake does not hide another."""

    def __init__(self) -> None:
        self._errors: list[Exception] = []

    def of(self, step: Callable[[], T]) -> T | None:
        """The result of a step; None when it found something wrong."""
        try:
            return step()
        except StartError as several:
            self._errors += several.errors
        except (ConfigError, TrustError, AgreementError, ProofError) as error:
            self._errors.append(error)
        return None

    @property
    def nothing(self) -> bool:
        """Nothing wrong so far."""
        return not self._errors

    def done(self) -> None:
        """Raises StartError with everything that was found, once each."""
        if self._errors:
            raise StartError(list({str(one): one for one in self._errors}.values()))


def secret_key(path: Path) -> bytes:
    """A key of 32 bytes: of the directory's digests, or of what waits in the store. Raises ConfigError."""
    try:
        return parse_key(_private(path))
    except ValueError as error:
        raise ConfigError(
            "CFG011", f"{path}: {error}.", "Make one with gateway pki init, or: openssl rand -hex 32"
        ) from error


def read_pair(certificate: Path, key: KeyPlace, in_force: SigningKey | None = None) -> SigningKey:
    """A certificate and its private key. Both are looked at, whatever is wrong with the first.

    `in_force`: the hub's pair of these places at this moment. Raises StartError, ConfigError.
    """
    if isinstance(key, Pkcs11Uri):
        return _held_pair(certificate, key, in_force)
    found = Found()
    private, der = found.of(partial(_private_key, key)), found.of(partial(_certificate, certificate))
    if private is None or der is None:
        found.done()
    assert der is not None
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigError("CFG004", f"{key}: neither RSA nor ECDSA.", "Make one with gateway pki.")
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name not in CURVES:
        raise ConfigError("CFG004", f"{key}: on {private.curve.name}.", "Make one on P-256 or P-384.")
    if _public_key(certificate, der) != private.public_key():
        raise ConfigError(
            "CFG007", f"{certificate}: does not belong to {key}.", "Name the two files of one pair."
        )
    return SigningKey(private, der)


def _held_pair(certificate: Path, uri: Pkcs11Uri, in_force: SigningKey | None) -> SigningKey:
    """A certificate, and its private key in a token. The one in force is not opened again."""
    from gateway.adapters.token_key import open_key  # noqa: PLC0415 - PKCS #11 is for those who have a token

    der = _certificate(certificate)
    if in_force is not None and in_force.certificate == der:
        return in_force  # though the token be away: that must hold up no suspension
    public = _public_key(certificate, der)
    if not isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise ConfigError("CFG004", f"{certificate}: neither RSA nor ECDSA.", "Name a signing certificate.")
    with _token_told(uri):
        return SigningKey(open_key(uri, public), der)


@contextmanager
def _token_told(uri: Pkcs11Uri) -> Iterator[None]:
    """What is wrong with a key in a token, or with the file of its PIN, as a finding of the settings."""
    _private(uri.pin)
    try:
        yield
    except TokenError as error:
        raise ConfigError(error.code, f"{error}.", error.remedy) from error


def read_log_keys(place: KeyPlace) -> Sequence[PrivateKey]:
    """The keys that sign checkpoints: one, or two while the log changes its key. Raises ConfigError."""
    if isinstance(place, Pkcs11Uri):
        from gateway.adapters.token_key import open_log_key  # noqa: PLC0415 - PKCS #11 is for those who have a token

        with _token_told(place):
            return [open_log_key(place)]
    try:
        return parse_keys(_private(place))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            "CFG004", f"{place}: not an Ed25519 key without password.", "Make one with gateway pki init."
        ) from error


def read_ml_dsa_key(path: Path) -> MLDSA44PrivateKey:
    """The key that signs checkpoints beside the log's own. Raises ConfigError."""
    key = _private_key(path)
    if not isinstance(key, MLDSA44PrivateKey):
        raise ConfigError("CFG004", f"{path}: not an ML-DSA-44 key.", "Make one with gateway log ml-dsa-key.")
    return key


def _private_key(path: Path) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(_private(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it has a password
        raise ConfigError(
            "CFG004", f"{path}: not a PEM private key without password.", "Make one with gateway pki."
        ) from error


def _certificate(path: Path) -> bytes:
    try:
        return x509.load_pem_x509_certificates(read(path))[0].public_bytes(Encoding.DER)
    except ValueError as error:
        raise ConfigError("CFG008", f"{path}: not a PEM certificate.", "Name a PEM file.") from error


def _public_key(path: Path, der: bytes) -> object:
    try:
        return x509.load_der_x509_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError("CFG008", f"{path}: its key is of no known kind.", "Renew it.") from error


def read_pem(path: Path) -> bytes:
    """A file of trust. Raises ConfigError."""
    data = read(path)
    if b"-----BEGIN" not in data:  # OpenSSL takes nothing else from a file
        raise ConfigError("CFG008", f"{path}: not a PEM file.", "Name a PEM file.")
    return data


def _private(path: Path) -> bytes:
    """A secret. Raises ConfigError, also for one that is none."""
    try:
        return _read(read_own_secret, path)
    except ExposedError as error:
        raise ConfigError("CFG009", str(error), error.remedy) from error


def is_there(path: Path) -> bool:
    """Of a file that need not be. Where nobody may look for it there is none: what must lie beside it tells why."""
    try:
        return path.exists()
    except OSError:
        return False


def read(path: Path) -> bytes:
    """Raises ConfigError."""
    return _read(_content, path)


def _content(path: Path) -> bytes:
    """Of a file, and nothing else: a pipe would be waited for, and hold up every look. Raises OSError."""
    with open(path, "rb", opener=open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        return file.read()


def _read(how: Callable[[Path], T], path: Path) -> T:
    try:
        return how(path)
    except OSError as error:
        raise ConfigError(
            "CFG003", f"{path}: {error.strerror}.", "Correct the path in the settings."
        ) from error


def contract_files(directory: Path) -> Mapping[str, bytes]:
    """The files of the protocol agreement by their path below `directory`'s parent. Raises ConfigError."""
    if not is_there(directory / "agreement.toml"):
        raise ConfigError(
            "CFG016",
            f"{directory.resolve()}: no agreement.toml here.",
            "Name the directory that holds agreement.toml, xsd/ and wsdl/.",
        )
    wanted = ("agreement.toml", "procedures.toml", "places.toml", "xsd/*.xsd", "wsdl/*.wsdl")
    found = [path for pattern in wanted for path in sorted(directory.glob(pattern))]
    return {f"contracts/{path.relative_to(directory).as_posix()}": read(path) for path in found}


def signature_files(directory: Path) -> Mapping[str, bytes | None]:
    """Signatures over the agreement, by file name; None for one that cannot be read, or is too long to be one.

    Raises ConfigError (CFG036) for what is no directory: that nobody has signed would be a guess.
    """
    try:
        found = sorted(path for path in directory.iterdir() if path.name.endswith(".xml"))
    except OSError as error:
        raise ConfigError(
            "CFG036",
            f"{directory}: {error.strerror}.",
            "Name the directory with the signatures of the parties.",
        ) from error
    return {path.name: _signature(path) for path in found}


def _signature(path: Path) -> bytes | None:
    try:
        return read(path) if path.stat().st_size <= _LONGEST_SIGNATURE else None
    except (ConfigError, OSError):
        return None
