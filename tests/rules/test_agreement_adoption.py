"""PROTOCOL §7.9: a revision is adopted when each of its parties has signed exactly its files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ReasonFlags

from gateway.agreement.finding import AgreementError
from gateway.agreement.load import load_agreement
from gateway.evidence.adoption import Adopted, AdoptionError, Judge, Signature, adopt, sign
from gateway.identity.certify import BACKDATED, CRL_LIFE, Issuer, issue_crl
from gateway.identity.chain import Trust
from gateway.identity.issue import issue_pki, new_ec_key
from gateway.model import Enterprise
from gateway.wss.sign import SigningKey
from tests.rules.agreement_files import AGREEMENT, changed, shipped, shipped_files
from tests.rules.identity_world import NOW
from tests.rules.test_identity_issue import register

PARTIES = {
    "BRUSSELS", "FLANDERS", "WALLONIA", "GERMAN_COMMUNITY", "PLATFORM", "NSSO", "IMMIGRATION_OFFICE",
}  # fmt: skip
LATER = NOW + timedelta(hours=1)
ISSUED = NOW - timedelta(days=1)
BRUSSELS = Enterprise("0999022202")


@cache
def pki(of: str) -> dict[str, bytes]:
    """`of`: each name has other keys."""
    return dict(
        issue_pki(register().hub, register().authorities, ISSUED, key=new_ec_key, origin=f"log.example/{of}")
    )


def trust(crl: bytes | None = None) -> Trust:
    files = pki("ours")
    lists = [files["root.crl.pem"], crl or files["issuing.crl.pem"]]
    return Trust.load([files["root.crt.pem"]], [files["issuing.crt.pem"]], lists)


def key(name: str, kind: str = "sign", of: str = "ours") -> SigningKey:
    certificate = x509.load_pem_x509_certificate(pki(of)[f"{name}/{kind}.crt.pem"])
    private = load_pem_private_key(pki(of)[f"{name}/{kind}.key.pem"], None)
    return SigningKey(private, certificate.public_bytes(Encoding.DER))


@cache
def signed(name: str, kind: str = "sign", of: str = "ours", at: datetime = NOW) -> bytes:
    return sign(shipped_files(), key(name, kind, of), at)


def all_but(*names: str) -> dict[str, bytes]:
    return {f"{name}.xml": signed(name) for name in PARTIES - set(names)}


def judged(
    found: Mapping[str, bytes | None],
    *,
    crl: bytes | None = None,
    now: datetime = LATER,
    lasting: bool = False,
) -> list[Signature]:
    return list(Judge(shipped_files(), trust(crl), now, lasting).of(found))


def adopted(found: Mapping[str, bytes], **options: object) -> Adopted:
    return adopt(shipped(), judged(found, **options))


def fault(data: bytes, **options: object) -> str:
    """Why this signature in place of BRUSSELS's own counts for nothing; with it nothing is adopted."""
    with pytest.raises(AdoptionError) as refused:
        adopted({**all_but("BRUSSELS"), "new.xml": data}, **options)
    assert refused.value.missing == {BRUSSELS}
    (one,) = refused.value.faults
    assert one.name == "new.xml"
    return one.fault


def test_signed_by_all_it_is_adopted():
    found = adopted(all_but())
    assert found.agreement is shipped()
    assert found.signatures.keys() == shipped().parties
    assert found.signatures[BRUSSELS] == Signature("BRUSSELS.xml", BRUSSELS, NOW)


@pytest.mark.parametrize("name", sorted(PARTIES))
def test_without_one_of_them_it_is_not(name):
    with pytest.raises(AdoptionError) as refused:
        adopted(all_but(name))
    assert refused.value.missing == {register().by_id[name].enterprise}


def test_a_unit_does_not_sign_for_the_other_of_its_legal_person():
    with pytest.raises(AdoptionError) as refused:
        adopted({**all_but("PLATFORM"), "again.xml": signed("NSSO")})
    assert str(*refused.value.missing) == "0999011116/PLATFORM"


def test_whoever_is_no_party_may_sign_and_counts_for_nothing():
    found = adopted({**all_but(), "post.xml": signed("POST_RABAT"), "hub.xml": signed("HUB", "sign-ec")})
    assert found.signatures.keys() == shipped().parties


def test_whoever_has_to_sign_besides_is_missed():
    post = register().by_id["POST_RABAT"].enterprise
    with pytest.raises(AdoptionError) as refused:
        adopt(shipped(), judged(all_but()), {post})
    assert refused.value.missing == {post}
    assert adopt(shipped(), judged({**all_but(), "post.xml": signed("POST_RABAT")}), {post})


OTHER_FILES = {
    "one changed": lambda files: {**files, AGREEMENT: files[AGREEMENT] + b"\n"},
    "one more": lambda files: {**files, "contracts/xsd/more.xsd": b"<x/>"},
    "one less": lambda files: {name: files[name] for name in list(files)[1:]},
    "one renamed": lambda files: {name.replace("places", "place"): data for name, data in files.items()},
    "two exchanged": lambda files: dict(zip(files, reversed(files.values()), strict=True)),
    "none": lambda files: {},
}


