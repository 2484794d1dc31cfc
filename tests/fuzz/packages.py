"""MTOM packages: the same parts however the bytes arrive, and of a message with an attachment one place for it."""

from __future__ import annotations

from gateway.refusal import Refusal
from gateway.soap import mime
from gateway.soap.envelope import place_of_content, read_message
from gateway.soap.mime import Head, Package, Parts
from gateway.soap.xml import Limits
from gateway.wss.profile import Window
from gateway.wss.verify import Unfinished
from tests.fuzz.target import Target
from tests.path.uploads import INCLUDE
from tests.world import NOW, build

_TYPE = b'multipart/related; type="application/xop+xml"; start="<r@x>"; start-info="text/xml"; boundary="b"'
_HEAD = b'Content-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\nContent-ID: <r@x>\r\n\r\n'
_SCAN = b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <scan@x>\r\n\r\n%PDF\r\n"


def judge(data: bytes) -> None:
    """A line with the media type, then the package."""
    media, _, body = data.partition(b"\n")
    try:
        package = mime.read_type(media.decode("latin-1"))
    except Refusal:
        return
    outcomes = [_parts(package, body, step) for step in (len(body) or 1, 1 if len(body) < 500 else 61)]
    assert outcomes[0] == outcomes[1]
    parts = outcomes[0]
    if parts is not None and len(parts) == 2 and parts[1][0].id is not None:
        _attached(parts[0][1], parts[1][0].id, parts[1][1])


def _parts(package: Package, body: bytes, step: int) -> list[tuple[Head, bytes]] | None:
    """None: refused, however much of it was told before."""
    reader, found = Parts(package, 2), list[tuple[Head, bytes]]()
    try:
        for at in range(0, len(body), step):
            for event in reader.feed(body[at : at + step]):
                if isinstance(event, Head):
                    found.append((event, b""))
                else:
                    found[-1] = (found[-1][0], found[-1][1] + event)
        reader.close()
    except Refusal:
        return None
    return found


def _attached(message: bytes, content_id: str, content: bytes) -> None:
    try:
        envelope = read_message(message, Limits())
        place = place_of_content(envelope, content_id)
        unfinished = Unfinished(envelope, place, Window(), NOW)
        unfinished.update(content)
        unfinished.finish()
    except Refusal:
        return


def _packed(*parts: bytes) -> bytes:
    return _TYPE + b"\n--b\r\n" + b"\r\n--b\r\n".join(parts) + b"\r\n--b--\r\n"


def seeds() -> list[bytes]:
    document = f'<s:x xmlns:s="urn:x">{INCLUDE.decode()}</s:x>'
    message = build(content=document)
    return [_packed(_HEAD + b"<x/>"), _packed(_HEAD + b"<x/>", _SCAN), _packed(_HEAD + message, _SCAN)]


TARGETS = (Target("package", judge, seeds, largest=8192, replayed=250),)
