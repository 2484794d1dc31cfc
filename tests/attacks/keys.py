"""K: keys, tokens and certificates. Who may speak is decided by more than a signature that verifies."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from gateway.refusal import Code
from tests.attacks.case import Harmless, attack, attacks, known, outcome_of, scenario
from tests.attacks.signature import valued
from tests.attacks.target import ATTACKER, ENROLLED, REVOKED, Message, Target, foreign_pki, holder_of, pki
from tests.attacks.wire import shaken
from tests.path import hub as memory
from tests.rules.identity_world import (
    CERTIFICATES,
    COMMITMENT,
    DAY,
    ISSUING,
    LISTS,
    SIGNATURE,
    Plan,
    attribute,
    identifier,
    key,
    named,
    unit,
)
from tests.rules.test_wss_structure import STRUCTURE, TOKEN_FORM
from tests.world import Holder, holder, once

Made = Callable[[Message], bytes]
NOW = memory.NOW
CBE = memory.authority(ATTACKER).enterprise.cbe
SUBJECT = x509.Name([identifier(f"NTRBE-{CBE}")])


@cache
def issuing() -> tuple[x509.Certificate, object]:
    """The authority that issues for everybody, as if it erred."""
    return x509.load_pem_x509_certificate(pki()["issuing.crt.pem"]), load_pem_private_key(
        pki()["issuing.key.pem"], None
    )


@cache
def plan() -> Plan:
    """A good signing certificate of the attacker. What is replaced in it is the flaw."""
    certificate, issuer_key = issuing()
    return Plan(
        subject=SUBJECT,
        issuer=certificate.subject,
        key=key("RSA-2048", "attacker"),
        issuer_key=issuer_key,
        since=NOW - DAY,
        until=NOW + 30 * DAY,
    )


def certified(**flaw: object) -> Holder:
    made = replace(plan(), **flaw)
    return Holder(made.key, made.make())


def below(issuer: Plan, **flaw: object) -> Holder:
    """A certificate that another certificate issued."""
    return certified(issuer=issuer.subject, issuer_key=issuer.key, **flaw)


LEAF = replace(
    ISSUING,
    subject=SUBJECT,
    key=key("P-256", "leaf that issues"),
    constraints=x509.BasicConstraints(ca=False, path_length=None),
)
UNKNOWN = replace(ISSUING, subject=named("an authority that nobody named"), key=key("P-256", "unknown"))
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
CRITICAL = ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.9"), b"\x05\x00"), True),)
FLAWED: dict[str, dict[str, Callable[[], Holder]]] = {
    "K01": {"a certificate that signed itself": lambda: certified(issuer=SUBJECT, issuer_key=key("RSA-2048", "attacker"))},
    "K12": {"the same subject by an issuer of the same name": lambda: certified(issuer_key=key("P-256", "false issuer"))},
    "K14": {
        "NUL in the number": lambda: certified(subject=x509.Name([identifier(f"NTRBE-{CBE}\0")])),
        "a name that holds another name": lambda: certified(subject=x509.Name([attribute(NameOID.COMMON_NAME, f"x,organizationIdentifier=NTRBE-{CBE}")])),
        "two numbers": lambda: certified(subject=x509.Name([identifier(f"NTRBE-{CBE}"), identifier("NTRBE-0999022202")])),
        "digits of another alphabet": lambda: certified(subject=x509.Name([identifier("NTRBE-" + CBE.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")))])),
        "two attributes in one name": lambda: certified(subject=x509.Name([x509.RelativeDistinguishedName([identifier(f"NTRBE-{CBE}"), unit("PLATFORM")])])),
        "small letters": lambda: certified(subject=x509.Name([identifier(f"ntrbe-{CBE}")])),
    },
    "K15": {
        "expired a minute ago": lambda: certified(until=NOW - timedelta(minutes=1)),
        "valid from tomorrow on": lambda: certified(since=NOW + DAY, until=NOW + 2 * DAY),
    },
    "K16": {"a revoked certificate": lambda: certified(serial=REVOKED)},
    "K17": {
        "a certificate for code": lambda: certified(purposes=(ExtendedKeyUsageOID.CODE_SIGNING,)),
        "a certificate for TLS": lambda: certified(usage=(SIGNATURE,), purposes=(CLIENT,)),
        "no digitalSignature": lambda: certified(usage=(COMMITMENT,)),
        "no purpose at all": lambda: certified(purposes=None),
        "signatures and certificates": lambda: certified(usage=(SIGNATURE, COMMITMENT, CERTIFICATES)),
    },
    "K18": {
        "an authority's certificate": lambda: certified(constraints=x509.BasicConstraints(ca=True, path_length=0), usage=(SIGNATURE, COMMITMENT, CERTIFICATES, LISTS)),
        "the certificate of the issuing authority itself": lambda: Holder(issuing()[1], issuing()[0]),
    },
    "K19": {"a certificate that a leaf issued": lambda: below(LEAF)},
    "K20": {"an extension that is critical and unknown": lambda: certified(extra=CRITICAL)},
    "K22": {"a certificate that names SHA-1": lambda: with_sha1(certified(issuer_key=key("RSA-2048", "attacker")))},
    "K23": {"a certificate whose issuer is missing": lambda: below(UNKNOWN)},
}  # fmt: skip
SHA256_RSA, SHA1_RSA = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")


def with_sha1(made: Holder) -> Holder:
    """Signed by RSA, with the algorithm's name changed: it is refused by its name."""
    changed = made.der.replace(SHA256_RSA, SHA1_RSA)
    assert changed != made.der
    return Holder(made.key, x509.load_der_x509_certificate(changed))


