"""The agreement's files as shipped, and copies in which one thing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

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
