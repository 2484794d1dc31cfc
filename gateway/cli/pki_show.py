"""A certificate in words: the facts that `gateway pki` prints."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.cli.lines import plain
from gateway.identity.leaf import Usage, read_leaf
from gateway.refusal import Refusal

Facts = Mapping[str, str | list[str] | None]


def describe(certificate: x509.Certificate) -> Facts:
    """What it says, and which usages it has the profile of."""
    usages, flaw, enterprise = _profile(certificate.public_bytes(Encoding.DER))
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "enterprise": enterprise,
        "usages": ["authority"] if _is_authority(certificate) else [*usages],
        "outside_profile": None if usages or _is_authority(certificate) else flaw,
        "names": _names(certificate),
        "key": _key(certificate),
        "serial": f"{certificate.serial_number:x}",
        "sha256": certificate.fingerprint(SHA256()).hex(),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
    }


def lines(facts: Facts) -> list[str]:
    """One line for each fact that there is: whoever made the certificate chose its names."""
    texts = {name: ", ".join(one) if isinstance(one, list) else one for name, one in facts.items()}
    return [plain(f"{name:<16}{text}") for name, text in texts.items() if text]


def _profile(der: bytes) -> tuple[list[Usage], str | None, str | None]:
    """The usages that it fits, else the first flaw as a signing certificate; and whose it is."""
    usages: list[Usage] = []
    flaw = enterprise = None
    for usage in Usage:
        try:
            enterprise = str(read_leaf(der, usage).enterprise)
        except Refusal as refusal:
            flaw = flaw or refusal.about
        else:
            usages.append(usage)
    return usages, flaw, enterprise


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):  # ValueError: it does not read
        return False


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(one.value) for one in names]


def _key(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "another kind"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return f"ECDSA {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey) else "another kind"
