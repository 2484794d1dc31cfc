"""What foreign SOAP stacks write, letter by letter, and xmlsec signs. Nothing here comes from the gateway.

The shapes were seen on the wire: zeep 4.3, npm soap 1.13, CXF 4.1 with WSS4J 4.0, gSOAP 2.8, JAX-WS RI 2.3 with a
WSS4J handler, wse-php 2.0, XML::Compile::SOAP::WSS, SOAP::Lite 1.27, .NET SignedXml. A message goes out as the text
that stands here: xmlsec reads it, and only the digests and the signature that it makes are put in.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import xmlsec
from lxml import etree

from tests.world import BASE64, DS, EXCLUSIVE, MORE, SERVICE, SHA256, V11, WSA, WSSE, WSU, X509V3

COMMON = "http://workinginbelgium.be/types/Common/v1"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSD = "http://www.w3.org/2001/XMLSchema"
_EMPTY = re.compile(r"<(\w+:)?(DigestValue|SignatureValue)></")


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Who asks, with which key, and what differs from message to message."""

    key: bytes  # PEM
    certificate: bytes  # DER
    cbe: str
    unit: str | None
    context: str
    envelope: str = V11.value  # its namespace
    method: str = f"{MORE}rsa-sha256"
    digest: str = SHA256
    echo: str = field(default_factory=lambda: f"echo-{uuid4()}")
    ticket: str = field(default_factory=lambda: str(uuid4()))

    @property
    def token(self) -> str:
        return base64.b64encode(self.certificate).decode()

    @property
    def sent(self) -> str:
        return moment(digits=3)


def moment(seconds: float = 0, *, digits: int = 3, zone: str = "Z") -> str:
    """So many seconds from now, with so many digits of a second."""
    written = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0000"
    return (written[: 20 + digits] if digits else written[:19]) + zone


def signed(text: str, key: bytes) -> str:
    """`text` with what xmlsec computes in the place of each empty DigestValue and SignatureValue."""
    tree = etree.fromstring(re.sub(r"^<\?xml[^>]*>\s*", "", text).encode())
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(key, xmlsec.KeyFormat.PEM)
    for element in tree.iter("*"):
        for name in {f"{{{WSU}}}Id", "Id"} & set(element.attrib):
            context.register_id(element, "Id", etree.QName(name).namespace)
    context.sign(tree.find(f".//{{{DS}}}Signature"))
    values = (one.text for one in tree.iter(f"{{{DS}}}DigestValue", f"{{{DS}}}SignatureValue"))
    return _EMPTY.sub(lambda found: f"{found[0][:-2]}{next(values)}</", text)


# The parts that a stack puts together.


def content(ask: Asking, s: str, c: str, declared: str = "") -> str:
    """The operation, with a prefix for each of its two namespaces."""
    unit = f"<{c}:unit>{ask.unit}</{c}:unit>" if ask.unit else ""
    return (
        f"<{s}:sendTestMessage{declared}><{s}:informationCustomer><{c}:ticket>{ask.ticket}</{c}:ticket>"
        f"<{c}:timestampSent>{ask.sent}</{c}:timestampSent><{c}:customerIdentification><{c}:cbeNumber>{ask.cbe}"
        f"</{c}:cbeNumber>{unit}</{c}:customerIdentification></{s}:informationCustomer><{s}:legalContext>"
        f"{ask.context}</{s}:legalContext><{s}:criteria><{s}:echo>{ask.echo}</{s}:echo></{s}:criteria>"
        f"</{s}:sendTestMessage>"
    )


