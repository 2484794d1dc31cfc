"""NIST PKITS, the Public Key Interoperability Test Suite, against path and revocation (RFC 5280 §6, `chain.believe`).

The suite ships as `cryptography_vectors`; a certificate's file says its test and what is expected under the default
settings. Each test gets the authorities and lists that a directory would find by name. Where we deviate, we refuse
what is valid, for a reason given in `REFUSED`; nothing that is invalid is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.identity.chain import Trust, TrustError, believe
from gateway.identity.revocation import Answers
from gateway.refusal import Refusal

DATA = Path(cryptography_vectors.__file__).parent / "x509/PKITS_data"
NOW = datetime(2020, 1, 1, tzinfo=UTC)  # the suite holds from 2010 to 2030
END = "EE.crt"
# Section of the suite → how many tests it has, and what their files are called, first match first.
SECTIONS = {
    "4.13": (38, r"nameConstraints"),
    "4.9": (8, r"equireExplicitPolicy"),
    "4.11": (11, r"inhibitPolicyMapping"),
    "4.12": (10, r"inhibitAnyPolicy"),
    "4.6": (17, r"pathLenConstraint|cAFalse|MissingbasicConstraints|basicConstraintsNotCritical"),
    "4.7": (5, r"keyUsage"),
    "4.14": (35, r"istributionPointTest(?!10)|DistributionPoint|IDPwith|only|cRLIssuer"),
    "4.15": (10, r"deltaCRL"),
    "4.16": (2, r"CriticalCertificateExtension"),
    "4.10": (14, r"PolicyMapping|MappingFrom|MappingTo"),
    "4.5": (8, r"SelfIssued"),
    "4.4": (21, r"CRL|Revoked|SerialNumber"),
    "4.2": (8, r"Date"),
    "4.3": (11, r"Name|RFC3280|Rollover|UTF8"),
    "4.1": (6, r"Signature|CertificatePath|DSA"),
    "4.8": (20, r"Polic|Qualifier"),
}
# Of the tests whose file does not say it: invalid, because a certificate of the path itself asks for a policy.
INVALID = {f"4.8.{number}" for number in (4, 5, 7, 8, 9, 12)}
SAME = {"4.8.1": "4.1.1"}  # one certificate, two tests


def numbers(section: str, *which: int) -> set[str]:
    return {f"{section}.{number}" for number in which}


# What is valid and refused all the same, by reason.
REFUSED = {
    "DSA keys are outside the profile": numbers("4.1", 4, 5),
    "a date before 2050 is UTCTime (RFC 5280 §4.1.2.5), and nothing else is read": numbers("4.2", 4),
    "names are compared byte for byte: no folding of case, white space or string type": numbers(
        "4.3", 3, 4, 5, 10, 11
    ),
    "the key that signs certificates signs the lists": numbers("4.4", 19) | numbers("4.5", 1, 6),
    "lists are complete and direct: none for some certificates, some reasons, other issuers, or a delta": numbers(
        "4.5", 3, 4
    )
    | numbers("4.14", 1, 4, 5, 7, 13, 18, 19, 22, 24, 25, 28, 29, 30, 33)
    | numbers("4.15", 2, 5, 7, 8),
    "basicConstraints of an authority is critical (RFC 5280 §4.2.1.9)": numbers("4.6", 4),
    "a self-issued certificate counts for the length of a path like any other": numbers("4.6", 15, 17),
    "policies are not processed: an authority that constrains or maps them is not taken": numbers(
        "4.8", 6, 10, 11, 13, 14, 18
    )
    | numbers("4.9", 1, 2, 4, 6)
    | numbers("4.10", 1, 3, 5, 6, 9, 11, 12, 13, 14)
    | numbers("4.11", 2, 4, 7)
    | numbers("4.12", 2, 3, 7, 9),
    "names of directories and URIs are not compared with constraints: such a path is not taken": numbers(
        "4.13", 1, 4, 5, 6, 11, 14, 18, 19, 27, 34, 36
    ),
}
DEVIATIONS = set().union(*REFUSED.values())
# Revoked in a delta list alone. The delta stops the start; a hub without it goes by the complete list.
BY_DELTA_ONLY = {"4.15.4"}


@cache
def end_entities() -> dict[str, str]:
    """Number of the test → name of its file."""
    found = {}
    for path in sorted((DATA / "certs").glob(f"*{END}")):
        section = next(name for name, (_, pattern) in SECTIONS.items() if re.search(pattern, path.name))
        number = re.search(rf"Test(\d+){END}", path.name)[1]
        assert found.setdefault(f"{section}.{number}", path.name) == path.name
    return found | {number: found[other] for number, other in SAME.items()}


def is_valid(number: str) -> bool:
    return not end_entities()[number].startswith("Invalid") and number not in INVALID


VALID = [number for number in end_entities() if is_valid(number)]


@cache
def certificates() -> dict[str, x509.Certificate]:
    """Those that can be read at all: two have DSA parameters that are left out."""
    found = {}
    for path in sorted((DATA / "certs").glob("*.crt")):
        with suppress(ValueError):
            found[path.name] = x509.load_der_x509_certificate(path.read_bytes())
    return found


@cache
def lists() -> dict[str, x509.CertificateRevocationList]:
    return {path.name: x509.load_der_x509_crl(path.read_bytes()) for path in (DATA / "crls").glob("*.crl")}


def anchor() -> x509.Certificate:
    return certificates()["TrustAnchorRootCertificate.crt"]


def authorities(leaf: x509.Certificate) -> Iterator[x509.Certificate]:
    """Every certificate whose subject somebody on the way to the anchor names as its issuer."""
    waiting, seen = [leaf.issuer], {anchor().subject}
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            issuers = [one for file, one in certificates().items() if one.subject == name and END not in file]
            yield from issuers
            waiting += [one.issuer for one in issuers]


def files(number: str) -> tuple[x509.Certificate | None, list[bytes], list[bytes]]:
    """The certificate, the authorities and the lists of one test."""
    name = end_entities()[number]
    leaf = certificates().get(name)
    if leaf is None:
        return None, [], []
    issuers = list(authorities(leaf))
    names = {one.subject for one in (anchor(), *issuers)}
    # A list under the anchor's name that is another authority's: part of the one test about it (4.4.6).
    crls = [
        crl
        for file, crl in lists().items()
        if crl.issuer in names and ("Wrong" not in file or "Wrong" in name)
    ]
    return leaf, [der(one) for one in issuers], [der(one) for one in crls]


def der(signed: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return signed.public_bytes(Encoding.DER)


def accepted(leaf: x509.Certificate | None, middle: Sequence[bytes], crls: Sequence[bytes]) -> bool:
    if leaf is None:
        return False
    try:
        believe(leaf, Trust.load([der(anchor())], middle, crls), NOW, Answers())
    except (TrustError, Refusal):
        return False
    return True


def usable(middle: Sequence[bytes], crls: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Without what stops the start: what an operator is left with who takes the findings away one by one."""

    def loads(*given: list[bytes]) -> bool:
        try:
            Trust.load([der(anchor())], *given)
        except TrustError:
            return False
        return True

    kept = [one for one in middle if loads([one], [])]
    return kept, [one for one in crls if loads(kept, [one]) and "WrongCRL" not in names_of(one)]


