"""How an exchange is explained: to the officer in full, to an authority what it may know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Final

from gateway.agreement.terms import Source
from gateway.agreement.views import REASONS
from gateway.cli.lines import write
from gateway.cli.log_place import Place
from gateway.exchangelog.flaw import Flaw
from gateway.exchangelog.form import Kind
from gateway.model import Authority
from gateway.policy.clause import Clause, texts
from gateway.policy.explanation import Delivered, Explanation, Standing
from gateway.policy.replay import About
from gateway.policy.shown import Shown
from gateway.refusal import Code

_WIDTH: Final = 110
_MARGIN: Final = 12
_ABOUT: Final = {
    About.NONE: "about none",
    About.GONE: "its seed is gone, or the key of its bucket, and with it which dossier it was",
}
Line = Mapping[str, object]


def print_explanation(found: Explanation, place: Place, seen_by: Authority | None, line: Line | None) -> None:
    """`seen_by`: the authority that is told, None for the officer; `line`: of the operational log."""
    for what, lines in _parts(found, place, seen_by, line):
        for at, text in enumerate(lines):
            below = " " * _MARGIN
            folded = wrap(
                text, _WIDTH, initial_indent=below, subsequent_indent=f"{below}  ", break_on_hyphens=False
            )
            head = what if at == 0 else ""
            write("\n".join([head.ljust(_MARGIN) + folded[0].strip(), *folded[1:]]))


def described(
    found: Explanation, place: Place, seen_by: Authority | None, line: Line | None
) -> dict[str, object]:
    """The same, for machines."""
    asked, code = found.asked, found.code
    return {
        "exchange": _exchange(found, line),
        "seen_by": None if seen_by is None else seen_by.id,
        "authority": None if asked.authority is None else asked.authority.id,
        "role": asked.role,
        "operation": asked.operation,
        "legal_context": asked.legal_context,
        "revision": found.entries[0].leaf.revision if found.entries else None,
        "entries": [_entry(found, at, place, seen_by) for at in range(len(found.entries))],
        "outcome": _outcome(found),
        "code": None if code is None else code.row.code,
        "sentence": _sentence(found),
        "remedy": _remedy(found),
        "stages": [
            {"section": one.section, "stage": one.stage.value, "state": one.state.value}
            for one in found.stages
        ],
        "clause": None if found.clause is None else _clause(found.clause, seen_by),
        "dossier": None if found.standing is None else _standing(found.standing),
        "deliveries": [_delivered(one) for one in found.deliveries],
        "fields": [_group(one, found, seen_by) for one in found.shown if one.released or seen_by is None],
        "declared": None if found.declared is None else list(found.declared),
        "operational": None if line is None or seen_by is not None else dict(line),
    }


def _parts(
    found: Explanation, place: Place, seen_by: Authority | None, line: Line | None
) -> Iterator[tuple[str, Sequence[str]]]:
    yield "exchange", [str(_exchange(found, line))]
    who = found.asked.authority.id if found.asked.authority else "an authority that the register has no more"
    what = (
        f"{found.asked.operation or 'an operation that is not known'} in {found.asked.legal_context or '-'}"
    )
    yield "asked", [f"{who} ({found.asked.role or '-'}): {what}"]
    entries = [_entry(found, at, place, seen_by) for at in range(len(found.entries))]
    yield "entries", [_entry_line(one) for one in entries] or ["none in the exchange log"]
    code = "" if found.code is None else f" {found.code.row.code} {found.code.row.label}"
    yield "outcome", [f"{_outcome(found)}{code}", *_sentences(found)]
    yield "stages", [f"§{one.section:<5} {one.stage.value:<24} {one.state.value}" for one in found.stages]
    if found.clause is not None:
        yield "clause", list(_clause_lines(found.clause, seen_by))
    elif found.code is Code.DOSSIER_DENIED:
        yield "clause", ["none of the agreement: who takes part is said by the dossier directory (§7.2)"]
    elif found.code is not None and found.asked.agreement is None and found.entries:
        yield "clause", ["not known: the store does not keep the revision of that time"]
    if found.standing is not None:
        yield "dossier", [_standing_line(found.standing, found)]
    yield "deliveries", [_delivered_line(one) for one in found.deliveries]
    yield "released", list(_released(found, seen_by))
    yield "withheld", list(_withheld(found, seen_by))
    if line is not None and seen_by is None:
        yield "operational", [", ".join(f"{name} {value}" for name, value in line.items())]


def _exchange(found: Explanation, line: Line | None) -> object:
    if found.entries:
        return found.entries[0].leaf.id
    return None if line is None else line.get("exchange")


def _outcome(found: Explanation) -> str:
    if found.code is not None:
        return "refused"
    if not found.entries:
        return "not recorded"
    last = found.entries[-1].leaf
    return "outcome unknown" if last.kind is Kind.REQUEST else last.decision


def _sentence(found: Explanation) -> str | None:
    if found.code is not None:
        return found.code.row.sentence
    return Flaw.OUTCOME_UNKNOWN.row.sentence if _outcome(found) == "outcome unknown" else None


def _remedy(found: Explanation) -> str | None:
    if found.code is not None:
        return found.code.row.remedy
    return Flaw.OUTCOME_UNKNOWN.row.remedy if _outcome(found) == "outcome unknown" else None


def _sentences(found: Explanation) -> list[str]:
    return [one for one in (_sentence(found), _remedy(found)) if one is not None]


def _entry(found: Explanation, at: int, place: Place, seen_by: Authority | None) -> dict[str, object]:
    """Who else took part is the officer's to know."""
    one = found.entries[at]
    told: dict[str, object] = {
        "index": one.index,
        "time": one.leaf.time,
        "kind": one.leaf.kind.value,
        "decision": one.leaf.decision,
    }
    return told if seen_by is not None else told | {"to": [place.name(party) for party in one.leaf.to]}


