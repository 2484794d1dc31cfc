"""A private key that stays in a token: it signs there and never comes out.

When a signature fails the library is begun anew, once: a session was closed, the token taken out and put back, the
network away for a moment. If that does not help there is no signature, and the next one tries again. A call that does
not come back keeps its turn for ever; those who wait for theirs give up.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from typing import Any, Final

import pkcs11
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, PKCS11Error

from gateway.adapters.pkcs11_uri import Pkcs11Uri
from gateway.adapters.token import Token, name_of, token_of
from gateway.adapters.token_trouble import TokenError, Trouble
from gateway.refusal import Code, Refusal

_LOG: Final = logging.getLogger(__name__)
_TRIAL: Final = b"Trial signature of a gateway that starts: it says nothing."

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class TokenKey:
    """One private key. Several threads may sign with it; they take turns."""

    def __init__(self, uri: Pkcs11Uri, token: Token, public: PublicKey) -> None:
        self._uri = uri
        self._token = token
        self._public = public
        self._found: tuple[pkcs11.Session, Any] | None = None

    def __repr__(self) -> str:
        return f"<{self._uri.what}>"

    @property
    def suite(self) -> str:
        """What it signs messages with, as the register says it."""
        return "rsa-sha256" if isinstance(self._public, rsa.RSAPublicKey) else "ecdsa-sha256"

    def public_key(self) -> ed25519.Ed25519PublicKey:
        """The other half of a log's key."""
        assert isinstance(self._public, ed25519.Ed25519PublicKey)
        return self._public

    def sign(self, data: bytes) -> bytes:
        """PKCS #1 v1.5 or r‖s over SHA-256, or Ed25519. Raises Refusal: SIGNING_UNAVAILABLE."""
        library = self._token.library
        try:
            with library.turn():
                return library.retried(partial(self._sign, data), logging.WARNING)
        except (PKCS11Error, TokenError) as error:
            _LOG.exception("no signature")
            raise Refusal(Code.SIGNING_UNAVAILABLE) from error

    def try_out(self) -> None:
        """What `public` says of it must hold, and it must sign. Raises TokenError."""
        library = self._token.library
        with library.turn(), _explained(self._uri):
            value = library.retried(self._trial)
        try:
            _verify(self._public, value)
        except (InvalidSignature, ValueError) as error:
            raise TokenError(Trouble.PAIR, f"{self._uri.what} does not sign for its public key") from error

    def _trial(self) -> bytes:
        self._require_kept()
        return self._sign(_TRIAL)

    def _require_kept(self) -> None:
        """A key that may leave the token promises more than a file and is no better."""
        key, wanted = self._key(), _kind(self._public)
        if key.key_type != wanted:
            raise TokenError(Trouble.KIND, f"{self._uri.what} is no {wanted.name} key")
        if key[Attribute.EXTRACTABLE] or not key[Attribute.SENSITIVE]:
            raise TokenError(Trouble.EXTRACTABLE, f"{self._uri.what} can be taken out")
        if not key[Attribute.SIGN]:
            raise TokenError(Trouble.DEVICE, f"{self._uri.what} is not meant to sign")

    def _sign(self, data: bytes) -> bytes:
        key = self._key()
        match self._public:
            case rsa.RSAPublicKey():
                return bytes(key.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS))
            case ec.EllipticCurvePublicKey():  # CKM_ECDSA signs a digest: not every token knows CKM_ECDSA_SHA256
                return bytes(key.sign(sha256(data).digest(), mechanism=Mechanism.ECDSA))
            case ed25519.Ed25519PublicKey():
                return bytes(key.sign(data, mechanism=Mechanism.EDDSA))

    def _key(self) -> Any:
        """The handle, looked up once a session."""
        session = self._token.session()
        if self._found is None or self._found[0] is not session:
            self._found = session, self._token.one(ObjectClass.PRIVATE_KEY, self._uri)
        return self._found[1]


def open_key(uri: Pkcs11Uri, public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> TokenKey:
    """The private key of a certificate's public key. Raises TokenError."""
    key = TokenKey(uri, token_of(uri), public)
    key.try_out()
    return key


def open_log_key(uri: Pkcs11Uri) -> TokenKey:
    """A log's key; no certificate has its public key, so that must lie beside it. Raises TokenError."""
    token = token_of(uri)
    with token.library.turn(), _explained(uri):
        point = token.library.retried(partial(_point, token, uri))
    try:  # 32 bytes, in an OCTET STRING or not: PKCS #11 v2.40 and v3.0 differ. The trial shows whether it is right.
        public = ed25519.Ed25519PublicKey.from_public_bytes(point[-32:])
    except ValueError as error:
        raise TokenError(Trouble.KIND, f"{uri.what} is no Ed25519 key") from error
    key = TokenKey(uri, token, public)
    key.try_out()
    return key


def _point(token: Token, uri: Pkcs11Uri) -> bytes:
    beside = token.one(ObjectClass.PUBLIC_KEY, uri)
    if beside[Attribute.KEY_TYPE] != KeyType.EC_EDWARDS:
        raise TokenError(Trouble.KIND, f"{uri.what} is no Ed25519 key")
    return bytes(beside[Attribute.EC_POINT])


@contextmanager
def _explained(uri: Pkcs11Uri) -> Iterator[None]:
    try:
        yield
    except PKCS11Error as error:
        raise TokenError(Trouble.DEVICE, f"{uri.what} cannot be used: {name_of(error)}") from error


def _kind(public: PublicKey) -> KeyType:
    match public:
        case rsa.RSAPublicKey():
            return KeyType.RSA
        case ec.EllipticCurvePublicKey():
            return KeyType.EC
        case ed25519.Ed25519PublicKey():
            return KeyType.EC_EDWARDS


def _verify(public: PublicKey, value: bytes) -> None:
    """The trial signature. Raises InvalidSignature, ValueError."""
    match public:
        case rsa.RSAPublicKey():
            public.verify(value, _TRIAL, padding.PKCS1v15(), SHA256())
        case ec.EllipticCurvePublicKey():
            half = (public.key_size + 7) // 8
            if len(value) != 2 * half:  # a key on another curve
                raise InvalidSignature
            r, s = int.from_bytes(value[:half]), int.from_bytes(value[half:])
            public.verify(encode_dss_signature(r, s), _TRIAL, ec.ECDSA(SHA256()))
        case ed25519.Ed25519PublicKey():
            public.verify(value, _TRIAL)
