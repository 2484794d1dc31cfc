"""What is attacked: a hub in a process of its own, with the provider behind it and traps that must stay silent.

Everything is real: TLS with client certificates, HTTP, the store on disk. Only addresses of this machine are used.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway.adapters.pki import write_pki
from gateway.adapters.store import LogReader
from gateway.adapters.store_directory import Directory
from gateway.adapters.tls import client_context
from gateway.identity.certify import Issuer, issue_crl
from gateway.identity.issue import PkiFiles, issue_pki
from gateway.loading import secret_key
from gateway.model import Criteria, DossierScope, Inscription, Role
from gateway.policy.person import person_digest
from gateway.wss import times
from tests.attacks.provider import Provider
from tests.path import hub as memory
from tests.process.running import ROOT, TRUST, write_settings
from tests.world import V11, V12, Draft, Holder, sign

ATTACKER = "WALLONIA"  # it has RSA keys, for which most known attacks were written
OTHER = "BRUSSELS"  # must be served whatever the attacker does
SUSPENDED = "MUN_LIEGE"
BOUNDED, BURST = "FLANDERS", 40  # messages, and then none for as long as the attacks take
REVOKED = 4711  # serial number on the list of the issuing authority
CONTEXT = "WIB:WORK_DECISION"
DOSSIERS = {ATTACKER: memory.OTHER_DOSSIER, OTHER: memory.DOSSIER}
ECHO = {"operation": "sendTestMessage", "criteria": Criteria(None, echo="x")}  # what the hub answers itself
SECRET = "Content-of-a-local-file-9f3b"  # of the file that some attacks want to read
# More certificates of the attacker that are enrolled, each for a case that is about something else.
ENROLLED: list[Callable[[Target], bytes]] = []
DEADLINE = 60.0  # seconds until a hang is a failure; the machine may be busy
PATIENT = {
    "header_seconds": DEADLINE,
    "body_seconds": DEADLINE,
    "provider_seconds": DEADLINE,
    "wait_seconds": DEADLINE,
}
LIMITS = {"header_seconds": 3, "body_seconds": 3, "provider_seconds": 3, "answer_bytes": 2_000_000}
_MEDIA = {V11: "text/xml; charset=utf-8", V12: "application/soap+xml; charset=utf-8"}


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP; status 0 when the connection was closed without a word."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0


CLOSED = Answer(0)


@dataclass(frozen=True)
class Reading:
    """The instruments at one moment."""

    entries: int  # of the exchange log
    refusals: Counter[str]  # by metric label
    lines: int  # bytes of the operational log
    asked: int  # requests that the provider saw
    trapped: int  # connections to the trap
    cpu: float  # seconds of the hub's process


class Trap:
    """A listener that nobody has any business with: whoever follows a URL of an attack is counted."""

    def __init__(self, stack: ExitStack) -> None:
        self.connections = 0
        self._listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._count, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/trap"

    def _count(self) -> None:
        with suppress(OSError):  # closed at the end
            while True:
                peer, _ = self._listener.accept()
                self.connections += 1
                peer.close()


@dataclass(frozen=True)
class Message:
    """M: an honest question of the attacker, not yet sent. What is sent in its place is made from it."""

    draft: Draft
    ticket: str

    @cached_property
    def data(self) -> bytes:
        return sign(self.draft)

    def build(self, **changes: object) -> bytes:
        """M with something changed before it is signed."""
        return sign(replace(self.draft, **changes))


class Target:
    """The hub and what it is watched with. `start` it once; attacks come one after the other."""

    def __init__(self, stack: ExitStack, directory: Path, limits: Mapping[str, object]) -> None:
        self.directory = directory
        self._stack = stack
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.refused: Counter[str] | None = None  # refusals so far, by metric label, where that is known
        self.trap = Trap(stack)
        self.secret = directory / "secret.txt"
        self.secret.write_text(SECRET)
        write_pki(directory / "pki", pki())
        self._enrol()
        self.provider = Provider(stack, self.tls_files("PLATFORM"), key_of("PLATFORM"))
        self.settings = write_settings(directory, self.provider.url, dict(limits))
        self._registered("IMMIGRATION_OFFICE", "signed_addressing", "true")
        self._registered(SUSPENDED, "active", "false")
        self._bound()
        self._inscribe()
        self._start()
        stack.callback(self.stop)

    @classmethod
    @contextmanager
    def running(cls, **limits: object) -> Iterator[Target]:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="target-")))
            yield cls(stack, directory, {**LIMITS, **limits})

    @cached_property
    def patient(self) -> Target:
        """Another hub, which waits longer: for cases of many messages at one moment."""
        return self._stack.enter_context(Target.running(**PATIENT))

    def _start(self) -> None:
        self.process, serving = self._served("operational.log")
        self.url, self.operations = serving["url"], serving["operations"]
        self.address = urlsplit(self.url).hostname, urlsplit(self.url).port

    def _served(self, log: str) -> tuple[subprocess.Popen[bytes], dict[str, str]]:
        """A process of the hub, and what it says once it serves."""
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(self.directory / "gateway.toml")]
        path = self.directory / log
        with path.open("ab") as lines:
            since = lines.tell()
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            process = subprocess.Popen(command, stderr=lines, stdout=lines, env=environment)
        until(lambda: b"\n" in path.read_bytes()[since:] or process.poll() is not None)
        return process, json.loads(path.read_bytes()[since:].splitlines()[0])

    def stop(self) -> None:
        """End the hub, if it still runs."""
        if self.process.poll() is None:
            ended(self.process, signal.SIGTERM)

    def restart(self, how: signal.Signals) -> None:
        """End the hub, and start another process on the same files."""
        ended(self.process, how)
        self._start()

    @contextmanager
    def second(self) -> Iterator[tuple[str, int]]:
        """Another process of the same hub, on a port of its own."""
        process, serving = self._served("second.log")
        try:
            yield urlsplit(serving["url"]).hostname, urlsplit(serving["url"]).port
        finally:
            ended(process, signal.SIGTERM)

    def _registered(self, name: str, column: str, value: str) -> None:
        """The register says something else of an authority."""
        path = self.settings.contracts.register
        before, line, after = path.read_text().partition(f'id = "{name}"')
        changed = re.sub(rf"^{column} = .*$", f"{column} = {value}", after, count=1, flags=re.MULTILINE)
        assert changed != after
        path.write_text(before + line + changed)

    def _bound(self) -> None:
        """One authority has a quota that a case can use up, the others one that all cases together do not."""
        path = self.settings.contracts.register
        plenty = "quota = { per_second = 100000.0, burst = 1000000 }"
        path.write_text(re.sub(r"(?m)^suite = .*$", rf"\g<0>\n{plenty}", path.read_text()))
        self._registered(BOUNDED, "quota", f"{{ per_second = 0.001, burst = {BURST} }}")

    def _enrol(self) -> None:
        with (self.directory / "pki/enrolled.toml").open("a") as lines:
            for certificate in ENROLLED:
                fingerprint = sha256(certificate(self)).hexdigest()
                lines.write(
                    f'\n[[certificate]]\nauthority = "{ATTACKER}"\npurpose = "sign"\nsha256 = "{fingerprint}"\n'
                )

    def _inscribe(self) -> None:
        since = datetime.now(UTC) - timedelta(days=1)
        directory = Directory.open(self.settings.log.store, writes=True)
        person = person_digest(secret_key(self.settings.keys.directory_key), memory.SSIN)
        for region, dossier in DOSSIERS.items():
            parts = [("PLATFORM", Role.PLAT), (region, Role.REG), ("IMMIGRATION_OFFICE", Role.OE)]
            lines = tuple(Inscription(name, role, since, None) for name, role in parts)
            directory.put(
                DossierScope(dossier, "SINGLE_PERMIT", "FIRST", "UNDER_REVIEW", since, lines, person)
            )
        directory.close()

    # What an authority does.

    def tls_files(self, name: str) -> tuple[Path, Path, list[Path]]:
        pki_ = self.directory / "pki"
        return pki_ / name / "tls.crt.pem", pki_ / name / "tls.key.pem", [pki_ / one for one in TRUST]

    def tls(self, name: str) -> ssl.SSLContext:
        """For a test to change."""
        return client_context(*self.tls_files(name))

    def _usual(self, name: str) -> ssl.SSLContext:
        """Made once: its key is not read and checked for each of two thousand connections."""
        if name not in self._contexts:
            self._contexts[name] = self.tls(name)
        return self._contexts[name]

    def foreign(self) -> tuple[Path, Path]:
        """The attacker's TLS pair by an issuer of the same names that nobody trusts."""
        files = foreign_pki()
        pair = self.directory / "foreign.crt.pem", self.directory / "foreign.key.pem"
        for path, kind in zip(pair, ("crt", "key"), strict=True):
            path.write_bytes(files[f"{ATTACKER}/tls.{kind}.pem"])
        return pair

    @contextmanager
    def connection(
        self,
        name: str = ATTACKER,
        context: ssl.SSLContext | None = None,
        address: tuple[str, int] | None = None,
    ) -> Iterator[ssl.SSLSocket]:
        """A TLS connection to the hub, for those who speak HTTP themselves."""
        plain = socket.create_connection(address or self.address, timeout=DEADLINE)
        with (context or self._usual(name)).wrap_socket(
            plain, server_hostname="gateway.wib.example"
        ) as wrapped:
            yield wrapped

    def raw(
        self,
        data: bytes,
        name: str = ATTACKER,
        *,
        method: str = "POST",
        address: tuple[str, int] | None = None,
    ) -> Answer:
        """Send bytes as they are, and read one answer."""
        began = time.monotonic()
        with self.connection(name, address=address) as wire:
            with suppress(OSError):  # the hub may have answered and closed before the last byte
                wire.sendall(data)
            return replace(read_answer(wire, method), seconds=time.monotonic() - began)

    def post(
        self,
        data: bytes,
        name: str = ATTACKER,
        headers: Mapping[str, str] | None = None,
        *,
        path: str = "",
        address: tuple[str, int] | None = None,
    ) -> Answer:
        """POST a message as most stacks do, under the media type of its SOAP version."""
        return self.raw(self.request(data, headers, path), name, address=address)

    def post_in_turn(self, messages: Iterable[bytes]) -> Iterator[Answer]:
        """POST the attacker's messages on one connection, each when the one before is answered."""
        with self.connection() as wire:
            for data in messages:
                wire.sendall(self.request(data))
                yield read_answer(wire)

    def request(self, data: bytes, headers: Mapping[str, str] | None = None, path: str = "") -> bytes:
        """The bytes of such a request."""
        given = {"Content-Type": media_of(data), "Content-Length": str(len(data)), **(headers or {})}
        fields = "".join(f"{key}: {value}\r\n" for key, value in given.items())
        head = f"POST {path or urlsplit(self.url).path} HTTP/1.1\r\nHost: gateway.wib.example\r\n{fields}\r\n"
        return head.encode("latin-1") + data

    def message(self, name: str = ATTACKER, **changes: object) -> Message:
        """An honest question, to be answered by the platform with a dossier."""
        now, ticket = datetime.now(UTC), str(uuid.uuid4())
        operation = str(changes.pop("operation", "consultDossier"))
        context = str(changes.pop("context", CONTEXT))
        criteria = changes.pop("criteria", Criteria(DOSSIERS.get(name, memory.DOSSIER)))
        asked = memory.question(name, operation, context, criteria, now, ticket=ticket)
        holder = holder_of(name)
        draft = Draft(
            content=memory.messages.write_question(asked),
            holder=holder,
            created=times.write(now),
            expires=times.write(now + timedelta(minutes=5)),
            method=method_of(holder),
        )
        return Message(replace(draft, **changes), ticket)

    def require_served(self) -> None:
        """Another authority, in the middle of an attack, is answered by the hub itself."""
        assert self.post(self.message(OTHER, **ECHO).data, OTHER).status == 200

    # What it is watched with.

    def reading(self, refused: Counter[str] | None = None) -> Reading:
        """`refused`: the refusals so far, where they are known: all metrics are written to tell them."""
        return Reading(
            self.entries(),
            self.refusals() if refused is None else refused,
            len(self._written(0)),
            len(self.provider.requests),
            self.trap.connections,
            self._cpu(),
        )

    def entries(self) -> int:
        with LogReader.open(self.settings.log.store) as reader:
            return reader.head().size

    def entry(self, index: int) -> dict[str, object]:
        with LogReader.open(self.settings.log.store) as reader:
            return json.loads(reader.entry(index))

    def refusals(self) -> Counter[str]:
        with urllib.request.urlopen(f"{self.operations}/metrics", timeout=DEADLINE) as response:
            text = response.read().decode()
        found = re.findall(r'gateway_refusals_total\{code="([^"]+)"\} ([0-9.]+)', text)
        return Counter({label: int(float(count)) for label, count in found})

    def lines(self, since: int) -> list[str]:
        """Lines of the operational log that were written since, each whole."""
        return self._written(since).decode("ascii").splitlines()

    def forget_peak(self) -> int:
        """From now on `peak` counts anew, from what it returns. Only root may do that: a hub forbids its user to look
        into it (attack G08); for others it goes on from the highest so far.
        """
        with suppress(PermissionError):
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self.peak()

    def peak(self) -> int:
        return self._status("VmHWM")

    def _written(self, since: int) -> bytes:
        return (self.directory / "operational.log").read_bytes()[since:]

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+) kB", text)[1]) * 1024

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def media_of(data: bytes) -> str:
    """The media type that belongs to a message."""
    return _MEDIA[V12 if V12.value.encode() in data[:1000] else V11]


