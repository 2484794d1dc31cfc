"""What a bad requester might try: one guise for each attack that the hub must refuse.

Each differs from the honest client in one thing. The hub's code for it is in the comment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import timedelta
from enum import StrEnum
from typing import Final

from lxml import etree

from gateway.model import Authority
from gateway.sandbox.client import Guise
from gateway.sandbox.files import FIRST, RENEWAL
from gateway.sandbox.signature import SHA1, now
from gateway.soap import names

_SOAP: Final = "{http://schemas.xmlsoap.org/soap/envelope/}"


class Trick(StrEnum):
    """What the requester does."""

    REPLAYED = "sends its earlier message again, byte for byte"
    TAMPERED = "has another dossier number put into the signed Body"
    WRAPPED = "moves the signed Body aside and puts another in its place"
    UNSIGNED_TIME = "leaves the Timestamp unsigned"
    SHA1 = "signs with SHA-1"
    STALE = "sends what was signed an hour ago"
    OTHER_CUSTOMER = "names another authority in the signed Body"
    OTHER_TLS = "signs as itself over another authority's connection"


def _wrapped(message: bytes) -> bytes:
    """Signature wrapping: the signature still covers the original Body, wherever it now stands."""
    envelope = etree.fromstring(message)
    header, body = envelope.find(f"{_SOAP}Header"), envelope.find(f"{_SOAP}Body")
    assert header is not None
    assert body is not None
    wrapper = etree.SubElement(header, "{urn:wrapper}wrapper")
    wrapper.append(deepcopy(body))
    body.set(names.WSU_ID, "another")
    for number in body.iter("{*}dossierNumber"):
        number.text = RENEWAL
    return etree.tostring(envelope)


_Make = Callable[[Authority, bytes], Guise]
# Another, innocent authority and an earlier, honest message as it was sent → the guise.
GUISES: Final[Mapping[Trick, _Make]] = {
    Trick.REPLAYED: lambda _, earlier: Guise(alter=lambda _: earlier),  # WIB06005
    Trick.TAMPERED: lambda *_: Guise(
        alter=lambda message: message.replace(FIRST.encode(), RENEWAL.encode())
    ),  # WIB04009
    Trick.WRAPPED: lambda *_: Guise(alter=_wrapped),  # WIB04003
    Trick.UNSIGNED_TIME: lambda *_: Guise(sign_time=False),  # WIB04006
    Trick.SHA1: lambda *_: Guise(algorithms=SHA1),  # WIB04004
    Trick.STALE: lambda *_: Guise(clock=lambda: now() - timedelta(hours=1)),  # WIB04011
    Trick.OTHER_CUSTOMER: lambda other, _: Guise(customer=other.enterprise),  # WIB05004
    Trick.OTHER_TLS: lambda other, _: Guise(tls=other.id),  # WIB05003
}
