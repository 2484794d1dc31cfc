"""Canaries: a value of its own for every leaf of every message, made from the schemas alone.

A new field is covered by itself. What a value is for here: to be put into a message that goes through a hub, and
to be looked for afterwards in everything that the hub wrote (`tests.process.traces`).
"""

from __future__ import annotations

import base64
import hashlib
import random
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from re import _constants as op
from re import _parser as parser
from xml.sax.saxutils import escape

from lxml import etree

from gateway.agreement.dialect import XS, parse_file, read_declarations
from gateway.agreement.identifiers import dossier_number
from gateway.agreement.schema import _service_schema
from gateway.model import COMMON, SERVICE
from tests.path.hub import agreement

PREFIXES = {SERVICE: "s", COMMON: "c"}  # everything else is of the dossier: d
# Marks that only some writers escape: what is cut, joined, or put together from a value shows there.
_FREE_TEXT = r"\p{Cc}"  # stands in the one pattern that all free text has
AWKWARD = " &<'\"é€%7B{0}"


@dataclass(frozen=True)
class Part:
    """One element of a message, at its place."""

    name: str
    namespace: str
    type: str  # Clark notation
    path: str  # from the message down, "submitApplication/dossier/worker/ssin"
    parts: tuple[Part, ...]  # empty: carries text

    @property
    def prefix(self) -> str:
        return PREFIXES.get(self.namespace, "d")

    def leaves(self) -> Iterator[Part]:
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()


@dataclass(frozen=True)
class Canary:
    """A value that stands at one place of a message, or in one header."""

    id: str  # the path of its leaf, or the name of a header
    value: str
    element: str = ""  # local name of the element around it, "" outside of messages
    prefix: str = ""
    closed: bool = False  # a word of contract, agreement or register: by itself it says nothing


@dataclass
class Kind:
    """A simple type, with the facets of everything that it restricts."""

    base: str = ""  # built-in type
    patterns: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)  # of an enumeration
    facets: dict[str, str] = field(default_factory=dict)


@cache
def messages() -> Mapping[str, Part]:
    """Every request and every response of the contract, by its name."""
    declared = read_declarations(agreement().files, _service_schema(agreement().files))

    def part(one, path: str) -> Part:
        own = f"{path}/{one.name}" if path else one.name
        inner = tuple(part(child, own) for child in declared.sequences.get(one.type, ()))
        return Part(one.name, one.namespace, one.type, own, inner)

    names = [name for operation in agreement().operations for name in (operation, f"{operation}Response")]
    return {name: part(declared.elements[f"{{{SERVICE}}}{name}"], "") for name in names}


@cache
def kinds() -> Mapping[str, Kind]:
    """Every simple type of the contract."""
    files, found = agreement().files, {}
    for name in (one for one in files if one.endswith(".xsd")):
        root = parse_file(files, name)
        for node in root.iter(f"{{{XS}}}simpleType"):
            (restriction,) = node.iter(f"{{{XS}}}restriction")
            prefix, _, base = restriction.get("base").rpartition(":")
            found[f"{{{root.get('targetNamespace')}}}{node.get('name')}"] = (
                restriction,
                f"{{{restriction.nsmap[prefix or None]}}}{base}",
            )
    return {name: _kind(name, found) for name in found}


def _kind(name: str, found: Mapping[str, tuple[etree._Element, str]]) -> Kind:
    kind = Kind()
    while name in found:
        restriction, name = found[name]
        for facet in restriction:
            label = etree.QName(facet).localname
            if label == "pattern":
                kind.patterns.append(facet.get("value"))
            elif label == "enumeration":
                kind.values.append(facet.get("value"))
            else:
                kind.facets.setdefault(label, facet.get("value"))
    kind.base = etree.QName(name).localname
    return kind


@cache
def canary(leaf: Part) -> Canary:
    """The value of a leaf, always the same: valid by its type, and unlike any other as far as the type allows."""
    chance = random.Random(f"canary {leaf.path}")
    return Canary(leaf.path, _value(leaf.type, chance), leaf.name, leaf.prefix)


def _value(type_name: str, chance: random.Random) -> str:
    local = etree.QName(type_name).localname
    if local in _CHECKED:
        return _CHECKED[local](chance)
    kind = kinds().get(type_name) or Kind(base=local)
    if kind.values:
        return chance.choice(kind.values)
    if any(_FREE_TEXT in one for one in kind.patterns):
        return _text(kind, chance, address="@" in "".join(kind.patterns))
    if kind.base in _BUILT_IN and not (kind.base == "int" and kind.patterns):
        return _BUILT_IN[kind.base](kind, chance)
    return _matching(kind.patterns[0], chance)


