"""`gateway log subject`: the report that a person may ask for, of who received which of its data, when and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from gateway.adapters.store_filter import Filter
from gateway.adapters.store_former import require_all
from gateway.adapters.store_reader import LogReader
from gateway.agreement.load import Agreement, load_agreement
from gateway.cli.dossier_person import digest_under
from gateway.cli.lines import write
from gateway.cli.log_answer import answered, verified, write_answer
from gateway.cli.log_look_up import Sought, of_person
from gateway.cli.log_officer import Acting, LookUp, acting
from gateway.cli.log_place import (
    AsJson,
    Place,
    Settled,
    explained,
    find,
    require_new,
    require_writable,
    write_file,
)
from gateway.cli.log_subject_page import page
from gateway.cli.log_subject_told import Part, Told, facts
from gateway.config import Right
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Query
from gateway.exchangelog.leaf import Leaf
from gateway.loading import contract_files
from gateway.model import LegalContext, Role
from gateway.policy.subject import Opened, Withheld, report


class Language(StrEnum):
    """Of the names of authorities and roles; the rest of the report is English."""

    NL = "nl"
    FR = "fr"
    DE = "de"
    EN = "en"


def subject(
    insz: Annotated[str, typer.Argument(help='The person\'s INSZ; "-" reads it from standard input.')],
    *,
    config: Settled,
    output: Annotated[
        Path | None, typer.Option("--output", help="File to write, such as report.html.")
    ] = None,
    language: Annotated[
        Language, typer.Option("--language", help="Of the names of authorities and roles.")
    ] = Language.EN,
    withhold: Annotated[
        list[str] | None,
        typer.Option(
            "--withhold",
            help="Leave out this entry, by index (ORIGIN#INDEX of a former log), or all of this legal context, where a "
            "restriction (GDPR art. 23) asks for it; may be repeated. The report says nothing of it, the log commits to it.",
        ),
    ] = None,
    proof: Annotated[
        Path | None,
        typer.Option(
            "--proof",
            help="New directory, for an auditor and not for the person: every entry of the range; beside it "
            "DIRECTORY-former-1 and so on of former logs, the oldest first.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report who received which categories of a person's data, when, why and on which legal basis; as HTML.

    From the log in force and from all that it succeeds. No value of any field is in it. It is recorded in the log
    before it is made.
    """
    with explained():
        place = find(None, config)
        officer = acting(config, place)
        assert officer is not None  # there are settings
        officer.require(Right.SEARCH)
        if proof is not None:
            officer.require(Right.EXPORT)
            officer.require_whole("--proof")
        if output is not None:
            require_writable("--output", output)
        agreement = load_agreement(contract_files(officer.settings.contracts.directory))
        now, logs = datetime.now(UTC), place.succession()
        require_all(logs, agreement.retention.log_years, now)
        places = place.every(logs)
        left_out = _withheld(withhold or (), agreement, [one.origin for one in logs.all])
        proofs = [_directory(proof, number, len(places)) for number in range(1, len(places) + 1)]
        for one in filter(None, proofs):
            require_new("--proof", one)
        sought = of_person(insz, digest_under(config), place.store)
        asked = _Asked(sought, sorted(withhold or ()), officer, agreement, left_out)
        # All of them at the beginning: what is recorded now is no look-up of before this report.
        ranges = [one.whole() for one in places]
        parts = [_part(*one, asked) for one in zip(places, ranges, proofs, strict=True)]
        assert place.register is not None  # settings name one
        told = Told(
            parts=parts,
            lost=logs.lost,
            place=place,
            register=place.register,
            language=language.value,
            agreement=agreement,
            made=now.isoformat(timespec="seconds").replace("+00:00", "Z"),
            authority=officer.party,
        )
        text = json.dumps(facts(told), indent=2) if as_json else page(told)
        if output is not None:
            write_file("--output", output, f"{text}\n".encode(), private=True)
    if output is None:
        write(text)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of each log, by whom."""

    sought: Sought
    withhold: Sequence[str]  # as typed
    officer: Acting
    agreement: Agreement
    left_out: Mapping[str, Withheld]  # by origin


def _part(place: Place, covered: tuple[int, int], proof: Path | None, asked: _Asked) -> Part:
    """What one log tells, once that it is asked is durable. Raises `ProofError`."""
    sought, officer = asked.sought, asked.officer
    wanted = Filter(party=officer.party, about=replace(sought.about, every=True))
    with LogReader.open(place.store, place.opened_keys()) as log:
        question = {"person": sought.value, "withhold": asked.withhold}
        look_up = LookUp(Query.SUBJECT, sought.by, *covered, question, person=sought.person)
        access = officer.record(place, look_up)
        # From here on: that the report was made is durable, so it may be made.
        answer = answered(log, place, wanted, covered)
        signed = verified(log, answer, place) if proof is None else write_answer(proof, log, answer, place)
        left_out = asked.left_out[signed.origin]
        _require_about(left_out, answer.indices, signed.origin)
        opened, agreements = _opened(log, wanted, *covered), _agreements(log, asked.agreement)
        return Part(
            report=report(opened, agreements, _roles(place), left_out),
            start=covered[0],
            end=covered[1],
            unopened=log.unopened(*covered),
            access=access,
            checkpoint=signed,
            note=answer.range.checkpoint,
        )


def _require_about(left_out: Withheld, found: Sequence[int], origin: str) -> None:
    """With a wrong index the report would show what was to be kept back. Raises `ProofError` (LOG510)."""
    others = sorted(left_out.indices.difference(found))
    if others:
        raise ProofError(
            Flaw.UNKNOWN_VALUE, f"--withhold {others[0]}: no entry of {origin} about this person"
        )


def _directory(proof: Path | None, number: int, logs: int) -> Path | None:
    """Of the proof of one log; those of former ones stand beside that of the one in force."""
    return proof if proof is None or number == logs else proof.with_name(f"{proof.name}-former-{number}")


def _opened(log: LogReader, wanted: Filter, start: int, end: int) -> Iterator[Opened]:
    for index, data, about in log.found(wanted, start, end):
        dossier = next((one for one in wanted.about.dossiers if one == about), None) if wanted.about else None
        yield Opened(index, Leaf.parse(data), dossier, log.records(index))


def _agreements(log: LogReader, present: Agreement) -> Callable[[str], Agreement]:
    """The agreement of each revision as the store remembers it; where it does not, the present one."""

    @cache
    def of(revision: str) -> Agreement:
        files = None if revision == present.revision else log.agreement(revision)
        if files is None:
            return present
        past = load_agreement(files)
        if past.revision != revision:
            raise ProofError(Flaw.COLUMN, f"agreement {revision}")
        return past

    return of


def _roles(place: Place) -> Callable[[str], Role | None]:
    assert place.register is not None  # settings name one
    known = {str(one.enterprise): one.role for one in place.register.authorities}
    return known.get


def _withheld(given: Sequence[str], agreement: Agreement, origins: Sequence[str]) -> Mapping[str, Withheld]:
    """By origin; an index without one is of the log in force, the last of them. Raises `ProofError` (LOG510)."""
    indices = dict[str, set[int]]()
    contexts = set[str]()
    for one in given:
        origin, _, index = one.rpartition("#")
        if index.isdecimal() and (origin or origins[-1]) in origins:
            indices.setdefault(origin or origins[-1], set()).add(int(index))
        elif LegalContext(one) in agreement.contexts:
            contexts.add(one)
        else:
            about = f"--withhold {one!r}; an index, ORIGIN#INDEX, or one of {', '.join(agreement.contexts)}"
            raise ProofError(Flaw.UNKNOWN_VALUE, about)
    left_out = frozenset(contexts)
    return {origin: Withheld(frozenset(indices.get(origin, ())), left_out) for origin in origins}
