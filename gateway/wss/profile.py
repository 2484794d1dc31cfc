"""The security profile: algorithms, parts and times that are accepted (PROTOCOL §4).

Closed lists. What is not here is refused before any digest is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cryptography.hazmat.primitives import hashes

DIGESTS: Final[Mapping[str, str]] = {  # DigestMethod → hashlib name (XML Encryption §5.7, RFC 9231)
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
}
_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
RSA_SIGNATURES: Final[Mapping[str, hashes.HashAlgorithm]] = {  # RSASSA-PKCS1-v1_5, RFC 9231 §2.3
    _MORE + "rsa-sha256": hashes.SHA256(),
    _MORE + "rsa-sha384": hashes.SHA384(),
    _MORE + "rsa-sha512": hashes.SHA512(),
}
ECDSA_SIGNATURES: Final[Mapping[str, hashes.HashAlgorithm]] = {  # r‖s, RFC 9231 §2.3.6
    _MORE + "ecdsa-sha256": hashes.SHA256(),
    _MORE + "ecdsa-sha384": hashes.SHA384(),
    _MORE + "ecdsa-sha512": hashes.SHA512(),
}
SUITES: Final[Mapping[str, str]] = {  # the register's word → SignatureMethod of what we sign
    "rsa-sha256": _MORE + "rsa-sha256",
    "ecdsa-sha256": _MORE + "ecdsa-sha256",
}
RSA_BITS: Final = range(2048, 4097)
# FIPS 186-5 §A.1.1 for the least. A public exponent is raised to for whoever sends a token, and one as long as the
# modulus takes a hundred times as long; 32 bits are what every platform takes.
RSA_EXPONENTS: Final = range(65_537, 2**32)
CURVES: Final[Mapping[str, int]] = {"secp256r1": 32, "secp384r1": 48}  # name → octets of r and of s
MAX_CERTIFICATE: Final = 16_384  # octets of a token: qualified certificates have 2 to 4 KiB
MAX_REFERENCES: Final = 10  # Body, Timestamp, token and seven addressing headers
MAX_PREFIXES: Final = 16  # tokens in one PrefixList (attack S33)
# Tokens × declarations around the elements of the part: each is looked up there.
MAX_LOOKUPS: Final = 4_000_000
# Tokens × elements: no more than that, though all declarations of a message were around each.
FEW_LOOKUPS: Final = MAX_LOOKUPS // 1_024


@dataclass(frozen=True, slots=True)
class Window:
    """Times within which a message is accepted."""

    past: timedelta = timedelta(seconds=300)  # age of Created
    future: timedelta = timedelta(seconds=60)  # clock skew; WSS4J allows the same
    lifetime: timedelta = timedelta(hours=1)  # Expires − Created: wse-php sends 3600 s by default
    reply: timedelta = timedelta(minutes=5)  # Expires − Created of what we sign
