"""The demo's account as one object for a program: what `gateway demo --json` prints."""

from __future__ import annotations

from typing import Any

from gateway.cli.account import state_of
from gateway.policy.deadlines import Running
from gateway.sandbox.ending import Disclosure, Ending
from gateway.sandbox.story.steps import Tell
from gateway.sandbox.telling import Account
from gateway.sandbox.told import Delivered, Told
from gateway.sandbox.world import World


def report(account: Account, world: World, seconds: float) -> dict[str, Any]:
    """`seconds`: how long it all took."""
    log = account.log
    assert log is not None  # it was told to the end
    return {
        "authorities": [
            {
                "id": one.id,
                "name": one.name,
                "role": one.role,
                "enterprise": str(one.enterprise),
                "suite": one.suite,
                "mailbox": one.endpoint is None,
            }
            for one in world.place.register.authorities
        ],
        "procedures": [_procedure(one) for one in account.endings],
        "exchanges": [_exchange(told) for told in account.told if not told.refused],
        "refusals": [_refusal(told) for told in account.told if told.refused],
        "dossiers": [_dossier(one) for one in account.endings],
        "log": {
            "size": log.size,
            "root": log.root,
            "verified": not log.findings,
            "findings": list(log.findings),
            "notices": list(log.notices),
        },
        "waiting": account.waiting,
        "expectations": {"held": sum(not told.troubles for told in account.told), "failed": account.troubles},
        "agreement": world.agreement.revision,
        "seconds": round(seconds, 1),
    }


def _common(told: Told) -> dict[str, Any]:
    return {
        "from": told.step.who,
        "to": ", ".join(told.to),
        "operation": told.step.operation,
        "legal_context": f"WIB:{told.step.context}",
    }


def _exchange(told: Told) -> dict[str, Any]:
    facts = {
        **_common(told),
        "outcome": told.outcome,
        "released": list(told.released),
        "present": list(told.present),
        "withheld": list(told.withheld),
        "missing": list(told.missing),
        "log_index": told.log_index,
        "ms": told.ms,
    }
    if isinstance(told.step, Tell):
        facts |= {"dossier": told.step.dossier, "deliveries": [_delivery(one) for one in told.deliveries]}
    return facts


def _delivery(one: Delivered) -> dict[str, Any]:
    """`log_index` is null for what was left in a mailbox."""
    return {
        "to": one.name,
        "legal_context": f"WIB:{one.context}" if one.context else None,
        "released": list(one.released),
        "present": list(one.present),
        "withheld": list(one.withheld),
        "log_index": one.log_index,
    }


def _refusal(told: Told) -> dict[str, Any]:
    facts = {"code": told.outcome, "label": told.label, "sentence": told.sentence, "why": told.step.why}
    return {**facts, **_common(told), "log_index": told.log_index, "ms": told.ms}


def _procedure(one: Ending) -> dict[str, Any]:
    return {
        "dossier": one.dossier,
        "permit_type": one.permit_type,
        "procedure": one.procedure,
        "course": one.course,
        "status": one.status,
    }


def _dossier(one: Ending) -> dict[str, Any]:
    return {
        "dossier": one.dossier,
        "received": [_disclosure(disclosure) for disclosure in one.disclosures],
        "clocks": [_clock(clock) for clock in one.clocks],
    }


def _disclosure(one: Disclosure) -> dict[str, Any]:
    return {
        "to": one.to,
        "legal_context": one.context,
        "operation": one.operation,
        "time": one.time,
        "groups": sorted({field.partition(".")[0] for field in one.fields}),
        "fields": list(one.fields),
        "log_index": one.log_index,
    }


def _clock(one: Running) -> dict[str, Any]:
    return {
        "name": one.name,
        "started": one.started.isoformat(),
        "ended": None if one.ended is None else one.ended.isoformat(),
        "due": one.due.isoformat(),
        "days": one.rule.days,
        "working": one.rule.working,
        "elapsed": one.elapsed,
        "suspended": one.suspended,
        "left": one.left,
        "state": state_of(one),
    }
