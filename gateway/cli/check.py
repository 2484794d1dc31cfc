"""`gateway check`: could a hub run with these settings? Everything that is wrong, or what would be in force."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar

import typer

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.postgres_uri import PostgresUri
from gateway.adapters.sealing import Seal
from gateway.adapters.secret_file import read_own_secret
from gateway.adapters.store_agreements import compare_key
from gateway.adapters.store_connect import exists
from gateway.adapters.store_former import require_all, succession
from gateway.adapters.store_reader import LogReader
from gateway.cli.endpoints import require_names
from gateway.cli.lines import write
from gateway.cli.log_officer import require_officers
from gateway.cli.log_told import vkeys_told
from gateway.cli.serve import Config
from gateway.config import Settings
from gateway.config import load as load_settings
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.pin import require_held
from gateway.identity.chain import Trust
from gateway.loading import Loaded, load, pinned
from gateway.reading import FORESEEN, clock, in_words
from gateway.trusted import revocation_lists

T = TypeVar("T")


def check(
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    without_names: Annotated[
        bool, typer.Option("--without-names", help="Do not ask the name service where endpoints are.")
    ] = False,
) -> None:
    """Validate settings, agreement, contracts, register, keys, certificates and the store; serve nothing."""
    findings: list[str] = []
    notices: list[str] = []
    facts: dict[str, Any] = {}
    settings = _attempt(lambda: load_settings(config), findings)
    loaded = _attempt(lambda: load(settings), findings) if settings is not None else None
    if settings is not None:  # whatever is wrong with the files that it names
        _attempt(lambda: _require_open(settings), findings)
        _attempt(lambda: _require_former(settings), findings)
        notices += in_words(ProofError(Flaw.UNPINNED, str(settings.log.store))) if _unpinned(settings) else []
    if settings is not None and loaded is not None:
        facts = _facts(loaded)
        facts["log"] |= _attempt(lambda: _store(settings, loaded), findings) or {}
        _attempt(lambda: require_officers(settings.log.officers, loaded.rules.register), findings)
        if not without_names:
            _attempt(lambda: require_names(settings, loaded.rules.register, loaded.policy), findings)
    if as_json:
        told = {"findings": _told(findings), "notices": _told(notices)}
        write(json.dumps({**facts, **told}, indent=2))
    elif not findings:
        write("\n".join(_lines(facts)))
    for one in (*findings, *notices):
        typer.echo(one, err=True)
    if findings:
        raise typer.Exit(1)


def _told(lines: Sequence[str]) -> list[dict[str, str]]:
    return [{"code": one[:6], "text": one} for one in lines]


def _unpinned(settings: Settings) -> bool:
    """A failover that loses entries would not be noticed by a hub that starts after it."""
    store = settings.log.store
    return isinstance(store, PostgresUri) and store.several and settings.log.pin is None


def _attempt(step: Callable[[], T], findings: list[str]) -> T | None:
    """What several steps find is told once."""
    try:
        return step()
    except FORESEEN as error:
        findings += [one for one in in_words(error) if one not in findings]
        return None


def _facts(loaded: Loaded) -> dict[str, Any]:
    rules = loaded.rules
    trust = rules.certificates.trust
    return {
        "agreement": {
            "number": rules.agreement.number,
            "revision": rules.agreement.revision,
            "adopted_by": sorted(map(str, rules.agreement.parties)),
        },
        "authorities": [one.id for one in rules.register.authorities],
        "operations": sorted(rules.agreement.operations),
        "certificates": _texts(loaded.certificates),
        "issuers": _texts(_issuer_ends(trust)),
        "revocation_lists": _texts({issuer: until for issuer, (_, until) in revocation_lists(trust).items()}),
        "log": {"origin": loaded.verifiers[0].name, **vkeys_told(loaded.verifiers)},
    }


def _issuer_ends(trust: Trust) -> Mapping[str, datetime]:
    """Of two of one name that which ends first."""
    ends: dict[str, datetime] = {}
    for one in (*trust.anchors, *trust.intermediates):
        name, end = one.subject.rfc4514_string(), one.not_valid_after_utc
        ends[name] = min(end, ends.get(name, end))
    return ends


def _texts(ends: Mapping[str, datetime]) -> dict[str, str]:
    return {name: end.isoformat() for name, end in ends.items()}


def _require_open(settings: Settings) -> None:
    """There is a log that takes entries, and the bucket keys are its own. Raises ProofError, ExposedError."""
    path = settings.log.store
    if not exists(path):
        raise ProofError(Flaw.NO_STORE, str(path))
    keys = BucketKeys.open(settings.log.bucket_keys, read_own_secret)
    with LogReader.open(path, keys) as reader:
        reader.require_keys()
        found = reader.frozen()
    if found is not None:
        raise ProofError(found.flaw, str(path))


def _store(settings: Settings, loaded: Loaded) -> dict[str, Any]:
    """The log's signed head. Whether the entries hold as well, `gateway log verify` says.

    Raises ProofError, also for a payload key that is not the one under which something waits, and for stores of former
    logs that are others.
    """
    path = settings.log.store
    with LogReader.open(path) as reader:
        head = reader.head()
        checkpoint = open_checkpoint(head.note, loaded.verifiers)
    if (checkpoint.size, checkpoint.root) != (head.size, head.root):
        raise ProofError(Flaw.HEAD)
    pin = pinned(settings, loaded)
    if pin is not None:
        with LogReader.open(path) as reader:
            require_held(pin, reader.head().size, reader.tile)
    compare_key(path, Seal(loaded.payload_key))
    _require_succession(settings, loaded)
    return {"store": str(path), **_head(checkpoint)}


def _require_former(settings: Settings) -> None:
    """A hub reads the stores of former logs as well. Raises `ProofError`."""
    for place in settings.log.former:
        with LogReader.open(place) as reader:
            reader.head()


def _require_succession(settings: Settings, loaded: Loaded) -> None:
    """They are those of the logs that this one succeeds, and none that matters is left out. Raises `ProofError`."""
    logs = succession(settings.log.store, settings.log.former, loaded.verifiers)
    require_all(logs, loaded.rules.agreement.retention.log_years, clock())


def _head(checkpoint: Checkpoint) -> dict[str, Any]:
    return {"size": checkpoint.size, "root": checkpoint.root.hex()}


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"agreement   {facts['agreement']['number']}, revision {facts['agreement']['revision']}"
    yield f"adopted by  {', '.join(facts['agreement']['adopted_by'])}"
    for name in ("authorities", "operations"):
        yield f"{name:<12}{', '.join(facts[name])}"
    for kind, name in (("certificates", "certificate"), ("issuers", "issuer")):
        for whose, end in facts[kind].items():
            yield f"{name:<12}{whose}: valid until {end[:10]}"
    for issuer, end in facts["revocation_lists"].items():
        yield f"list        of {issuer}: holds until {end[:10]}"
    log = facts["log"]
    yield f"log         {log['store']}: {log['size']} entries, its checkpoint verifies"
    for vkey in log["vkeys"]:
        yield f"vkey        {vkey}"
    yield "All of it resolves. Nothing was served."
