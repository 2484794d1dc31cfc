"""Contents → an evidence file, signed by the hub."""

from __future__ import annotations

from datetime import datetime

from gateway.evidence import container
from gateway.evidence.contents import Contents, pack
from gateway.evidence.xades import seal
from gateway.wss.sign import SigningKey


def written(contents: Contents, key: SigningKey, now: datetime) -> bytes:
    """The file. Raises Refusal when a held key does not sign."""
    return container.write(seal(pack(contents), key, now))
