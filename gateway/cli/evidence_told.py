"""What an evidence file shows, and what is wrong with it: as lines for people, as values for --json."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cryptography import x509

from gateway.cli.lines import plain, write
from gateway.cli.log_told import finding_told, head_told, report_findings
from gateway.evidence.check import Shown, Signed
from gateway.exchangelog.leaf import Leaf

Name = Callable[[str], str]  # enterprise → what to call it


def told(shown: Shown, name: Name) -> dict[str, object]:
    sealed = shown.sealed
    return {
        "verified": holds(shown),
        **head_told(shown.checkpoint),
        "signed_by": None if sealed is None else _subject(sealed.certificate),
        "signed_at": None if sealed is None else sealed.time.isoformat(),
        "time_stamp": None if shown.stamped is None else shown.stamped.isoformat(),
        "entries": [
            {
                "index": index,
                **_leaf(leaf, name),
                "messages": [_message(one) for one in shown.messages[index]],
            }
            for index, leaf in shown.leaves.items()
        ],
        "findings": [finding_told(one) for one in shown.findings],
    }


def holds(shown: Shown) -> bool:
    """Nothing that was found is a failure."""
    return not any(one.fails for one in shown.findings)


def print_shown(shown: Shown, name: Name) -> None:
    """Failures go to standard error."""
    report_findings(shown.findings)
    for index, leaf in shown.leaves.items():
        facts = _leaf(leaf, name)
        parties = f"{facts['from']} → {', '.join(map(name, leaf.to)) or '-'}"
        write(
            f"entry {index}  {leaf.time}  {leaf.kind.value}  {parties}  {leaf.operation or '-'}  {leaf.decision}"
        )
        for one in shown.messages[index]:
            message = _message(one)
            write(plain(f"  signed {message['created']} by {message['certificate']}"))
    _print_frame(shown)
    failures = sum(one.fails for one in shown.findings)
    notices = len(shown.findings) - failures
    write(f"{'verified' if not failures else f'does not hold: {failures} found'}; notices: {notices}.")


def _print_frame(shown: Shown) -> None:
    if shown.checkpoint is not None:
        write(f"log    {shown.checkpoint.origin}, size {shown.checkpoint.size}")
    if shown.stamped is not None:
        write(f"stamp  the log had that size at {shown.stamped.isoformat()}, or before")
    if shown.sealed is not None:
        write(plain(f"file   signed {shown.sealed.time.isoformat()} by {_subject(shown.sealed.certificate)}"))


def _leaf(leaf: Leaf, name: Name) -> Mapping[str, object]:
    return {
        "id": leaf.id,
        "kind": leaf.kind.value,
        "time": leaf.time,
        "from": name(leaf.caller),
        "to": [name(one) for one in leaf.to],
        "operation": leaf.operation,
        "legal_context": leaf.legal_context,
        "decision": leaf.decision,
        "revision": leaf.revision,
    }


def _message(one: Signed) -> Mapping[str, object]:
    return {
        "enterprise": one.enterprise,  # None: its certificate is not believed
        "certificate": _subject(one.judged.certificate),
        "created": one.judged.created.isoformat(),
        "whole": bool(one.judged.bodies),
    }


def _subject(der: bytes) -> str:
    return x509.load_der_x509_certificate(der).subject.rfc4514_string()
