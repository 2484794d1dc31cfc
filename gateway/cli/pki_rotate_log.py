"""What `gateway pki rotate` does with the key of the exchange log, whose file holds the old and the new one meanwhile.

A log whose key is in a token keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.adapters.log_key import log_signers, parse_keys
from gateway.adapters.pkcs11_uri import Pkcs11Uri
from gateway.adapters.pki import write_file
from gateway.adapters.store_reader import LogReader
from gateway.cli.pki_files import fail, read, written
from gateway.config import Settings
from gateway.exchangelog.flaw import ProofError
from gateway.identity.issue import private_pem


def is_prepared(settings: Settings) -> bool:
    """Nothing is left to prepare."""
    place = settings.keys.log_key
    return isinstance(place, Pkcs11Uri) or len(log_signers(place, settings.log.origin)) > 1


def prepare_log(settings: Settings) -> Iterator[str]:
    """Both keys sign from now on."""
    path, origin = settings.keys.log_key, settings.log.origin
    if isinstance(path, Pkcs11Uri):
        return
    if len(log_signers(path, origin)) == 1:
        content = read(path) + private_pem(Ed25519PrivateKey.generate())
        written(lambda: write_file(path, content, replace=True, private=True))
    old, vkey = (one.verifier.vkey for one in log_signers(path, origin))
    listed = path.with_name("log.vkey")  # of a development PKI: all keys that the log has had
    if listed.exists() and old in (text := read(listed).decode()) and vkey not in text:
        written(lambda: write_file(listed, f"{text}{vkey}\n".encode(), replace=True))
    yield f"{path}: the exchange log is signed by {vkey} too."


def finish_log(settings: Settings) -> Iterator[str]:
    """The old key ends once the new one has signed the head: otherwise nobody could open the log again."""
    path = settings.keys.log_key
    if isinstance(path, Pkcs11Uri):
        return
    signers = log_signers(path, settings.log.origin)
    if len(signers) == 1:
        return
    try:
        with LogReader.open(settings.log.store) as log:
            log.signed([signers[-1].verifier])
    except ProofError as error:
        fail(
            "PKI017",
            f"{path}: the new key has not signed the log yet ({error}).",
            "Have the hub look at its files: systemctl reload gateway.",
        )
    content = private_pem(parse_keys(read(path))[-1])
    written(lambda: write_file(path, content, replace=True, private=True))
    yield f"{path}: the exchange log is signed by {signers[-1].verifier.vkey} alone."
