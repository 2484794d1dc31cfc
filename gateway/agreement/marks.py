"""The marks on element declarations: under which field group an element stands, or that it is structural.

A mark is an `xs:appinfo` of the contracts. Where a mark may stand is for `schema`; what the agreement grants
of a field, for `matrix`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.model import MARKS, FieldId
from gateway.soap.xml import Element

_INFO: Final = "{http://www.w3.org/2001/XMLSchema}annotation/{http://www.w3.org/2001/XMLSchema}appinfo"
_GROUP: Final = re.compile(r"G[0-9]{2}")
_FIELD: Final = re.compile(r"[a-z][A-Za-z0-9]*")


class MarkKind(Enum):
    """What the mark on an element declaration says."""

    FIELD = "field"  # a field of a group, with everything below it
    CONTAINER = "container"  # the element of a group: releases nothing by itself
    STRUCTURAL = "structural"  # of no group
    INHERIT = "inherit"  # the field of the element that uses this type
    DOCUMENT = "document"  # the field of the document type that was asked for


@dataclass(frozen=True, slots=True)
class Mark:
    """The one mark of an element declaration."""

    kind: MarkKind
    group: str = ""
    field: FieldId | None = None


def read_mark(declaration: Element) -> Mark:
    """The mark of an `xs:element`: exactly one, for an unmarked element is one that nobody agreed on.

    Raises ValueError with the sentence of a finding.
    """
    inside = (mark for info in declaration.iterfind(_INFO) for mark in info)
    marks = [mark for mark in inside if str(mark.tag).startswith(f"{{{MARKS}}}")]
    if len(marks) != 1:
        raise ValueError("no mark of a field group" if not marks else f"{len(marks)} marks, one expected")
    kind, attributes = (
        str(marks[0].tag).rpartition("}")[2],
        {str(k): str(v) for k, v in marks[0].attrib.items()},
    )
    if kind in {"structural", "inherit", "document"} and not attributes:
        return Mark(MarkKind(kind))
    if kind != "group" or not {"code"} <= set(attributes) <= {"code", "field"}:
        raise ValueError(f"no such mark: {kind} with {sorted(attributes)}")
    return _group_mark(attributes["code"], attributes.get("field"))


def _group_mark(code: str, field: str | None) -> Mark:
    if not _GROUP.fullmatch(code):
        raise ValueError(f'no such group: "{code}"')
    if field is None:
        return Mark(MarkKind.CONTAINER, code)
    if not _FIELD.fullmatch(field):
        raise ValueError(f'no such field: "{field}"')
    return Mark(MarkKind.FIELD, code, FieldId(f"{code}.{field}"))
