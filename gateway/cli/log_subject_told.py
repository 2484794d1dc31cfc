"""The report for a person with all that is told beside it: as values for JSON, and for `log_subject_page`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.agreement.register import Register
from gateway.agreement.terms import Agreement
from gateway.cli.log_place import Place
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.note import base64
from gateway.policy.subject import Category, Disclosure, Looked, Report, Waiting


@dataclass(frozen=True, slots=True)
class Part:
    """What one log tells, and what shows that it is whole."""

    report: Report
    start: int  # the entries looked through: from this index, the first that is kept
    end: int  # below this one
    unopened: bool  # of some of them nobody can tell any more whom they are about
    access: int  # the entry that records the report, in the log in force
    checkpoint: Checkpoint
    note: str  # the checkpoint, verbatim


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that the report says."""

    parts: Sequence[Part]  # of each log, the oldest first; the last is of the log in force
    lost: Sequence[str]  # origins of logs of which there is no store any more
    place: Place
    register: Register
    language: str  # of names of authorities: "nl", "fr", "de" or "en"
    agreement: Agreement  # in force now: its title and retention
    made: str
    authority: str | None  # only exchanges in which it took part; None: all

    @property
    def disclosures(self) -> Sequence[tuple[str, Disclosure]]:
        """With each the origin of its log."""
        return [(part.checkpoint.origin, one) for part in self.parts for one in part.report.disclosures]

    @property
    def waiting(self) -> Sequence[tuple[str, Waiting]]:
        return [(part.checkpoint.origin, one) for part in self.parts for one in part.report.waiting]

    @property
    def looked_up(self) -> Sequence[tuple[str, Looked]]:
        return [(part.checkpoint.origin, one) for part in self.parts for one in part.report.looked_up]

    @property
    def unopened(self) -> bool:
        return any(part.unopened for part in self.parts)

    def name(self, party: str) -> str:
        """The authority of an enterprise number, in the language; the number where the register has it no more."""
        found = next((one for one in self.register.names if self.place.parties.get(one) == party), None)
        return party if found is None else str(getattr(self.register.names[found], self.language))

    def names(self, parties: Iterable[str]) -> str:
        return ", ".join(map(self.name, parties))

    def role(self, party: str) -> str:
        """The name of its role, in the language; "" for the hub."""
        found = next((one for one in self.register.authorities if str(one.enterprise) == party), None)
        if found is None or found.role is None:
            return ""
        return str(getattr(self.agreement.roles[found.role].names, self.language))


def facts(told: Told) -> dict[str, object]:
    """For `--json`."""
    *former, present = told.parts
    return {
        "made": told.made,
        "authority": told.authority and told.name(told.authority),
        "agreement": {"title": told.agreement.title, "revision": told.agreement.revision},
        "retention_years": told.agreement.retention.log_years,
        "disclosures": [{"log": log, **_disclosure(told, one)} for log, one in told.disclosures],
        "waiting": [
            {
                "log": log,
                "index": one.index,
                "time": one.time,
                "dossier": one.dossier,
                "recipient": told.name(one.recipient),
                "source": told.name(one.source),
                "operation": one.operation,
            }
            for log, one in told.waiting
        ],
        "looked_up": [
            {"log": log, "index": one.index, "time": one.time, "authority": told.name(one.authority)}
            for log, one in told.looked_up
        ],
        **_part(present),
        "former": [_part(one) for one in former],
        "lost": list(told.lost),
    }


def _part(one: Part) -> dict[str, object]:
    return {
        "origin": one.checkpoint.origin,
        "size": one.checkpoint.size,
        "root": base64(one.checkpoint.root),
        "range": {"start": one.start, "end": one.end},
        "verified": True,  # else there is no report
        "unopened": one.unopened,
        "access": one.access,
        "checkpoint": one.note,
    }


def _disclosure(told: Told, one: Disclosure) -> dict[str, object]:
    return {
        "index": one.index,
        "exchange": one.exchange,
        "time": one.time,
        "dossier": one.dossier,
        "recipient": told.name(one.recipient),
        "recipient_number": one.recipient,
        "role": told.role(one.recipient),
        "sources": [told.name(source) for source in one.sources],
        "operation": one.operation,
        "legal_context": one.legal_context,
        "purpose": one.purpose,
        "categories": [_category(category) for category in one.categories],
        "bases": dict(one.bases),
        "revision": one.revision,
        "state": one.state.value,
    }


def _category(one: Category) -> dict[str, object]:
    return {"code": one.code, "name": one.name, "fields": list(one.fields), "document": one.document}
