"""`gateway call`: one signed question or notification from the shell, as an authority of a sandbox."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import call_reply
from gateway.cli.lines import write
from gateway.cli.output import is_writable, write_output
from gateway.cli.sandbox import DEFAULT
from gateway.config import ConfigError
from gateway.kept import read_reply
from gateway.model import SERVICE, AuthorityId
from gateway.sandbox.files import read_payload
from gateway.sandbox.place import Place
from gateway.sandbox.watching import Watch
from gateway.soap.envelope import read
from gateway.soap.xml import Element, Limits

if TYPE_CHECKING:
    from gateway.sandbox.client import Requester
    from gateway.sandbox.replies import Answered, Receipted

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2


def call(  # noqa: PLR0917 - one parameter for each option of the command
    operation: Annotated[
        str,
        typer.Argument(help="Operation of the served contract, such as consultDossier or submitApplication."),
    ],
    authority: Annotated[str, typer.Option("--as", help="Who asks or tells: an id of the register.")],
    context: Annotated[str, typer.Option("--context", help="Legal context, such as WIB:WORK_DECISION.")],
    world: Annotated[Path, typer.Option("--world", help="Directory of a running sandbox.")] = DEFAULT,
    dossier: Annotated[str | None, typer.Option("--dossier", help="Dossier number.")] = None,
    payload: Annotated[
        Path | None,
        typer.Option("--payload", help="A notification: XML file with the dossier element that it tells."),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Role whose file is meant: PLAT REG OE CONS MUN NSSO.")
    ] = None,
    ssin: Annotated[str | None, typer.Option("--ssin", help="INSZ of the worker.")] = None,
    period_start: Annotated[str | None, typer.Option("--period-start", help="First day, 2026-01-31.")] = None,
    period_end: Annotated[str | None, typer.Option("--period-end", help="Last day.")] = None,
    document_reference: Annotated[
        str | None, typer.Option("--document-reference", help="As the dossier names it.")
    ] = None,
    document_type: Annotated[str | None, typer.Option("--document-type", help="Such as CONTRACT.")] = None,
    document_sha256: Annotated[
        str | None, typer.Option("--document-sha256", help="As the dossier names it.")
    ] = None,
    message: Annotated[
        str | None, typer.Option("--message", help="Mailbox: the message, as listMessages names it.")
    ] = None,
    after: Annotated[
        str | None, typer.Option("--after", help="listMessages: only what follows this message.")
    ] = None,
    wait: Annotated[
        int | None,
        typer.Option("--wait", min=0, max=30, help="listMessages: seconds to wait for a first message."),
    ] = None,
    echo: Annotated[str | None, typer.Option("--echo", help="sendTestMessage: what is to come back.")] = None,
    about: Annotated[
        str | None, typer.Option("--about", help="checkAccessControl: only this operation.")
    ] = None,
    ticket: Annotated[str, typer.Option("--ticket", help="Your own reference; by default a new UUID.")] = "",
    soap12: Annotated[bool, typer.Option("--soap12", help="Use SOAP 1.2 instead of 1.1.")] = False,
    save: Annotated[Path | None, typer.Option("--save", help="Write the signed reply to this file.")] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="checkAccessControl: what is refused, too, and every field.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reply as JSON.")] = False,
) -> None:
    """Ask or tell one thing and print the verified reply. Exit status 1 when it is refused."""
    criteria = {
        "dossierNumber": dossier,
        "operation": about,
        "source": source,
        "ssin": ssin,
        "periodStart": period_start,
        "periodEnd": period_end,
        "documentReference": document_reference,
        "documentType": document_type,
        "documentSha256": document_sha256,
        "messageId": message,
        "after": after,
        "waitSeconds": None if wait is None else str(wait),
        "echo": echo,
    }
    given = {name: value for name, value in criteria.items() if value is not None}
    if save is not None:
        _require_writable(save, payload)
    told = None if payload is None else _read(payload)
    sent = _Sent(operation, authority, context, given, told, ticket)
    with _explained(world, as_json=as_json):
        reply = sent.exchange(Place(world), soap12=soap12)
    if save is not None:
        _save(save, reply.message)
    write(
        call_reply.as_json(reply)
        if as_json
        else _words(reply, rights=operation == "checkAccessControl" and not show_all)
    )


@dataclass(frozen=True, slots=True)
class _Sent:
    """What was given on the command line."""

    operation: str
    authority: str
    context: str
    criteria: Mapping[str, str]
    payload: Element | None
    ticket: str

    def exchange(self, place: Place, *, soap12: bool) -> Answered | Receipted:
        """The verified reply. Raises ConfigError for what cannot be sent, and what `Requester` raises."""
        from gateway.sandbox.client import Requester  # loads zeep

        self._require_texts()
        requester = Requester(place, place.authority(self.authority), soap12=soap12)
        self._require_known(requester)
        self._require_criteria(requester.criteria(self.operation))
        tells = requester.tells(self.operation)
        if tells is (self.payload is None):
            word = "needs" if tells else "has no"
            remedy = "A notification tells something, a question does not."
            raise ConfigError("SBX011", f"{self.operation} {word} --payload.", remedy)
        reply = self._exchanged(requester)
        held = read_reply(read(reply.message, Limits()).body[0])
        if held.receipt is not None:
            pin = place.log_pin(AuthorityId(self.authority))
            Watch(pin, requester.log_resource, place.log_keys()).seen(held.receipt.checkpoint)
        return reply

    def _exchanged(self, requester: Requester) -> Answered | Receipted:
        if self.payload is None:
            return requester.ask(self.operation, self.context, self.criteria, self.ticket)
        number = self.criteria["dossierNumber"]
        return requester.tell(self.operation, self.context, number, self.payload, self.ticket)

    def _require_texts(self) -> None:
        """Raises ConfigError for what no XML can carry."""
        for text in (self.context, self.ticket, *self.criteria.values()):
            if _NOT_XML.search(text):
                sentence = f"{text!a} has a character that no message can carry."
                raise ConfigError("SBX011", sentence, "Leave it out.")

    def _require_known(self, requester: Requester) -> None:
        if self.operation not in requester.operations:
            known = ", ".join(requester.operations)
            sentence = f"{self.operation} is not in the contract served to {self.authority}."
            raise ConfigError("SBX009", sentence, f"Use one of {known}.")

    def _require_criteria(self, known: Mapping[str, bool]) -> None:
        takes = f"It takes {', '.join(_option(name) for name in known)}."
        for name in self.criteria:
            if name not in known:
                raise ConfigError("SBX011", f"{self.operation} has no {_option(name)}.", takes)
        missing = [_option(name) for name, needed in known.items() if needed and name not in self.criteria]
        if missing:
            raise ConfigError("SBX011", f"{self.operation} needs {', '.join(missing)}.", takes)


@contextmanager
def _explained(world: Path, *, as_json: bool) -> Iterator[None]:
    """What may happen to an exchange, in words with a remedy."""
    from gateway.sandbox.client import (  # loads zeep
        ExchangeFault,
        NoReply,
        UnprovenReply,
        Unsendable,
        UntrustedReply,
    )

    try:
        yield
    except ExchangeFault as fault:
        call_reply.refused(fault, in_json=as_json)
    except Unsendable as trouble:
        raise ConfigError(
            "SBX011",
            "Not sent: the values do not have the form of the contract.",
            "gateway call --help names every option; the contract served to you has the elements of --payload.",
        ) from trouble
    except NoReply as trouble:
        place = Place(world)
        remedy = f"See {place.hub_log}." if trouble.reached else "Is the sandbox of --world running?"
        url = place.settings.listen.public_url
        raise ConfigError("SBX007", f"No usable answer from {url}: {trouble}.", remedy) from trouble
    except UnprovenReply as trouble:
        raise trouble.error from trouble
    except UntrustedReply as trouble:
        raise ConfigError(
            "SBX008", f"The reply is not the hub's: {trouble}.", "Do not use it; check --world."
        ) from trouble
    except OSError as error:  # a file of the sandbox's own
        raise ConfigError(
            "SBX006",
            f"{error.filename or world}: the sandbox is not complete.",
            "Start it again, or name another directory.",
        ) from error


def _words(reply: Answered | Receipted, *, rights: bool) -> str:
    from gateway.sandbox.replies import Receipted

    if isinstance(reply, Receipted):
        return call_reply.receipt(reply)
    return call_reply.rights(reply) if rights else call_reply.answer(reply)


def _read(path: Path) -> Element:
    """The dossier element in a file. Raises ConfigError."""
    try:
        return read_payload(path)
    except OSError as error:
        raise ConfigError(
            "SBX015", f"{path}: {error.strerror}.", "Name an XML file with --payload."
        ) from error
    except ValueError as error:
        raise ConfigError(
            "SBX015", f"{path}: {error}.", f"A notification tells one dossier element of {SERVICE}."
        ) from error


def _require_writable(path: Path, payload: Path | None) -> None:
    """Before anything is asked: an exchange is recorded and uses up its ticket."""
    if not is_writable(path, payload):
        raise ConfigError(
            "SBX014", f"{path}: cannot be written.", "Name another file, in a directory that is there."
        )


def _save(path: Path, message: bytes) -> None:
    try:
        write_output(path, message, private=True)
    except OSError as error:
        raise ConfigError("SBX014", f"{path}: {error.strerror}.", "The exchange took place.") from error


def _option(criterion: str) -> str:
    """The option of a criterion: dossierNumber → --dossier."""
    own = {
        "dossierNumber": "--dossier",
        "operation": "--about",
        "messageId": "--message",
        "waitSeconds": "--wait",
    }
    return own.get(criterion) or "--" + re.sub(r"(?=[A-Z])", "-", criterion).lower()
