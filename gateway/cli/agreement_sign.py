"""`gateway agreement sign` and `signatures`: a party adopts a revision, and anybody sees who has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.adapters.pkcs11_uri import SCHEME, Pkcs11Uri
from gateway.adapters.pki import ExistsError, write_file
from gateway.agreement.load import Agreement, load_agreement
from gateway.cli.lines import write
from gateway.cli.log_place import AsJson, explained
from gateway.config import ConfigError, KeyPlace
from gateway.evidence import adoption
from gateway.evidence.adoption import Signature
from gateway.identity.leaf import Usage, read_leaf
from gateway.identity.trust import Trust
from gateway.model import Enterprise
from gateway.reading import clock, contract_files, read, read_pair, signature_files
from gateway.refusal import Refusal

Contracts = Annotated[
    Path, typer.Option("--contracts", help="Directory with agreement.toml and the files beside it.")
]
_DEFAULT = Path("contracts")


def sign(
    certificate: Annotated[Path, typer.Option("--certificate", help="PEM: a signing certificate of yours.")],
    key: Annotated[
        str, typer.Option("--key", help="PEM file of its private key, or a PKCS #11 URI (RFC 7512).")
    ],
    output: Annotated[
        Path, typer.Option("--output", help="File to write; its name in contracts.signatures ends in .xml.")
    ],
    contracts: Contracts = _DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Adopt this revision of the agreement as one of its parties: sign all its files. Read them first.

    See what they change with: gateway agreement diff.
    """
    with explained():
        agreement = load_agreement(contract_files(contracts))
        pair = read_pair(certificate, _place(key))
        party = _party(pair.certificate, certificate, agreement)
        try:
            data = adoption.sign(agreement.files, pair, clock())
        except Refusal as refusal:
            raise ConfigError("CFG028", f"{key}: did not sign.", refusal.code.row.remedy) from refusal
        _write(output, data)
    facts = {
        "id": agreement.id,
        "number": agreement.number,
        "revision": agreement.revision,
        "party": str(party),
        "certificate": sha256(pair.certificate).hexdigest(),
        "file": str(output),
    }
    write(json.dumps(facts, indent=2) if as_json else "\n".join(f"{k:<12}{v}" for k, v in facts.items()))


def signatures(
    *,
    found: Annotated[Path, typer.Option("--signatures", help="Directory with signatures, *.xml.")],
    anchor: Annotated[
        list[Path], typer.Option("--anchor", help="PEM: a root certificate to believe. Again for others.")
    ],
    crl: Annotated[
        list[Path], typer.Option("--crl", help="PEM or DER: a revocation list. One for each issuer.")
    ],
    intermediate: Annotated[
        list[Path] | None, typer.Option("--intermediate", help="PEM: an authority below the anchors.")
    ] = None,
    contracts: Contracts = _DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Say which parties have signed this revision of the agreement, and which signatures count for nothing.

    Exit status 1 while a party is missing.
    """
    with explained():
        agreement = load_agreement(contract_files(contracts))
        below = intermediate or ()
        trust = Trust.load(*([read(one) for one in paths] for paths in (anchor, below, crl)))
        judged = list(adoption.judge(agreement.files, signature_files(found), trust, clock()))
    facts = _told(agreement, judged)
    write(json.dumps(facts, indent=2) if as_json else "\n".join(_lines(facts)))
    if not facts["adopted"]:
        raise typer.Exit(1)


def _place(key: str) -> KeyPlace:
    if not key.startswith(SCHEME):
        return Path(key)
    try:
        return Pkcs11Uri.parse(key)
    except ValueError as error:
        raise ConfigError("CFG001", f"--key: {error}.", "Write it as annex B of PROTOCOL.md says.") from error


def _party(der: bytes, path: Path, agreement: Agreement) -> Enterprise:
    """Raises ConfigError (CFG028)."""
    parties = ", ".join(sorted(map(str, agreement.parties))) or "nobody"
    try:
        party = read_leaf(der, Usage.SIGNING).enterprise
    except Refusal as refusal:
        raise ConfigError(
            "CFG028", f"{path}: no signing certificate ({refusal.about}).", "See certs/README.md."
        ) from refusal
    if party not in agreement.parties:
        raise ConfigError(
            "CFG028", f"{path}: {party} is no party of this revision.", f"Its parties are {parties}."
        )
    return party


def _write(output: Path, data: bytes) -> None:
    try:
        write_file(output, data)
    except ExistsError as error:
        raise ConfigError("CFG028", f"{error}.", "Name a new file, or remove the old one.") from error
    except OSError as error:
        raise ConfigError("CFG028", f"{output}: {error.strerror}.", "Name a place to write.") from error


def _told(agreement: Agreement, judged: Sequence[Signature]) -> dict[str, Any]:
    signed = {one.party: one for one in judged if one.party is not None}
    rows = [_row(party, signed.get(party)) for party in sorted(agreement.parties, key=str)]
    return {
        "id": agreement.id,
        "number": agreement.number,
        "revision": agreement.revision,
        "adopted": bool(rows) and all(row["file"] for row in rows),
        "parties": rows,
        "others": [_row(one.party, one) for one in judged if one.party not in agreement.parties],
    }


def _row(party: Enterprise | None, one: Signature | None) -> dict[str, Any]:
    time = None if one is None or one.time is None else one.time.isoformat()
    return {
        "party": None if party is None else str(party),
        "signed": time,
        "file": None if one is None else one.name,
        "fault": one.fault or None if one is not None else None,
    }


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    yield f"{facts['id']} number {facts['number']}, revision {facts['revision']}"
    for row in facts["parties"]:
        yield f"{row['party']:<28}" + (f"{row['signed']}  {row['file']}" if row["file"] else "has not signed")
    for row in facts["others"]:
        why = row["fault"] or f"{row['party']} is no party"
        yield f"{row['file']}: counts for nothing ({why})"
    yield "Adopted by all its parties." if facts["adopted"] else "Not adopted."
