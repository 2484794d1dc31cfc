"""What may be released: a permitted view applied to answers, and to what is told (PROTOCOL §10.1).

The message is built from the contract's tree, element by element; nothing of a provider's message is
copied but the text of released leaves. An element that the view does not name cannot appear, because
there is no code that would write it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec

from gateway.agreement.schema import leaves
from gateway.agreement.views import RECEIVED
from gateway.model import PREFIX, Answer, AuthorityId, FieldId, Node, Outcome, Permitted, Released, View
from gateway.soap.xml import Element, text


@dataclass(frozen=True, slots=True, eq=False)
class _Template:
    """A node that may be written: its tags in canonical form and the children that may be written in it."""

    path: str
    open: str
    close: str
    leaf: bool
    recorded: bool  # a field of the view, as opposed to a structural element
    children: Mapping[str, _Template]


class Rendered(msgspec.Struct, frozen=True):
    """A view applied."""

    payload: str  # exclusive C14N of the payload element; "" when there is nothing
    values: Mapping[str, tuple[str, ...]]  # every released leaf path → its texts in order, () when absent


def apply_view(
    permitted: Permitted, answers: Sequence[Answer], unanswered: Sequence[AuthorityId]
) -> Released:
    """Return only what the view permits of what the providers answered, merged in their order."""
    payloads = [answer.payload for answer in answers if answer.payload is not None]
    rendered = render(permitted.view, payloads)
    return Released(
        permitted=permitted,
        outcome=_outcome(answers, found=bool(rendered.payload)),
        payload=rendered.payload,
        values=rendered.values,
        answers=tuple(answers),
        unanswered=tuple(unanswered),
    )


def render(view: View, payloads: Sequence[Element]) -> Rendered:
    """What the view permits of schema-valid payloads, as one payload. It stands where the prefix s is declared."""
    template = _template(view)
    values: dict[str, list[str]] = {path: [] for path in _released(view)}
    written = "" if template is None else "".join(_content(template, one, values) for one in payloads)
    return Rendered(
        payload=f"{template.open}{written}{template.close}" if template is not None and written else "",
        values={path: tuple(texts) for path, texts in values.items()},
    )


@lru_cache(maxsize=1024)
def narrowed(view: View, fields: frozenset[FieldId]) -> View:
    """The view, without what is of none of these fields.

    What it withholds besides is not declared: what a recipient never received, it does not miss.
    """
    kept = {leaf.path for leaf in leaves(view.payload) if leaf.field in fields}
    verdicts = {
        path: RECEIVED if reason is None and path not in kept else reason
        for path, reason in view.verdicts.items()
    }
    return View(view.payload, verdicts, view.filtered)


def _outcome(answers: Sequence[Answer], *, found: bool) -> Outcome:
    """By what is released, not by what was answered: that there is something withheld is withheld too."""
    if found:
        return Outcome.DATA_FOUND
    fruitless = all(answer.outcome is Outcome.NO_RESULT for answer in answers)
    return Outcome.NO_RESULT if fruitless else Outcome.NO_DATA_FOUND


@lru_cache(maxsize=4096)
def _released(view: View) -> tuple[str, ...]:
    return tuple(path for path, reason in view.verdicts.items() if reason is None)


@lru_cache(maxsize=4096)
def _template(view: View) -> _Template | None:
    """None when the view releases nothing."""
    return _compile(view.payload, view, inherited="s")  # the message's own element declared the prefix s


_NAMESPACES: Final = {prefix: namespace for namespace, prefix in PREFIX.items()}


def _compile(node: Node, view: View, inherited: str) -> _Template | None:
    """`inherited`: prefixes that the ancestors wrote, so that C14N would not declare them again."""
    if not node.children and node.path in view.verdicts and view.verdicts[node.path] is not None:
        return None
    prefix = PREFIX[node.namespace]
    declaration = "" if prefix in inherited else f' xmlns:{prefix}="{_NAMESPACES[prefix]}"'
    compiled = {
        f"{{{child.namespace}}}{child.name}": _compile(child, view, inherited + prefix)
        for child in node.children
    }
    children = {tag: child for tag, child in compiled.items() if child is not None}
    if node.children and not children:
        return None
    return _Template(
        path=node.path,
        open=f"<{prefix}:{node.name}{declaration}>",
        close=f"</{prefix}:{node.name}>",
        leaf=not node.children,
        recorded=node.path in view.verdicts,
        children=children,
    )


def _content(template: _Template, element: Element, values: dict[str, list[str]]) -> str:
    """What stands between the tags of `template` for this element; records each released text."""
    if template.leaf:
        value = element.text or ""
        if template.recorded:
            values[template.path].append(value)
        return text(value)
    parts: list[str] = []
    children = template.children
    for child in element:
        inner = children.get(str(child.tag))  # None: withheld, or not of the contract
        if inner is not None:
            content = _content(inner, child, values)
            if content or inner.leaf:  # a container with nothing released in it is not shown
                parts.append(f"{inner.open}{content}{inner.close}")
    return "".join(parts)
