"""The place of a hub among authorities: keys, settings, dossiers, and the hub as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.adapters.log_key import ensure_log
from gateway.adapters.pki import write_pki
from gateway.adapters.store_directory import Directory
from gateway.agreement.identifiers import dossier_number
from gateway.config import load
from gateway.identity.certify import Issuer, issue_leaf
from gateway.identity.enrolment import written_line
from gateway.identity.issue import ENROLLED, KeyKind, issue_pki, new_ec_key, pair
from gateway.identity.leaf import Purpose
from gateway.loading import secret_key
from gateway.model import AuthorityId, DossierScope, Enterprise, Inscription, Role
from gateway.policy.person import person_digest
from gateway.sandbox.settings import hub_settings, register_with_endpoints
from gateway.sandbox.signatures import sign_agreement
from tests.path.hub import ROOT, register
from tests.process.canaries.values import _cbe, _ssin
from tests.process.canaries.world import World, word

# One authority of each role that takes part in a dossier: that is asked, and that is told.
ASKED = {
    Role.PLAT: "PLATFORM",
    Role.REG: "BRUSSELS",
    Role.OE: "IMMIGRATION_OFFICE",
    Role.CONS: "POST_RABAT",
    Role.MUN: "MUN_BRUSSELS",
    Role.NSSO: "NSSO",
}
TOLD = {**ASKED, Role.CONS: "POST_NEW_DELHI", Role.MUN: "MUN_EUPEN"}
SSIN = _ssin(random.Random("the worker"))  # whose the dossiers are


def write_keys(world: World) -> None:
    """Certificates: of everybody; one authority's and a stranger's have canaries in their names."""
    now = datetime.now(UTC) - timedelta(days=1)
    files = dict(
        issue_pki(register().hub, register().authorities, now, key=new_ec_key, origin="canary.example/log")
    )
    certificate = x509.load_pem_x509_certificate(files["issuing.crt.pem"])
    issuer = Issuer(certificate, load_pem_private_key(files["issuing.key.pem"], None))
    named = replace(
        register().by_id[AuthorityId("BRUSSELS")], name=world.say_header("certificate O", word("subject O"))
    )
    stranger = replace(
        named, id=AuthorityId("STRANGER"), enterprise=Enterprise(_cbe(random.Random("stranger")), None)
    )
    for holder, name in ((named, "BRUSSELS"), (stranger, "STRANGER")):
        common = world.say_header("certificate CN", f"{word(f'subject {name}')} {'x' * 30}"[:50])
        for purpose in Purpose:
            one = replace(holder, id=AuthorityId(common)) if purpose is Purpose.SIGN else holder
            key = new_ec_key(KeyKind.P256)
            leaf = issue_leaf(key.public_key(), one, purpose, issuer, now)
            chain = [leaf, certificate] if purpose is Purpose.TLS else [leaf]
            files |= pair(f"{name}/{purpose}", chain, key)
            if holder is named:
                files[ENROLLED] += written_line(named.id, purpose, leaf).encode()
    write_pki(world.directory / "pki", files)
    for name in (
        "directory.key",
        "payload.key",
        "tls.key.pem",
        "sign-rsa.key.pem",
        "sign-ec.key.pem",
        "log.key.pem",
    ):
        text = files[f"HUB/{name}"].decode().strip().splitlines()
        world.say_header(f"key {name}", text[len(text) // 2])


def write_settings(world: World, urls: Mapping[AuthorityId, str]) -> None:
    place = world.directory
    text = (ROOT / "contracts/register.toml").read_text()
    (place / "register.toml").write_text(register_with_endpoints(text, urls))
    settings = hub_settings(ROOT / "contracts", "canary.example/log", "https://gateway.example.be/soap/v1")
    (place / "gateway.toml").write_text(settings)
    sign_agreement(ROOT / "contracts", place / "pki", place / "signatures", datetime.now(UTC))
    loaded = load(place / "gateway.toml")
    ensure_log(loaded.log.store, loaded.keys.log_key, loaded.log.origin, loaded.log.bucket_keys)


def enter(world: World, scopes: Iterable[DossierScope]) -> None:
    """Dossiers that were opened before."""
    settings = load(world.directory / "gateway.toml")
    person = person_digest(secret_key(settings.keys.directory_key), SSIN)
    directory = Directory.open(settings.log.store, writes=True)
    for one in scopes:
        directory.put(replace(one, person=person))
    directory.close()


def scope(
    sequence: int,
    permit: str,
    procedure: str,
    status: str,
    parts: Mapping[Role, str],
    resumes: str | None = None,
) -> DossierScope:
    since = datetime.now(UTC) - timedelta(days=2)
    lines = tuple(Inscription(AuthorityId(name), role, since, None) for role, name in parts.items())
    return DossierScope(
        dossier_number(2032, sequence), permit, procedure, status, since, lines, None, resumes
    )


@asynccontextmanager
async def hub(world: World, *program: str, **options: object):
    """The hub as a process of its own, with a directory for its temporary files. Yields the process."""
    place = world.directory
    for name in ("tmp", "run"):
        (place / name).mkdir(exist_ok=True)
    module = program or ("gateway",)
    command = [sys.executable, "-m", *module, "serve", "--config", str(place / "gateway.toml")]
    own = {"PYTHONPATH": str(ROOT), "TMPDIR": str(place / "tmp"), "HOME": str(place / "run")}
    with (place / "hub.out").open("ab") as out, (place / "hub.err").open("ab") as lines:
        start = lines.tell()
        process = subprocess.Popen(  # noqa: ASYNC220 - looked at by its number, and killed
            command, cwd=place / "run", env={**os.environ, **own}, stdout=out, stderr=lines, **options
        )
    try:
        world.urls = await _serving(process, place / "hub.err", start)
        yield process
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 60)


async def _serving(process: subprocess.Popen[bytes], log: Path, start: int) -> Mapping[str, str]:
    async with asyncio.timeout(60):
        while (facts := _announced(log, start)) is None:
            assert process.poll() is None, said(log)
            await asyncio.sleep(0.05)
        return facts


def _announced(log: Path, start: int) -> Mapping[str, str] | None:
    """The line in which the hub tells its addresses."""
    for line in log.read_bytes()[start:].decode().rpartition("\n")[0].splitlines():
        if '"serving"' in line:
            return json.loads(line)
    return None


def said(log: Path) -> str:
    """How the operational log ends."""
    return log.read_text()[-2000:]
