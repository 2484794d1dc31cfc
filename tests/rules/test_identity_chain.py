"""PROTOCOL §5.1: which certificates are believed. Each refusal has its accepted twin in `GOOD`."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.chain import Usage, validate
from gateway.model import Enterprise
from gateway.refusal import Code, Refusal
from tests.rules.identity_world import (
    CBE,
    CERTIFICATES,
    CLIENT,
    COMMITMENT,
    DAY,
    DOCUMENT_SIGNING,
    ISSUING,
    ISSUING_LIST,
    LISTS,
    NOW,
    ROOT,
    ROOT_LIST,
    SECOND,
    SERVER,
    SIGNATURE,
    SIGNING,
    TLS,
    World,
    attribute,
    good_trust,
    identifier,
    key,
    named,
    unit,
)

OTHER_KEY = key(name="other")
UNKNOWN = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
GOOD_ID = identifier(f"NTRBE-{CBE}")


def subject(*attributes: x509.NameAttribute):
    return replace(SIGNING, subject=x509.Name(attributes))


GOOD = {
    "signing certificate of the profile": SIGNING,
    "P-384 key": replace(SIGNING, key=key("P-384")),
    "RSA key of 2048 bits": replace(SIGNING, key=key("RSA-2048")),
    "signed over SHA-512": replace(SIGNING, hash=hashes.SHA512()),
    "no basicConstraints, so no authority": replace(SIGNING, constraints=None),
    "valid from this very second": replace(SIGNING, since=NOW),
    "valid until this very second": replace(SIGNING, until=NOW),
    "a unit and a common name": subject(GOOD_ID, unit("EAST"), attribute(NameOID.COMMON_NAME, "x")),
    "unknown extension that is not critical": replace(SIGNING, extra=((UNKNOWN[0], False),)),
    "issued by the anchor itself": replace(
        SIGNING, issuer=named("root"), issuer_key=key("P-384", "root"), hash=hashes.SHA384()
    ),
}

REFUSED = {
    # validity (attack K15)
    "expired a second ago": (replace(SIGNING, until=NOW - SECOND), "validity"),
    "valid from the next second": (replace(SIGNING, since=NOW + SECOND), "validity"),
    # usage (attacks K17, K18)
    "an authority's certificate": (
        replace(SIGNING, constraints=x509.BasicConstraints(ca=True, path_length=None)),
        "usage",
    ),
    "the issuing authority itself": (ISSUING, "usage"),
    "the root itself": (ROOT, "usage"),
    "no contentCommitment": (replace(SIGNING, usage=(SIGNATURE,)), "usage"),
    "no digitalSignature": (replace(SIGNING, usage=(COMMITMENT,)), "usage"),
    "keyCertSign as well": (replace(SIGNING, usage=(SIGNATURE, COMMITMENT, CERTIFICATES)), "usage"),
    "cRLSign as well": (replace(SIGNING, usage=(SIGNATURE, COMMITMENT, LISTS)), "usage"),
    "no keyUsage": (replace(SIGNING, usage=None), "usage"),
    "no extendedKeyUsage": (replace(SIGNING, purposes=None), "usage"),
    "codeSigning": (replace(SIGNING, purposes=(ExtendedKeyUsageOID.CODE_SIGNING,)), "usage"),
    "any purpose": (replace(SIGNING, purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)), "usage"),
    "documentSigning and clientAuth": (replace(SIGNING, purposes=(DOCUMENT_SIGNING, CLIENT)), "usage"),
    "a TLS certificate": (TLS, "usage"),
    # key and algorithm (attacks K21, K22)
    "RSA key of 1024 bits": (replace(SIGNING, key=key("RSA-1024")), "key"),
    "RSA exponent 3": (replace(SIGNING, key=key("RSA-2048, e = 3")), "key"),
    "P-521 key": (replace(SIGNING, key=key("P-521")), "key"),
    "secp256k1 key": (replace(SIGNING, key=key("secp256k1")), "key"),
    "Ed25519 key": (replace(SIGNING, key=key("Ed25519")), "key"),
    "signed over SHA-224": (replace(SIGNING, hash=hashes.SHA224()), "algorithm"),
    "signed over SHA3-256": (replace(SIGNING, hash=hashes.SHA3_256()), "algorithm"),
    # subject (attacks K14, I09)
    "no organizationIdentifier": (subject(unit("EAST")), "subject"),
    "organizationIdentifier twice": (subject(GOOD_ID, identifier("NTRBE-0999011116")), "subject"),
    "the same organizationIdentifier twice": (subject(GOOD_ID, GOOD_ID), "subject"),
    "two units": (subject(GOOD_ID, unit("EAST"), unit("WEST")), "subject"),
    "wrong check digits": (subject(identifier("NTRBE-0999022203")), "subject"),
    "nine digits": (subject(identifier("NTRBE-999022202")), "subject"),
    "number with dots": (subject(identifier("NTRBE-0999.022.202")), "subject"),
    "an establishment unit's number": (subject(identifier("NTRBE-2999022272")), "subject"),
    "another country": (subject(identifier(f"NTRNL-{CBE}")), "subject"),
    "number without scheme": (subject(identifier(CBE)), "subject"),
    "VAT scheme": (subject(identifier(f"VATBE-{CBE}")), "subject"),
    "scheme in lower case": (subject(identifier(f"ntrbe-{CBE}")), "subject"),
    "blank behind": (subject(identifier(f"NTRBE-{CBE} ")), "subject"),
    "line feed behind": (subject(identifier(f"NTRBE-{CBE}\n")), "subject"),
    "NUL behind": (subject(identifier(f"NTRBE-{CBE}\0")), "subject"),
    "Arabic-Indic digits": (subject(identifier("NTRBE-٠٩٩٩٠٢٢٢٠٢")), "subject"),
    "full-width digits": (subject(identifier("NTRBE-０９９９０２２２０２")), "subject"),
    "number in the common name only": (subject(attribute(NameOID.COMMON_NAME, f"NTRBE-{CBE}")), "subject"),
    "two attributes in one component": (
        replace(SIGNING, subject=x509.Name([x509.RelativeDistinguishedName([GOOD_ID, unit("EAST")])])),
        "subject",
    ),
    # chain (attacks K12, K19, K20)
    "issued by itself": (replace(SIGNING, issuer=SIGNING.subject, issuer_key=SIGNING.key), "chain"),
    "another authority of the same name": (replace(SIGNING, issuer_key=OTHER_KEY), "chain"),
    "unknown issuer": (replace(SIGNING, issuer=named("nobody")), "chain"),
    "unknown critical extension": (replace(SIGNING, extra=(UNKNOWN,)), "chain"),
    # revocation (attack K16)
    "on the list": (replace(SIGNING, serial=4711), "revoked"),
}


def refusal(der: bytes, usage: Usage = Usage.SIGNING, world: World | None = None, now=NOW) -> str:
    """What a refused certificate is told."""
    trust = good_trust() if world is None else world.trust()
    with pytest.raises(Refusal) as caught:
        validate(der, usage, trust, now)
    assert caught.value.code is Code.CERTIFICATE
    return caught.value.about


@pytest.mark.parametrize("plan", GOOD.values(), ids=GOOD)
def test_certificate_of_the_profile_is_accepted(plan):
    validate(plan.der(), Usage.SIGNING, good_trust(), NOW)


@pytest.mark.parametrize(("plan", "about"), REFUSED.values(), ids=REFUSED)
def test_certificate_outside_the_profile_is_refused(plan, about):
    assert refusal(plan.der()) == about


def test_what_was_validated_is_handed_on():
    plan = GOOD["a unit and a common name"]
    der = plan.der()
    validated = validate(der, Usage.SIGNING, good_trust(), NOW)
    assert validated.enterprise == Enterprise(CBE, "EAST")
    assert validated.public_key == plan.key.public_key()
    assert validated.certificate.public_bytes(Encoding.DER) == der
    assert validated.fingerprint == sha256(der).digest()


TLS_TABLE = {
    "both purposes": (TLS, {Usage.TLS_CLIENT, Usage.TLS_SERVER}),
    "clientAuth only": (replace(TLS, purposes=(CLIENT,)), {Usage.TLS_CLIENT}),
    "serverAuth only": (replace(TLS, purposes=(SERVER,)), {Usage.TLS_SERVER}),
    "key encipherment as well": (
        replace(TLS, usage=(SIGNATURE, "key_encipherment")),
        {Usage.TLS_CLIENT, Usage.TLS_SERVER},
    ),
    "contentCommitment as well": (replace(TLS, usage=(SIGNATURE, COMMITMENT)), set()),
    "documentSigning as well": (replace(TLS, purposes=(CLIENT, SERVER, DOCUMENT_SIGNING)), set()),
    "any purpose as well": (
        replace(TLS, purposes=(CLIENT, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)),
        set(),
    ),
    "no digitalSignature": (replace(TLS, usage=("key_encipherment",)), set()),
    "a signing certificate": (SIGNING, {Usage.SIGNING}),
}


@pytest.mark.parametrize(("plan", "usages"), TLS_TABLE.values(), ids=TLS_TABLE)
def test_certificate_serves_its_own_usages_only(plan, usages):
    for usage in Usage:
        if usage in usages:
            validate(plan.der(), usage, good_trust(), NOW)
        else:
            assert refusal(plan.der(), usage) == "usage"


@pytest.mark.parametrize(
    "changed",
    [
        lambda der: der + b"\0",
        lambda der: der + der,
        lambda der: der[:-1],
        lambda der: b"",
        lambda der: b"-----BEGIN CERTIFICATE-----\n",
        lambda der: b"\x30\x80" + der[4:] + b"\0\0",
    ],
    ids=["byte behind", "two certificates", "truncated", "empty", "PEM", "indefinite length"],
)
def test_anything_but_one_der_certificate_is_refused(changed):
    assert refusal(changed(SIGNING.der())) == "form"


def test_every_flipped_bit_is_refused_and_nothing_else_is_raised():
    good = SIGNING.der()
    validate(good, Usage.SIGNING, good_trust(), NOW)
    for position in range(8 * len(good)):
        der = bytearray(good)
        der[position // 8] ^= 1 << position % 8
        refusal(bytes(der))


def test_second_encoding_of_a_certificate_is_refused():
    """The count of unused bits before a signature that ends in a zero bit: content and signature stay the same."""
    made = next(one for one in iter(SIGNING.make, None) if one.signature[-1] & 1 == 0)
    good = made.public_bytes(Encoding.DER)
    at = len(good) - len(made.signature) - 1
    other = good[:at] + b"\x01" + good[at + 1 :]
    twin = x509.load_der_x509_certificate(other)
    assert (twin.tbs_certificate_bytes, twin.signature) == (made.tbs_certificate_bytes, made.signature)
    validate(good, Usage.SIGNING, good_trust(), NOW)
    assert refusal(other) == "form"


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(junk):
    refusal(junk)


WORLDS = {
    "the issuing authority is not known": (World(intermediates=(), lists=(ROOT_LIST,)), "chain"),
    "the issuing authority has expired": (
        World(intermediates=(replace(ISSUING, until=NOW - SECOND),)),
        "chain",
    ),
    "the issuing authority is not valid yet": (
        World(intermediates=(replace(ISSUING, since=NOW + SECOND),)),
        "chain",
    ),
    "the root has expired": (World(anchors=(replace(ROOT, until=NOW - SECOND),)), "chain"),
    "the issuing authority is signed by another root": (
        World(intermediates=(replace(ISSUING, issuer_key=key("P-384", "other")),)),
        "chain",
    ),
    "the root allows no authority below": (
        World(anchors=(replace(ROOT, constraints=x509.BasicConstraints(ca=True, path_length=0)),)),
        "chain",
    ),
    "another authority, without a list, beside it": (
        World(
            intermediates=(
                ISSUING,
                replace(ISSUING, subject=named("middle"), key=OTHER_KEY),
            ),
            lists=(ROOT_LIST, ISSUING_LIST),
        ),
        None,
    ),
    "no list of the issuing authority": (World(lists=(ROOT_LIST,)), "revocation unknown"),
    "no list of the root": (World(lists=(ISSUING_LIST,)), "revocation unknown"),
    "no lists at all": (World(lists=()), "revocation unknown"),
    "the list expired a second ago": (
        World(lists=(ROOT_LIST, replace(ISSUING_LIST, until=NOW - SECOND))),
        "revocation unknown",
    ),
    "the list is of the next second": (
        World(lists=(ROOT_LIST, replace(ISSUING_LIST, since=NOW + SECOND))),
        "revocation unknown",
    ),
    "the root's list expired": (
        World(lists=(replace(ROOT_LIST, until=NOW - SECOND), ISSUING_LIST)),
        "revocation unknown",
    ),
    "the issuing authority is revoked": (
        World(lists=(replace(ROOT_LIST, revoked=(2,)), ISSUING_LIST)),
        "revoked",
    ),
    "the list holds until this very second": (
        World(lists=(ROOT_LIST, replace(ISSUING_LIST, until=NOW))),
        None,
    ),
    "the list is of this very second": (World(lists=(ROOT_LIST, replace(ISSUING_LIST, since=NOW))), None),
    "the list is empty": (World(lists=(ROOT_LIST, replace(ISSUING_LIST, revoked=()))), None),
}


@pytest.mark.parametrize(("world", "about"), WORLDS.values(), ids=WORLDS)
def test_good_certificate_is_judged_by_its_path_and_lists(world, about):
    if about is None:
        validate(SIGNING.der(), Usage.SIGNING, world.trust(), NOW)
    else:
        assert refusal(SIGNING.der(), world=world) == about


def test_path_is_no_longer_than_the_issuing_authority_allows():
    middle = replace(
        ISSUING, subject=named("middle"), key=OTHER_KEY, issuer=named("issuing"), issuer_key=ISSUING.key
    )
    leaf = replace(SIGNING, issuer=named("middle"), issuer_key=OTHER_KEY)
    lists = (ROOT_LIST, ISSUING_LIST, replace(ISSUING_LIST, issuer=named("middle"), key=OTHER_KEY))
    wide = x509.BasicConstraints(ca=True, path_length=1)
    allowed = World(
        anchors=(replace(ROOT, constraints=x509.BasicConstraints(ca=True, path_length=2)),),
        intermediates=(replace(ISSUING, constraints=wide), middle),
        lists=lists,
    )
    validate(leaf.der(), Usage.SIGNING, allowed.trust(), NOW)
    assert refusal(leaf.der(), world=replace(allowed, intermediates=(ISSUING, middle))) == "chain"


def test_name_constraints_of_the_issuing_authority_hold():
    def constrained(name: str) -> World:
        permitted = x509.NameConstraints([x509.DNSName(name)], None)
        return World(intermediates=(replace(ISSUING, extra=((permitted, True),)),))

    names = x509.SubjectAlternativeName([x509.DNSName("east.wib.example")])
    leaf = replace(TLS, extra=((names, False),)).der()
    validate(leaf, Usage.TLS_CLIENT, constrained("wib.example").trust(), NOW)
    assert refusal(leaf, Usage.TLS_CLIENT, constrained("other.example")) == "chain"


def test_window_ends_with_whatever_ends_first_on_the_path():
    def window(world: World, leaf=SIGNING):
        validated = validate(leaf.der(), Usage.SIGNING, world.trust(), NOW)
        return validated.valid_from, validated.valid_until

    assert window(World()) == (SIGNING.since, ISSUING_LIST.until)
    assert window(World(), replace(SIGNING, until=NOW + DAY)) == (SIGNING.since, NOW + DAY)
    assert window(World(), replace(SIGNING, since=NOW - SECOND))[0] == NOW - SECOND
    root_list = replace(ROOT_LIST, since=NOW - SECOND, until=NOW + SECOND)
    assert window(World(lists=(root_list, ISSUING_LIST))) == (NOW - SECOND, NOW + SECOND)
    issuing = replace(ISSUING, until=NOW + SECOND)
    assert window(World(intermediates=(issuing,)))[1] == NOW + SECOND


@pytest.mark.parametrize(
    "world", [World(intermediates=(replace(ISSUING, until=NOW),)), World(anchors=(replace(ROOT, until=NOW),))]
)
def test_fraction_of_a_second_after_an_authority_expired_is_after(world):
    validate(SIGNING.der(), Usage.SIGNING, world.trust(), NOW)
    assert refusal(SIGNING.der(), world=world, now=NOW + SECOND / 2) == "validity"