def method(one: Holder) -> str:
    return one.signing.method


@cache
def foreign_signing() -> Holder:
    """The attacker's own pair in another environment."""
    files = foreign_pki()
    return Holder(
        load_pem_private_key(files[f"{ATTACKER}/sign.key.pem"], None),
        x509.load_pem_x509_certificate(files[f"{ATTACKER}/sign.crt.pem"]),
    )


@cache
def not_enrolled() -> Holder:
    return certified(serial=4712)


def signed_by(made: Callable[[], Holder]) -> Made:
    return lambda message: message.build(holder=made(), method=method(made()))


for row, flaws in FLAWED.items():
    for flaw, made in flaws.items():
        single = cache(made)  # what is sent is what was enrolled
        ENROLLED.append(lambda _, single=single: single().der)
        attacks(row, Code.CERTIFICATE, {flaw: signed_by(single)})
attacks(
    "K13",
    Code.CERTIFICATE,
    {"a sound certificate of the same issuer and subject that nobody enrolled": signed_by(not_enrolled)},
)
known("K02", Code.TOKEN_FORM, TOKEN_FORM, "a key value")
known(
    "K03",
    Code.TOKEN_FORM,
    TOKEN_FORM,
    "a key name",
    "X.509 data",
    "an encoded key",
    "issuer and serial",
    "a key identifier",
    "a key name beside the token reference",
)


def leading(old: str, new: str) -> Callable[[Target, Message], bytes]:
    """M whose KeyInfo leads to the trap."""
    return lambda target, message: once(
        message.data.decode(), old, new.replace("@@", target.trap.url)
    ).encode()


