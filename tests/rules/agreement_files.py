"""The agreement's files as shipped, and copies in which one thing is changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from lxml import etree

from gateway.agreement.load import Agreement, load_agreement

ROOT = Path(__file__).parents[2]
AGREEMENT = "contracts/agreement.toml"
PROCEDURES = "contracts/procedures.toml"
PLACES = "contracts/places.toml"
REGISTER = "contracts/register.toml"
COMMON, DOSSIER, EXCHANGE = (f"contracts/xsd/{name}.xsd" for name in ("common", "dossier", "exchange"))
WSDL = "contracts/wsdl/exchange.wsdl"


@cache
def shipped_files() -> Mapping[str, bytes]:
    names = (AGREEMENT, PROCEDURES, PLACES, COMMON, DOSSIER, EXCHANGE, WSDL)
    return {name: (ROOT / name).read_bytes() for name in names}


@cache
def shipped() -> Agreement:
    return load_agreement(shipped_files())


def changed(name: str, old: str, new: str) -> dict[str, bytes]:
    """The shipped files with the first `old` in one of them replaced."""
    text = shipped_files()[name].decode()
    assert old in text, f"{name} no longer contains {old!r}"
    return {**shipped_files(), name: text.replace(old, new, 1).encode()}


@cache
def without_appeals() -> Agreement:
    """The next revision, which has no operation `notifyAppeal` any more."""
    files = {name: _without(data, "notifyAppeal") for name, data in shipped_files().items()}
    files[AGREEMENT] = files[AGREEMENT].replace(b"revision = 1", b"revision = 2", 1)
    return load_agreement(files)


def _without(data: bytes, operation: str) -> bytes:
    """A file without the tables of an operation, or the elements that bear its name."""
    if not data.startswith(b"<"):
        tables = re.split(r"(?m)^(?=\[)", data.decode())
        named = (f"[operations.{operation}]", f"[operations.{operation}.")
        return "".join(
            one for one in tables if not one.startswith(named) and f'operation = "{operation}"' not in one
        ).encode()
    root = etree.fromstring(data)
    names = {operation, f"{operation}Request", f"{operation}Response"}
    for element in [one for one in root.iter("{*}*") if one.get("name") in names]:
        element.getparent().remove(element)
    return etree.tostring(root)
