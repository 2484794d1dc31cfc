"""Parser and verifier: bytes as they come, and messages whose signature is made after they were changed.

xmlsec is the second engine: with the token's key and ids by position it verifies whatever ours accepts, and ours finds
no wrong digest or signature in what it verifies.
"""

from __future__ import annotations

from functools import cache
from itertools import islice
from random import Random

import xmlsec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate
from lxml import etree

from gateway.model import Verified
from gateway.refusal import Code, Refusal
from gateway.wss.verify import public_key
from tests.examples import rsa_key, signing_key
from tests.fuzz.chance import Choices, tags
from tests.fuzz.target import Target
from tests.path import hub
from tests.rules.second_engine import token, tree_of, xmlsec_verifies
from tests.world import (
    ACTION,
    CONTENT,
    MORE,
    SHA256,
    V11,
    V12,
    XMLENC,
    Draft,
    Holder,
    accept,
    build,
    holder,
    sign,
    wsa,
)
from tests.wrapping.count import Count, judge
from tests.wrapping.doubles import doubles
from tests.wrapping.messages import SHAPES, Message, Shape, answers, requests
from tests.wrapping.moves import moves

DISAGREEMENT = "xmlsec says otherwise"


@cache
def _holder() -> Holder:
    """With the key of an example, so that the seeds are the same on every machine."""
    return Holder(rsa_key("BRUSSELS"), load_der_x509_certificate(signing_key("BRUSSELS").certificate))


@cache
def originals() -> dict[bytes, bytes]:
    """Signed message → the Body that was signed."""
    addressed = {"blocks": wsa("Action", ACTION, "a"), "signed": ("body", "time", "a")}
    made = (
        build(holder=_holder()),
        build(holder=_holder(), version=V12, prefixes="#default soap", **addressed),
        build(holder=_holder(), digest=f"{MORE}sha384", space="\n", order=("signature", "token", "time")),
    )
    return {data: accept(data).body for data in made}


def as_they_come(data: bytes) -> None:
    """Nobody has the key: what verifies is one of the signed Bodies, whatever stands around it."""
    verified = judged(data)
    assert verified is None or verified.body in originals().values()


def judged(data: bytes) -> Verified | None:
    """What ours makes of it, held against the second engine where both judge the same."""
    try:
        verified = accept(data)
    except Refusal as refusal:
        if _digest_or_signature(refusal):
            assert not _xmlsec_agrees(data), DISAGREEMENT
        return None
    assert _xmlsec_agrees(data), DISAGREEMENT
    return verified


def _digest_or_signature(refusal: Refusal) -> bool:
    """The structure is that of the profile, and the mathematics say no."""
    return refusal.code is Code.SIGNATURE and (
        refusal.about == "digest" or isinstance(refusal.__cause__, InvalidSignature)
    )


