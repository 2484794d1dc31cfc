"""A time-stamping authority of `openssl ts`: other people's code on the other side."""

from __future__ import annotations

import subprocess
from pathlib import Path

CONFIG = """
[ req ]
distinguished_name = dn
[ dn ]
[ tsa ]
default_tsa = one
[ one ]
serial = {directory}/serial
signer_cert = {directory}/tsa.pem
certs = {directory}/root.pem
signer_key = {directory}/tsa.key
signer_digest = {digest}
ess_cert_id_alg = {names}
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
[ root ]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[ tsa_ext ]
keyUsage = critical,digitalSignature
extendedKeyUsage = {purpose}
authorityKeyIdentifier = keyid
"""
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout"]


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_authority(
    directory: Path,
    *,
    digest: str = "sha256",
    names: str = "sha256",
    purpose: str = "critical,timeStamping",
    days: int = 30,
) -> Path:
    """Root and authority, in a new directory."""
    directory.mkdir()
    config = directory / "tsa.cnf"
    config.write_text(CONFIG.format(directory=directory, digest=digest, names=names, purpose=purpose))
    (directory / "serial").write_text("01\n")
    root = ["-subj", "/CN=root", "-days", "30", "-extensions", "root", "-config", str(config)]
    openssl("req", "-x509", *EC, directory / "root.key", *root, "-out", directory / "root.pem")
    asked = ["-subj", "/CN=tsa", "-config", str(config), "-out", directory / "tsa.csr"]
    openssl("req", *EC, directory / "tsa.key", *asked)
    issued = ["-CA", directory / "root.pem", "-CAkey", directory / "root.key", "-CAcreateserial"]
    issued += ["-days", days, "-extfile", config, "-extensions", "tsa_ext"]
    openssl("x509", "-req", "-in", directory / "tsa.csr", *issued, "-out", directory / "tsa.pem")
    return directory


def stamp(authority: Path, file: Path, digest: str = "sha256") -> Path:
    """The response of the authority about a file."""
    query, response = file.with_suffix(".tsq"), file.with_suffix(".tsr")
    openssl("ts", "-query", "-data", file, f"-{digest}", "-cert", "-out", query)
    openssl("ts", "-reply", "-config", authority / "tsa.cnf", "-queryfile", query, "-out", response)
    return response
