"""What is put in force while a hub runs: at the next message, on connections that are open, whole or not at all."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from threading import Event
from urllib.parse import urlsplit

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway import reload
from gateway.agreement import messages
from gateway.cli.pki_files import read_issuer, renew
from gateway.exchangelog.flaw import Flaw
from gateway.identity.certify import Issuer, issue_crl, issue_leaf
from gateway.identity.enrolment import ended, written_line
from gateway.identity.issue import KeyKind, issue_pki, new_ec_key, new_key, pair, private_pem
from gateway.identity.leaf import Purpose
from gateway.model import Criteria
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.verify import verify
from tests.path import hub as memory
from tests.path.hub import Answered, authority, question, sign_as, signed_question
from tests.process.running import Running, running_hub
from tests.process.test_listener import connected, message, reply, whole

WORK = "WIB:WORK_DECISION"
OPEN = {"header_seconds": 120.0}  # for which a connection of these tests may be idle


@pytest.fixture
async def hub(tmp_path):
    async with running_hub(tmp_path, **OPEN) as running:
        yield running


class Connection:
    """One connection of an authority, kept open."""

    def __init__(self, reader, writer) -> None:
        self._reader, self._writer = reader, writer
        self.signed_by = b""  # certificate of the last reply, DER

    async def ask(self, data: bytes | None = None) -> str | None:
        """Send a message, BRUSSELS's own by default. The refusal's code; None for a released reply."""
        self._writer.write(whole(message() if data is None else data))
        raw = await reply(self._reader)
        head, _, body = raw.partition(b"\r\n\r\n")
        if b"text/plain" in head:
            return body[:8].decode()
        verified = verify(read(body, Limits()), Window(), datetime.now(UTC))
        self.signed_by = verified.certificate
        return Answered(None, parse_verified(verified.body)[0]).code


@asynccontextmanager
async def connection(hub: Running, name: str = "BRUSSELS", tls: ssl.SSLContext | None = None):
    async with connected(hub, name, tls=tls) as (reader, writer):
        yield Connection(reader, writer)


def register(hub: Running, change) -> None:
    path = hub.directory / "register.toml"
    before = path.read_text()
    after = change(before)
    assert after != before
    path.write_text(after)


def suspend(name: str):
    return change_line(name, "active = true", "active = false")


def resume(name: str):
    return change_line(name, "active = false", "active = true")


def change_line(name: str, before: str, after: str):
    """The register with another word in the table of this authority."""

    def change(text: str) -> str:
        head, *tables = text.split("[[authority]]")
        changed = (one.replace(before, after) if f'id = "{name}"' in one else one for one in tables)
        return "[[authority]]".join([head, *changed])

    return change


def without(text: str, table: str, line: str) -> str:
    """A TOML text without the tables that have this line."""
    head, *tables = text.split(f"[[{table}]]")
    return f"[[{table}]]".join([head, *(one for one in tables if line not in one)])


def remove(hub: Running, name: str) -> None:
    """Out of the register, and out of the list of certificates, which would name nobody."""
    register(hub, lambda text: without(text, "authority", f'id = "{name}"'))
    path = hub.pki / "enrolled.toml"
    path.write_text(without(path.read_text(), "certificate", f'authority = "{name}"'))


def withdraw(hub: Running, name: str, kind: str, moment: datetime | None = None) -> None:
    path = hub.pki / "enrolled.toml"
    certificate = x509.load_pem_x509_certificate((hub.pki / name / f"{kind}.crt.pem").read_bytes())
    text = ended(path.read_text(), certificate.fingerprint(SHA256()), moment or datetime.now(UTC))
    path.write_text(text)


def revoke(hub: Running, name: str, kind: str) -> None:
    certificate = x509.load_pem_x509_certificate((hub.pki / name / f"{kind}.crt.pem").read_bytes())
    renew(hub.pki, "issuing", datetime.now(UTC), [certificate.serial_number])


def replace_own(hub: Running, name: str) -> bytes:
    """Another pair of the hub, by its own issuer; the certificate, DER."""
    purpose = Purpose.TLS if name == "tls" else Purpose.SIGN
    issuer, key = read_issuer(hub.pki, "issuing"), new_key(KeyKind.P256 if name == "sign-ec" else KeyKind.RSA)
    certificate = issue_leaf(key.public_key(), memory.register().hub, purpose, issuer, datetime.now(UTC))
    chain = [certificate, issuer.certificate] if purpose is Purpose.TLS else [certificate]
    for path, content in pair(f"HUB/{name}", chain, key).items():
        (hub.pki / path).write_bytes(content)
    with (hub.pki / "enrolled.toml").open("a") as file:
        file.write(written_line(memory.HUB, purpose, certificate))
    return certificate.public_bytes(Encoding.DER)


# Between two messages of one connection.


async def test_an_authority_is_suspended_at_its_next_message_and_resumed_at_the_one_after(hub):
    async with connection(hub) as brussels:
        assert await brussels.ask() is None
        register(hub, suspend("BRUSSELS"))
        assert (await hub.reload())["suspended"] == 1
        assert await brussels.ask() == "WIB05005"
        register(hub, resume("BRUSSELS"))
        assert (await hub.reload())["suspended"] == 0
        assert await brussels.ask() is None


GOOD, FAILED = (
    f'gateway_reload_timestamp_seconds{{outcome="{word}",worker="0"}}' for word in ("good", "failed")
)


async def measured(hub: Running) -> dict[str, float]:
    async with aiohttp.ClientSession() as session, session.get(hub.operations + "/metrics") as response:
        lines = (await response.text()).splitlines()
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
    }


REFUSED = {"sign": "WIB05001", "tls": "WIB01006"}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("ending", [revoke, withdraw])
async def test_a_certificate_ends_at_the_next_message(hub, kind, ending):
    async with connection(hub) as brussels:
        assert await brussels.ask() is None
        ending(hub, "BRUSSELS", kind)
        assert (await hub.reload())["event"] == "reloaded"
        assert await brussels.ask() == REFUSED[kind]
    async with connection(hub, "IMMIGRATION_OFFICE") as other:
        data = message("IMMIGRATION_OFFICE")
        assert await other.ask(data) is None


async def test_a_token_that_hangs_holds_up_no_later_look(hub, monkeypatch):
    back, read_anew = Event(), reload.reload

    def hanging(*given):
        back.wait(60)
        return read_anew(*given)

    with monkeypatch.context() as patch:
        patch.setattr(reload, "reload", hanging)
        patch.setattr(reload, "_READ_SECONDS", 0.1)
        register(hub, suspend("BRUSSELS"))
        assert (await hub.reload())["code"] == "CFG035"
        back.set()
    assert (await hub.reload())["event"] == "reloaded"
    assert (await hub.soap("BRUSSELS", message()))[1].code == "WIB05005"


async def test_an_authority_that_leaves_the_register_is_a_stranger_at_its_next_message(hub):
    async with connection(hub, "FLANDERS") as flanders:
        data = signed_question("FLANDERS", "consultStatus", WORK, None, datetime.now(UTC))
        assert await flanders.ask(data) == "WIB07005"  # known, but has no part in this dossier
        remove(hub, "FLANDERS")
        await hub.reload()
        assert await flanders.ask(data) == "WIB01006"


async def test_a_provider_is_judged_anew_though_its_connection_is_open(hub):
    async with connection(hub) as brussels:
        assert await brussels.ask() is None
        revoke(hub, "PLATFORM", "tls")
        await hub.reload()
        assert await brussels.ask() == "WIB09005"


async def test_a_provider_whose_line_has_ended_is_not_asked_over_the_connection_that_is_open(hub):
    """No file changes at that moment: the connection itself is judged anew."""
    end = datetime.now(UTC) + timedelta(seconds=4)
    withdraw(hub, "PLATFORM", "tls", end)
    await hub.reload()
    async with connection(hub) as brussels:
        assert await brussels.ask() is None
        await asyncio.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()) + 0.1)
        assert await brussels.ask() == "WIB09005"


# While an exchange is under way (attack K28).


class Slow:
    """A platform that answers when it is let."""

    def __init__(self) -> None:
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def __call__(self, *question):
        answer = memory.answer_well(*question)
        self.asked.set()
        await self.let.wait()
        return answer


@asynccontextmanager
async def under_way(tmp_path):
    """A hub, a connection of BRUSSELS whose question waits for the platform, and what ends the wait."""
    platform = Slow()
    async with (
        running_hub(tmp_path, platform, provider_seconds=60.0, **OPEN) as hub,
        connection(hub) as brussels,
        asyncio.timeout(60),
    ):
        asking = asyncio.create_task(brussels.ask())
        await platform.asked.wait()

        async def ended() -> str | None:
            platform.let.set()
            return await asking

        yield hub, brussels, ended


async def test_an_exchange_ends_by_the_rules_that_it_began_with_and_the_next_has_the_new_ones(tmp_path):
    async with under_way(tmp_path) as (hub, brussels, ended):
        revoke(hub, "BRUSSELS", "sign")
        await hub.reload()
        assert (await ended(), await brussels.ask()) == (None, "WIB05001")


async def test_of_who_is_suspended_a_question_under_way_is_answered_and_no_other(tmp_path):
    async with under_way(tmp_path) as (hub, brussels, ended):
        register(hub, suspend("BRUSSELS"))
        await hub.reload()
        assert (await ended(), await brussels.ask()) == (None, "WIB05005")


async def test_a_provider_that_is_suspended_may_end_its_answer_and_is_asked_nothing_more(tmp_path):
    async with under_way(tmp_path) as (hub, brussels, ended):
        register(hub, suspend("PLATFORM"))
        await hub.reload()
        assert (await ended(), await brussels.ask()) == (None, "WIB07010")


async def test_the_hubs_own_key_is_replaced_while_an_exchange_is_under_way(tmp_path):
    async with under_way(tmp_path) as (hub, brussels, ended):
        before, after = memory.signing_key("HUB", "sign-rsa").certificate, replace_own(hub, "sign-rsa")
        await hub.reload()
        assert (await ended(), brussels.signed_by) == (None, before)
        assert (await brussels.ask(), brussels.signed_by) == (None, after)


async def test_a_pair_of_the_hub_that_is_not_believed_is_not_taken(hub):
    other = issue_pki(memory.register().hub, (), datetime.now(UTC), key=new_ec_key)  # of another issuer
    for name in ("sign-rsa.crt.pem", "sign-rsa.key.pem"):
        (hub.pki / "HUB" / name).write_bytes(other[f"HUB/{name}"])
    assert (await hub.reload())["code"] == "CFG005"
    async with connection(hub) as brussels:
        assert await brussels.ask() is None


# One legal person, two authorities; one connection, two identities.

PARTIES = {
    "the platform's connection, social security's signature": ("PLATFORM", "NSSO", "NSSO", "WIB05003"),
    "social security's connection, the platform's signature": ("NSSO", "PLATFORM", "PLATFORM", "WIB05003"),
    "social security names the platform": ("NSSO", "NSSO", "PLATFORM", "WIB05004"),
    "the platform names social security": ("PLATFORM", "PLATFORM", "NSSO", "WIB05004"),
    "the connection of one authority, the signature of another": (
        "FLANDERS",
        "BRUSSELS",
        "BRUSSELS",
        "WIB05003",
    ),
    "one connection and signature, a third name": ("BRUSSELS", "BRUSSELS", "WALLONIA", "WIB05004"),
    "three parties": ("FLANDERS", "BRUSSELS", "WALLONIA", "WIB05003"),
}


def said(signer: str, named: str) -> bytes:
    """A test message: every authority may send one."""
    now = datetime.now(UTC)
    asked = question(
        signer, "sendTestMessage", WORK, Criteria(None, echo="x"), now, enterprise=authority(named).enterprise
    )
    return sign_as(signer, messages.write_question(asked), now)


async def test_connection_signature_and_name_are_of_one_authority(hub):
    for parties, (peer, signer, named, code) in PARTIES.items():
        async with connection(hub, peer) as connected_:
            assert await connected_.ask(said(signer, named)) == code, parties
            assert await connected_.ask(said(peer, peer)) is None, parties
        told = hub.events("exchange")[-2]
        assert (told["peer"], told.get("signer")) == (peer, signer if code == "WIB05003" else None), parties


# Whole or not at all.


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def append(path, data: bytes) -> None:
    path.write_bytes(path.read_bytes() + data)


def shorten(path, mark: str, count: int) -> None:
    """Without its last tables."""
    path.write_text(path.read_text().rsplit(mark, count)[0])


def fingerprint(hub: Running, name: str) -> str:
    der = x509.load_pem_x509_certificate((hub.pki / f"{name}.crt.pem").read_bytes())
    return der.fingerprint(SHA256()).hex()


def listed_at(hub: Running, now: datetime) -> None:
    """A list of the issuer of everybody, made at this moment and dated back a little."""
    (hub.pki / "issuing.crl.pem").unlink()
    certificate = x509.load_pem_x509_certificate((hub.pki / "issuing.crt.pem").read_bytes())
    issuer = Issuer(certificate, load_pem_private_key((hub.pki / "issuing.key.pem").read_bytes(), None))
    made = issue_crl(issuer, now)
    (hub.pki / "issuing.crl.pem").write_bytes(made.public_bytes(Encoding.PEM))


def ended_list(hub: Running, name: str) -> None:
    """The newest list of an issuer, which has ended a minute ago."""
    path, now = hub.pki / f"{name}.crl.pem", datetime.now(UTC)
    issuer = x509.load_pem_x509_certificate((hub.pki / f"{name}.crt.pem").read_bytes())
    key = load_pem_private_key((hub.pki / f"{name}.key.pem").read_bytes(), None)
    builder = x509.CertificateRevocationListBuilder(
        issuer.subject, now - timedelta(hours=1), now - timedelta(minutes=1)
    ).add_extension(x509.CRLNumber(1000), critical=False)
    path.write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))


BROKEN = {
    "half a register": (lambda hub: cut(hub.directory / "register.toml"), "CFG010"),
    "half a revocation list": (lambda hub: cut(hub.pki / "issuing.crl.pem"), "TRU002"),
    "a revocation list and the beginning of another": (
        lambda hub: append(hub.pki / "issuing.crl.pem", b"-----BEGIN X509"),
        "TRU002",
    ),
    "half an anchor": (lambda hub: cut(hub.pki / "root.crt.pem"), "TRU002"),
    "an empty list of certificates": (lambda hub: (hub.pki / "enrolled.toml").write_text(""), "CFG026"),
    "a list of certificates without its last lines": (
        lambda hub: shorten(hub.pki / "enrolled.toml", "[[certificate]]", 2),
        "CFG026",
    ),
    "a list without the hub's TLS certificate": (
        lambda hub: (hub.pki / "enrolled.toml").write_text(
            without((hub.pki / "enrolled.toml").read_text(), "certificate", fingerprint(hub, "HUB/tls"))
        ),
        "CFG026",
    ),
    "an older revocation list": (
        lambda hub: listed_at(hub, memory.NOW - timedelta(days=1, hours=1)),
        "TRU007",
    ),
    "a revocation list of a time to come": (
        lambda hub: listed_at(hub, datetime.now(UTC) + timedelta(hours=1)),
        "TRU008",
    ),
    "half a key": (lambda hub: cut(hub.pki / "HUB/tls.key.pem"), "CFG004"),
    "a file that is gone": (lambda hub: (hub.pki / "HUB/sign-ec.key.pem").unlink(), "CFG003"),
    "a key that others may read": (lambda hub: (hub.pki / "HUB/tls.key.pem").chmod(0o644), "CFG009"),
    "a log key that has signed nothing": (
        lambda hub: (hub.pki / "HUB/log.key.pem").write_bytes(private_pem(Ed25519PrivateKey.generate())),
        Flaw.UNSIGNED.row.code,
    ),
    "a certificate without its key": (
        lambda hub: (hub.pki / "HUB/tls.crt.pem").write_bytes(
            (hub.pki / "BRUSSELS/tls.crt.pem").read_bytes()
        ),
        "CFG007",
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_what_cannot_be_used_changes_nothing(hub, broken):
    breaking, code = BROKEN[broken]
    files = {path: path.read_bytes() for path in hub.directory.rglob("*") if path.suffix in {".pem", ".toml"}}
    register(hub, suspend("BRUSSELS"))
    tls = hub.tls("BRUSSELS")
    breaking(hub)
    told = await hub.reload()
    assert (told["event"], told["code"]) == ("not reloaded", code)
    async with connection(hub, tls=tls) as brussels:
        assert await brussels.ask() is None  # nor was the part that is sound put in force
    for path, content in files.items():
        if path.name != "register.toml":
            path.write_bytes(content)
            path.chmod(0o600)
    (hub.directory / "register.toml").write_text(
        suspend("BRUSSELS")(files[hub.directory / "register.toml"].decode())
    )
    assert (await hub.reload())["event"] == "reloaded"
    async with connection(hub) as brussels:
        assert await brussels.ask() == "WIB05005"


async def test_how_old_what_is_in_force_is_can_be_measured(hub):
    first = await measured(hub)
    assert FAILED not in first
    renew(hub.pki, "issuing", datetime.now(UTC) + timedelta(seconds=2), [])
    await hub.reload()
    async with asyncio.timeout(60):
        # Told once the agreement was looked at, too.
        while (second := await measured(hub))[GOOD] == first[GOOD]:  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0.05)
    listed = x509.load_pem_x509_crl((hub.pki / "issuing.crl.pem").read_bytes())
    name = listed.issuer.rfc4514_string().replace("\\", r"\\")  # as the exposition writes it
    issuer = f'{{issuer="{name}"}}'
    assert second[f"gateway_revocation_list_timestamp_seconds{issuer}"] == listed.last_update_utc.timestamp()
    cut(hub.pki / "issuing.crl.pem")
    await hub.reload()
    third = await measured(hub)
    assert third[GOOD] == second[GOOD] < third[FAILED]
    kept = f"gateway_revocation_list_expiry_timestamp_seconds{issuer}"
    assert third[kept] == second[kept] > first[kept]


async def test_a_certificate_of_the_hub_that_is_not_cleared_any_more_holds_up_no_suspension(hub):
    async with connection(hub) as brussels:
        ended_list(hub, "root")  # nobody is cleared any more
        register(hub, suspend("BRUSSELS"))
        told = await hub.reload()
        assert (told["event"], told["suspended"]) == ("reloaded", 1)
        assert await brussels.ask() == "WIB01006"


# The TLS of new connections (attack I06).


class Resuming:
    """A client that resumes its TLS session, with the ssl module alone."""

    def __init__(self, hub: Running, name: str, version: ssl.TLSVersion) -> None:
        self._hub, self._context = hub, hub.tls(name)
        self._context.minimum_version = self._context.maximum_version = version
        self._session: ssl.SSLSession | None = None

    async def ask(self, data: bytes) -> tuple[bool, str | None]:
        """Whether the session was resumed, and the refusal's code."""
        return await asyncio.to_thread(self._ask, data)

    def _ask(self, data: bytes) -> tuple[bool, str | None]:
        at = urlsplit(self._hub.url)
        with (
            socket.create_connection((at.hostname, at.port), 60) as bare,
            self._context.wrap_socket(
                bare, server_hostname="gateway.wib.example", session=self._session
            ) as connected_,
        ):
            connected_.sendall(whole(data, "Connection: close"))
            with connected_.makefile("rb") as file:
                said = file.read()
            self._session = connected_.session
            found = re.search(rb"WIB\d{5}", said)
            assert found
            code = None if said.startswith(b"HTTP/1.1 200 ") else found[0].decode()
            return bool(connected_.session_reused), code