def read_answer(wire: ssl.SSLSocket, method: str = "POST") -> Answer:
    """The next HTTP response on a connection; CLOSED when there is none."""
    response = http.client.HTTPResponse(wire, method=method)
    try:
        response.begin()
        return Answer(response.status, dict(response.headers), response.read())
    except (http.client.HTTPException, ConnectionError, ssl.SSLError):
        return CLOSED


def at_once(target: Target, messages: Sequence[tuple[str, bytes]]) -> list[Answer]:
    """Each message of an authority on a connection of its own, all at one moment; the answers in their order."""
    start = threading.Barrier(len(messages))

    def send(one: tuple[str, bytes]) -> Answer:
        start.wait(DEADLINE)
        return target.post(one[1], one[0])

    with ThreadPoolExecutor(len(messages)) as threads:
        return list(threads.map(send, messages))


def ended(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """End a process; one that does not end is a failure."""
    process.send_signal(how)
    try:
        process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def until(reached, seconds: float = DEADLINE) -> None:
    """Wait for something that must happen; a hang is a failure."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@cache
def pki() -> PkiFiles:
    """One PKI for all targets of a process, with RSA and ECDSA parties."""
    known, since = memory.register(), memory.NOW - timedelta(days=1)
    files = dict(issue_pki(known.hub, known.authorities, since))
    certificate = x509.load_pem_x509_certificate(files["issuing.crt.pem"])
    issuer = Issuer(certificate, load_pem_private_key(files["issuing.key.pem"], None))
    before = x509.load_pem_x509_crl(files["issuing.crl.pem"])
    revoked = issue_crl(issuer, since, before=before, revoke=[REVOKED])
    return files | {"issuing.crl.pem": revoked.public_bytes(Encoding.PEM)}


@cache
def foreign_pki() -> PkiFiles:
    """That of another environment: other issuers under the same names, for the attacker alone."""
    known = memory.register()
    return dict(issue_pki(known.hub, [known.by_id[ATTACKER]], memory.NOW - timedelta(days=1)))


@cache
def holder_of(name: str, kind: str = "sign") -> Holder:
    """A party's key with its certificate, as xmlsec signs with it."""
    return Holder(
        load_pem_private_key(pki()[f"{name}/{kind}.key.pem"], None),
        x509.load_pem_x509_certificate(pki()[f"{name}/{kind}.crt.pem"]),
    )


def key_of(name: str):
    return holder_of(name).signing


def method_of(holder: Holder) -> str:
    """The SignatureMethod that this key can make."""
    return holder.signing.method
