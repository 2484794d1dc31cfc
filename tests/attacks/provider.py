"""The platform's endpoint behind the hub: it counts what reaches it, answers honestly, or as an attack tells it."""

from __future__ import annotations

import socket
import ssl
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from gateway.adapters.tls import server_context
from gateway.agreement import messages
from gateway.model import Outcome, SoapVersion
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.sign import SigningKey, sign
from gateway.wss.verify import verify
from tests.path import hub as memory

TlsFiles = tuple[Path, Path, list[Path]]


class Provider:
    """`answering`: what is done with a request; by default it is answered with a signed dossier."""

    def __init__(self, stack: ExitStack, tls: TlsFiles, key: SigningKey) -> None:
        self.key = key
        self.requests: list[bytes] = []
        self.answering: Callable[[BaseHTTPRequestHandler, bytes], None] = self.answer_well
        self.tls = server_context(*tls)
        self._connections: set[ssl.SSLSocket] = set()
        self._server = self._listening()
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/soap"
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        stack.callback(self._server.server_close)
        stack.callback(self._server.shutdown)

    @contextmanager
    def behaving(self, answering: Callable[[BaseHTTPRequestHandler, bytes], None]) -> Iterator[None]:
        """For a while it answers otherwise."""
        self.answering = answering
        try:
            yield
        finally:
            self.answering = self.answer_well

    @contextmanager
    def identified(self, tls: TlsFiles) -> Iterator[None]:
        """For a while it shows another certificate, to everybody: open connections are ended."""
        own, self.tls = self.tls, server_context(*tls)
        self._hang_up()
        try:
            yield
        finally:
            self.tls = own
            self._hang_up()

    def _hang_up(self) -> None:
        for one in list(self._connections):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._connections.clear()

    def _listening(self) -> ThreadingHTTPServer:
        provider = self

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def get_request(self) -> tuple[ssl.SSLSocket, tuple[str, int]]:
                plain, address = super().get_request()
                wrapped = provider.tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
                provider._connections.add(wrapped)
                return wrapped, address

            def handle_error(self, request: object, client_address: object) -> None:
                """A hub that leaves is no error."""

        return Server(("127.0.0.1", 0), self._handler())

    def answer_well(self, http: BaseHTTPRequestHandler, data: bytes) -> None:
        reply(http, self.signed(honest(self.asked(data))))

    def asked(self, data: bytes) -> messages.Question:
        """The question of the hub, whose signature is verified."""
        verified = verify(read(data, Limits()), Window(), datetime.now(UTC))
        return messages.read_question(parse_verified(verified.body)[0])

    def signed(self, body: str, key: SigningKey | None = None, now: datetime | None = None) -> bytes:
        return sign(
            body,
            version=SoapVersion.V11,
            key=key or self.key,
            now=now or datetime.now(UTC),
            lifetime=timedelta(minutes=5),
            unique=str(uuid.uuid4()),
        )

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                provider.requests.append(data)
                provider.answering(self, data)

            def log_message(self, *_: object) -> None:
                """Nothing is printed: what matters is asserted."""

        return Handler


def honest(asked: messages.Question) -> str:
    """The body of an honest answer."""
    return memory.reply_body(asked, Outcome.DATA_FOUND, memory.payload(asked, memory.authority("PLATFORM")))


def reply(http: BaseHTTPRequestHandler, data: bytes, status: int = 200, **headers: str) -> None:
    """One HTTP response."""
    http.send_response_only(status)
    for name, value in {"Content_Type": "text/xml; charset=utf-8", **headers}.items():
        http.send_header(name.replace("_", "-"), value)
    http.send_header("Content-Length", str(len(data)))
    http.end_headers()
    http.wfile.write(data)
