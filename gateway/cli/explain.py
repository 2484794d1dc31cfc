"""`gateway explain`: what happened to one exchange, stage by stage, and by which clause of the agreement."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_replay import Recorded, ReplayReader
from gateway.agreement.finding import AgreementError
from gateway.agreement.load import Agreement
from gateway.agreement.register import Register
from gateway.cli.agreement_named import IN_FORCE, kept
from gateway.cli.explained import described, print_explanation
from gateway.cli.log_filter import known_authority
from gateway.cli.log_officer import Acting, acting
from gateway.cli.log_place import AsJson, Place, Settled, Which, explained, find
from gateway.cli.log_told import print_json
from gateway.cli.operational_line import line_of
from gateway.config import Right
from gateway.exchangelog.fields import FieldPlan
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.leaf import Leaf
from gateway.model import Authority, AuthorityId, DossierScope, OperationName
from gateway.policy.explanation import (
    EXCHANGES,
    Asked,
    Evidence,
    Explanation,
    code_of,
    own,
)
from gateway.policy.explanation import (
    explain as explained_by,
)
from gateway.policy.past import as_of, decided_at
from gateway.policy.replay import About, about
from gateway.policy.stages import reached

_TICKET: Final = "ticket:"  # before a ticket that could be an index
_DIGITS: Final = 18  # of an index


def explain(
    reference: Annotated[
        str,
        typer.Argument(
            help="Incident of a fault, ticketGateway, index of an entry; with --as also a ticket."
        ),
    ],
    *,
    config: Settled,
    log: Which = None,
    viewer: Annotated[
        str | None,
        typer.Option("--as", help="Tell no more than this authority may know: its id in the register."),
    ] = None,
    operational_log: Annotated[
        Path | None,
        typer.Option(
            "--operational-log",
            help="File with the hub's JSON lines: of a caller that was not identified the exchange log has nothing.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain an exchange: which stages it passed, why it was refused, what was released and withheld.

    With --as, what is another authority's is answered as what does not exist. An authority's officer is told what
    that authority may know.
    """
    with explained():
        place = find(None, config, log=log)
        assert place.register is not None  # with settings there is one
        seen_by = _viewer(viewer, place, acting(config, place))
        keys = place.opened_keys()
        assert keys is not None  # with settings there are some
        with ReplayReader.open(place.store, keys) as reader, LogReader.open(place.store) as entries:
            look = _Look(reader, entries, place.register, seen_by)
            found, line = look.up(reference, operational_log)
    if as_json:
        print_json(described(found, place, seen_by, line))
    else:
        print_explanation(found, place, seen_by, line)


def _viewer(given: str | None, place: Place, officer: Acting | None) -> Authority | None:
    """For whose eyes it is; None: for those of an officer of the whole log. Raises `ProofError` (LOG733, LOG510)."""
    assert officer is not None  # there are settings
    assert place.register is not None
    officer.require(Right.SEARCH)
    named = None if given is None else AuthorityId(known_authority("--as", given, place))
    if officer.party is None:
        return None if named is None else place.register.by_id[named]
    own_id = AuthorityId(officer.officer.authority)
    if named not in {None, own_id}:
        officer.require_whole(f"--as {named}")
    return place.register.by_id[own_id]