ENDED = {
    "revoked": (lambda hub: revoke(hub, "FLANDERS", "tls"), "WIB01006"),
    "not enrolled any more": (lambda hub: withdraw(hub, "FLANDERS", "tls"), "WIB01006"),
    "not in the register any more": (lambda hub: remove(hub, "FLANDERS"), "WIB01006"),
    "suspended": (lambda hub: register(hub, suspend("FLANDERS")), "WIB05005"),
}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("how", ENDED)
async def test_a_tls_session_ends_with_what_it_was_made_by(hub, version, how):
    client = Resuming(hub, "FLANDERS", version)
    assert await client.ask(said("FLANDERS", "FLANDERS")) == (False, None)
    assert await client.ask(said("FLANDERS", "FLANDERS")) == (True, None)
    ending, refused = ENDED[how]
    ending(hub)
    assert (await hub.reload())["event"] == "reloaded"
    assert await client.ask(said("FLANDERS", "FLANDERS")) == (False, refused)


async def test_a_session_can_be_resumed_again_after_a_reload_that_leaves_it_valid(hub):
    client = Resuming(hub, "BRUSSELS", ssl.TLSVersion.TLSv1_3)
    await client.ask(message())
    renew(hub.pki, "issuing", datetime.now(UTC), [])
    await hub.reload()
    assert await client.ask(message()) == (False, None)
    assert await client.ask(message()) == (True, None)


