"""The files of a rotation: what will be in use lies beside what is, and so does what was.

`tls.crt.pem` is in use, `next-tls.crt.pem` will be, `last-tls.crt.pem` was; the same for keys. A rename puts each
file in its place whole. Between two renames certificate and key may not fit each other: whoever reads them then
finds out, and a rotation that was interrupted is taken up by doing the same step again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.adapters.pki import write_file

NEXT: Final = "next"
LAST: Final = "last"


def beside(path: Path, which: str) -> Path:
    """Where the successor (NEXT) or the predecessor (LAST) of a file is."""
    return path.with_name(f"{which}-{path.name}")


def switch(certificate: Path, key: Path) -> None:
    """Put the successors of a pair in use, and keep the pair as predecessors. Raises OSError.

    The key goes first: as long as the certificate still has its successor, the step is not done.
    """
    if beside(key, NEXT).exists():
        for path, private in ((certificate, False), (key, True)):
            write_file(beside(path, LAST), path.read_bytes(), replace=True, private=private)
        beside(key, NEXT).replace(key)
    beside(certificate, NEXT).replace(certificate)


def forget(certificate: Path, key: Path) -> None:
    """Remove the predecessors of a pair: the key first, for whose sake it is done. Raises OSError."""
    for path in (key, certificate):
        beside(path, LAST).unlink(missing_ok=True)