def content_without_prefixes(ask: Asking) -> str:
    """The operation, with a default namespace that changes on the way down."""
    unit = f"<unit>{ask.unit}</unit>" if ask.unit else ""
    return (
        f'<sendTestMessage xmlns="{SERVICE}"><informationCustomer><ticket xmlns="{COMMON}">{ask.ticket}</ticket>'
        f'<timestampSent xmlns="{COMMON}">{ask.sent}</timestampSent><customerIdentification xmlns="{COMMON}">'
        f"<cbeNumber>{ask.cbe}</cbeNumber>{unit}</customerIdentification></informationCustomer>"
        f"<legalContext>{ask.context}</legalContext><criteria><echo>{ask.echo}</echo></criteria></sendTestMessage>"
    )


def declared(s: str, c: str) -> str:
    return f' xmlns:{s}="{SERVICE}" xmlns:{c}="{COMMON}"'


def inclusive(prefixes: str | None, ec: str = "ec") -> str:
    if prefixes is None:
        return ""
    return f'<{ec}:InclusiveNamespaces xmlns:{ec}="{EXCLUSIVE}" PrefixList="{prefixes}"/>'


def signature(
    ask: Asking,
    parts: dict[str, str | None],
    key_info: str,
    *,
    ds: str = "ds:",
    own: str | None = None,
    space: str = "",
    ids: tuple[str, str] = ("", ""),
) -> str:
    """An empty ds:Signature. `parts`: id → PrefixList; `own`: the PrefixList of SignedInfo; `ids`: of the
    signature and of KeyInfo; `space`: white space between the elements.
    """
    references = "".join(
        f'<{ds}Reference URI="#{id_}"><{ds}Transforms><{ds}Transform Algorithm="{EXCLUSIVE}">{inclusive(prefixes)}'
        f'</{ds}Transform></{ds}Transforms><{ds}DigestMethod Algorithm="{ask.digest}"/><{ds}DigestValue>'
        f"</{ds}DigestValue></{ds}Reference>"
        for id_, prefixes in parts.items()
    )
    declaration = f'xmlns:{ds[:-1]}="{DS}"' if ds else f'xmlns="{DS}"'
    text = (
        f"<{ds}Signature {declaration}{ids[0]}><{ds}SignedInfo><{ds}CanonicalizationMethod "
        f'Algorithm="{EXCLUSIVE}">{inclusive(own)}</{ds}CanonicalizationMethod><{ds}SignatureMethod '
        f'Algorithm="{ask.method}"/>{references}</{ds}SignedInfo><{ds}SignatureValue></{ds}SignatureValue>'
        f"<{ds}KeyInfo{ids[1]}>{key_info}</{ds}KeyInfo></{ds}Signature>"
    )
    return re.sub(rf"(?<!Value)><(?=/?{ds})", f">{space}<", text) if space else text


def named(id_: str, *, wsse: str = "wsse", attributes: str = "", declared: str = "") -> str:
    """KeyInfo's content: a direct reference to the token."""
    return (
        f'<{wsse}:SecurityTokenReference{declared}><{wsse}:Reference URI="#{id_}"{attributes}/>'
        f"</{wsse}:SecurityTokenReference>"
    )


VALUE_TYPE = f' ValueType="{X509V3}"'


def token(ask: Asking, id_: str, *, wsse: str = "wsse", wsu: str = "wsu", declared: str = "") -> str:
    return (
        f'<{wsse}:BinarySecurityToken{declared} EncodingType="{BASE64}" ValueType="{X509V3}" {wsu}:Id="{id_}">'
        f"{ask.token}</{wsse}:BinarySecurityToken>"
    )


def timestamp(created: str, expires: str, id_: str, *, wsu: str = "wsu", declared: str = "") -> str:
    return (
        f'<{wsu}:Timestamp{declared} {wsu}:Id="{id_}"><{wsu}:Created>{created}</{wsu}:Created>'
        f"<{wsu}:Expires>{expires}</{wsu}:Expires></{wsu}:Timestamp>"
    )


ACTION = f"{SERVICE}/sendTestMessage"
URL = "https://gateway.example.be/soap/v1"
ANONYMOUS = f"{WSA}/anonymous"
WSSE_WSU = f' xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}"'
