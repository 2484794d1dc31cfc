"""`gateway pki`: the development PKI, from its making to the end of a certificate.

Rules are `identity`'s, files are `adapters.pki`'s; here is what the operator types and reads.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.hazmat.primitives.serialization import Encoding
from rich.console import Console
from typer.core import TyperGroup

from gateway.adapters.pki import write_file, write_pki
from gateway.cli import pki_enrolment, pki_rotate
from gateway.cli.lines import write
from gateway.cli.pki_files import (
    PkiError,
    alone,
    fail,
    holder_of,
    read,
    read_issuer,
    read_list,
    read_register,
    renew,
    require_unused_key,
    serial_and_issuer,
    written,
    zoned_time,
)
from gateway.cli.pki_show import describe, lines
from gateway.exchangelog.flaw import ProofError
from gateway.identity.certify import certify, request
from gateway.identity.issue import KeyKind, certificates_pem, issue_pki, new_ec_key, new_key, private_pem
from gateway.identity.leaf import Purpose
from gateway.reading import FORESEEN, in_words
from gateway.refusal import Refusal


class _Commands(TyperGroup):
    """Shows on stderr what the operator can put right, and ends with status 1."""

    def invoke(self, ctx: Any) -> object:
        try:
            return super().invoke(ctx)
        except PkiError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error
        except FORESEEN as error:
            typer.echo("\n".join(in_words(error)), err=True)
            raise typer.Exit(1) from error


app = typer.Typer(no_args_is_help=True, cls=_Commands)
Directory = Annotated[Path, typer.Argument(help="Directory of the PKI.")]
RegisterFile = Annotated[Path, typer.Option("--register", help="Register of authorities.")]
Now = Annotated[
    datetime | None,
    typer.Option("--now", parser=zoned_time, metavar="TIME", help="Issue as if it were this time."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Name = Annotated[str, typer.Option("--authority", help="Id in the register; HUB is the hub.")]
For = Annotated[Purpose, typer.Option("--for", help="Signing messages, or TLS.")]
_REGISTER = Path("contracts/register.toml")


@app.command()
def init(
    directory: Directory,
    *,
    register: RegisterFile = _REGISTER,
    now: Now = None,
    origin: Annotated[str | None, typer.Option(help="Name of the exchange log in its key.")] = None,
    ec_only: Annotated[bool, typer.Option("--ec-only", help="Give no authority an RSA key.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a development PKI: root, issuing authority, revocation lists, hub and every authority."""
    known, moment = read_register(register), now or _clock()
    with Console(stderr=True).status("Making keys and certificates"):
        try:
            files = issue_pki(
                known.hub, known.authorities, moment, key=new_ec_key if ec_only else new_key, origin=origin
            )
        except ProofError as error:
            fail("PKI009", f"--origin: {error}.", "Give a schema-less URL without space or plus sign.")
        written(lambda: write_pki(directory, files))
    vkey = files[f"{known.hub.id}/log.vkey"].decode().strip()
    facts = {"directory": str(directory), "log_vkey": vkey, "files": sorted(files)}
    text = [f"{directory}: {len(files)} files for {known.hub.id} and {len(known.authorities)} authorities."]
    _print(
        facts,
        [*text, f"exchange log {vkey}", "For development only: its private keys lie beside it."],
        as_json,
    )


@app.command()
def csr(
    directory: Annotated[Path, typer.Argument(help="Where the key and the request go.")],
    *,
    authority: Name,
    purpose: For,
    kind: Annotated[KeyKind, typer.Option(help="Kind of the new key.")] = KeyKind.P256,
    register: RegisterFile = _REGISTER,
    as_json: AsJson = False,
) -> None:
    """Make a key, which stays here, and a certificate signing request for it."""
    holder, key = holder_of(read_register(register), authority), new_key(kind)
    paths = [directory / f"{purpose}.key.pem", directory / f"{purpose}.csr.pem"]
    pem = request(key, holder, purpose).public_bytes(Encoding.PEM)
    written(lambda: directory.mkdir(mode=0o700, parents=True, exist_ok=True))
    for path, content in zip(paths, (private_pem(key), pem), strict=True):
        written(lambda path=path, content=content: write_file(path, content))  # type: ignore[misc]
    _print(
        {"key": str(paths[0]), "request": str(paths[1])},
        [f"{paths[0]}: keep it. {paths[1]}: send it."],
        as_json,
    )


@app.command()
def issue(
    directory: Directory,
    signing_request: Annotated[Path, typer.Argument(metavar="CSR", help="The request, PEM.")],
    *,
    authority: Name,
    purpose: For,
    out: Annotated[Path, typer.Option("--out", help="Where the certificate goes.")],
    register: RegisterFile = _REGISTER,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Sign a request with the issuing authority. The certificate speaks for nobody before a hub enrols it."""
    holder, issuer = holder_of(read_register(register), authority), read_issuer(directory, "issuing")
    pem = read(signing_request)
    require_unused_key(pem, purpose, [directory / holder.id, signing_request.parent, out.parent])
    try:
        certificate = certify(pem, holder, purpose, issuer, now or _clock())
    except Refusal as refusal:
        fail(
            "PKI005",
            f"{signing_request}: refused, {refusal.about}.",
            f"Make it with gateway pki csr --authority {authority}.",
        )
    chain = [certificate, issuer.certificate] if purpose is Purpose.TLS else [certificate]
    written(lambda: write_file(out, certificates_pem(chain)))
    facts = describe(certificate)
    _print({"file": str(out), **facts}, [str(out), *lines(facts)], as_json)


@app.command()
def revoke(
    directory: Directory,
    certificate: Annotated[
        str, typer.Argument(metavar="SERIAL|CERT", help="Serial number in hexadecimal, or a PEM file.")
    ],
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Write a new revocation list with one certificate more. It works once the hub has the new list.

    To end what a certificate may do at one hub, at once and without its issuer: gateway pki withdraw.
    """
    serial, name = serial_and_issuer(directory, certificate)
    with alone(directory):
        listed = read_list(directory, name)
        if listed.get_revoked_certificate_by_serial_number(serial) is not None:
            fail("PKI007", f"{serial:x} is revoked already.", "Nothing is left to do.")
        renew(directory, name, now or _clock(), [serial])
    path = directory / f"{name}.crl.pem"
    _print({"serial": f"{serial:x}", "list": str(path)}, [f"{path}: {serial:x} is revoked."], as_json)


@app.command()
def crl(directory: Directory, now: Now = None, as_json: AsJson = False) -> None:
    """Renew both revocation lists, unchanged. Without a current list nothing is accepted."""
    moment = now or _clock()
    with alone(directory):
        until = {name: renew(directory, name, moment, []).isoformat() for name in ("root", "issuing")}
    _print(
        {"next_update": until}, [f"{name}.crl.pem holds until {end}" for name, end in until.items()], as_json
    )


for _command in (pki_enrolment.enrol, pki_enrolment.withdraw, pki_enrolment.explain, pki_rotate.rotate):
    app.command()(_command)


def _clock() -> datetime:
    return datetime.now(UTC)


def _print(facts: object, text: list[str], as_json: bool) -> None:
    write(json.dumps(facts, indent=2) if as_json else "\n".join(text))
