"""Certificates and revocation data of an evidence file, as they count at the time of an entry.

The file brings what the hub knew; whoever checks it may bring anchors of their own, and lists that came later: who
was revoked by then, says a later list too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.identity.chain import believe
from gateway.identity.leaf import Usage, read_leaf
from gateway.identity.ocsp import OcspError, Question, judge
from gateway.identity.revocation import Answers
from gateway.identity.trust import Trust, TrustError
from gateway.refusal import Refusal

_FLAWS = {"validity": Flaw.VALIDITY, "revoked": Flaw.REVOKED, "revocation unknown": Flaw.REVOCATION}


@dataclass(frozen=True, slots=True)
class Moments:
    """What is known of certificates. All of it DER, but lists may be PEM."""

    anchors: Sequence[bytes]
    intermediates: Sequence[bytes] = ()
    crls: Sequence[bytes] = ()
    answers: Sequence[bytes] = ()  # of OCSP responders
    _made: dict[datetime, Trust] = field(default_factory=dict)

    def signer(self, der: bytes, at: datetime) -> str:
        """The enterprise that a signing certificate names, if it was to be believed then.

        Raises `ProofError`: LOG672 to LOG675.
        """
        try:
            leaf = read_leaf(der, Usage.SIGNING)
            trust = self._at(at)
            held = believe(leaf.certificate, trust, at, self._answered(leaf.certificate, trust, at))
            self._require_not_revoked_since(held.path, at)
        except Refusal as refusal:
            raise ProofError(_FLAWS.get(refusal.about, Flaw.PATH), refusal.about) from None
        except TrustError as error:
            raise ProofError(Flaw.PATH, error.code) from None
        except (ValueError, TypeError, UnsupportedAlgorithm):  # a list that shows only late that it is none
            raise ProofError(Flaw.PATH, "lists") from None
        return str(leaf.enterprise)

    def _at(self, at: datetime) -> Trust:
        """Of each issuer the newest list of that time. Raises TrustError."""
        if at not in self._made:
            lists = _newest(one for one in _lists(self.crls) if _was_known(one, at))
            pems = [one.public_bytes(Encoding.DER) for one in lists]
            self._made[at] = Trust.load(self.anchors, self.intermediates, pems)
        return self._made[at]

    def _answered(self, certificate: x509.Certificate, trust: Trust, at: datetime) -> Answers:
        """What responders had said by then, of whoever could be in the path."""
        known = Answers()
        for one in (certificate, *trust.intermediates):
            for issuer in (*trust.intermediates, *trust.anchors):
                listed = trust.revocations.get(issuer.fingerprint(SHA256()))
                for answer in self.answers if one.issuer == issuer.subject else ():
                    try:
                        known.learn(one, judge(answer, Question(one, issuer, None), listed, at))
                    except OcspError:  # of another certificate, or of another time
                        continue
        return known

    def _require_not_revoked_since(self, path: Sequence[x509.Certificate], at: datetime) -> None:
        """A list of later that says since when. Raises `ProofError` (LOG674)."""
        for one in _lists(self.crls):
            for certificate, issuer in pairwise(path):
                entry = one.get_revoked_certificate_by_serial_number(certificate.serial_number)
                revoked = entry is not None and entry.revocation_date_utc <= at
                if revoked and one.issuer == issuer.subject and one.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type] # of an authority that `Trust` took
                    raise ProofError(Flaw.REVOKED, "by a later list")


def _lists(files: Iterable[bytes]) -> list[x509.CertificateRevocationList]:
    """Raises TrustError."""
    try:
        return [
            x509.load_pem_x509_crl(one) if one.startswith(b"-----") else x509.load_der_x509_crl(one)
            for one in files
        ]
    except ValueError as error:
        raise TrustError("TRU002", "lists", "Cannot be read.", "Name a PEM or DER file.") from error


def _was_known(crl: x509.CertificateRevocationList, at: datetime) -> bool:
    """Authorities date their lists back a little; what tells of a later revocation was made later all the same."""
    return crl.last_update_utc <= at and all(entry.revocation_date_utc <= at for entry in crl)


def _newest(
    lists: Iterable[x509.CertificateRevocationList],
) -> Sequence[x509.CertificateRevocationList]:
    """One for each issuer and key: an authority that was renewed has two."""
    found: dict[tuple[x509.Name, bytes], x509.CertificateRevocationList] = {}
    for one in lists:
        key = one.issuer, _key_id(one)
        if key not in found or found[key].last_update_utc < one.last_update_utc:
            found[key] = one
    return list(found.values())


def _key_id(crl: x509.CertificateRevocationList) -> bytes:
    try:
        named = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return b""
    return named.key_identifier or b""