@pytest.mark.parametrize("change", OTHER_FILES)
def test_a_signature_of_other_files_does_not_count(change):
    files = OTHER_FILES[change](dict(shipped_files()))
    assert fault(sign(files, key("BRUSSELS"), NOW)) == "of other files"


def test_no_byte_of_a_signature_can_be_changed():
    data, chance = signed("BRUSSELS"), Random(1)
    for at in (0, len(data) - 1, *chance.sample(range(len(data)), 150)):
        other = data[:at] + bytes([data[at] ^ chance.randrange(1, 256)]) + data[at + 1 :]
        (one,) = judged({"new.xml": other})
        assert one.fault


@pytest.mark.parametrize("data", [b"", b"<x/>", b"\xff", signed("BRUSSELS") * 2, signed("BRUSSELS")[:-1]])
def test_what_is_no_signature_does_not_count(data):
    assert fault(data) == "no valid signature"


NOT_BELIEVED = {
    "a TLS certificate": (lambda: signed("BRUSSELS", "tls"), "usage"),
    "of another issuer": (lambda: signed("BRUSSELS", of="another"), "chain"),
    "before its certificate": (lambda: signed("BRUSSELS", at=ISSUED - BACKDATED - timedelta(seconds=1)), "validity"),
    "in the future": (lambda: signed("BRUSSELS", at=LATER + timedelta(minutes=6)), "made in the future"),
}  # fmt: skip


@pytest.mark.parametrize("flaw", NOT_BELIEVED)
def test_a_signature_by_a_certificate_that_was_not_to_be_believed_does_not_count(flaw):
    made, expected = NOT_BELIEVED[flaw]
    assert fault(made()) == expected


def test_what_is_in_force_stays_adopted_when_certificates_end_or_are_revoked():
    assert adopted(all_but(), now=NOW + timedelta(days=3000), lasting=True)
    assert adopted(all_but(), crl=revoking(LATER, None), lasting=True)


def test_nothing_new_is_adopted_with_a_certificate_that_has_ended_by_now():
    with pytest.raises(AdoptionError) as refused:
        adopted(all_but(), now=NOW + timedelta(days=400))
    assert {one.fault for one in refused.value.faults} == {"validity"}


def test_what_cannot_be_read_counts_for_nothing():
    assert adopted({**all_but(), "unreadable.xml": None})
    assert fault(None) == "cannot be read"


def test_without_a_list_nobody_knows_whether_it_was_revoked():
    files = pki("ours")
    alone = Trust.load([files["root.crt.pem"]], [files["issuing.crt.pem"]], [files["root.crl.pem"]])
    found = Judge(shipped_files(), alone, LATER, lasting=False).of(all_but())
    assert {one.fault for one in found} == {"revocation unknown"}


def revoking(at: datetime, reason: ReasonFlags | None) -> bytes:
    """A list on which BRUSSELS's signing certificate stands since then."""
    issuer = Issuer(
        x509.load_pem_x509_certificate(pki("ours")["issuing.crt.pem"]),
        load_pem_private_key(pki("ours")["issuing.key.pem"], None),
    )
    serial = x509.load_der_x509_certificate(key("BRUSSELS").certificate).serial_number
    entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at)
    if reason is not None:
        entry = entry.add_extension(x509.CRLReason(reason), critical=False)
    before = x509.CertificateRevocationListBuilder(
        issuer.certificate.subject, NOW, NOW + CRL_LIFE, [], [entry.build()]
    )
    number = before.add_extension(x509.CRLNumber(7), critical=False).sign(issuer.key, SHA256())
    return issue_crl(issuer, LATER, before=number).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("reason", [None, ReasonFlags.key_compromise, ReasonFlags.superseded])
@pytest.mark.parametrize("at", [NOW - timedelta(hours=1), LATER])
def test_nothing_new_is_adopted_with_a_revoked_certificate_whatever_time_its_holder_states(at, reason):
    assert fault(signed("BRUSSELS"), crl=revoking(at, reason)) == "revoked"


def test_what_names_no_parties_is_adopted_by_nobody():
    text = shipped_files()[AGREEMENT].decode()
    start = text.index("parties = [")
    end = text.index("]\n", start) + 2
    files = {**shipped_files(), AGREEMENT: (text[:start] + text[end:]).encode()}
    agreement = load_agreement(files)
    found = {f"{name}.xml": sign(files, key(name), NOW) for name in PARTIES}
    with pytest.raises(AdoptionError) as refused:
        adopt(agreement, Judge(files, trust(), LATER, lasting=False).of(found))
    assert refused.value.missing == set()


@pytest.mark.parametrize(
    "party", ["0999022203", "099902220", "0999022202/", "0999033385", "NTRBE-0999022202", "x"]
)
def test_a_party_is_named_once_by_a_correct_number(party):
    with pytest.raises(AgreementError) as refused:
        load_agreement(changed(AGREEMENT, '"0999022202"', f'"{party}"'))
    assert {one.path for one in refused.value.findings} == {"agreement.parties"}


def test_what_is_in_force_was_signed_while_the_certificate_was_good():
    late = signed("BRUSSELS", at=NOW + timedelta(days=400))
    assert fault(late, now=NOW + timedelta(days=500), lasting=True) == "validity"
