"""The digest of a part whose content comes as a stream: canonical XML around canonical base64.

Digested is what XOP §3.2 restores, with base64 in the place of xop:Include, as stacks do that sign before they
pack: so both forms of one message have one signature. No tree and no
text ever holds the content.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64


class AroundContent:
    """Digests `before`, then the base64 of what `update` is given, then what `finish` is given."""

    def __init__(self, name: str, before: bytes) -> None:
        self._hash = hashlib.new(name, before)
        self._rest = b""  # up to two bytes that do not fill a group of base64

    def update(self, content: bytes) -> None:
        """The next bytes of the content, not encoded. Fastest in pieces of a multiple of three bytes."""
        if self._rest:
            content = self._rest + content
        whole = len(content) - len(content) % 3
        self._rest = content[whole:]
        self._hash.update(b2a_base64(content if not self._rest else content[:whole], newline=False))

    def finish(self, after: bytes) -> bytes:
        """The digest. Call once."""
        self._hash.update(b2a_base64(self._rest, newline=False) + after)
        return self._hash.digest()
