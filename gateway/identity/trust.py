"""Whom the hub believes: anchors, intermediate authorities and their revocation lists, read once.

What cannot be used stops the start: a list that no known authority signed, a delta, an indirect or a partial
list. What is merely not valid now is judged by `chain`, at every use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtensionOID
from cryptography.x509.verification import Store

from gateway.identity.leaf import accepted_key, require_hash

_PARTIAL: Final = (x509.DeltaCRLIndicator, x509.IssuingDistributionPoint)  # RFC 5280 §5.2.4, §5.2.5
# RFC 5280 §4.2.1.5, §4.2.1.11, §4.2.1.14: what constrains policies. No policy is processed here, so that an authority
# that relies on them is not taken, critical or not.
_POLICIES: Final = frozenset(
    {ExtensionOID.POLICY_MAPPINGS, ExtensionOID.POLICY_CONSTRAINTS, ExtensionOID.INHIBIT_ANY_POLICY}
)
_BLOCK: Final = re.compile(rb"-----BEGIN ([^-]+)-----[^-]*-----END \1-----")  # RFC 7468 §2
T = TypeVar("T")


class TrustError(Exception):
    """Anchors, intermediates or revocation lists that nothing can be judged by. Stops the start.

    `code` is stable; the message names list and position, then the remedy.
    """

    def __init__(self, code: str, place: str, sentence: str, remedy: str) -> None:
        super().__init__(f"{code}: {place}: {sentence} {remedy}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Revocations:
    """A complete revocation list whose signature was verified with its issuer's key."""

    crl: x509.CertificateRevocationList
    this_update: datetime
    next_update: datetime  # after it nothing of this issuer is accepted


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: verdicts belong to one object
class Trust:
    """Made by `load` only. `revocations`: SHA-256 of an authority's certificate → its list."""

    anchors: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...]
    revocations: Mapping[bytes, Revocations]
    store: Store

    @classmethod
    def load(cls, anchors: Sequence[bytes], intermediates: Sequence[bytes], crls: Sequence[bytes]) -> Trust:
        """Read PEM or DER; a PEM file may hold several. No list at all for an authority is not an error
        here: nothing that it issued will be accepted.

        Raises TrustError.
        """
        roots = _authorities("anchors", anchors)
        if not roots:
            raise TrustError("TRU001", "anchors", "There is none.", "Name the root certificate.")
        middle = _authorities("intermediates", intermediates)
        return cls(roots, middle, _revocations(crls, roots + middle), Store(list(roots)))


def require_successors(trust: Trust, before: Trust, now: datetime) -> None:
    """Raises TrustError when a list may not take the place of the one of the same issuer before: an older one would
    undo a revocation, as would none at all while the issuer is trusted, and under one of a time to come no list would
    clear anybody until then. The issuer is the same when its certificate was renewed.
    """
    for known in before.revocations.values():
        for issuer in _signers(known.crl, trust.anchors + trust.intermediates):
            _require_successor(trust.revocations.get(issuer), known, now)


def _require_successor(listed: Revocations | None, known: Revocations, now: datetime) -> None:
    place = known.crl.issuer.rfc4514_string()
    if listed is None:
        sentence = "Its list is gone, and it is still trusted."
        raise TrustError("TRU009", place, sentence, "Put the list back, written beside and renamed.")
    dated = listed.this_update.isoformat()
    if listed.this_update < known.this_update:
        sentence = f"The list of {dated} is older than the one in force."
        raise TrustError("TRU007", place, sentence, "Name the newest list.")
    if listed.this_update > max(known.this_update, now):
        sentence = f"The list of {dated} is of a time to come."
        raise TrustError("TRU008", place, sentence, "Wait, or put the one before it back.")


def _authorities(place: str, files: Sequence[bytes]) -> tuple[x509.Certificate, ...]:
    found: list[x509.Certificate] = []
    for position, data in enumerate(files):
        where = f"{place}[{position}]"
        for certificate in _parsed(
            where, data, x509.load_pem_x509_certificates, x509.load_der_x509_certificate
        ):
            _require_authority(where, certificate)
            found.append(certificate)
    return tuple(found)


