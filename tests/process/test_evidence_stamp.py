"""Tokens that `openssl ts` makes are judged as RFC 3161 asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import tsp
from asn1crypto.cms import RevocationInfoChoice
from asn1crypto.crl import CertificateList
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway.evidence.stamp import _require_authority, check_token, stamped
from gateway.exchangelog.flaw import Flaw, ProofError
from tests.process.stamping import make_authority, stamp

ABOUT = b"gateway.example.be/exchange-log/2026\n10\nroot\n"


def token(place: Path, authority: Path, digest: str = "sha256") -> bytes:
    file = place / "checkpoint"
    file.write_bytes(ABOUT)
    return stamp(authority, file, digest).read_bytes()


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> tuple[bytes, bytes]:
    """A token, and the anchor of who made it."""
    place = tmp_path_factory.mktemp("good")
    authority = make_authority(place / "tsa")
    return token(place, authority), (authority / "root.pem").read_bytes()


def about(data: bytes, anchor: bytes, what: bytes = ABOUT) -> str:
    """What is wrong with a token."""
    with pytest.raises(ProofError) as caught:
        check_token(data, what, [anchor])
    assert caught.value.flaw is Flaw.TIMESTAMP
    return caught.value.about


def test_token_tells_when_it_was_made(good):
    found = check_token(good[0], ABOUT, [good[1]])
    time = found.time
    assert time == stamped(good[0], ABOUT)
    assert not found.cleared  # nothing tells
    assert abs(datetime.now(UTC) - time) < timedelta(hours=1)


@pytest.mark.parametrize("change", [{"digest": "sha512"}, {"names": "sha1"}, {"names": "sha384"}])
def test_tokens_of_other_authorities_hold_too(tmp_path, change):
    authority = make_authority(tmp_path / "tsa", **change)
    check_token(token(tmp_path, authority, "sha384"), ABOUT, [(authority / "root.pem").read_bytes()])


def test_token_is_of_these_bytes(good):
    assert about(*good, ABOUT + b"x") == "of something else"


def test_authority_is_one_that_is_believed(good, tmp_path):
    other = make_authority(tmp_path / "tsa")
    assert about(good[0], (other / "root.pem").read_bytes()) == "authority"
    assert about(good[0], b"no certificate") == "authority"


@pytest.mark.parametrize(
    "purpose", ["timeStamping", "critical,timeStamping,codeSigning", "critical,codeSigning"]
)
def test_certificate_is_for_time_stamps_and_nothing_else(tmp_path, purpose):
    """openssl makes no tokens with another, so the certificate is asked about by itself."""
    authority = make_authority(tmp_path / "tsa", purpose=purpose)
    certificate = x509.load_pem_x509_certificate((authority / "tsa.pem").read_bytes())
    anchor = (authority / "root.pem").read_bytes()
    with pytest.raises(ProofError) as caught:
        _require_authority(certificate, [certificate], datetime.now(UTC), [anchor])
    assert caught.value.about == "purpose"


def test_a_changed_byte_is_found_wherever_it_is(good):
    """But in what nobody signs: the status text and the certificates that are not the signer's."""
    data, anchor = good
    taken = []
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        try:
            taken.append((at, check_token(changed, ABOUT, [anchor]).time))
        except ProofError as error:
            assert error.flaw is Flaw.TIMESTAMP  # noqa: PT017 - whichever it is
    assert {time for _, time in taken} <= {stamped(data, ABOUT)}


@pytest.mark.parametrize("data", [b"", b"\x30\x00", b"\x30\x03\x02\x01\x00", bytes(100), bytes(100_000)])
def test_what_is_no_token_is_told(data, good):
    assert about(data, good[1]) in {"form", "too large"}


def test_refusal_of_an_authority_is_no_token(good):
    data = good[0]
    assert data[4:11] == b"\x30\x03\x02\x01\x00\x30\x82"  # PKIStatusInfo: granted
    assert about(data[:8] + b"\x02" + data[9:], good[1]) == "form"


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SINCE = {"earlier": -HOUR, "later": HOUR}


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Path:
    return make_authority(tmp_path_factory.mktemp("listed") / "tsa")


@pytest.fixture(scope="module")
def given(authority, tmp_path_factory) -> tuple[bytes, bytes]:
    return token(tmp_path_factory.mktemp("stamp"), authority), (authority / "root.pem").read_bytes()


def listed(
    authority: Path,
    revoked: str | None = None,
    reason: x509.ReasonFlags | None = None,
    *,
    until: timedelta = DAY,
    partial: bool = False,
) -> bytes:
    """The list of the root; `revoked`: since when the authority is, before or after it made the stamp."""
    root, tsa = (
        x509.load_pem_x509_certificate((authority / f"{one}.pem").read_bytes()) for one in ("root", "tsa")
    )
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder(root.subject, now - DAY, now + until)
    if revoked is not None:
        entry = x509.RevokedCertificateBuilder().serial_number(tsa.serial_number)
        entry = entry.revocation_date(now + SINCE[revoked])
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    if partial:
        point = x509.IssuingDistributionPoint(None, None, False, True, None, False, False)
        builder = builder.add_extension(point, critical=True)
    key = load_pem_private_key((authority / "root.key").read_bytes(), None)
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("of_list", "cleared"),
    [({}, True), ({"until": -2 * HOUR}, False), ({"partial": True}, False)],
)
def test_a_list_of_that_time_clears_an_authority(given, authority, of_list, cleared):
    assert check_token(given[0], ABOUT, [given[1]], [listed(authority, **of_list)]).cleared is cleared


def test_a_list_of_somebody_else_clears_nobody(given, tmp_path):
    assert not check_token(given[0], ABOUT, [given[1]], [listed(make_authority(tmp_path / "tsa"))]).cleared


ENDED, STOLEN = x509.ReasonFlags.cessation_of_operation, x509.ReasonFlags.key_compromise


@pytest.mark.parametrize(
    ("revoked", "reason", "holds"),
    [
        ("earlier", ENDED, False),
        ("later", ENDED, True),
        ("later", STOLEN, False),  # RFC 3161 §4: no stamp of that key is good
        ("later", None, False),
    ],
)
def test_a_revoked_authority_is_judged_by_the_reason(given, authority, revoked, reason, holds):
    lists = [listed(authority, revoked, reason, partial=not holds)]
    if holds:
        assert check_token(given[0], ABOUT, [given[1]], lists).cleared
        return
    with pytest.raises(ProofError) as caught:
        check_token(given[0], ABOUT, [given[1]], lists)
    assert (caught.value.flaw, caught.value.about) == (Flaw.TIMESTAMP, "revoked")


def test_a_list_in_the_token_counts(given, authority):
    data = tsp.TimeStampResp.load(given[0])
    of_token = CertificateList.load(listed(authority, "earlier", ENDED))
    data["time_stamp_token"]["content"]["crls"] = [RevocationInfoChoice({"crl": of_token})]
    assert about(data.dump(force=True), given[1]) == "revoked"