attack("K04", "a retrieval method", Code.TOKEN_FORM)(
    leading("<ds:KeyInfo>", '<ds:KeyInfo><ds:RetrievalMethod URI="@@"/>')
)
attack("K05", "a token reference to another host", Code.TOKEN_FORM)(leading('URI="#token"', 'URI="@@"'))
known("K06", Code.TOKEN_FORM, TOKEN_FORM, *(
    "a reference to the Body", "a reference to nothing", "two direct references", "an embedded token",
    "a nested token reference", "two token references", "a reference without URI",
))  # fmt: skip
attacks(
    "K07",
    Code.SIGNATURE,
    {
        "another authority's certificate beside the signature": valued(
            "wsse:BinarySecurityToken", lambda m: holder_of("PLATFORM").der
        )
    },
)
attacks(
    "K07",
    Code.ALGORITHM,
    {
        "a certificate of another kind of key": valued(
            "wsse:BinarySecurityToken", lambda m: holder_of("BRUSSELS").der
        )
    },
)
known("K08", Code.SECURITY_STRUCTURE, STRUCTURE, "two tokens", "a second token in a block")
known(
    "K09",
    Code.TOKEN_FORM,
    TOKEN_FORM,
    "a token that is a path",
    "a token in PKCS #7",
    "a token of X.509 version 1",
    "a token without type",
    "a token in hexadecimal",
)
known("K10", Code.TOKEN_FORM, TOKEN_FORM, "a reference to a path")
TOKENS: dict[str, Callable[[Message], bytes | str]] = {
    "nothing": lambda m: "",
    "a byte behind it": lambda m: m.draft.holder.der + b"\0",
    "two of them": lambda m: m.draft.holder.der * 2,
    "PEM in base64": lambda m: m.draft.holder.certificate_pem,
    "cut short": lambda m: m.draft.holder.der[:-1],
    "junk in the base64": lambda m: "!" + base64.b64encode(m.draft.holder.der).decode(),
    "100,000 bytes": lambda m: b"\x30\x83" + bytes(100_000),
}
attacks(
    "K11",
    Code.TOKEN,
    {
        f"a certificate with {flaw}" if flaw != "nothing" else flaw: valued("wsse:BinarySecurityToken", made)
        for flaw, made in TOKENS.items()
    },
)
attacks("K21", Code.TOKEN, {
    f"a key of {kind}": (lambda m, kind=kind: m.build(holder=holder(kind)))
    for kind in ("rsa-1024", "rsa-2048 with exponent 3")
} | {
    f"a key {kind}": valued("wsse:BinarySecurityToken", lambda m, kind=kind: holder(kind).der)
    for kind in ("p521", "k256", "ed25519", "dsa")
})  # fmt: skip


@cache
def inviting(target: Target) -> Holder:
    """A good certificate with addresses in it that invite a fetch."""
    where = x509.UniformResourceIdentifier(target.trap.url)
    access = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(one, where)
            for one in (AuthorityInformationAccessOID.OCSP, AuthorityInformationAccessOID.CA_ISSUERS)
        ]
    )
    lists = x509.CRLDistributionPoints([x509.DistributionPoint([where], None, None, None)])
    return certified(extra=((access, False), (lists, False)))


ENROLLED.append(lambda target: inviting(target).der)


@attack("K24", "addresses in a certificate that invite a fetch", Harmless())
def _inviting(target: Target, message: Message) -> bytes:
    return message.build(holder=inviting(target))


attacks("K25", Code.SECURITY_STRUCTURE, {
    "an anchor of one's own beside the token": lambda m: once(m.data.decode(), "<wsse:Security>", f"<wsse:Security><wsse:BinarySecurityToken>{base64.b64encode(m.draft.holder.der).decode()}</wsse:BinarySecurityToken>").encode(),
})  # fmt: skip
attacks(
    "K27",
    Code.CERTIFICATE,
    {
        "the authority's TLS key signs": lambda m: m.build(
            holder=holder_of(ATTACKER, "tls"), method=method(holder_of(ATTACKER, "tls"))
        )
    },
)


@scenario("K27", "the authority's signing key connects", "connection closed, or WIB01006 stranger")
def _connecting(target: Target) -> str:
    context = target.tls(ATTACKER)
    pki_ = target.directory / "pki" / ATTACKER
    context.load_cert_chain(pki_ / "sign.crt.pem", pki_ / "sign.key.pem")
    outcome = outcome_of(shaken(target, context))
    assert outcome in {"closed", "WIB01006"}
    return outcome


@attack("G04", "a message of the test environment, whose issuer has the same names", Code.CERTIFICATE)
def _test_environment(target: Target, message: Message) -> bytes:
    other = foreign_signing()
    return message.build(holder=other, method=method(other))
