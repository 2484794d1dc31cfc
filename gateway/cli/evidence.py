"""`gateway evidence`: an exchange in one file (ASiC-E) that anybody can check offline, and that check."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificates

from gateway.adapters.store_evidence import EvidenceReader
from gateway.adapters.store_replay import ReplayReader
from gateway.cli.evidence_told import holds, print_shown, told
from gateway.cli.log_officer import Acting, LookUp, acting
from gateway.cli.log_place import (
    AsJson,
    Config,
    Place,
    Settled,
    Vkey,
    VkeyFile,
    Which,
    explained,
    find,
    named,
    read_file,
    require_writable,
    write_file,
)
from gateway.cli.log_told import print_json
from gateway.config import Keys, Right
from gateway.evidence.check import Given, check
from gateway.evidence.contents import Contents
from gateway.evidence.file import written
from gateway.exchangelog.checkpoint import MAX_SIZE, open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Query, SearchedBy
from gateway.model import DossierNumber
from gateway.reading import clock, read_pair
from gateway.refusal import Refusal

app = typer.Typer(no_args_is_help=True)

Index = Annotated[int, typer.Argument(min=0, max=MAX_SIZE, help="Index of an entry of the exchange.")]


@app.command()
def export(
    index: Index,
    *,
    config: Settled,
    log: Which = None,
    vkey: Vkey = None,
    output: Annotated[Path, typer.Option("--output", help="File to write; name it *.asice.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            help="Prove under this checkpoint of the log, such as one with cosignatures or a time stamp, "
            "instead of the present one.",
        ),
    ] = None,
    timestamp: Annotated[
        Path | None,
        typer.Option(
            "--timestamp", help="RFC 3161 response that was made of the file that --checkpoint names."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write all that is kept of an exchange, and its proof, into one signed file. It holds personal data.

    For officers of the whole log: messages are whole, with what their recipients were not shown. It is recorded in
    the log before the file is written. The file is checked once it is written; exit status 1 when it does not hold.
    """
    with explained():
        place = find(None, config, vkey, log=log)
        officer = _exporting(acting(config, place))
        settings = officer.settings
        require_writable("--output", output, checkpoint, timestamp)
        note, token = _under(checkpoint, timestamp, place)
        with (
            EvidenceReader.open(place.store, place.opened_keys()) as reader,
            EvidenceReader.open(place.recording.store) as present,
        ):
            contents = reader.contents(index, clock(), note, token, present)
        data = _signed(contents, settings.keys)
        access = officer.record(place, _look_up(index, contents, data, place))
        # From here on: who has the file, and which file it is, is durable, so it may be written.
        write_file("--output", output, data, private=True)
        anchors = [read_file("trust.anchors", one) for one in settings.trust.anchors]
        shown = check(data, Given(place.keys, anchors))
    facts = {"file": str(output), "sha256": hashlib.sha256(data).hexdigest(), "access": access}
    if as_json:
        print_json(facts | told(shown, place.name))
    else:
        print_shown(shown, place.name)
        typer.echo(f"recorded as entry {access}", err=True)
    if not holds(shown):
        raise typer.Exit(1)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The evidence file.")],
    *,
    config: Config = None,
    vkey: Vkey = None,
    vkey_file: VkeyFile = None,
    anchor: Annotated[
        list[Path] | None,
        typer.Option("--anchor", help="PEM: a root certificate to believe. Again for others."),
    ] = None,
    crl: Annotated[
        list[Path] | None,
        typer.Option("--crl", help="PEM or DER: a revocation list besides those in the file."),
    ] = None,
    tsa_anchor: Annotated[
        list[Path] | None,
        typer.Option("--tsa-anchor", help="PEM: a root certificate of time-stamping authorities."),
    ] = None,
    tsa_crl: Annotated[
        list[Path] | None,
        typer.Option(
            "--tsa-crl",
            help="PEM or DER: a revocation list of time-stamping authorities, besides those in the token.",
        ),
    ] = None,
    document: Annotated[
        list[Path] | None,
        typer.Option("--document", help="A document that a message in the file names by its digest."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check an evidence file, offline, and report everything that is wrong. Exit status 1 when it does not hold.

    Needs the log's key, and the anchors, from somebody else than who sent the file.
    """
    with explained():
        place = find(None, config, vkey, vkey_file, needs_store=False)
        documents = [read_file("--document", one) for one in document or ()]
        given = Given(
            verifiers=place.keys,
            anchors=_roots("--anchor", anchor or ()),
            crls=[read_file("--crl", one) for one in crl or ()],
            tsa_anchors=_roots("--tsa-anchor", tsa_anchor or ()),
            tsa_crls=[read_file("--tsa-crl", one) for one in tsa_crl or ()],
            documents={hashlib.sha256(one).hexdigest(): one for one in documents},
        )
        shown = check(read_file("FILE", file), given)
    if as_json:
        print_json(told(shown, place.name))
    else:
        print_shown(shown, place.name)
    if not holds(shown):
        raise typer.Exit(1)


def _roots(option: str, paths: Iterable[Path]) -> Sequence[bytes]:
    """Files of root certificates: of one that holds none, every signature would be told as broken.

    Raises `ProofError` (LOG509).
    """
    found = [(path, read_file(option, path)) for path in paths]
    for path, data in found:
        try:
            (load_pem_x509_certificates if b"-----BEGIN" in data else load_der_x509_certificate)(data)
        except ValueError as error:
            raise ProofError(Flaw.FILE, f"{option} {path}: holds no certificate") from error
    return [data for _, data in found]


def _exporting(officer: Acting | None) -> Acting:
    """Raises `ProofError` (LOG733)."""
    assert officer is not None  # there are settings
    officer.require(Right.EXPORT)
    officer.require(Right.PERSON)
    officer.require_whole("evidence export")
    return officer


def _look_up(index: int, contents: Contents, data: bytes, place: Place) -> LookUp:
    """Which exchange, and the file that was made of it: the record commits to both."""
    indices = [one.index for one in contents.entries]
    asked = {"entry": str(index), "sha256": hashlib.sha256(data).hexdigest()}
    dossier = _dossier(indices, place)
    return LookUp(Query.EVIDENCE, SearchedBy.ENTRY, indices[0], indices[-1] + 1, asked, dossier)


def _dossier(indices: Iterable[int], place: Place) -> DossierNumber | None:
    """What the exchange is about, so that whoever looks for it finds who has the file; None for what the directory
    does not know.
    """
    keys = place.opened_keys()
    assert keys is not None  # with settings there are some
    with ReplayReader.open(place.store, keys) as reader:
        exchanges = {one for index in indices if (one := reader.exchange_at(index)) is not None}
        known = [reader.dossier(one) for exchange in exchanges for one in reader.exchange(exchange)]
    return next((one[0].dossier for one in known if one is not None), None)


def _under(
    checkpoint: Path | None, timestamp: Path | None, place: Place
) -> tuple[bytes | None, bytes | None]:
    """The checkpoint to prove under, and the token that was made of it. Raises `ProofError`."""
    if timestamp is not None and checkpoint is None:
        raise ProofError(Flaw.TIMESTAMP, "--timestamp needs the file that was stamped: --checkpoint")
    note = None if checkpoint is None else read_file("--checkpoint", checkpoint)
    if note is not None and checkpoint is not None:
        with named("--checkpoint", checkpoint):
            open_checkpoint(note, place.keys)
    return note, None if timestamp is None else read_file("--timestamp", timestamp)


def _signed(contents: Contents, keys: Keys) -> bytes:
    """The file. Raises ConfigError, StartError, `ProofError`."""
    pair = read_pair(keys.sign_rsa_certificate, keys.sign_rsa_key)
    try:
        return written(contents, pair, clock())
    except Refusal as error:
        raise ProofError(Flaw.UNSIGNED_FILE) from error
