"""`gateway log subject`: the report that a person may ask for, of who received which of its data, when and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from gateway.adapters.store_filter import Filter
from gateway.adapters.store_reader import LogReader
from gateway.agreement.load import Agreement, load_agreement
from gateway.cli.dossier_person import digest_under
from gateway.cli.lines import write
from gateway.cli.log_answer import answered, verified, write_answer
from gateway.cli.log_look_up import of_person
from gateway.cli.log_officer import LookUp, acting
from gateway.cli.log_place import AsJson, Place, Settled, explained, find, write_file
from gateway.cli.log_subject_page import page
from gateway.cli.log_subject_told import Told, facts
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
            help="Leave out this entry, by index, or all of this legal context, where a restriction (GDPR art. 23) "
            "asks for it; may be repeated. The report says nothing of it, the log commits to it.",
        ),
    ] = None,
    proof: Annotated[
        Path | None,
        typer.Option(
            "--proof", help="New directory, for an auditor and not for the person: every entry of the range."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report who received which categories of a person's data, when, why and on which legal basis; as HTML.

    No value of any field is in it. It is recorded in the log before it is made.
    """
    with explained():
        place = find(None, config)
        officer = acting(config, place)
        assert officer is not None  # there are settings
        officer.require(Right.SEARCH)
        if proof is not None:
            officer.require(Right.EXPORT)
            officer.require_whole("--proof")
        agreement = load_agreement(contract_files(officer.settings.contracts.directory))
        left_out = _withheld(withhold or (), agreement)
        sought = of_person(insz, digest_under(config), place.store)
        wanted = Filter(party=officer.party, about=replace(sought.about, every=True))
        with LogReader.open(place.store, place.opened_keys()) as log:
            start, end = log.minimum, log.head().size
            asked = {"person": sought.value, "withhold": sorted(withhold or ())}
            look_up = LookUp(Query.SUBJECT, sought.by, start, end, asked, person=sought.person)
            access = officer.record(place.store, look_up)
            # From here on: that the report was made is durable, so it may be made.
            answer = answered(log, place, wanted, (start, end))
            signed = (
                verified(log, answer, place) if proof is None else write_answer(proof, log, answer, place)
            )
            made = report(
                _opened(log, wanted, start, end), _agreements(log, agreement), _roles(place), left_out
            )
            unopened = log.unopened(start, end)
        assert place.register is not None  # settings name one
        told = Told(
            report=made,
            place=place,
            register=place.register,
            language=language.value,
            agreement=agreement,
            made=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            authority=officer.party,
            start=start,
            end=end,
            unopened=unopened,
            access=access,
            checkpoint=signed,
            note=answer.range.checkpoint,
        )
        text = json.dumps(facts(told), indent=2) if as_json else page(told)
        if output is not None:
            write_file("--output", output, f"{text}\n".encode(), private=True)
    if output is None:
        write(text)


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


def _withheld(given: Sequence[str], agreement: Agreement) -> Withheld:
    """Raises `ProofError` (LOG510)."""
    indices = frozenset(int(one) for one in given if one.isdecimal())
    contexts = frozenset(one for one in given if not one.isdecimal())
    for one in contexts:
        if LegalContext(one) not in agreement.contexts:
            about = f"--withhold {one!r}; an index, or one of {', '.join(agreement.contexts)}"
            raise ProofError(Flaw.UNKNOWN_VALUE, about)
    return Withheld(indices, contexts)
