"""PROTOCOL §5.1: anchors, authorities and lists that cannot be used stop the start, with a code."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.cli.check import _issuer_ends
from gateway.identity.certify import issue_crl, issue_root
from gateway.identity.chain import Certificates, Trust, TrustError, Usage, validate
from gateway.identity.enrolment import Enrolment
from gateway.identity.issue import KeyKind, new_key
from gateway.identity.trust import require_successors
from gateway.refusal import Code, Refusal
from gateway.trusted import revocation_lists
from tests.rules.identity_world import (
    CERTIFICATES,
    ISSUING,
    ISSUING_LIST,
    LISTS,
    NO_AUTHORITY,
    NOW,
    ROOT,
    ROOT_LIST,
    SECOND,
    SIGNING,
    World,
    good_trust,
    key,
    named,
)

FULL = x509.IssuingDistributionPoint(
    full_name=[x509.UniformResourceIdentifier("http://lists.example/issuing.crl")],
    relative_name=None,
    only_contains_user_certs=False,
    only_contains_ca_certs=False,
    only_some_reasons=None,
    indirect_crl=True,
    only_contains_attribute_certs=False,
)
ELSEWHERE = x509.CertificateIssuer([x509.DirectoryName(named("root"))])
NUMBER = (x509.CRLNumber(1), False)


def listed(**change: object) -> World:
    return World(lists=(ROOT_LIST, replace(ISSUING_LIST, **change)))


def test_of_two_issuers_of_one_name_is_told_what_runs_out_first():
    """While an authority changes its key both are believed: the list of the newer one hid that the older one's ends."""
    made = [issue_root(new_key(KeyKind.P256), NOW - timedelta(days=ago)) for ago in (0, 20, 10)]
    lists = [issue_crl(one, NOW - timedelta(days=ago)) for one, ago in zip(made, (0, 20, 10), strict=True)]
    trust = Trust.load(
        [one.certificate.public_bytes(Encoding.PEM) for one in made],
        [],
        [one.public_bytes(Encoding.PEM) for one in lists],
    )
    assert list(revocation_lists(trust).values()) == [
        (lists[1].last_update_utc, lists[1].next_update_utc),
    ]
    assert list(_issuer_ends(trust).values()) == [made[1].certificate.not_valid_after_utc]


UNUSABLE = {
    "no anchor": ("TRU001", World(anchors=())),
    "a leaf as anchor": ("TRU003", World(anchors=(SIGNING,))),
    "a leaf as intermediate": ("TRU003", World(intermediates=(SIGNING,))),
    "an authority that may not sign certificates": (
        "TRU003",
        World(intermediates=(replace(ISSUING, usage=(LISTS,)),)),
    ),
    "an authority that may not sign lists": (
        "TRU003",
        World(intermediates=(replace(ISSUING, usage=(CERTIFICATES,)),)),
    ),
    "an authority that says it is none": (
        "TRU003",
        World(intermediates=(replace(ISSUING, constraints=NO_AUTHORITY),)),
    ),
    "an authority without basicConstraints": (
        "TRU003",
        World(intermediates=(replace(ISSUING, constraints=None),)),
    ),
    "an authority without keyUsage": ("TRU003", World(intermediates=(replace(ISSUING, usage=None),))),
    "an authority with a key of 1024 bits": (
        "TRU003",
        World(intermediates=(replace(ISSUING, key=key("RSA-1024")),)),
    ),
    "a list signed by another key of the same name": ("TRU005", listed(key=key(name="other"))),
    "a list of an unknown issuer": ("TRU005", listed(issuer=named("nobody"))),
    "a list of the issuer's name signed by the root": ("TRU005", listed(key=key("P-384", "root"))),
    "a delta list": ("TRU004", listed(extra=(NUMBER, (x509.DeltaCRLIndicator(1), True)))),
    "an indirect list": ("TRU004", listed(extra=(NUMBER, (FULL, True)))),
    "a list with entries of another issuer": ("TRU004", listed(entry=((ELSEWHERE, True),))),
    "two lists of one issuer": (
        "TRU006",
        World(lists=(ROOT_LIST, ISSUING_LIST, replace(ISSUING_LIST, revoked=()))),
    ),
}


