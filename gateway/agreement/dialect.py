"""XSD files → declarations, each with its mark: the strict dialect of the contracts (contracts/README.md).

Whatever the dialect does not name is refused, so that nothing can slip past the marks: no wildcard, no
extension, no substitution, no attribute, no anonymous type. What the marks mean in a message is for `schema`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lxml import etree

from gateway.agreement.finding import ContractError, Finding
from gateway.agreement.marks import Mark, read_mark
from gateway.soap.xml import Element

if TYPE_CHECKING:
    from lxml.etree._docloader import _InputDocument

XS: Final = "http://www.w3.org/2001/XMLSchema"
_XS: Final = f"{{{XS}}}"
# fmt: off
_FACETS: Final = frozenset({
    "enumeration", "pattern", "length", "minLength", "maxLength", "minInclusive", "maxInclusive",
    "minExclusive", "maxExclusive", "totalDigits", "fractionDigits", "whiteSpace",
})
# Built-in types that carry plain text; xs:anyType and its like would carry anything.
_BUILT_IN: Final = frozenset({
    "string", "normalizedString", "token", "boolean", "decimal", "integer", "nonNegativeInteger", "int", "long",
    "date", "dateTime", "gYear", "base64Binary",
})
# fmt: on
# Of minOccurs. Written otherwise, as 00, it would be read otherwise here than by libxml2.
_OCCURS: Final = frozenset({"0", "1"})
# Element of the dialect: attributes that it may carry, children that it may have (annotations everywhere).
_DIALECT: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "schema": (
        frozenset(
            {"targetNamespace", "elementFormDefault", "attributeFormDefault", "blockDefault", "version"}
        ),
        frozenset({"import", "simpleType", "complexType", "element"}),
    ),
    "import": (frozenset({"namespace", "schemaLocation"}), frozenset()),
    "simpleType": (frozenset({"name"}), frozenset({"restriction"})),
    "restriction": (frozenset({"base"}), _FACETS),
    "complexType": (frozenset({"name"}), frozenset({"sequence"})),
    "sequence": (frozenset(), frozenset({"element"})),
    "element": (frozenset({"name", "type", "minOccurs", "maxOccurs"}), frozenset()),
    **{facet: (frozenset({"value"}), frozenset[str]()) for facet in _FACETS},
}


@dataclass(frozen=True, slots=True)
class Declaration:
    """An `xs:element`: `type` is its qualified name in Clark notation."""

    name: str
    namespace: str
    type: str
    mark: Mark
    optional: bool
    repeated: bool
    file: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Base:
    """What a simple type restricts: `type` is its qualified name in Clark notation."""

    type: str
    file: str
    line: int | None


@dataclass(slots=True)
class Declarations:
    """Everything declared in the contract's schemas, by qualified name in Clark notation."""

    elements: dict[str, Declaration] = field(default_factory=dict)  # global ones
    sequences: dict[str, tuple[Declaration, ...]] = field(default_factory=dict)  # complex types
    values: dict[str, frozenset[str]] = field(default_factory=dict)  # simple types; empty: not enumerated
    bases: dict[str, Base] = field(default_factory=dict)  # of each simple type

    def is_text(self, type_name: str) -> bool:
        return type_name in self.values or type_name.removeprefix(_XS) in _BUILT_IN


class MemoryResolver(etree.Resolver):
    """Gives libxml2 the contract's files from memory and nothing else: no disk, no network."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__()
        self._files = files

    def resolve(self, system_url: str | None, _public_id: str | None, context: object, /) -> _InputDocument:
        """Never None: lxml would then fetch the file by itself."""
        name = system_url or ""
        if name not in self._files:
            raise ContractError([Finding(name, "", "no such file in the contract")])
        return self.resolve_string(self._files[name], context, base_url=name)


def parse_file(files: Mapping[str, bytes], name: str) -> Element:
    """The root element of one of the contract's files. Raises ContractError."""
    parser = etree.XMLParser(no_network=True, resolve_entities=False, load_dtd=False, remove_comments=True)
    parser.resolvers.add(MemoryResolver(files))
    try:
        root = etree.fromstring(files[name], parser, base_url=name)
    except (etree.XMLSyntaxError, ValueError) as error:
        line = error.lineno if isinstance(error, etree.XMLSyntaxError) else None
        raise ContractError([Finding(name, "", f"not well-formed: {error}", line)]) from error
    if root.getroottree().docinfo.doctype:
        raise ContractError([Finding(name, "", "a contract has no document type declaration")])
    return root


def read_declarations(files: Mapping[str, bytes], entry: str) -> Declarations:
    """Read `entry` and every schema that it imports. Raises ContractError with every finding."""
    found: list[Finding] = []
    declarations = Declarations()
    waiting, seen = [entry], {entry}
    owners: dict[str, str] = {}  # namespace → the one file that declares it
    while waiting:
        name = waiting.pop(0)
        reader = _Reader(name, parse_file(files, name), found)
        if owners.setdefault(reader.namespace, name) != name:  # libxml2 takes one of them, without a word
            found.append(Finding(name, "", f"{owners[reader.namespace]} has this namespace already"))
        reader.read(declarations)
        for location in reader.imports():
            if location not in files:
                found.append(Finding(name, "import", f"{location} is not among the files of the contract"))
            elif location not in seen:
                seen.add(location)
                waiting.append(location)
    # Such a file would count for the revision and mean nothing: a slip, or a schema that was to be in force.
    stray = (name for name in sorted(files) if name.endswith(".xsd") and name not in seen)
    found.extend(Finding(name, "", "no schema of the service imports it") for name in stray)
    _require_known_types(declarations, found)
    if found:
        raise ContractError(found)
    return declarations