def _entry_line(entry: Mapping[str, object]) -> str:
    to = entry.get("to")
    parties = f" to {', '.join(map(str, to))}" if isinstance(to, list) and to else ""
    return f"{entry['index']}  {entry['time']}  {entry['kind']} {entry['decision']}{parties}"


def _clause(one: Clause, seen_by: Authority | None) -> dict[str, object]:
    told: dict[str, object] = {
        "place": one.place,
        "own": list(one.own),
        "basis": list(one.basis),
        "certainty": one.certainty or None,
    }
    return told if seen_by is not None else told | {"says": list(one.says)}


def _clause_lines(one: Clause, seen_by: Authority | None) -> Iterator[str]:
    yield one.place + (f" [{one.certainty}]" if one.certainty else "")
    if seen_by is None and one.says != one.own:
        yield f"says {'; '.join(one.says) or 'nothing'}"
    yield f"grants this role {'; '.join(one.own) or 'nothing'}"
    yield from one.basis


def _standing(one: Standing) -> dict[str, object]:
    scope = one.scope
    return {
        "about": one.about.value,
        "known": scope is not None,
        "takes_part": one.takes_part,
        "status": None if scope is None else scope.status,
        "status_since": None if scope is None else scope.status_since.isoformat(),
        "permit_type": None if scope is None else scope.permit_type,
        "procedure": None if scope is None else scope.procedure,
        "bound": scope is not None and scope.person is not None,
    }


def _standing_line(one: Standing, found: Explanation) -> str:
    if one.about is not About.SOME:
        return _ABOUT[one.about]
    if one.scope is None:
        return "the directory did not know it at that moment"
    who = "the authority" if found.asked.authority is None else found.asked.authority.id
    part = f"{who} {'took' if one.takes_part else 'had no'} part"
    status = f"{one.scope.status} since {one.scope.status_since.isoformat()}"
    return f"at that moment {status}, {one.scope.permit_type} {one.scope.procedure}; {part}"


def _delivered(one: Delivered) -> dict[str, object]:
    return {
        "recipient": one.recipient,
        "delivery": one.id,
        "state": one.state,
        "attempts": one.attempts,
        "last_code": one.last_code,
    }


def _delivered_line(one: Delivered) -> str:
    trouble = "" if one.last_code is None else f", the last one ended with {one.last_code}"
    return f"{one.recipient} {one.state}, attempts {one.attempts}{trouble}; {one.id}"


def _released(found: Explanation, seen_by: Authority | None) -> Iterator[str]:
    for group in found.shown:
        if group.released:
            rule = "" if seen_by is not None else f" by {_rule(group)}"
            yield f"{group.code} {group.name}: {_names(group.released)}{rule}"


def _withheld(found: Explanation, seen_by: Authority | None) -> Iterator[str]:
    """To an authority what its reply declared; to the officer each field with its reason."""
    if seen_by is not None:
        yield from found.declared or ()
        return
    for group in found.shown:
        for reason, fields in group.withheld.items():
            yield f"{group.code} {group.name}: {_names(fields)} ({reason}) by {_rule(group)}"
    reasons = sorted({reason for group in found.shown for reason in group.withheld})
    yield from (f"{reason}: {REASONS.get(reason, reason)}" for reason in reasons)


def _names(fields: Sequence[str]) -> str:
    return ", ".join(one.partition(".")[2] for one in fields)


def _rule(group: Shown) -> str:
    cells = [f"received {_source(one)}" for one in (group.receives,) if one is not None]
    cells += [f"provided {_source(one)}" for one in (group.provides,) if one is not None]
    return f"groups.{group.code}" + (f" ({', '.join(cells)})" if cells else "")


def _source(one: Source) -> str:
    return f"{','.join(one.basis)} [{one.certainty}]"


def _group(group: Shown, found: Explanation, seen_by: Authority | None) -> dict[str, object]:
    told: dict[str, object] = {"group": group.code, "name": group.name, "released": list(group.released)}
    if seen_by is not None:
        return told
    return told | {
        "withheld": {reason: list(fields) for reason, fields in group.withheld.items()},
        "receives": _cell(group.receives, found),
        "provides": _cell(group.provides, found),
    }


def _cell(one: Source | None, found: Explanation) -> dict[str, object] | None:
    if one is None or found.asked.agreement is None:
        return None
    return {"basis": list(texts(one.basis, found.asked.agreement)), "certainty": one.certainty}
