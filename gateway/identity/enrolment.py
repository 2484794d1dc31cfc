"""Which certificates speak for whom: each is enrolled, by its fingerprint, for one authority and one purpose.

An issuer's word makes nobody a party: a second certificate of the same legal identity, however it came about,
speaks for nobody before the hub's operator enrols it (attack K13), and one that is withdrawn has spoken (attack
K28). Several lines of one authority and purpose overlap, so that a rotation needs no appointment. Whether a
certificate is sound at all is left to `chain`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.agreement import rows
from gateway.agreement.finding import AgreementError, Findings
from gateway.agreement.register import Register
from gateway.agreement.rows import Row
from gateway.identity.leaf import Purpose
from gateway.model import Authority, AuthorityId
from gateway.refusal import Code, Refusal

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class EnrolmentError(AgreementError):
    """The list of enrolled certificates is not consistent."""

    what: ClassVar[str] = "the list of enrolled certificates is not consistent"


class EnrolledRow(Row, frozen=True):
    """[[certificate]]"""

    authority: str
    purpose: Literal["sign", "tls"]
    sha256: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    certificate: str | None = None


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One line: this certificate speaks for this authority, from `valid_from` until before `valid_until`."""

    authority: Authority
    purpose: Purpose
    fingerprint: bytes  # SHA-256 of the DER
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    certificate: x509.Certificate | None = None  # itself; only then a responder can be asked about it

    def holds(self, now: datetime) -> bool:
        """It has begun and has not ended."""
        begun = self.valid_from is None or self.valid_from <= now
        return begun and (self.valid_until is None or now < self.valid_until)


@dataclass(frozen=True, slots=True, eq=False)
class Enrolment:
    """All lines. Made by `of` or `load_enrolment`."""

    by_fingerprint: Mapping[bytes, Enrolled]

    @classmethod
    def of(cls, lines: Iterable[Enrolled]) -> Enrolment:
        return cls({one.fingerprint: one for one in lines})

    def require(self, fingerprint: bytes, purpose: Purpose, authority: Authority, now: datetime) -> Enrolled:
        """The line by which a certificate speaks for `authority`, now and for `purpose`.

        Raises Refusal: CERTIFICATE, about "enrolment".
        """
        line = self.by_fingerprint.get(fingerprint)
        if (
            line is None
            or line.authority.id != authority.id
            or line.purpose is not purpose
            or not line.holds(now)
        ):
            raise Refusal(Code.CERTIFICATE, "enrolment")
        return line


def load_enrolment(data: bytes, name: str, register: Register) -> Enrolment:
    """Read the TOML list. `name`: of the file, for findings. Raises EnrolmentError with every finding."""
    findings = Findings(name)
    tables = rows.parse_toml(data, name, EnrolmentError)
    for other in sorted(set(tables) - {"certificate"}):
        findings.add(other, "no such table here")
    first: dict[bytes, str] = {}
    lines: list[Enrolled] = []
    for path, row in rows.rows(tables, "certificate", EnrolledRow, findings):
        line = _line(path, row, register, findings)
        if line is None:
            continue
        earlier = first.setdefault(line.fingerprint, f"{path} for {line.authority.id}")
        if not earlier.startswith(f"{path} "):
            findings.add(f"{path}.sha256", f"the same certificate as {earlier}")
        lines.append(line)
    findings.done(EnrolmentError)
    return Enrolment.of(lines)


def written_line(authority: AuthorityId, purpose: Purpose, certificate: x509.Certificate) -> str:
    """The text of one line, to be put behind the others."""
    pem = certificate.public_bytes(Encoding.PEM).decode()
    return (
        f'\n[[certificate]]\nauthority = "{authority}"\npurpose = "{purpose}"\n'
        f'sha256 = "{certificate.fingerprint(SHA256()).hex()}"\ncertificate = """\n{pem}"""\n'
    )


def ended(text: str, fingerprint: bytes, moment: datetime | None) -> str:
    """The text with `valid_until` in the line of this certificate, or None without; that of others stays as it is,
    byte for byte.

    Raises KeyError when it has no line.
    """
    head, *blocks = re.split(r"(?m)(?=^[ \t]*\[\[certificate\]\])", text)
    mark = re.compile(rf'(?m)^([ \t]*)sha256[ \t]*=[ \t]*["\']{fingerprint.hex()}["\'].*$')
    found = [at for at, block in enumerate(blocks) if mark.search(block)]
    if not found:
        raise KeyError(fingerprint.hex())
    for at in found:
        rest = re.sub(r"(?m)^[ \t]*valid_until[ \t]*=.*\n?", "", blocks[at])
        end = "" if moment is None else rf"\n\1valid_until = {moment.isoformat()}"
        blocks[at] = mark.sub(rf"\g<0>{end}", rest)
    return head + "".join(blocks)


def _line(path: str, row: EnrolledRow, register: Register, findings: Findings) -> Enrolled | None:
    name = AuthorityId(row.authority)
    authority = register.hub if name == register.hub.id else register.by_id.get(name)
    if authority is None:
        findings.add(f"{path}.authority", f'no authority "{name}" in the register')
    if not _SHA256.fullmatch(row.sha256):
        findings.add(f"{path}.sha256", "not 64 hexadecimal digits in lower case")
    _check_window(path, row, findings)
    certificate = _certificate(path, row, findings)
    if authority is None or not _SHA256.fullmatch(row.sha256):
        return None
    fingerprint = bytes.fromhex(row.sha256)
    return Enrolled(
        authority, Purpose(row.purpose), fingerprint, row.valid_from, row.valid_until, certificate
    )


def _check_window(path: str, row: EnrolledRow, findings: Findings) -> None:
    moments = {"valid_from": row.valid_from, "valid_until": row.valid_until}
    naive = [name for name, moment in moments.items() if moment is not None and moment.tzinfo is None]
    for name in naive:
        findings.add(f"{path}.{name}", "a time without its zone, such as Z")
    if (
        not naive
        and row.valid_from is not None
        and row.valid_until is not None
        and row.valid_until < row.valid_from
    ):
        findings.add(f"{path}.valid_until", "ends before it begins")


def _certificate(path: str, row: EnrolledRow, findings: Findings) -> x509.Certificate | None:
    if row.certificate is None:
        return None
    try:
        certificate = x509.load_pem_x509_certificate(row.certificate.encode())
    except ValueError:
        findings.add(f"{path}.certificate", "not a PEM certificate")
        return None
    if certificate.fingerprint(SHA256()).hex() != row.sha256:
        findings.add(f"{path}.certificate", "another certificate than sha256 says")
    return certificate
