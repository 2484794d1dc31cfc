"""A document of any size that is never in memory as a whole, signed and packed as a stream; and what that costs raw."""

from __future__ import annotations

import hashlib
import ssl
import uuid
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from os import urandom
from time import process_time
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.bench.dossiers import dossier_number
from gateway.bench.messages import LIFETIME
from gateway.bench.place import Party
from gateway.bench.wire import contexts
from gateway.model import Criteria, OperationName, SoapVersion
from gateway.soap import mime, names
from gateway.wss.sign import Framing, SigningKey

RETRIEVE: Final = OperationName("retrieveDocument")
UPLOAD: Final = OperationName("uploadDocument")
MB: Final = 1_000_000
_BLOCK: Final = 1 << 20
_TYPE: Final = "CONTRACT"
_INCLUDE: Final = f'<xop:Include xmlns:xop="{names.XOP}" href="cid:{mime.CONTENT_ID}"/>'.encode()
_SAMPLE: Final = 16  # blocks by which raw work is measured


@dataclass(frozen=True, slots=True)
class Scan:
    """`size` in bytes."""

    size: int

    def pieces(self) -> Iterator[bytes]:
        """The content, in pieces of at most 1 MiB, no two alike."""
        block = hashlib.shake_256(b"a page").digest(_BLOCK)
        for at in range(0, self.size, _BLOCK):
            turn = at // _BLOCK % _BLOCK
            yield (block[turn:] + block[:turn])[: min(_BLOCK, self.size - at)]

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()

    def criteria(self, reference: str) -> Criteria:
        """What names it. The reference tells its size, so that a provider knows what to answer."""
        number = dossier_number(1)
        return Criteria(
            number,
            document_reference=f"{reference}-{self.size}",
            document_type=_TYPE,
            document_sha256=self.sha256(),
        )


def size_of(reference: str) -> int:
    """The bytes of a document, by its reference."""
    return int(reference.rpartition("-")[2])


def element(criteria: Criteria) -> str:
    """The document element, with @@ in the place of its content."""
    fields = {
        "reference": criteria.document_reference, "type": criteria.document_type, "mediaType": "application/pdf",
        "sha256": criteria.document_sha256, "content": "@@",
    }  # fmt: skip
    return f"<s:document>{''.join(f'<s:{name}>{value}</s:{name}>' for name, value in fields.items())}</s:document>"


@dataclass(frozen=True, slots=True)
class Packed:
    """A signed message with a document behind it: what stands around the content, and its media type."""

    media: str
    before: bytes
    after: bytes

    def size(self, scan: Scan) -> int:
        return len(self.before) + scan.size + len(self.after)


def pack(body: str, scan: Scan, key: SigningKey) -> Packed:
    """Sign and pack; `body` has @@ in the place of the content."""
    before, after = body.split("@@")
    framing = Framing(before, after, version=SoapVersion.V11, unique=str(uuid.uuid4()))
    for piece in scan.pieces():
        framing.update(piece)
    frame = framing.sign(key=key, now=datetime.now(UTC), lifetime=LIFETIME)
    around = mime.wrap(SoapVersion.V11, uuid.uuid4().hex)
    message = frame.head + _INCLUDE + frame.tail
    return Packed(around.media, around.before + message + around.between, around.after)


def floor_ms_per_mb(hub: Party, peer: Party) -> float:
    """CPU milliseconds of the raw work on each MB that passes: received and sent in TLS, hashed as base64 for the
    signature that is verified and for the one that is made, hashed as it is, sealed to disk and opened again.
    """
    block, cipher, nonce = urandom(_BLOCK), AESGCM(urandom(32)), bytes(12)
    pass_on = _Tunnel(contexts(peer)[0], contexts(hub)[1], hub.authority.tls_name).pass_on
    pass_on(block)
    verified, made, plain = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    began = process_time()
    for _ in range(_SAMPLE):
        pass_on(block)
        verified.update(b64encode(block))
        plain.update(block)
        cipher.decrypt(nonce, cipher.encrypt(nonce, block, None), None)
        made.update(b64encode(block))
    return (process_time() - began) * 1000 / (_SAMPLE * _BLOCK / MB)


class _Tunnel:
    """Both ends of a TLS connection, in memory."""

    def __init__(self, client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._client = client.wrap_bio(back, there, server_hostname=name)
        self._server = server.wrap_bio(there, back, server_side=True)
        for end in (self._client, self._server) * 2:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue

    def pass_on(self, block: bytes) -> None:
        """Encrypt at one end, decrypt at the other."""
        view = memoryview(block)
        while view:
            sent = self._client.write(view)
            view, left = view[sent:], sent
            while left:
                left -= len(self._server.read(left))