def _xmlsec_agrees(data: bytes) -> bool:
    """With the very key that ours used: OpenSSL refuses some certificates whose key ours reads, as `identity` does."""
    key = public_key(token(tree_of(data)))
    try:
        xmlsec_verifies(data, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    except xmlsec.Error:
        return False
    return True


_METHODS = (  # mostly the one that is signed fastest
    *[("p256", f"{MORE}ecdsa-sha256")] * 4,
    ("p256", f"{MORE}ecdsa-sha512"),
    ("p384", f"{MORE}ecdsa-sha384"),
    ("p521", f"{MORE}ecdsa-sha256"),
    ("rsa-2048", f"{MORE}rsa-sha256"),
)
_DIGESTS = (SHA256, f"{MORE}sha384", f"{XMLENC}sha512")
_ORDERS = (("token", "time", "signature"), ("signature", "token", "time"), ("time", "signature", "token"))
_DECLARATIONS = (
    "", "", ' xmlns="urn:d"', ' xmlns:a="urn:a"', ' xmlns:s="urn:s"', ' xmlns:wsu="urn:u"', ' xmlns:xml="http://www.w3.org/XML/1998/namespace"',
    ' xml:lang="nl"', ' a="&#9;&#10;&#13; x"', " xmlns=''", ' xmlns:b="urn:a" b:c="1" xmlns:a="urn:a" a:d="2"',
)  # fmt: skip
_PREFIXES = (
    None,
    "",
    "soap",
    "#default",
    "a s b",
    "xml",
    "wsu wsse",
    "#default a",
    "nothing",
    "a a",
    "soap ",
)
_TIMES = (
    *["2026-06-01T09:05:00.000Z"] * 9,
    "2026-06-01T11:05:00+02:00",
    "2026-06-01T09:05:00Z",
    " 2026-06-01T09:05:00Z\n",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-06-01T24:00:00Z",
)
_SIGNED = (  # header blocks, and what is signed
    ("", ("body", "time")),
    ("", ("time", "body", "token")),
    (wsa("Action", ACTION, "a"), ("body", "time", "a")),
    (wsa("To", "urn:x") + "<x xmlns='urn:x'/>", ("body", "time")),
)
_TEXTS = (
    "",
    "x",
    "&amp;&lt;&gt;",
    "&#13;",
    "\r\n",
    "\t",
    "é\U0001f600",
    "\x85\u2028",
    "<![CDATA[&<]]>",
    "]]&gt;",
    "&quot;'",
    "a:b",
)
_ATTRIBUTES = (
    "", ' z="1" y="2"', ' a:y="1" s:y="2" y="3"', ' xml:space="preserve"', ' t="&#9;&#10;&#13;&lt;&quot;&amp;&gt;"', ' type="a:T"',
    ' xmlns:c="urn:c" c:z="1"', ' xmlns:z="urn:s" z:b="1" s:a="2"',
)  # fmt: skip
_WORDS = (
    *(one for one in _DECLARATIONS if one), ' xmlns:r="r"', "&amp;", "&#13;", "&#xD;\n", "é", "\U0001f600", "\x85", "<![CDATA[&<]]>", "]]&gt;",
    "<a:x xmlns:a='urn:b'/>", '<x xmlns="" y="2" x="1"/>', "<b>", "</b>", "<!--c-->", "<?p i?>", "\t", "\r\n", '"', "'", ">", "<s:a>", "</s:a>",
    ' xsi:type="s:T" xmlns:xsi="urn:i"', ' wsu:Id="body"', ' wsu:Id="x"', ' Id="x"', ' xml:id="x"',
)  # fmt: skip


def signed_afterwards(data: bytes) -> None:
    """A message that its signer made as badly as the bytes say, signed by xmlsec."""
    try:
        message = sign(_draft(Choices(data)))
    except (etree.LxmlError, xmlsec.Error, ValueError, TypeError):
        return  # no stack could have sent it
    judged(message)


def _draft(choices: Choices) -> Draft:
    key, method = choices.one_of(_METHODS)
    blocks, signed = choices.one_of(_SIGNED)
    return Draft(
        holder=holder(key),
        method=method,
        digest=choices.one_of(_DIGESTS),
        version=choices.one_of((V11, V12)),
        order=choices.one_of(_ORDERS),
        prefixes=choices.one_of(_PREFIXES),
        c14n_prefixes=choices.one_of(_PREFIXES),
        envelope=choices.one_of(_DECLARATIONS),
        header=choices.one_of(_DECLARATIONS),
        security=choices.one_of(_DECLARATIONS),
        space=choices.one_of(("", "\n", " \t")),
        expires=choices.one_of(_TIMES),
        blocks=blocks,
        signed=signed,
        content=_tree(choices) if choices.number(4) else choices.edited(tags(CONTENT), _WORDS),
    )


def _tree(choices: Choices) -> str:
    """A Body's element of any form: well-formed, with namespaces declared, repeated, rebound and left unused."""
    return f'<s:x xmlns:s="urn:s" xmlns:a="urn:a">{_nodes(choices, 5)}</s:x>'


def _nodes(choices: Choices, depth: int) -> str:
    return "".join(_node(choices, depth) for _ in range(choices.number(4)))


def _node(choices: Choices, depth: int) -> str:
    if not depth or not choices.number(3):
        return choices.one_of(_TEXTS)
    name = choices.one_of(("x", "s:x", "a:x", "soap:x", "wsu:x"))
    declared = "".join(dict.fromkeys((choices.one_of(_DECLARATIONS), choices.one_of(_ATTRIBUTES))))
    return f"<{name}{declared}>{_nodes(choices, depth - 1)}</{name}>"


def wrapped(data: bytes) -> None:
    """One of the wrapped messages of `tests.wrapping`, chosen by the bytes."""
    choices = Choices(data)
    message, shape = choices.one_of(requests() + answers()), choices.one_of(SHAPES)
    signed = _signed(message, shape)
    variants = (moves(signed), doubles(signed, message, shape))
    plan = next(islice(variants[choices.number(9) == 8], choices.number(8_000), None), None)
    if plan is not None:
        count = Count()
        judge(plan.sentence, plan, plan.make(), accept(signed, hub.NOW), count)
        assert count.wrong == []


@cache
def _signed(message: Message, shape: Shape) -> bytes:
    return message.sign(shape)


def _decisions() -> list[bytes]:
    random = Random(1)
    return [random.randbytes(150) for _ in range(20)]


TARGETS = (
    Target("message", as_they_come, lambda: [*originals()], largest=16_384, replayed=1_500),
    Target(
        "signed",
        signed_afterwards,
        _decisions,
        largest=200,
        guided=False,
        replayed=800,
    ),
    Target("wrapped", wrapped, lambda: [bytes(6)], largest=6, guided=False, replayed=100),
)