def _require_known_types(declarations: Declarations, found: list[Finding]) -> None:
    locals_ = [one for sequence in declarations.sequences.values() for one in sequence]
    found.extend(
        Finding(one.file, one.name, f"no type {one.type} in the dialect", one.line)
        for one in (*declarations.elements.values(), *locals_)
        if one.type not in declarations.sequences and not declarations.is_text(one.type)
    )
    found.extend(
        Finding(base.file, name.rpartition("}")[2], f"no type {base.type} in the dialect", base.line)
        for name, base in declarations.bases.items()
        if not declarations.is_text(base.type)
    )


class _Reader:
    """Reads one schema file."""

    def __init__(self, file: str, root: Element, found: list[Finding]) -> None:
        self._file, self._root, self._found = file, root, found
        self.namespace = root.get("targetNamespace", "")

    def imports(self) -> list[str]:
        """Imported files, relative locations resolved."""
        folder = posixpath.dirname(self._file)
        locations = [str(node.get("schemaLocation", "")) for node in self._root.iterchildren(f"{_XS}import")]
        return [posixpath.normpath(posixpath.join(folder, location)) for location in locations]

    def read(self, into: Declarations) -> None:
        """Check the dialect, then collect what the file declares."""
        if self._root.tag != f"{_XS}schema" or self._root.get("elementFormDefault") != "qualified":
            self._add(self._root, "", "not an xs:schema with qualified elements")
            return
        before = len(self._found)
        self._check(self._root, "")
        if len(self._found) > before:
            return
        for node in self._root.iterchildren(f"{_XS}simpleType"):
            facets = node.iterfind(f"{_XS}restriction/{_XS}enumeration")
            values = (facet.get("value", "") for facet in facets)
            into.values[self._qualified(node)] = frozenset(values)
            into.bases.update(self._base(node, one) for one in node.iterfind(f"{_XS}restriction"))
        for node in self._root.iterchildren(f"{_XS}complexType"):
            within = node.iterfind(f"{_XS}sequence/{_XS}element")  # never what stands in an annotation
            children = (self._declaration(child, node.get("name", "")) for child in within)
            into.sequences[self._qualified(node)] = tuple(child for child in children if child is not None)
        for node in self._root.iterchildren(f"{_XS}element"):
            declaration = self._declaration(node, "")
            if declaration is not None:
                into.elements[self._qualified(node)] = declaration

    def _check(self, node: Element, path: str) -> None:
        """Everything in the file is of the dialect, or it is a finding."""
        name = str(node.tag).removeprefix(_XS)
        attributes, children = _DIALECT[name]
        for attribute in node.attrib:
            if attribute not in attributes:
                self._add(node, path, f"xs:{name} has attribute {attribute}, which is not of the dialect")
        for child in node:
            label = str(child.tag).removeprefix(_XS)
            if label == "annotation":
                continue
            inner = "/".join(part for part in (path, child.get("name", "")) if part)
            if label in children:
                self._check(child, inner)
            else:
                self._add(child, inner, f"xs:{label} in xs:{name} is not of the dialect")

    def _declaration(self, node: Element, owner: str) -> Declaration | None:
        name, reference = node.get("name", ""), node.get("type", "")
        path = "/".join(part for part in (owner, name) if part)
        mark = self._mark(node, path)
        if not name or not reference:
            self._add(node, path, "an element has a name and a named type")
            return None
        if node.get("maxOccurs") == "unbounded":
            self._add(node, path, "a repetition has an upper bound")
        if node.get("minOccurs", "1") not in _OCCURS:
            self._add(node, path, "minOccurs is 0 or 1")
        if mark is None:
            return None
        return Declaration(
            name=name,
            namespace=self.namespace,
            type=_resolved(node, reference),
            mark=mark,
            optional=node.get("minOccurs") == "0",
            repeated=node.get("maxOccurs", "1") != "1",
            file=self._file,
            line=node.sourceline,
        )

    def _base(self, node: Element, restriction: Element) -> tuple[str, Base]:
        base = _resolved(restriction, restriction.get("base", ""))
        return self._qualified(node), Base(base, self._file, restriction.sourceline)

    def _mark(self, node: Element, path: str) -> Mark | None:
        try:
            return read_mark(node)
        except ValueError as error:
            self._add(node, path, str(error))
            return None

    def _qualified(self, node: Element) -> str:
        return f"{{{self.namespace}}}{node.get('name', '')}"

    def _add(self, node: Element, path: str, sentence: str) -> None:
        self._found.append(Finding(self._file, path, sentence, node.sourceline))


def _resolved(node: Element, reference: str) -> str:
    """A type's name in Clark notation."""
    prefix, _, local = reference.rpartition(":")
    return f"{{{node.nsmap.get(prefix or None)}}}{local}"