async def test_new_certificates_are_shown_to_new_connections_and_old_connections_go_on(hub):
    async with connected(hub) as (reader, writer):
        before = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        after = replace_own(hub, "tls")
        await hub.reload()
        async with connected(hub) as (_, other):
            assert other.get_extra_info("ssl_object").getpeercert(binary_form=True) == after != before
        assert await Connection(reader, writer).ask() is None


async def test_everybody_of_the_register_learns_what_the_hub_signs_with(hub):
    after = replace_own(hub, "sign-rsa")
    await hub.reload()
    async with hub.request("FLANDERS", "GET", "?certificates") as response:
        pem = await response.read()
        assert (response.status, response.content_type) == (200, "application/pem-certificate-chain")
    told = {one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(pem)}
    assert told == {after, memory.signing_key("HUB", "sign-ec").certificate}


async def announced(hub: Running) -> set[bytes]:
    async with hub.request("FLANDERS", "GET", "?certificates") as response:
        chain = x509.load_pem_x509_certificates(await response.read())
    return {one.public_bytes(Encoding.DER) for one in chain}


async def test_a_successor_is_announced_when_its_time_comes_though_no_file_changes(hub, monkeypatch):
    before, tomorrow = await announced(hub), datetime.now(UTC) + timedelta(days=1)
    successor = replace_own(hub, "next-sign-rsa")
    (hub.pki / "HUB/next-sign-rsa.key.pem").chmod(0o600)
    with (hub.pki / "enrolled.toml").open("a") as file:
        file.write(f"valid_from = {tomorrow.isoformat()}\n")
    assert (await hub.reload())["event"] == "reloaded"
    assert await announced(hub) == before
    for moment, expected in ((tomorrow, before | {successor}), (tomorrow - timedelta(hours=1), before)):
        monkeypatch.setattr("gateway.own.clock", lambda moment=moment: moment)
        hub.told.set()
        for _ in range(6000):
            if (found := await announced(hub)) == expected:
                break
            await asyncio.sleep(0.01)
        assert found == expected
    assert len(hub.events("reloaded", "not reloaded")) == 1


async def test_nobody_who_connects_during_reloads_is_turned_away(hub):
    done = asyncio.Event()

    async def come_and_go() -> int:
        count = 0
        while not done.is_set():
            async with connection(hub) as brussels:
                assert await brussels.ask() is None
            count += 1
        return count

    coming = [asyncio.create_task(come_and_go()) for _ in range(4)]
    for _ in range(10):
        renew(hub.pki, "issuing", datetime.now(UTC), [])
        assert (await hub.reload())["event"] == "reloaded"
    done.set()
    assert min(await asyncio.gather(*coming)) > 1
