"""The name of a key in a token: a PKCS #11 URI (RFC 7512), of which the part that a gateway needs is taken.

The URI says which key, in which token, through which library, and in which file the PIN is. It never holds
the PIN itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

SCHEME: Final = "pkcs11:"
_PATH: Final = frozenset({"token", "serial", "object", "id", "type"})
_QUERY: Final = frozenset({"module-path", "pin-source"})
# RFC 7512 §2.3: unreserved characters, those that a path or query attribute may hold, and escapes.
_VALUE: Final = re.compile(r"(?:[A-Za-z0-9\-._~:\[\]@!$'()*+,=/?|&]|%[0-9A-Fa-f]{2})+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pkcs11Uri:
    """One private key. At least one of `token` and `serial` is given, and one of `object` and `id`."""

    token: str | None  # label
    serial: str | None
    object: str | None  # label of the key
    id: bytes | None  # CKA_ID of the key
    module: Path  # the PKCS #11 library
    pin: Path  # file that holds the PIN

    @classmethod
    def parse(cls, uri: str) -> Pkcs11Uri:
        """Raises ValueError; its message never repeats a value, for one may be a PIN."""
        path, _, query = uri.removeprefix(SCHEME).partition("?")
        named = _attributes(path, ";", _PATH) | _attributes(query, "&", _QUERY)
        if named.pop("type", b"private") != b"private":
            raise ValueError("the type of a PKCS #11 URI must be private")
        if not {"token", "serial"} & named.keys() or not {"object", "id"} & named.keys():
            raise ValueError("a PKCS #11 URI names a token or its serial, and an object or its id")
        text = {name: _text(value) for name, value in named.items() if name != "id"}
        return cls(
            token=text.get("token"),
            serial=text.get("serial"),
            object=text.get("object"),
            id=named.get("id"),
            module=_file("module-path", text),
            pin=_file("pin-source", {name: value.removeprefix("file:") for name, value in text.items()}),
        )

    @property
    def where(self) -> str:
        """The token, as messages name it."""
        return f"token {self.token}" if self.token is not None else f"token with serial {self.serial}"

    @property
    def what(self) -> str:
        """The key, as messages name it."""
        name = self.object if self.object is not None else f"with id {(self.id or b'').hex()}"
        return f"key {name} in {self.where}"


def _attributes(part: str, separator: str, known: frozenset[str]) -> dict[str, bytes]:
    found = dict[str, bytes]()
    for attribute in part.split(separator) if part else ():
        name, _, value = attribute.partition("=")
        if name == "pin-value":
            raise ValueError(
                "a PKCS #11 URI must not hold the PIN: put it in a file, and name that in pin-source"
            )
        if name not in known:  # RFC 7512 §2.3: what is not understood must not match
            raise ValueError(f"a PKCS #11 URI has the attributes {', '.join(sorted(known))} here, no other")
        if name in found or _VALUE.fullmatch(value) is None:
            raise ValueError(f"{name} of a PKCS #11 URI is repeated, empty or not percent-encoded")
        found[name] = unquote_to_bytes(value)
    return found


def _text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    if not text.isprintable() or not text:
        raise ValueError("an attribute of a PKCS #11 URI is no printable text in UTF-8")
    return text


def _file(name: str, text: Mapping[str, str]) -> Path:
    path = Path(text.get(name, ""))
    if not path.is_absolute():
        raise ValueError(f"{name} of a PKCS #11 URI must be given, as an absolute path")
    return path
