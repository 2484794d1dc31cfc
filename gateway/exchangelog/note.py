"""Signed notes (C2SP signed-note): the text form of every signature of a log.

Keys here are Ed25519 (type 01), of logs; those of other types are in `cosignature`. Lines of unknown keys are
carried and ignored, as the format demands: that is what lets a log change its key, and witnesses add theirs.
What the text means is left to `checkpoint`.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.exchangelog.flaw import Flaw, ProofError

if TYPE_CHECKING:
    from collections.abc import Iterable

ED25519 = b"\x01"  # signature type identifier
KEY_ID_SIZE = 4  # bytes
PUBLIC_KEY_SIZE = 32  # bytes, RFC 8032
MAX_NOTE = 1_000_000  # bytes; bounds what is parsed before anything is verified
MAX_SIGNATURES = 100  # as Go's sumdb/note; the format demands at least 16
_DASH = "\u2014 "


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line; `value` is what follows the key id."""

    name: str
    key_id: bytes
    value: bytes

    @property
    def line(self) -> str:
        return f"{_DASH}{self.name} {base64(self.key_id + self.value)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text, its final newline included, and its signatures, verified or not."""

    text: str
    signatures: tuple[Signature, ...]

    def serialise(self) -> bytes:
        return (self.text + "\n" + "".join(one.line for one in self.signatures)).encode()


class NoteKey(Protocol):
    """A key that signs notes, of whatever type."""

    @property
    def name(self) -> str: ...

    @property
    def key_id(self) -> bytes: ...

    def verify(self, text: str, signature: Signature, /) -> object:
        """Raises `ProofError`."""
        ...


_Key = TypeVar("_Key", bound=NoteKey)


def of_log(origin: str, verifiers: Iterable[_Key]) -> list[_Key]:
    """Those that are keys of this log, of keys of several."""
    return [one for one in verifiers if one.name == origin]


def key_id(name: str, kind: bytes, public: bytes) -> bytes:
    """What tells keys of one name apart; `kind`: the signature type."""
    return sha256(name.encode() + b"\n" + kind + public).digest()[:KEY_ID_SIZE]


def write_vkey(name: str, kind: bytes, public: bytes) -> str:
    return f"{name}+{key_id(name, kind, public).hex()}+{base64(kind + public)}"


def parse_vkey(vkey: str, sizes: Mapping[bytes, int]) -> tuple[str, bytes, bytes]:
    """Name, signature type and public key. `sizes`: bytes of a key, by the types that are known here.

    Raises `ProofError`.
    """
    parts = vkey.split("+", 2)  # the base64 part may hold a "+" of its own
    if len(parts) != 3:
        raise ProofError(Flaw.KEY_FORM)
    key = unbase64(parts[2], Flaw.KEY_FORM)
    kind, public = key[:1], key[1:]
    if len(public) != sizes.get(kind, -1):
        known = ", ".join(one.hex() for one in sizes)
        raise ProofError(Flaw.KEY_FORM, f"type or length; known here: type {known}")
    name = require_name(parts[0], Flaw.KEY_FORM)
    if key_id(name, kind, public).hex() != parts[1]:
        raise ProofError(Flaw.KEY_FORM, "key id")
    return name, kind, public


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key under the name of its owner; its text form is called vkey."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, ED25519, self.public)

    @property
    def vkey(self) -> str:
        return write_vkey(self.name, ED25519, self.public)

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """Raises `ProofError`."""
        name, _, public = parse_vkey(vkey, {ED25519: PUBLIC_KEY_SIZE})
        return cls(name, public)

    def verify(self, text: str, signature: Signature) -> None:
        """Raises `ProofError`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature.value, text.encode())
        except (InvalidSignature, ValueError):
            raise ProofError(Flaw.SIGNATURE, self.name) from None


class PrivateKey(Protocol):
    """An Ed25519 private key: in memory, or held by a token."""

    def sign(self, data: bytes, /) -> bytes:
        """What a token raises when it does not sign is for its caller."""
        ...

    def public_key(self) -> Ed25519PublicKey:
        """The other half."""
        ...


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key under the name of its owner."""

    name: str
    key: PrivateKey
    verifier: Verifier

    @classmethod
    def of(cls, name: str, key: PrivateKey) -> Signer:
        """Raises `ProofError` for a name that no note can carry."""
        return cls(
            name, key, Verifier(require_name(name, Flaw.KEY_FORM), key.public_key().public_bytes_raw())
        )

    def sign(self, text: str) -> Signature:
        return Signature(self.name, self.verifier.key_id, self.key.sign(text.encode()))


def open_note(data: bytes, verifiers: Iterable[NoteKey]) -> Note:
    """The note, once at least one known key has signed it and no known key's line is wrong.

    Raises `ProofError`.
    """
    note = parse_note(data)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    signed = False
    for signature in note.signatures:
        verifier = known.get((signature.name, signature.key_id))
        if verifier is not None:
            verifier.verify(note.text, signature)
            signed = True
    if not signed:
        raise ProofError(Flaw.UNSIGNED)
    return note


def parse_note(data: bytes) -> Note:
    """The form alone; nothing in it is to be believed before `open_note`. Raises `ProofError`."""
    content = _text(data)
    # The text may hold empty lines: the last one separates it from the signatures.
    text, separator, lines = content.rpartition("\n\n")
    if not separator or not text or not lines.endswith("\n"):
        raise ProofError(Flaw.NOTE_FORM, "text and signatures")
    found = lines[:-1].split("\n")
    if len(found) > MAX_SIGNATURES:
        raise ProofError(Flaw.NOTE_FORM, "too many signatures")
    return Note(text + "\n", tuple(parse_signature(line) for line in found))


def base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def unbase64(text: str, flaw: Flaw) -> bytes:
    """RFC 4648 §4 in its one canonical form: padding present, unused bits zero. Raises `ProofError`."""
    try:
        data = a2b_base64(text.encode("ascii"), strict_mode=True)
    except (Base64Error, UnicodeEncodeError):
        raise ProofError(flaw, "base64") from None
    if base64(data) != text:
        raise ProofError(flaw, "base64")
    return data


def _text(data: bytes) -> str:
    if len(data) > MAX_NOTE:
        raise ProofError(Flaw.NOTE_FORM, "too large")
    try:
        content = data.decode()
    except UnicodeDecodeError:
        raise ProofError(Flaw.NOTE_FORM, "not UTF-8") from None
    if any(character < " " and character != "\n" for character in content):
        raise ProofError(Flaw.NOTE_FORM, "control character")
    return content


def parse_signature(line: str) -> Signature:
    """One line, without its newline. Raises `ProofError`."""
    parts = line.removeprefix(_DASH).split(" ")
    if not line.startswith(_DASH) or len(parts) != 2:
        raise ProofError(Flaw.NOTE_FORM, "signature line")
    value = unbase64(parts[1], Flaw.NOTE_FORM)
    if len(value) <= KEY_ID_SIZE:
        raise ProofError(Flaw.NOTE_FORM, "signature line")
    return Signature(require_name(parts[0], Flaw.NOTE_FORM), value[:KEY_ID_SIZE], value[KEY_ID_SIZE:])


def require_name(name: str, flaw: Flaw) -> str:
    """A name that a note can carry. Raises `ProofError`."""
    # Half of a surrogate pair stands for a byte that is no UTF-8.
    if (
        not name
        or "+" in name
        or any(one.isspace() or one < " " or "\ud800" <= one <= "\udfff" for one in name)
    ):
        raise ProofError(flaw, "key name")
    return name
