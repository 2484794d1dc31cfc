"""What a requester's messages travel by, and what can go wrong with them, in our own words.

zeep and requests have many exceptions, some with the peer's text in them; here they become four.
"""
# zeep declares some of its types only:
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import requests
import zeep.exceptions
from urllib3.exceptions import NewConnectionError
from zeep.transports import Transport

from gateway.soap.xml import Element

Alter = Callable[[bytes], bytes]  # what happens to a signed message on its way out
SECONDS: Final = 60  # for one exchange
# PROTOCOL §11: the fixed form of a fault string, and of a bare refusal, which has no incident.
_FAULT: Final = re.compile(
    r"(?P<code>WIB\d{5}) (?P<label>[a-z-]+)(?: \((?P<about>[^)]*)\))?: (?P<sentence>.*?)"
    r"(?: Remedy: (?P<remedy>.*?) \[incident (?P<incident>[0-9a-f-]{36})\])?\s*",
    re.DOTALL,
)


class ExchangeFault(Exception):  # noqa: N818 - SOAP's own word
    """The hub refused. `incident` is empty for a bare HTTP refusal, before any message was understood: nobody
    signed it, and its sentence has the remedy in it (PROTOCOL §2.5). `retry_after`: seconds, where it says so.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of a fault string, and its HTTP status
        self,
        code: str,
        label: str,
        sentence: str,
        remedy: str = "",
        incident: str = "",
        http: int = 500,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(f"{code} {label}: {sentence}")
        self.code = code
        self.label = label
        self.sentence = sentence
        self.remedy = remedy
        self.incident = incident
        self.http = http
        self.retry_after = retry_after


class Unsendable(Exception):  # noqa: N818 - a state of the question
    """What was to be sent does not fit the contract that this authority is served."""


class NoReply(Exception):  # noqa: N818 - a state of the exchange
    """The hub could not be reached, or what answered does not speak SOAP. `reached`: a connection came about."""

    def __init__(self, sentence: str, *, reached: bool = True) -> None:
        super().__init__(sentence)
        self.reached = reached


class RecordingTransport(Transport):
    """zeep's transport, which keeps what went over the wire and may alter what leaves."""

    def __init__(self, session: requests.Session, alter: Alter | None) -> None:
        super().__init__(session=session, timeout=SECONDS, operation_timeout=SECONDS)
        session.hooks["response"].append(_require_understood)  # zeep hides what is not XML
        self.sent = b""
        self.received = b""
        self._alter = alter

    def post(self, address: str, message: bytes, headers: dict[str, str]) -> requests.Response:
        self.sent = message if self._alter is None else self._alter(message)
        response: requests.Response = super().post(address, self.sent, headers)
        self.received = response.content
        return response


@contextmanager
def translated() -> Iterator[None]:
    """The exceptions of zeep and requests as ours."""
    try:
        yield
    except zeep.exceptions.Fault as error:
        raise _fault(str(error.message), error.detail) from error
    except (
        zeep.exceptions.ValidationError,
        TypeError,
    ) as error:  # zeep's word for an element it does not know
        raise Unsendable(str(error)) from error
    except (requests.RequestException, zeep.exceptions.Error) as error:
        raise NoReply(_reason(error), reached=not _unreached(error)) from error


def _unreached(error: Exception) -> bool:
    """No connection came about: one whose handshake failed, or that broke off, did."""
    failed = getattr(error.args[0] if error.args else None, "reason", None)  # urllib3's own, inside requests'
    return isinstance(error, requests.ConnectTimeout) or isinstance(failed, NewConnectionError)


def _require_understood(response: requests.Response, *_: object, **__: object) -> None:
    """Raises ExchangeFault for a bare refusal (PROTOCOL §2.5)."""
    if response.headers.get("Content-Type", "").startswith("text/plain"):
        match = _FAULT.fullmatch(response.text)
        if match is not None:
            raise ExchangeFault(
                match["code"],
                match["label"],
                match["sentence"],
                http=response.status_code,
                retry_after=_seconds(response.headers.get("Retry-After")),
            )


def _reason(error: Exception) -> str:
    """In our words: the libraries' are about their own insides."""
    kinds = (  # the first that fits: requests' classes overlap
        (
            requests.exceptions.SSLError,
            "the TLS handshake failed: certificates of another sandbox, or expired",
        ),
        (requests.Timeout, f"nothing within {SECONDS} s"),
        (requests.ConnectionError, "nobody serves there, or the connection broke off"),
    )
    words = (sentence for kind, sentence in kinds if isinstance(error, kind))
    return next(words, "what came back is not SOAP of the contract")


def _seconds(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _fault(text: str, detail: Element | None) -> Exception:
    match = _FAULT.fullmatch(text)
    if match is None:
        return NoReply("a fault that is not in the form of the protocol")
    found = match.groupdict(default="")
    about = f" ({found['about']})" if found["about"] else ""
    return ExchangeFault(
        found["code"],
        found["label"],
        found["sentence"] + about,
        found["remedy"],
        found["incident"],
        retry_after=_seconds(None if detail is None else detail.findtext(".//{*}retryAfter")),
    )
