"""Looks for canaries in whatever bytes there are: as they are, in every encoding, and as unsalted digests.

Every form of a canary is known by its first eight bytes. What begins like one is then compared in full.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from xml.sax.saxutils import escape

from gateway.model import COMMON, SERVICE
from gateway.model import DOSSIER as DOSSIER_NS
from tests.process.canaries.values import Canary

WINDOW = 8  # bytes; nothing shorter can be told from chance
_FEW = 8  # forms that are looked for one by one
_URIS = {"s": SERVICE, "c": COMMON, "d": DOSSIER_NS}
_DIGESTS = ("md5", "sha1", "sha256", "sha512")


@dataclass(frozen=True)
class Trace:
    """A canary that was found, and how it was written there."""

    canary: Canary
    form: str

    @property
    def digest(self) -> bool:
        return self.form.startswith(("md5", "sha"))


def forms(canary: Canary) -> Iterator[tuple[str, bytes]]:
    """Every form of a canary: its name, its bytes. What of a form depends on its surroundings is left out."""
    for text in _told(canary):
        yield from _encoded(text)
    yield from _digested(canary)


def is_short(canary: Canary) -> bool:
    """A country, a yes or no, a word of the contract: by itself it says nothing."""
    return canary.closed or len(_core(canary.value)) < WINDOW


def _told(canary: Canary) -> Iterator[str]:
    """The texts to look for: what no writer escapes of the value; a short one only together with its element."""
    if not is_short(canary):
        core = _core(canary.value)
        yield from dict.fromkeys((core, core.upper(), core.lower()))
    elif canary.element:
        yield f">{canary.value}</{canary.prefix}:{canary.element}>"
        for quoted in (f'"{canary.element}": "', f'"{canary.element}":"', f"'{canary.element}': '"):
            yield f"{quoted}{canary.value}"


def _core(value: str) -> str:
    """The longest piece that is written the same by everybody."""
    return max(re.findall(r"[A-Za-z0-9._:+-]+(?: [0-9]+)*", value) or [""], key=len)


def _encoded(text: str) -> Iterator[tuple[str, bytes]]:
    data = text.encode()
    yield "plain", data
    yield "UTF-16LE", text.encode("utf-16-le")
    yield "UTF-16BE", text.encode("utf-16-be")
    yield "\\u", "".join(f"\\u{ord(one):04x}" for one in text).encode()
    yield "&#", "".join(f"&#{ord(one)};" for one in text).encode()
    yield "&#x", "".join(f"&#x{ord(one):x};" for one in text).encode()
    yield "%", "".join(f"%{one:02X}" for one in data).encode()
    yield "hex", data.hex().encode()
    yield "HEX", data.hex().upper().encode()
    for alignment in range(3):
        yield f"base64 {alignment}", _base64(data, alignment)


def _base64(data: bytes, alignment: int) -> bytes:
    """The characters that `data` makes alone, when so many bytes stand before it."""
    first, end = -(-alignment * 8 // 6), (alignment + len(data)) * 8 // 6
    return base64.b64encode(bytes(alignment) + data)[first:end]


def _digested(canary: Canary) -> Iterator[tuple[str, bytes]]:
    value, tag = canary.value, f"{canary.prefix}:{canary.element}"
    texts = [value, value.upper(), value.lower(), f"{value}\n"]
    if canary.element:
        inner = f">{escape(value)}</{tag}>"
        texts += [f"<{tag}{inner}", f'<{tag} xmlns:{canary.prefix}="{_URIS[canary.prefix]}"{inner}']
    for text in dict.fromkeys(texts):
        for name in _DIGESTS:
            digest = hashlib.new(name, text.encode(), usedforsecurity=False).digest()
            yield f"{name} raw", digest
            yield f"{name} hex", digest.hex().encode()
            yield f"{name} HEX", digest.hex().upper().encode()
            encoded = base64.b64encode(digest).rstrip(b"=")
            yield f"{name} base64", encoded
            yield f"{name} base64url", encoded.translate(bytes.maketrans(b"+/", b"-_"))


class Search:
    """Canaries to look for."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._forms: defaultdict[int, list[tuple[bytes, Trace]]] = defaultdict(list)  # by how they begin
        for canary in {replace(one, id=""): one for one in canaries}.values():
            for name, form in forms(canary):
                assert len(form) >= WINDOW, (canary, name)
                beginning = int.from_bytes(form[:WINDOW], sys.byteorder)
                self._forms[beginning].append((form, Trace(canary, sys.intern(name))))
        self._known = frozenset(self._forms)
        self._by_form: dict[int, Mapping[bytes, list[Trace]]] = {}  # of those that thousands begin like

    def traces(self, data: bytes) -> set[Trace]:
        """Every canary that stands in the data, in whatever form."""
        begun = {beginning for start in range(WINDOW) for beginning in self._begun(data, start)}
        return {trace for beginning in begun for trace in self._complete(data, beginning)}

    def _complete(self, data: bytes, beginning: int) -> Iterator[Trace]:
        """Of the forms that begin so, those that stand in the data."""
        if len(self._forms[beginning]) < _FEW:
            yield from (trace for form, trace in self._forms[beginning] if form in data)
            return
        known = self._known_by_form(beginning)
        lengths, first = {len(form) for form in known}, beginning.to_bytes(WINDOW, sys.byteorder)
        at = data.find(first)
        while at >= 0:
            for length in lengths:
                yield from known.get(data[at : at + length], ())
            at = data.find(first, at + 1)

    def _known_by_form(self, beginning: int) -> Mapping[bytes, list[Trace]]:
        if beginning not in self._by_form:
            found = defaultdict(list)
            for form, trace in self._forms[beginning]:
                found[form].append(trace)
            self._by_form[beginning] = found
        return self._by_form[beginning]

    def _begun(self, data: bytes, start: int) -> frozenset[int]:
        """How forms begin at `start`, or so many windows later."""
        end = start + (len(data) - start) // WINDOW * WINDOW
        return self._known.intersection(memoryview(data)[start:end].cast("Q"))
