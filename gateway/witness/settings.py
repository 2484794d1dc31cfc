"""Settings of a witness: one TOML file → frozen values, unknown keys refused. deploy/witness.toml shows them all.

Paths are relative to the settings file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from gateway.adapters.pin import read_pin
from gateway.config import ConfigError, Section, read_settings
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.quorum import LogKey, parse_log_key

Port = Annotated[int, Meta(ge=0, le=65535)]


class WitnessLog(Section, frozen=True, kw_only=True):
    """An element of `logs`: a log that is cosigned."""

    vkeys: list[str]  # its keys; several while it changes its key, all under one name
    pin: Path | None = None  # a checkpoint that it must extend from the first time on


class WitnessSettings(Section, frozen=True, kw_only=True):
    """The whole file."""

    name: str  # a URL without schema; stands in each cosignature
    key: Path  # PEM, Ed25519 or ML-DSA-44, readable by its owner only
    store: Path  # SQLite: what was cosigned
    host: str = "127.0.0.1"
    port: Port = 8470  # 0 takes a free one
    tls_certificate: Path | None = None  # with the issuing chain behind it; none: plain HTTP
    tls_key: Path | None = None
    logs: tuple[WitnessLog, ...]


@dataclass(frozen=True, slots=True)
class KnownLog:
    """A log that the witness cosigns."""

    origin: str
    keys: tuple[LogKey, ...]
    pinned: Checkpoint | None


def load_settings(path: Path) -> WitnessSettings:
    """Raises ConfigError."""
    found = read_settings(path, WitnessSettings, "deploy/witness.toml")
    if (found.tls_certificate is None) != (found.tls_key is None):
        raise ConfigError("CFG002", f"{path}: one of tls_certificate and tls_key.", "Give both, or none.")
    return found


def known_logs(settings: WitnessSettings) -> dict[str, KnownLog]:
    """By origin. Raises `ProofError` for a key or a pin that is none."""
    found: dict[str, KnownLog] = {}
    for one in settings.logs:
        keys = tuple(parse_log_key(vkey) for vkey in one.vkeys)
        names = {key.name for key in keys}
        if len(names) != 1 or names & found.keys():
            raise ProofError(Flaw.ORIGIN, ", ".join(sorted(names)) or "no key")
        pinned = None if one.pin is None else read_pin(one.pin, keys)
        found[keys[0].name] = KnownLog(keys[0].name, keys, pinned)
    return found