def names_of(crl: bytes) -> str:
    return next(name for name, one in lists().items() if der(one) == crl)


def test_every_test_of_the_suite_is_there():
    expected = {
        f"{section}.{number}" for section, (count, _) in SECTIONS.items() for number in range(1, count + 1)
    }
    assert set(end_entities()) == expected
    assert len(expected) == 224
    assert set(VALID) >= DEVIATIONS
    assert sum(map(len, REFUSED.values())) == len(DEVIATIONS)  # each for one reason


@pytest.mark.parametrize("number", sorted(set(end_entities()) - set(VALID)))
def test_what_is_invalid_is_refused(number):
    assert not accepted(*files(number))


@pytest.mark.parametrize("number", sorted(set(end_entities()) - set(VALID) - BY_DELTA_ONLY))
def test_what_is_invalid_is_refused_without_the_files_that_stop_the_start(number):
    leaf, middle, crls = files(number)
    assert not accepted(leaf, *usable(middle, crls))


@pytest.mark.parametrize("number", sorted(set(VALID) - DEVIATIONS))
def test_what_is_valid_is_accepted(number):
    assert accepted(*files(number))


@pytest.mark.parametrize("number", sorted(DEVIATIONS))
def test_what_is_valid_and_refused_is_refused(number):
    """So that the list of reasons stays true."""
    assert not accepted(*files(number))
