"""What a requester makes of a document that comes back in either form."""

from __future__ import annotations

from datetime import datetime

from gateway.broker.document import Parcel
from gateway.model import Verified
from gateway.soap import mime
from gateway.soap.envelope import read, read_packaged
from gateway.soap.xml import Limits
from gateway.wss.profile import Window
from gateway.wss.verify import Unfinished, verify


async def read_parcel(parcel: Parcel, now: datetime) -> tuple[Verified, bytes | None]:
    """The verified reply, and its attachment; None when the content stands in the message."""
    data = b"".join([piece async for piece in parcel.stream()])
    assert len(data) == parcel.size
    media = parcel.media
    await parcel.close()
    if not media.startswith(mime.PACKAGE):
        return verify(read(data, Limits()), Window(), now), None
    return read_package(data, media, now)


def read_package(data: bytes, media: str, now: datetime) -> tuple[Verified, bytes]:
    parts = mime.Parts(mime.read_type(media), parts=2)
    pieces: list[bytes] = []
    for event in parts.feed(data):
        if isinstance(event, mime.Head):
            head = event
            pieces.append(b"")
        else:
            pieces[-1] += event
    parts.close()
    message, attachment = pieces
    unfinished = Unfinished(*read_packaged(message, Limits(), head.id), Window(), now)
    unfinished.update(attachment)
    return unfinished.finish(), attachment
