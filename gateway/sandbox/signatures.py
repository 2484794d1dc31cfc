"""The agreement adopted in a development PKI: whoever has a signing key in it signs, parties or not."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from gateway.evidence.adoption import sign
from gateway.identity.leaf import Purpose
from gateway.reading import contract_files, read_pair


def sign_agreement(contracts: Path, pki: Path, directory: Path, now: datetime) -> None:
    """A file for each authority into `directory`, over what an earlier run left there.

    Raises ConfigError, StartError, OSError.
    """
    files = contract_files(contracts)
    directory.mkdir(exist_ok=True)
    for key in sorted(pki.glob(f"*/{Purpose.SIGN}.key.pem")):
        pair = read_pair(key.with_name(f"{Purpose.SIGN}.crt.pem"), key)
        (directory / f"{key.parent.name}.xml").write_bytes(sign(files, pair, now))