def _text(kind: Kind, chance: random.Random, *, address: bool = False) -> str:
    longest = int(kind.facets.get("maxLength", "40"))
    word = "".join(chance.choices(string.ascii_lowercase + string.digits, k=min(longest, 22)))
    if address:
        return f"{word}@canary.example"
    return (word + AWKWARD)[:longest].rstrip()


def _ssin(chance: random.Random) -> str:
    """A bis number of the twentieth century: of nobody, and with correct check digits."""
    nine = f"{chance.randrange(30, 99):02}{chance.randrange(21, 33):02}{chance.randrange(1, 29):02}{chance.randrange(1, 999):03}"
    return f"{nine}{97 - int(nine) % 97:02}"


def _cbe(chance: random.Random) -> str:
    eight = f"0{chance.randrange(2_000_000, 8_000_000)}"
    return f"{eight}{97 - int(eight) % 97:02}"


def _sha256(chance: random.Random) -> str:
    return hashlib.sha256(chance.randbytes(8)).hexdigest()


_CHECKED = {  # types whose values have check digits, or a meaning beyond their pattern
    "SsinType": _ssin,
    "CbeNumberType": _cbe,
    "DossierNumberType": lambda chance: dossier_number(2031, chance.randrange(10**6, 10**7)),
    "Sha256Type": _sha256,
    "IncompleteDateType": lambda chance: f"{chance.randrange(3000, 9000)}-{chance.randrange(1, 13):02}-00",
    "ElementPathType": lambda chance: f"canary/{''.join(chance.choices(string.ascii_letters, k=20))}",
}
_BUILT_IN = {
    "boolean": lambda kind, chance: chance.choice(["true", "false"]),
    "date": lambda kind, chance: (
        f"{chance.randrange(3000, 9000)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
    ),
    "dateTime": lambda kind, chance: (
        f"2{chance.randrange(500, 999)}-0{chance.randrange(1, 10)}-1{chance.randrange(10)}"
        f"T05:{chance.randrange(10, 60)}:{chance.randrange(10, 60)}.{chance.randrange(10**6, 10**7)}Z"
    ),
    "decimal": lambda kind, chance: _number(kind, chance, ".37"),
    "int": lambda kind, chance: _number(kind, chance, ""),
    "long": lambda kind, chance: _number(kind, chance, ""),
    "base64Binary": lambda kind, chance: (
        base64.b64encode(chance.randbytes(int(kind.facets["length"]))).decode()
        if "length" in kind.facets
        else hashlib.sha512(chance.randbytes(8)).hexdigest()  # is base64, too
    ),
}


def _number(kind: Kind, chance: random.Random, fraction: str) -> str:
    most = int(kind.facets.get("maxInclusive", 9_999_999_999)) - 1
    return f"{chance.randrange(most // 2, most)}{fraction}"


def _matching(pattern: str, chance: random.Random) -> str:
    """A text that the pattern of a schema matches, as long as it may be up to 24 characters of each repetition."""
    made = "".join(_made(parser.parse(pattern), chance))
    assert re.fullmatch(pattern, made), (pattern, made)
    return made


def _made(tree: object, chance: random.Random) -> Iterator[str]:
    for what, how in tree:
        if what is op.LITERAL:
            yield chr(how)
        elif what is op.IN:
            yield chance.choice(_members(how))
        elif what is op.MAX_REPEAT:
            least, most, inner = how
            for _ in range(max(least, min(int(most), 24))):
                yield from _made(inner, chance)
        elif what is op.SUBPATTERN:
            yield from _made(how[-1], chance)
        else:
            assert what is op.BRANCH, what
            yield from _made(chance.choice(how[1]), chance)


def _members(ranges: object) -> list[str]:
    found = []
    for what, how in ranges:
        found += [chr(how)] if what is op.LITERAL else [chr(one) for one in range(how[0], how[1] + 1)]
    return found


def written(part: Part, values: Mapping[str, str]) -> str:
    """The element in canonical form: of every leaf in `values` its text; a part with nothing in it is left out."""
    root = etree.fromstring(_element(part, values, declare=True) or "<nothing/>")
    return etree.tostring(root, method="c14n", exclusive=True, with_comments=False).decode()


def _element(part: Part, values: Mapping[str, str], *, declare: bool = False) -> str:
    if part.parts:
        content = "".join(_element(one, values) for one in part.parts)
    else:
        content = escape(values[part.path]) if part.path in values else ""
    if not content:
        return ""
    spaces = ' xmlns:s="{}" xmlns:c="{}" xmlns:d="{}"'.format(
        SERVICE, COMMON, "http://workinginbelgium.be/types/Dossier/v1"
    )
    tag = f"{part.prefix}:{part.name}"
    return f"<{tag}{spaces if declare else ''}>{content}</{tag}>"
