"""A revision of the agreement written out: every term as a place, and the words that stand there.

What is written out is all that decides something, with its legal basis, so that two revisions can be compared
term by term. Comparing them is for `difference`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from gateway.agreement.facts_course import course_facts
from gateway.agreement.schema import leaves
from gateway.agreement.section import EVERY, Fact, Place, Section, Words, source_words
from gateway.agreement.terms import Agreement, Names, Operation, Source
from gateway.model import FieldId, OperationName, Pattern, Role


def facts(agreement: Agreement) -> Mapping[Place, Words]:
    """Everything that the revision says. A place that grants nothing may be left out."""
    parts = (
        _views,
        _writes,
        _documents,
        _operations,
        _contexts,
        _statuses,
        _quotas,
        _matrix,
        course_facts,
        _places,
        _schema,
        _head,
        _bases,
        _wording,
    )
    found = [fact for part in parts for fact in part(agreement)]
    told = dict(found)
    assert len(told) == len(found)  # two terms at one place would hide a change of one
    return told


def delivering(agreement: Agreement) -> frozenset[OperationName]:
    """The operations whose payload is a document: what they release goes by its type."""
    return frozenset(name for name, _, _, _, kind in agreement.views if kind is not None)


def _views(agreement: Agreement) -> Iterator[Fact]:
    documents = delivering(agreement)
    for (name, role, context, source, _), view in agreement.views.items():
        if name not in documents:
            yield (
                Place(Section.RECEIVES, "receives", role, context, name, source),
                frozenset(agreement.released_fields(view)),
            )


def _writes(agreement: Agreement) -> Iterator[Fact]:
    for name in agreement.operations.keys() - delivering(agreement):
        for role in Role:
            place = Place(Section.WRITES, "writes", role, operation=name)
            yield place, frozenset(agreement.provided(role, name))


def _documents(agreement: Agreement) -> Iterator[Fact]:
    fetched: dict[Place, set[str]] = {}
    for (name, role, context, source, kind), view in agreement.views.items():
        if kind is not None and agreement.released_fields(view):
            place = Place(Section.DOCUMENTS, "fetches", role, context, name, source)
            fetched.setdefault(place, set()).add(kind)
    yield from ((place, frozenset(kinds)) for place, kinds in fetched.items())
    for name in delivering(agreement):
        for role in Role:
            kinds = frozenset(one for one in agreement.documents if agreement.provided(role, name, one))
            yield Place(Section.DOCUMENTS, "provides", role, operation=name), kinds
    for kind, field in agreement.documents.items():
        yield Place(Section.DOCUMENTS, "is referred to by", name=kind), frozenset({field})


def _operations(agreement: Agreement) -> Iterator[Fact]:
    for one in agreement.operations.values():
        calls = "tells in" if one.pattern is Pattern.NOTIFY else "asks in"
        for role, contexts in one.requesters.items():
            yield Place(Section.OPERATIONS, calls, role, operation=one.name), frozenset(contexts)
        for role, contexts in one.recipients.items():
            yield Place(Section.OPERATIONS, "hears in", role, operation=one.name), frozenset(contexts)
        yield Place(Section.OPERATIONS, "is", operation=one.name), frozenset(_kind(one))


def _kind(one: Operation) -> Iterator[str]:
    yield f"pattern {one.pattern}"
    yield from (f"answered by {role}" for role in one.providers)
    if one.providers:
        yield f"{one.providers[0]} by default"
    if one.scatter:
        yield "asked of every authority of the role"
    if one.follows_log:
        yield "told to whoever received the field before"
    yield from (f"carries {group}" for group in one.groups or ())


def _contexts(agreement: Agreement) -> Iterator[Fact]:
    for one in agreement.contexts.values():
        terms = {
            "invoked by": one.roles,
            "needs": one.groups,
            "for permits": EVERY if one.permit_types is None else one.permit_types,
            "for procedures": EVERY if one.procedures is None else one.procedures,
        }
        for what, words in terms.items():
            yield Place(Section.CONTEXTS, what, context=one.name), frozenset(words)


def _statuses(agreement: Agreement) -> Iterator[Fact]:
    for role, terms in agreement.roles.items():
        yield Place(Section.STATUSES, "open at", role), terms.statuses


def _quotas(agreement: Agreement) -> Iterator[Fact]:
    for role, terms in agreement.roles.items():
        if terms.quota is not None:
            words = {f"{terms.quota.quota.per_second} a second", f"{terms.quota.quota.burst} at once"}
            yield Place(Section.QUOTAS, "sends", role), frozenset(words)


def _matrix(agreement: Agreement) -> Iterator[Fact]:
    """The cells as they are written, though no exchange makes use of a grant: it is one all the same."""
    for code, group in agreement.groups.items():
        for role, cell in group.cells.items():
            granted = {"provides": cell.provide, "receives": cell.receive}
            granted |= {f"receives in {context}": fields for context, fields in cell.receive_under.items()}
            granted |= {f"writes in {name}": fields for name, fields in cell.provide_in.items()}
            for what, fields in granted.items():
                yield Place(Section.MATRIX, what, role, name=code), frozenset(fields)


def _places(agreement: Agreement) -> Iterator[Fact]:
    routing, places = agreement.routing, agreement.places
    fields = {f"{role} by {field}" for role, field in routing.fields.items()}
    yield Place(Section.PLACES, "routes"), frozenset(fields | {f"main place by {routing.main}"})
    regions = (
        f"{one.prefix} in {one.region} from {one.valid_from} to {one.valid_until}" for one in places.regions
    )
    yield Place(Section.PLACES, "lies"), frozenset(regions)
    mergers = (f"{one.nis} into {one.into} since {one.since}" for one in places.mergers)
    yield Place(Section.PLACES, "merges"), frozenset(mergers)


def _schema(agreement: Agreement) -> Iterator[Fact]:
    contract = agreement.contract
    for code, fields in contract.groups.items():
        yield Place(Section.SCHEMA, "has fields", name=code), frozenset(fields)
    for name, messages in contract.messages.items():
        for what, node in (("payload has", messages.payload), ("request has", messages.request)):
            yield Place(Section.SCHEMA, what, operation=name), frozenset(one.path for one in leaves(node))
    for path, field in _fields(agreement).items():
        yield Place(Section.SCHEMA, "is of", name=path), frozenset({field or "no field"})
    for path, values in contract.values.items():
        yield Place(Section.SCHEMA, "may say", name=path), values


def _fields(agreement: Agreement) -> Mapping[str, FieldId | None]:
    """What decides who is shown an element: two that change places change whose eyes are on which."""
    nodes = (node for one in agreement.contract.messages.values() for node in (one.payload, one.request))
    return {leaf.path: leaf.field for node in nodes for leaf in leaves(node)}


def _head(agreement: Agreement) -> Iterator[Fact]:
    retention = agreement.retention
    terms = {
        "id": agreement.id,
        "number": agreement.number,
        "valid from": agreement.valid_from,
        "years of the exchange log": retention.log_years,
        "days of reading after closure": retention.closed_dossier_days,
        "days of stored payloads": retention.payload_days,
    }
    for what, value in terms.items():
        yield Place(Section.HEAD, what), frozenset({str(value)})
    yield Place(Section.HEAD, "is signed by"), frozenset(map(str, agreement.parties))


def _bases(agreement: Agreement) -> Iterator[Fact]:
    yield Place(Section.BASES, "retention rests on"), source_words(agreement.retention.source)
    for letter, text in agreement.bases.items():
        yield Place(Section.BASES, "is", name=letter), frozenset({text})
    for group in agreement.groups.values():
        for role, cell in group.cells.items():
            yield Place(Section.BASES, "cell rests on", role, name=group.code), source_words(cell.source)
    for role, terms in agreement.roles.items():
        yield Place(Section.BASES, "role rests on", role), source_words(terms.source)
        if terms.quota is not None:
            yield Place(Section.BASES, "quota rests on", role), source_words(terms.quota.source)
    for name, context in agreement.contexts.items():
        yield Place(Section.BASES, "context rests on", context=name), source_words(context.source)
    for name_, operation in agreement.operations.items():
        yield Place(Section.BASES, "operation rests on", operation=name_), frozenset(operation.basis)
    for course in agreement.courses.values():
        words = source_words(Source(course.basis, course.certainty))
        yield Place(Section.BASES, "course rests on", name=course.name), words


def _wording(agreement: Agreement) -> Iterator[Fact]:
    yield Place(Section.WORDING, "title"), frozenset({agreement.title})
    for role, terms in agreement.roles.items():
        yield Place(Section.WORDING, "is called", role), _names(terms.names)
    for kind, names in agreement.permit_types.items():
        yield Place(Section.WORDING, "is called", name=kind), _names(names)
    for group in agreement.groups.values():
        sensitivity = ", ".join(group.sensitivity) or "no article"
        words = {f"name {group.name}", f"purpose {group.purpose}", f"sensitive by {sensitivity}"}
        yield Place(Section.WORDING, "reads", name=group.code), frozenset(words)
    for name, context in agreement.contexts.items():
        yield Place(Section.WORDING, "purpose", context=name), frozenset({context.purpose})


def _names(names: Names) -> Words:
    return frozenset(f"{language} {name}" for language, name in asdict(names).items())