@pytest.mark.parametrize(("code", "world"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_trust_stops_the_start(code, world):
    with pytest.raises(TrustError) as caught:
        world.trust()
    assert caught.value.code == code


@pytest.mark.parametrize("junk", [b"", b"junk", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_unreadable_file_stops_the_start(junk):
    root, issuing = ROOT.make().public_bytes(Encoding.PEM), ISSUING.make().public_bytes(Encoding.PEM)
    for files in (([junk], [issuing], []), ([root], [junk], []), ([root], [issuing], [junk])):
        with pytest.raises(TrustError) as caught:
            Trust.load(*files)
        assert caught.value.code == "TRU002"


def test_a_bundle_that_was_cut_within_a_block_is_refused():
    """Parsers skip a block that is not whole."""
    roots = [plan.make().public_bytes(Encoding.PEM) for plan in (ROOT, ISSUING)]
    lists = [ROOT_LIST.pem(), ISSUING_LIST.pem()]
    for loaded, (first, second) in (
        (lambda data: Trust.load([data], [], lists), roots),
        (lambda data: Trust.load(roots[:1], [data], lists), roots[::-1]),
        (lambda data: Trust.load(roots, [], [data]), lists),
    ):
        assert len(loaded(b"Two of them:\n---\n" + first + b"---\n" + second).revocations) == 2
        for half in (
            *(first + second[:size] for size in range(1, len(second.rstrip()))),
            second[:-9] + first,
        ):
            with pytest.raises(TrustError) as caught:
                loaded(half)
            assert caught.value.code == "TRU002"


def test_an_issuer_that_is_trusted_keeps_a_list():
    """A bundle that was cut between two blocks is a bundle, too."""
    renewed, cut = replace(ISSUING, serial=3), (ROOT_LIST,)
    assert succeeds(World(lists=cut), World()) == "TRU009"
    assert succeeds(World(intermediates=(renewed,), lists=cut), World()) == "TRU009"
    assert succeeds(World(intermediates=(), lists=cut), World()) == ""
    assert succeeds(World(lists=cut), World(lists=cut)) == ""
    assert succeeds(World(), World(lists=cut)) == ""


@pytest.mark.parametrize(
    ("since", "before", "code"),
    [
        (NOW, NOW - SECOND, ""),
        (NOW - SECOND, NOW - SECOND, ""),
        (NOW - SECOND, NOW, "TRU007"),
        (NOW + SECOND, NOW, "TRU008"),
        (NOW + SECOND, NOW + SECOND, ""),  # it is in force since the start, and holds up nothing else
        (NOW + 2 * SECOND, NOW + SECOND, "TRU008"),
    ],
)
def test_a_list_succeeds_only_an_older_one_and_only_once_it_counts(since, before, code):
    assert succeeds(listed(since=since), listed(since=before)) == code


def succeeds(world: World, before: World) -> str:
    """ "" when the one may take the place of the other, else why not."""
    try:
        require_successors(world.trust(), before.trust(), NOW)
    except TrustError as error:
        return error.code
    return ""


def flips(der: bytes):
    """The same bytes with one bit changed, each bit in turn."""
    for position in range(8 * len(der)):
        changed = bytearray(der)
        changed[position // 8] ^= 1 << position % 8
        yield bytes(changed)


def believed(anchor: bytes, intermediate: bytes, crl: bytes) -> bool:
    """Whether the good certificate is; any exception but the two that are foreseen fails the test."""
    try:
        validate(
            good_leaf(), Usage.SIGNING, Trust.load([anchor], [intermediate], [ROOT_LIST.pem(), crl]), NOW
        )
    except (TrustError, Refusal):
        return False
    return True


@cache
def good_leaf() -> bytes:
    return SIGNING.der()


def test_flipped_bit_in_a_list_or_an_authority_is_believed_only_outside_what_was_signed():
    """Outside: the count of unused bits before the signature. Nothing knows these files by their bytes."""
    root, issuing = (plan.make().public_bytes(Encoding.DER) for plan in (ROOT, ISSUING))
    crl = x509.load_pem_x509_crl(ISSUING_LIST.pem())
    listed = crl.public_bytes(Encoding.DER)
    assert believed(root, issuing, listed)
    for changed in flips(listed):
        if believed(root, issuing, changed):
            assert x509.load_der_x509_crl(changed).tbs_certlist_bytes == crl.tbs_certlist_bytes
    signed = x509.load_der_x509_certificate(issuing).tbs_certificate_bytes
    for changed in flips(issuing):
        if believed(root, changed, listed):
            assert x509.load_der_x509_certificate(changed).tbs_certificate_bytes == signed


def test_der_and_bundled_pem_are_read_alike():
    both = [ROOT.make(), ISSUING.make()]
    lists = ROOT_LIST.pem() + ISSUING_LIST.pem()
    ders = [
        x509.load_pem_x509_crl(plan.pem()).public_bytes(Encoding.DER) for plan in (ROOT_LIST, ISSUING_LIST)
    ]
    for trust in (
        Trust.load([both[0].public_bytes(Encoding.DER)], [both[1].public_bytes(Encoding.DER)], ders),
        Trust.load([both[0].public_bytes(Encoding.PEM)], [both[1].public_bytes(Encoding.PEM)], [lists]),
    ):
        validate(SIGNING.der(), Usage.SIGNING, trust, NOW)


def test_list_of_a_renewed_authority_serves_both_its_certificates():
    renewed = replace(ISSUING, serial=3, until=NOW + 500 * SECOND)
    validate(SIGNING.der(), Usage.SIGNING, World(intermediates=(ISSUING, renewed)).trust(), NOW)


def test_cached_verdict_does_not_outlive_the_revocation_list():
    certificates, der = Certificates(good_trust(), Enrolment({})), SIGNING.der()
    first = certificates.validate(der, Usage.SIGNING, NOW)
    assert certificates.validate(der, Usage.SIGNING, ISSUING_LIST.until) is first
    with pytest.raises(Refusal) as caught:
        certificates.validate(der, Usage.SIGNING, ISSUING_LIST.until + SECOND)
    assert caught.value.code is Code.CERTIFICATE


def test_cached_verdict_does_not_hold_before_the_certificate():
    certificates, der = Certificates(good_trust(), Enrolment({})), SIGNING.der()
    first = certificates.validate(der, Usage.SIGNING, NOW)
    with pytest.raises(Refusal):
        certificates.validate(der, Usage.SIGNING, SIGNING.since - SECOND)
    assert certificates.validate(der, Usage.SIGNING, SIGNING.since) == replace(first)


def test_cached_verdict_is_of_one_usage():
    certificates, der = Certificates(good_trust(), Enrolment({})), SIGNING.der()
    certificates.validate(der, Usage.SIGNING, NOW)
    with pytest.raises(Refusal):
        certificates.validate(der, Usage.TLS_CLIENT, NOW)


def test_new_lists_know_nothing_of_old_verdicts():
    der = SIGNING.der()
    Certificates(good_trust(), Enrolment({})).validate(der, Usage.SIGNING, NOW)
    with pytest.raises(Refusal) as caught:
        Certificates(listed(revoked=(SIGNING.serial,)).trust(), Enrolment({})).validate(
            der, Usage.SIGNING, NOW
        )
    assert caught.value.about == "revoked"


def test_refusal_is_not_remembered():
    certificates, der = Certificates(good_trust(), Enrolment({})), replace(SIGNING, since=NOW + SECOND).der()
    with pytest.raises(Refusal):
        certificates.validate(der, Usage.SIGNING, NOW)
    certificates.validate(der, Usage.SIGNING, NOW + SECOND)


def test_memory_is_bounded_and_the_least_recently_used_goes_first():
    certificates = Certificates(good_trust(), Enrolment({}), capacity=2)
    one, two, three = (replace(SIGNING, serial=serial).der() for serial in (11, 12, 13))
    kept = certificates.validate(one, Usage.SIGNING, NOW)
    gone = certificates.validate(two, Usage.SIGNING, NOW)
    assert certificates.validate(one, Usage.SIGNING, NOW) is kept
    certificates.validate(three, Usage.SIGNING, NOW)
    assert certificates.validate(one, Usage.SIGNING, NOW) is kept
    assert certificates.validate(two, Usage.SIGNING, NOW) is not gone
