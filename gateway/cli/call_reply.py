"""How the replies to `gateway call` are printed: an answer, a receipt, a fault, rights as a table."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from gateway.cli.lines import write

if TYPE_CHECKING:
    from gateway.sandbox.replies import Answered, Receipted
    from gateway.sandbox.wire import ExchangeFault


def as_json(reply: Answered | Receipted) -> str:
    """Everything but the message itself."""
    facts = asdict(reply)
    del facts["message"]
    return json.dumps(facts, indent=2, default=_wire)


def answer(answered: Answered) -> str:
    """What was asked for, and what is withheld."""
    lines = list(_head(answered))
    if answered.missing:
        lines.insert(1, f"missing  {', '.join(answered.missing)}")
    lines += _values("notification", answered.notification)
    lines += _values(answered.element, answered.payload)
    if answered.element == "messages" and answered.payload is None:
        lines.append("  nothing waits for you")
    if answered.filtered:
        lines.append("withheld from you by the agreement, whether there is anything or not:")
        lines += (f"  {path}" for path in answered.filtered)
    return "\n".join(lines)


def receipt(receipted: Receipted) -> str:
    """That the notification was taken in, and where that is recorded."""
    return "\n".join(_head(receipted))


def rights(answered: Answered) -> str:
    """What is permitted: each operation with its legal contexts, and its fields when they were asked for."""
    return "\n".join((*_head(answered), *_rights(answered.payload)))


def refused(fault: ExchangeFault, *, in_json: bool) -> NoReturn:
    """Tell why, on standard error, and end with status 1."""
    if in_json:
        names = ("code", "label", "sentence", "remedy", "incident", "http", "retry_after")
        write(json.dumps({"fault": {name: getattr(fault, name) for name in names}}, indent=2))
    remedy = f" {fault.remedy}" if fault.remedy else ""
    which = f"Incident {fault.incident}." if fault.incident else f"HTTP {fault.http}, without a signed fault."
    when = "" if fault.retry_after is None else f" Try again after {fault.retry_after} s."
    typer.echo(f"{fault}{remedy} {which}{when}", err=True)
    raise typer.Exit(1)


def _head(reply: Answered | Receipted) -> Iterator[str]:
    yield f"{reply.outcome}  {reply.code} {reply.description}"
    entry = "not logged"
    if reply.log_index is not None:
        entry = f"log index {reply.log_index}, proven in the log of size {reply.log_size}"
    yield f"exchange {reply.exchange}, {entry}"


def _rights(payload: object) -> Iterator[str]:
    rows = payload.get("access") or [] if isinstance(payload, dict) else []
    permitted: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["permitted"]:
            permitted.setdefault(row["operation"], []).append(row)
    if not permitted:
        yield "  nothing is permitted"
    width = max(map(len, permitted), default=0)
    for operation, granted in permitted.items():
        if not any(row.get("field") for row in granted):
            yield f"  {operation:<{width}}  {' '.join(row['legalContext'] for row in granted)}"
            continue
        for row in granted:
            groups = sorted({field.partition(".")[0] for field in row.get("field") or ()})
            yield f"  {operation:<{width}}  {row['legalContext']}: {' '.join(groups)}"
    closed = sum(not row["permitted"] for row in rows)
    yield f"{closed} combinations are refused; --all shows them, and every field."


def _values(path: str, value: object) -> Iterator[str]:
    """`path  value` for every text of the payload."""
    match value:
        case None:
            return
        case dict():
            for name, inner in value.items():
                yield from _values(f"{path}/{name}", inner)
        case list():
            for number, inner in enumerate(value, 1):
                yield from _values(f"{path}[{number}]", inner)
        case bytes():
            yield f"  {path}  {len(value)} bytes"
        case _:
            yield f"  {path}  {_wire(value)}"


def _wire(value: object) -> str:
    """As on the wire: what JSON has no word for, and what Python writes otherwise."""
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case _:
            return str(value)
