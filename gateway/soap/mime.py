"""MTOM packages: multipart/related with a SOAP message and at most one attachment (PROTOCOL §17.1).

Bytes in, parts out, in bounded memory and as they arrive; nothing is decoded. Stricter than RFC 2046, so that
a package has one reading: no preamble, no nesting, no transfer encoding that changes bytes, boundary and
headers bounded, the SOAP message first. aiohttp's reader is not used: it skips a preamble of any length,
believes a part's own Content-Length over the boundary, follows nested packages, and decodes what headers say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from gateway.model import SoapVersion
from gateway.refusal import Code, Refusal

PACKAGE: Final = "multipart/related"
XOP: Final = "application/xop+xml"
MEDIA: Final[Mapping[str, SoapVersion]] = {
    "text/xml": SoapVersion.V11,
    "application/soap+xml": SoapVersion.V12,
}
_START_INFO: Final = {version: media for media, version in MEDIA.items()}
_ROOT_ID: Final = "message@gateway"
CONTENT_ID: Final = "content@gateway"
# Sent for the attachment. "binary" is what XOP §4.1 shows, but zeep 4.3 then strips line ends from the content,
# with which most PDF files end. Both names mean that nothing is encoded (RFC 2045 §6.2).
_ENCODING: Final = "8bit"
_IDENTITY: Final = frozenset({"", "7bit", "8bit", "binary"})

_MAX_HEAD: Final = 4096  # bytes of one part's headers, as of one header field of HTTP
_MAX_EPILOGUE: Final = 4  # bytes: line ends that some stacks write after the last boundary
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046 §5.1.1
_TYPE: Final = re.compile(r"[ \t]*([A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64})[ \t]*")
_PARAMETER: Final = re.compile(r';[ \t]*([A-Za-z0-9-]{1,32})=(?:"([^"\\]*)"|([^ \t;"\\]+))[ \t]*')
_FIELD: Final = re.compile(r"([A-Za-z0-9-]{1,64}):[ \t]*([\x20-\x7e\t]*?)[ \t]*")
_ID: Final = re.compile(r"<([\x21-\x3b\x3d\x3f-\x7e]{1,250})>")


@dataclass(frozen=True, slots=True)
class Package:
    """What the media type of a package says."""

    boundary: str
    version: SoapVersion  # of the SOAP message
    start: str | None  # Content-ID of the SOAP message
    action: str | None  # SOAP 1.2: what names the operation, unsigned


@dataclass(frozen=True, slots=True)
class Head:
    """The headers of a part; its bytes follow."""

    media: str  # "" when not said
    id: str | None  # Content-ID without its angle brackets


def read_type(content_type: str) -> Package:
    """The package that a Content-Type of multipart/related announces. Raises Refusal: MEDIA_TYPE, MULTIPART."""
    media, parameters = _typed(content_type)
    boundary, start = parameters.get("boundary", ""), parameters.get("start")
    version = MEDIA.get(parameters.get("start-info", "").partition(";")[0].strip().lower())
    if media != PACKAGE or parameters.get("type", "").lower() != XOP:  # SOAP with attachments is not offered
        raise Refusal(Code.MEDIA_TYPE)
    if version is None:
        raise Refusal(Code.MULTIPART, "start-info")
    if parameters.get("charset", "utf-8").lower() != "utf-8" or not _BOUNDARY.fullmatch(boundary):
        raise Refusal(Code.MULTIPART, "boundary")
    action = parameters.get("action") if version is SoapVersion.V12 else None
    return Package(boundary, version, None if start is None else _id(start), action or None)


def read_message_type(content_type: str) -> tuple[SoapVersion, str | None]:
    """The SOAP version that the Content-Type of a message by itself promises, and the action that it names.

    Read once and strictly: whoever sees two charsets may believe the other one (attack H03).
    Raises Refusal: MEDIA_TYPE.
    """
    try:
        media, parameters = _typed(content_type.rstrip("; \t"))
    except Refusal as refusal:
        raise Refusal(Code.MEDIA_TYPE) from refusal
    version = MEDIA.get(media)
    if version is None:
        raise Refusal(Code.MEDIA_TYPE)
    if parameters.get("charset", "utf-8").lower() != "utf-8":
        raise Refusal(Code.MEDIA_TYPE, "charset")
    return version, parameters.get("action") or None if version is SoapVersion.V12 else None


class _Place(Enum):
    START = auto()
    HEAD = auto()
    DATA = auto()
    END = auto()


class Parts:
    """Takes a package apart as its bytes arrive. Holds no more than one part's headers, or a boundary.

    `parts`: how many there may be. The first is the SOAP message.
    """

    def __init__(self, package: Package, parts: int) -> None:
        self._package = package
        self._left = parts
        self._delimiter = b"\r\n--" + package.boundary.encode()
        self._held = b""
        self._place = _Place.START
        self._skip = 0  # bytes of the empty line still to be passed over
        self._ids: set[str | None] = set()

    def feed(self, data: bytes) -> Iterator[Head | bytes]:
        """What the bytes so far complete: a Head for each part, then its bytes in pieces.

        Raises Refusal: MULTIPART.
        """
        self._held += data
        while (step := self._step()) is not None:
            if step:
                yield step

    def close(self) -> None:
        """There are no more bytes. Raises Refusal: MULTIPART, when the package has not ended."""
        if self._place is not _Place.END:
            raise Refusal(Code.MULTIPART, "end")

    def _step(self) -> Head | bytes | None:
        """What comes next; b"" when nothing is to be told of it, None when more bytes are needed."""
        match self._place:
            case _Place.START:
                return self._start()
            case _Place.HEAD:
                return self._head()
            case _Place.DATA:
                return self._data()
            case _Place.END:
                if len(self._held) > _MAX_EPILOGUE or self._held.strip(b"\r\n"):
                    raise Refusal(Code.MULTIPART, "epilogue")
                return None

    def _start(self) -> bytes | None:
        """The first boundary; a line end may stand before it, for it belongs to the boundary."""
        opening = self._delimiter[2:]
        held = self._held.removeprefix(b"\r\n")
        wanted = opening + b"\r\n"
        if not held.startswith(wanted[: len(held)]) and self._held != b"\r":
            raise Refusal(Code.MULTIPART, "start")
        if len(held) < len(wanted):
            return None
        self._held, self._place = held[len(wanted) :], _Place.HEAD
        return b""

    def _head(self) -> Head | None:
        at = self._held.find(b"\r\n\r\n", 0, _MAX_HEAD)
        if at < 0:
            if len(self._held) >= _MAX_HEAD:
                raise Refusal(Code.MULTIPART, "headers")
            return None
        if not self._left:  # counted before anything of a part is kept
            raise Refusal(Code.MULTIPART, "parts")
        head = _read_head(self._held[:at])
        if self._ids:
            if head.id is None or head.id in self._ids:  # two parts of one name: which is meant?
                raise Refusal(Code.MULTIPART, "Content-ID")
        elif head.media != XOP or (self._package.start is not None and head.id != self._package.start):
            raise Refusal(Code.MULTIPART, "root")
        self._ids.add(head.id)
        self._left -= 1
        # The line end of the empty line may be that of the next boundary: then the part has no bytes.
        self._held, self._place, self._skip = self._held[at + 2 :], _Place.DATA, 2
        return head

    def _data(self) -> bytes | None:
        at = self._held.find(self._delimiter)
        if at < 0:
            return self._take(len(self._held) - len(self._delimiter) + 1) or None
        behind = self._held[at + len(self._delimiter) :][:2]
        if len(behind) < 2:
            return self._take(at) or None
        if behind not in {b"\r\n", b"--"}:
            raise Refusal(Code.MULTIPART, "boundary")
        piece = self._take(at)
        self._held, self._skip = self._held[len(self._delimiter) + 2 :], 0
        self._place = _Place.HEAD if behind == b"\r\n" else _Place.END
        return piece

    def _take(self, count: int) -> bytes:
        if count <= 0:
            return b""
        piece, self._held = self._held[:count], self._held[count:]
        skipped = min(self._skip, count)
        self._skip -= skipped
        return piece[skipped:]


def unpack(data: bytes, package: Package) -> bytes:
    """The SOAP message of a package that holds nothing else. Raises Refusal: MULTIPART."""
    parts = Parts(package, parts=1)
    pieces = [piece for piece in parts.feed(data) if isinstance(piece, bytes)]
    parts.close()
    return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What stands around the SOAP message and the content of a package that is written here."""

    media: str  # the Content-Type of all of it
    before: bytes  # the SOAP message
    between: bytes  # the SOAP message and the content
    after: bytes  # the content