def _require_authority(where: str, certificate: x509.Certificate) -> None:
    try:
        accepted_key(certificate.public_key())
        require_hash(certificate)
        _ = (
            certificate.subject,
            certificate.issuer,
        )  # parsed only now: whatever is malformed shows itself here
        constrained = any(one.oid in _POLICIES for one in certificate.extensions)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except Exception as error:  # as in `leaf`: not a closed list
        raise TrustError("TRU003", where, f"Outside the profile: {error}.", "See certs/README.md.") from error
    if constrained:
        raise TrustError("TRU003", where, "Constrains certificate policies.", "See certs/README.md.")
    if not (constraints.ca and usage.key_cert_sign and usage.crl_sign):
        raise TrustError("TRU003", where, "Not a certificate authority's.", "See certs/README.md.")


def _revocations(
    files: Sequence[bytes], authorities: Sequence[x509.Certificate]
) -> Mapping[bytes, Revocations]:
    found: dict[bytes, Revocations] = {}
    for position, data in enumerate(files):
        where = f"crls[{position}]"
        for crl in _parsed(where, data, _pem_crls, x509.load_der_x509_crl):
            listed = _complete(where, crl)
            issuers = _signers(crl, authorities)
            if not issuers:
                sentence = "No anchor or intermediate signed it."
                raise TrustError("TRU005", where, sentence, "Name the lists of trusted issuers only.")
            for issuer in issuers:
                if issuer in found:
                    raise TrustError("TRU006", where, "A second list of one issuer.", "Name the newest only.")
                found[issuer] = listed
    return found


def _complete(where: str, crl: x509.CertificateRevocationList) -> Revocations:
    """RFC 5280 §5.2: neither a delta nor partial nor indirect, and it says until when it holds (attack K16)."""
    try:
        require_hash(crl)
        _ = crl.issuer  # as above
        partial = any(one.critical or isinstance(one.value, _PARTIAL) for one in crl.extensions)
        indirect = any(one.critical for entry in crl for one in entry.extensions)
        this_update, next_update = crl.last_update_utc, crl.next_update_utc
    except Exception as error:  # as in `leaf`: not a closed list
        raise TrustError("TRU004", where, f"Outside the profile: {error}.", "See certs/README.md.") from error
    if partial or indirect or next_update is None:
        raise TrustError(
            "TRU004",
            where,
            "A delta, partial or indirect list, or one without nextUpdate.",
            "Name the complete list of the issuer itself.",
        )
    return Revocations(crl, this_update, next_update)


def _signers(
    crl: x509.CertificateRevocationList, authorities: Sequence[x509.Certificate]
) -> Collection[bytes]:
    """Every authority certificate with this name and this key: several, when it was renewed."""
    return {
        one.fingerprint(SHA256()) for one in authorities if one.subject == crl.issuer and _signed(crl, one)
    }


def _signed(crl: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(accepted_key(authority.public_key()))
    except (ValueError, TypeError, UnsupportedAlgorithm):  # what cannot be checked is no signature
        return False


def _pem_crls(data: bytes) -> list[x509.CertificateRevocationList]:
    end = b"-----END X509 CRL-----"
    blocks = [block + end for block in data.split(end)[:-1]]
    return [x509.load_pem_x509_crl(block) for block in blocks]


def _require_whole(where: str, data: bytes) -> None:
    """Parsers skip a block that was cut off; whom it revokes would be believed."""
    rest = _BLOCK.sub(rb"\1", data)
    last = rest.rstrip().rpartition(b"\n")[2]
    if b"-----BEGIN" in rest or b"-----END" in rest or (last and b"-----BEGIN".startswith(last)):
        raise TrustError("TRU002", where, "A block is not whole.", "Put the whole file in place.")


def _parsed(
    where: str, data: bytes, pem: Callable[[bytes], Sequence[T]], der: Callable[[bytes], T]
) -> Sequence[T]:
    try:
        found = pem(data) if b"-----BEGIN" in data else [der(data)]
    except Exception as error:  # as in `leaf`: not a closed list
        raise TrustError("TRU002", where, "Cannot be read.", "Name a PEM or DER file.") from error
    if b"-----BEGIN" in data:
        _require_whole(where, data)
    if not found:
        raise TrustError("TRU002", where, "Holds nothing of its kind.", "Name a PEM or DER file.")
    return found
