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
from gateway.cli.lines import plain, write
from gateway.cli.log_place import AsJson, explained
from gateway.config import ConfigError, KeyPlace
from gateway.evidence import adoption
from gateway.evidence.adoption import Judge, Signature
from gateway.evidence.xades import signer_of
from gateway.exchangelog.flaw import ProofError
from gateway.identity.chain import require_time
from gateway.identity.leaf import Usage, read_leaf
from gateway.identity.trust import Trust
from gateway.model import Enterprise
from gateway.reading import clock, contract_files, read, read_pair, signature_files
from gateway.refusal import Refusal
from gateway.wss.sign import SigningKey

Contracts = Annotated[
    Path, typer.Option("--contracts", help="Directory with agreement.toml and the files beside it.")
]
_DEFAULT = Path("contracts")


def sign(
    certificate: Annotated[Path, typer.Option("--certificate", help="PEM: a signing certificate of yours.")],
    key: Annotated[
        str, typer.Option("--key", help="PEM file of its private key, or a PKCS #11 URI (RFC 7512).")
    ],
    output: Annotated[Path, typer.Option("--output", help="File to write, a name that ends in .xml.")],
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
        _write(output, _signed(agreement, pair, key))
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
    in_force: Annotated[
        bool, typer.Option("--in-force", help="It is in force: certificates may have ended since.")
    ] = False,
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
        files = signature_files(found)
        judged = list(Judge(agreement.files, trust, clock(), in_force).of(files))
    facts = _told(agreement, judged)
    write(json.dumps(facts, indent=2) if as_json else "\n".join(map(plain, _lines(facts))))
    if not facts["adopted"]:
        raise typer.Exit(1)


def _signed(agreement: Agreement, pair: SigningKey, key: str) -> bytes:
    """Raises ConfigError (CFG037): what a gateway would not take is not written."""
    try:
        data = adoption.sign(agreement.files, pair, clock())
        if signer_of(data, agreement.files) is None:
            raise ConfigError(
                "CFG037", "a file of the agreement has a name that cannot be signed.", "Rename it."
            )
    except (Refusal, ProofError) as error:
        raise ConfigError(
            "CFG037", f"{key}: did not sign.", "See whether it is there, and its token."
        ) from error
    return data


def _place(key: str) -> KeyPlace:
    if not key.startswith(SCHEME):
        return Path(key)
    try:
        return Pkcs11Uri.parse(key)
    except ValueError as error:
        raise ConfigError("CFG001", f"--key: {error}.", "Write it as annex B of PROTOCOL.md says.") from error


def _party(der: bytes, path: Path, agreement: Agreement) -> Enterprise:
    """Raises ConfigError (CFG037)."""
    parties = ", ".join(sorted(map(str, agreement.parties))) or "nobody"
    try:
        leaf = read_leaf(der, Usage.SIGNING)
        require_time(leaf.certificate, clock())
    except Refusal as refusal:
        raise ConfigError(
            "CFG037", f"{path}: no signing certificate of this day ({refusal.about}).", "See certs/README.md."
        ) from refusal
    party = leaf.enterprise
    if party not in agreement.parties:
        raise ConfigError(
            "CFG037", f"{path}: {party} is no party of this revision.", f"Its parties are {parties}."
        )
    return party


def _write(output: Path, data: bytes) -> None:
    if output.suffix != ".xml":
        raise ConfigError("CFG037", f"{output}: a gateway reads *.xml only.", "Name it so.")
    try:
        write_file(output, data)
    except ExistsError as error:
        raise ConfigError("CFG037", f"{error}.", "Name a new file, or remove the old one.") from error
    except OSError as error:
        raise ConfigError("CFG037", f"{output}: {error.strerror}.", "Name a place to write.") from error


def _told(agreement: Agreement, judged: Sequence[Signature]) -> dict[str, Any]:
    by_party = adoption.signed(judged)
    rows = [_row(party, by_party.get(party)) for party in sorted(agreement.parties, key=str)]
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