def media_type(version: SoapVersion) -> str:
    """The media type of a SOAP message by itself."""
    return f"{_START_INFO[version]}; charset=utf-8"


def wrap(version: SoapVersion, secret: str) -> Wrapping:
    """A package around a message that names CONTENT_ID.

    `secret`: unpredictable, in hexadecimal, made after the content: whoever wrote the content could otherwise
    put the boundary into it, and parts of its own behind it.
    """
    boundary, media = f"part-{secret}", _START_INFO[version]
    opening = f'--{boundary}\r\nContent-Type: {XOP}; charset=UTF-8; type="{media}"\r\n'
    root = f"{opening}Content-Transfer-Encoding: {_ENCODING}\r\nContent-ID: <{_ROOT_ID}>\r\n\r\n"
    attachment = (
        f"\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n"
        f"Content-Transfer-Encoding: {_ENCODING}\r\nContent-ID: <{CONTENT_ID}>\r\n\r\n"
    )
    return Wrapping(
        f'{PACKAGE}; type="{XOP}"; boundary="{boundary}"; start="<{_ROOT_ID}>"; start-info="{media}"',
        root.encode(),
        attachment.encode(),
        f"\r\n--{boundary}--\r\n".encode(),
    )


def _read_head(data: bytes) -> Head:
    fields: dict[str, str] = {}
    for line in data.decode("latin-1").split("\r\n"):  # what is not ASCII matches no field
        field = _FIELD.fullmatch(line)
        if field is None or field[1].lower() in fields:
            raise Refusal(Code.MULTIPART, "headers")
        fields[field[1].lower()] = field[2]
    if fields.get("content-transfer-encoding", "").lower() not in _IDENTITY or "content-encoding" in fields:
        raise Refusal(Code.MULTIPART, "encoding")
    media, parameters = _typed(fields["content-type"]) if "content-type" in fields else ("", {})
    if media.startswith("multipart/"):
        raise Refusal(Code.MULTIPART, "nested")
    if media == XOP and parameters.get("charset", "utf-8").lower() != "utf-8":  # it is read as nothing else
        raise Refusal(Code.MULTIPART, "charset")
    return Head(media, _id(fields["content-id"]) if "content-id" in fields else None)


def _typed(value: str) -> tuple[str, dict[str, str]]:
    """Media type and parameters, both in lower case but for the values."""
    media = _TYPE.match(value)
    if media is None:
        raise Refusal(Code.MULTIPART, "Content-Type")
    parameters: dict[str, str] = {}
    at = media.end()
    while at < len(value):
        parameter = _PARAMETER.match(value, at)
        if parameter is None or parameter[1].lower() in parameters:
            raise Refusal(Code.MULTIPART, "Content-Type")
        parameters[parameter[1].lower()] = parameter[3] if parameter[2] is None else parameter[2]
        at = parameter.end()
    return media[1].lower(), parameters


def _id(value: str) -> str:
    found = _ID.fullmatch(value)
    if found is None:
        raise Refusal(Code.MULTIPART, "Content-ID")
    return found[1]
