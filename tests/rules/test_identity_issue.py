"""certs/README.md: what the development PKI issues is what the rules accept."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway.agreement.register import Register, load_register
from gateway.exchangelog.note import Verifier
from gateway.identity.certify import CRL_LIFE, Issuer, certify, issue_crl, request
from gateway.identity.chain import Trust, Usage, validate
from gateway.identity.explain import REASONS
from gateway.identity.issue import KeyKind, issue_pki, key_kinds, new_ec_key, new_key
from gateway.identity.leaf import Purpose
from gateway.model import Authority, Enterprise
from gateway.refusal import Code, Refusal
from tests.rules.identity_world import NOW, SECOND

FILE = Path(__file__).parents[2] / "contracts/register.toml"
ROOT = (
    "root.crt.pem",
    "root.key.pem",
    "root.crl.pem",
    "issuing.crt.pem",
    "issuing.key.pem",
    "issuing.crl.pem",
)


@cache
def register() -> Register:
    return load_register(FILE.read_bytes(), FILE.name)


@cache
def pki() -> dict[str, bytes]:
    return dict(issue_pki(register().hub, register().authorities, NOW))


@cache
def trust() -> Trust:
    files = pki()
    return Trust.load(
        [files["root.crt.pem"]], [files["issuing.crt.pem"]], [files["root.crl.pem"], files["issuing.crl.pem"]]
    )


def issuer() -> Issuer:
    key = load_pem_private_key(pki()["issuing.key.pem"], None)
    return Issuer(x509.load_pem_x509_certificate(pki()["issuing.crt.pem"]), key)


def certificate(name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pki()[f"{name}.crt.pem"])


def everybody() -> list[tuple[Authority, str]]:
    names = [(one, name) for one in register().authorities for name in Purpose]
    return [*names, *((register().hub, name) for name in ("tls", "sign-rsa", "sign-ec"))]


def test_every_file_is_there_and_no_other():
    pairs = [f"{one.id}/{name}.{kind}.pem" for one, name in everybody() for kind in ("crt", "key")]
    assert sorted(pki()) == sorted(
        [
            *ROOT,
            *pairs,
            "HUB/directory.key",
            "HUB/log.key.pem",
            "HUB/log.vkey",
            "HUB/payload.key",
            "enrolled.toml",
        ]
    )


@pytest.mark.parametrize(("holder", "name"), everybody(), ids=lambda one: getattr(one, "id", one))
def test_certificate_is_accepted_for_its_usages_and_belongs_to_its_key(holder, name):
    found = certificate(f"{holder.id}/{name}")
    for usage in [Usage.TLS_CLIENT, Usage.TLS_SERVER] if name == "tls" else [Usage.SIGNING]:
        validated = validate(found.public_bytes(Encoding.DER), usage, trust(), NOW)
        assert validated.enterprise == holder.enterprise
        assert validated.valid_until == NOW + CRL_LIFE
    key = load_pem_private_key(pki()[f"{holder.id}/{name}.key.pem"], None)
    assert key.public_key() == found.public_key()


def test_tls_certificate_carries_the_registers_name_and_the_hubs_loopback_too():
    def names(holder: str) -> list[str]:
        value = (
            certificate(f"{holder}/tls").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        )
        return [str(name.value) for name in value]

    assert names("BRUSSELS") == ["brussels.wib.example"]
    assert names("HUB") == ["gateway.wib.example", "localhost", "127.0.0.1"]


def test_tls_file_ends_with_the_issuing_authority():
    assert pki()["HUB/tls.crt.pem"].endswith(pki()["issuing.crt.pem"])
    assert len(x509.load_pem_x509_certificates(pki()["HUB/tls.crt.pem"])) == 2


def test_hub_can_sign_in_either_suite():
    assert isinstance(certificate("HUB/sign-rsa").public_key(), rsa.RSAPublicKey)
    assert isinstance(certificate("HUB/sign-ec").public_key(), ec.EllipticCurvePublicKey)


def test_both_kinds_of_keys_occur_and_ecdsa_authorities_have_ecdsa_keys():
    kinds = key_kinds(register().authorities)
    assert set(Counter(kinds.values())) == {KeyKind.RSA, KeyKind.P256}
    for one in register().authorities:
        wanted = rsa.RSAPublicKey if kinds[one.id] is KeyKind.RSA else ec.EllipticCurvePublicKey
        assert isinstance(certificate(f"{one.id}/sign").public_key(), wanted)
        assert one.suite != "ecdsa-sha256" or kinds[one.id] is KeyKind.P256


def test_verification_key_of_the_log_is_that_of_its_signing_key():
    verifier = Verifier.parse(pki()["HUB/log.vkey"].decode().strip())
    key = load_pem_private_key(pki()["HUB/log.key.pem"], None)
    assert verifier.name == "gateway.wib.example/log"
    assert verifier.public == key.public_key().public_bytes_raw()


def test_without_rsa_the_hub_still_has_its_rsa_key():
    files = issue_pki(register().hub, register().authorities, NOW, key=new_ec_key, origin="log.example/2026")
    kinds = {
        name: type(load_pem_private_key(content, None))
        for name, content in files.items()
        if "sign" in name and "key" in name
    }
    assert [name for name, kind in kinds.items() if issubclass(kind, rsa.RSAPrivateKey)] == [
        "HUB/sign-rsa.key.pem"
    ]
    assert files["HUB/log.vkey"].startswith(b"log.example/2026+")


def test_revocation_adds_to_what_was_revoked_and_counts_up():
    first = issue_crl(issuer(), NOW, revoke=[11])
    second = issue_crl(issuer(), NOW + SECOND, before=first, revoke=[12, 11])
    assert sorted(entry.serial_number for entry in second) == [11, 12]
    numbers = [
        one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for one in (first, second)
    ]
    assert numbers == [1, 2]


def holder() -> Authority:
    return register().authorities[0]


def csr(key=None, of: Authority | None = None) -> bytes:
    return request(key or new_key(KeyKind.P256), of or holder(), Purpose.SIGN).public_bytes(Encoding.PEM)


def refused(pem: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        certify(pem, holder(), Purpose.SIGN, issuer(), NOW)
    assert caught.value.code is Code.CERTIFICATE
    return caught.value.about


def test_request_becomes_a_certificate_of_its_key_with_the_registers_names():
    key = new_key(KeyKind.P256)
    issued = certify(csr(key), holder(), Purpose.SIGN, issuer(), NOW)
    validated = validate(issued.public_bytes(Encoding.DER), Usage.SIGNING, trust(), NOW)
    assert validated.public_key == key.public_key()
    assert validated.enterprise == holder().enterprise


def test_names_in_a_request_are_not_certified():
    impostor = replace(holder(), name="Somebody else", tls_name="evil.example")
    issued = certify(csr(of=impostor), holder(), Purpose.SIGN, issuer(), NOW)
    assert issued.subject == certificate(f"{holder().id}/sign").subject


def test_request_of_another_legal_person_is_refused():
    assert refused(csr(of=replace(holder(), enterprise=Enterprise("0566988259")))) == "subject"


def test_request_that_its_key_did_not_sign_is_refused():
    der = bytearray(x509.load_pem_x509_csr(csr()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    assert refused(x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)) == "proof of possession"


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP521R1())],
    ids=["RSA-1024", "P-521"],
)
def test_request_for_a_key_outside_the_profile_is_refused(key):
    builder = x509.CertificateSigningRequestBuilder().subject_name(certificate(f"{holder().id}/sign").subject)
    assert refused(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)) == "key"


def test_anything_but_a_request_is_refused():
    assert refused(b"junk") == "form"
    assert refused(pki()["issuing.crt.pem"]) == "form"


def test_every_code_and_reason_stands_in_the_certificate_profiles():
    root = FILE.parents[1]
    sources = [*root.glob("gateway/identity/*.py"), *root.glob("gateway/cli/pki*.py")]
    text = "\n".join(path.read_text() for path in sources)
    readme = (root / "certs/README.md").read_text()
    assert set(re.findall(r"\b(?:TRU|PKI)[0-9]{3}\b", text)) == set(
        re.findall(r"\b(?:TRU|PKI)[0-9]{3}\b", readme)
    )
    reasons = set(
        re.findall(r"^\| ([a-z ]+) \|", readme.partition("## 6.")[2].partition("| code |")[0], re.MULTILINE)
    )
    assert reasons - {"reason"} == {*REASONS, "proof of possession"}
    assert set(re.findall(r'Code\.CERTIFICATE, "([^"]+)"', text)) <= reasons
