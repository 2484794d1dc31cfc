"""What a stack writes, changed in one way before it is signed, or on its way."""

from __future__ import annotations

import base64
import re
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.process.emission import Asking, moment
from tests.process.stacks import node_soap

MUST = 'soap:mustUnderstand="1"'


def timed(stack, written):
    """With other times: `written` says how so many seconds from now are told."""

    def changed(asking: Asking) -> str:
        text = stack(asking)
        for name, seconds in (("Created", 0), ("Expires", 300)):
            text, count = re.subn(rf">[^<]*</((?:\w+:)?{name})>", rf">{written(seconds)}</\1>", text)
            assert count == 1
        return text

    return changed


def sent(written):
    """node-soap's, with another timestampSent."""

    def changed(asking: Asking) -> str:
        text, count = re.subn(r"(?<=timestampSent>)[^<]+", written(0), node_soap(asking))
        assert count == 1
        return text

    return changed


def broken(stack, line_end, length=76):
    """With the token in lines, one before and one behind it as well."""

    def changed(asking: Asking) -> str:
        whole, text = asking.token, stack(asking)
        lines = [whole[at : at + length] for at in range(0, len(whole), length)]
        assert text.count(whole) == 1
        return text.replace(whole, line_end.join(("", *lines, "")))

    return changed


def ordered(*names):
    """The children of node-soap's security header in another order."""

    def changed(asking: Asking) -> str:
        text = node_soap(asking)
        parts = {
            "token": re.search(r"<wsse:BinarySecurityToken.*</wsse:BinarySecurityToken>", text)[0],
            "time": re.search(r"<Timestamp.*</Timestamp>", text)[0],
            "signature": re.search(r"<ds:Signature .*</ds:Signature>", text)[0],
        }
        assert "".join(parts.values()) in text
        return text.replace("".join(parts.values()), "".join(parts[name] for name in names))

    return changed


def digits(count, zone="Z", ahead=0):
    return lambda seconds: moment(seconds + ahead, digits=count, zone=zone)


def without(name, stack=node_soap):
    """Without one child of the security header, and without a reference to it."""

    def changed(asking: Asking) -> str:
        text = stack(asking)
        found = re.search(rf"<{name} .*</{name}>", text)[0]
        id_ = re.search(r'wsu:Id="([^"]*)"', found)[1]
        return re.sub(
            rf"<(\w+:)?Reference URI=\"#{id_}\">.*?</(\w+:)?Reference>\n?",
            "",
            text.replace(found, ""),
            flags=re.DOTALL,
        )

    return changed


def unsigned(id_):
    """Without the reference to this part."""

    def changed(asking: Asking) -> str:
        text, count = re.subn(rf'<ds:Reference URI="#{id_}">.*?</ds:Reference>', "", node_soap(asking))
        assert count == 1
        return text

    return changed


def twice(pattern):
    """What matches stands there a second time, with other ids."""

    def changed(text: str) -> str:
        found = re.search(pattern, text, re.DOTALL)[0]
        return text.replace(found, found + re.sub(r'Id="[^"]*"', lambda _: f'Id="x{uuid4()}"', found))

    return changed


def der(text: str) -> str:
    """With r and s of an ECDSA signature as two integers in ASN.1."""
    found = re.search(r"<SignatureValue>([^<]*)<", text)[1]
    value = base64.b64decode(found)
    r, s = (int.from_bytes(half) for half in (value[: len(value) // 2], value[len(value) // 2 :]))
    return text.replace(found, base64.b64encode(encode_dss_signature(r, s)).decode())