@dataclass(frozen=True, slots=True)
class _Look:
    """One look into a store, for the officer or for an authority."""

    reader: ReplayReader
    log: LogReader
    register: Register
    seen_by: Authority | None

    def up(
        self, reference: str, operational_log: Path | None
    ) -> tuple[Explanation, Mapping[str, object] | None]:
        """The exchange, and the line of the operational log. Raises `ProofError` (LOG650, LOG751, LOG509)."""
        found, line = self._recorded(reference), None
        if operational_log is not None:
            exchange = reference if found is None else found.entries[0].leaf.id
            line = self._line(operational_log, exchange)
        if found is None and line is not None:
            found = self._unrecorded(line)
        if found is None:
            raise ProofError(Flaw.PRUNED if self._pruned(reference) else Flaw.REFERENCE)
        return found, line

    def _recorded(self, reference: str) -> Explanation | None:
        """The first exchange that the reference may mean and that may be told."""
        for exchange in self._meant(reference):
            recorded = [(one, leaf) for one in self.reader.exchange(exchange) if (leaf := self._told(one))]
            if recorded:
                return self._explained(recorded)
        return None

    def _unrecorded(self, line: Mapping[str, object]) -> Explanation:
        """What the operational log alone tells: the caller was not identified, or the exchange not recorded."""
        agreement = self._revision(IN_FORCE)
        operation = line.get("operation")
        name = None if operation is None else OperationName(str(operation))
        asked = Asked(self.register.by_id.get(AuthorityId(str(line.get("peer")))), name, None, agreement)
        code = code_of(str(line.get("code")))
        return Explanation((), asked, code, reached(asked.terms, (), code), None, (), None, None)

    def _pruned(self, reference: str) -> bool:
        """An index below the minimum, which is published: whose entry stood there is nobody's to know any more."""
        return self._is_index(reference) and int(reference) < self.reader.minimum()

    @staticmethod
    def _is_index(reference: str) -> bool:
        return reference.isascii() and reference.isdecimal() and len(reference) <= _DIGITS

    def _meant(self, reference: str) -> Iterator[str]:
        """Exchanges, in the order in which a reference is understood: index, exchange, ticket."""
        if self._is_index(reference) and (exchange := self.reader.exchange_at(int(reference))):
            yield exchange
        with suppress(ValueError):
            yield str(uuid.UUID(reference))
        ticket = reference.removeprefix(_TICKET)
        if self.seen_by is not None and (exchange := self.reader.exchange_of(self.seen_by.id, ticket)):
            yield exchange

    def _told(self, recorded: Recorded) -> Leaf | None:
        """None for an entry that is no exchange, that is malformed, or that is not the viewer's."""
        try:
            leaf = Leaf.parse(recorded.leaf)
        except ProofError:
            if self.seen_by is None:
                raise
            return None
        mine = self.seen_by is None or own(leaf, self.seen_by)
        return leaf if mine and leaf.kind in EXCHANGES else None

    def _explained(self, recorded: Sequence[tuple[Recorded, Leaf]]) -> Explanation:
        entries = [Evidence(one.index, leaf, self._verdicts(one)) for one, leaf in recorded]
        revision = entries[0].leaf.revision
        agreement = None if revision is None else self._revision(revision)
        if self.seen_by is not None:
            return explained_by(entries, agreement, self.register, None)
        deliveries = self.reader.deliveries(entries[0].leaf.id)
        return explained_by(entries, agreement, self.register, self._dossier(*recorded[0]), deliveries)

    def _verdicts(self, recorded: Recorded) -> Mapping[str, str | None] | None:
        return None if recorded.view is None else FieldPlan.parse(self.reader.vector(recorded.view)).verdicts

    def _dossier(self, recorded: Recorded, leaf: Leaf) -> tuple[About, DossierScope | None, datetime]:
        moment = decided_at(leaf.time, recorded.received)
        known = self.reader.dossier(recorded)
        scope = None if known is None else as_of(*known, moment)
        return about(seeded=recorded.bucket is not None, known=recorded.dossier is not None), scope, moment

    def _revision(self, revision: str) -> Agreement | None:
        try:
            return kept(self.log, revision)
        except (ProofError, AgreementError):
            return None

    def _line(self, path: Path, exchange: str) -> Mapping[str, object] | None:
        """An authority is told of a line of its own TLS certificate only."""
        line = line_of(path, exchange)
        mine = line is not None and (self.seen_by is None or line.get("peer") == self.seen_by.id)
        return line if mine else None
