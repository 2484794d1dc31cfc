"""What each authority holds of each dossier: the files that the back offices answer from and tell from.

One XML file for each dossier and authority under dossiers/, in the contract's own form, with only what the
agreement lets that authority provide. Two attributes mark a group; they are taken off before it is sent.
`told` names the notifications in which it stands: the authority knows it once it has told one of them. `since`
says otherwise when it is known: "" always, "never", or from a notification in which it does not stand. Of groups
of one name the last that is known counts. All of it is fictitious.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lxml import etree

from gateway.agreement.identifiers import dossier_number
from gateway.model import COMMON, DOSSIER, SERVICE, AuthorityId, Criteria, DossierNumber, OperationName
from gateway.soap.xml import Element

FOLDER: Final = Path(__file__).with_name("dossiers")
MOVED: Final = FOLDER / "examples" / "moved.xml"  # a payload of no dossier: the worker moved to Eupen
_NAMES: Final = (
    "first", "renewal", "work_permit", "professional_card", "indefinite", "refused", "withdrawn", "revoked",
)  # fmt: skip
_FOLDERS: Final[Mapping[DossierNumber, str]] = {
    dossier_number(2026, sequence): name for sequence, name in enumerate(_NAMES, 1)
}
FIRST, RENEWAL, WORK_PERMIT, PROFESSIONAL_CARD, INDEFINITE, REFUSED, WITHDRAWN, REVOKED = _FOLDERS
WORKER, OTHER_WORKER = "90612400144", "85650304271"  # of the first two; numbers of the test range: nobody's
_DOCUMENT_TYPES: Final = {  # group that refers to a document → its type
    "contractDocument": "CONTRACT",
    "travelDocument": "TRAVEL_DOCUMENT_SCAN",
    "criminalRecord": "CRIMINAL_RECORD",
    "medicalCertificate": "MEDICAL_CERTIFICATE",
    "sicknessInsurance": "SICKNESS_INSURANCE",
    "meansOfSubsistence": "MEANS_OF_SUBSISTENCE",
}
# A reused parser: our own files, of which only the elements matter.
_PARSER: Final = etree.XMLParser(remove_blank_text=True, remove_comments=True, resolve_entities=False)

Files = Mapping[DossierNumber, Element]  # the whole file of each dossier, as `dossier` element


@dataclass(frozen=True, slots=True)
class Document:
    """A document that a dossier refers to."""

    reference: str
    type: str
    media_type: str
    sha256: str
    content: bytes


def read_files(name: AuthorityId) -> Files:
    """The files of one authority; none when it takes part in no dossier of the sandbox."""
    found = {number: FOLDER / folder / f"{name}.xml" for number, folder in _FOLDERS.items()}
    return {number: etree.parse(path, _PARSER).getroot() for number, path in found.items() if path.exists()}


def read_payload(path: Path) -> Element:
    """A dossier element that somebody wrote. Raises OSError, and ValueError for a file that holds something else."""
    try:
        element = etree.fromstring(path.read_bytes(), _PARSER)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"no XML, in line {error.lineno}") from error
    if element.tag != f"{{{SERVICE}}}dossier":
        raise ValueError(f"begins with {etree.QName(element).localname}")
    return element


def notifications(file: Element) -> frozenset[str]:
    """Every notification in which something of the file is told."""
    return frozenset(label for group in file for label in group.get("told", "").split())


def told(file: Element, notification: str) -> Element:
    """What one notification tells: the groups that stand in it."""
    return _kept(file, [group for group in file if notification in group.get("told", "").split()])


def known(file: Element, done: Collection[str], status: str) -> Element:
    """What the authority knows once it has told these notifications, with the dossier's status in the header."""
    groups = [group for group in file if _is_known(group, done)]
    last = {str(group.tag): dict(group.attrib) for group in groups}
    dossier = _kept(file, [group for group in groups if last[str(group.tag)] == dict(group.attrib)])
    for element in dossier.iterfind(f"{{{DOSSIER}}}header/{{{DOSSIER}}}status"):
        element.text = status
    return dossier


def _is_known(group: Element, done: Collection[str]) -> bool:
    since, labels = group.get("since"), group.get("told", "").split()
    if since is not None:
        return since == "" or since in done
    return not labels or not set(labels).isdisjoint(done)


def _kept(file: Element, groups: list[Element]) -> Element:
    dossier = etree.Element(file.tag, nsmap=file.nsmap)
    dossier.extend(deepcopy(group) for group in groups)
    for group in dossier:
        group.attrib.clear()
    return dossier


def documents(dossier: Element) -> list[Document]:
    """Every document that the dossier refers to, with its content."""
    found = []
    for mark in dossier.iter(f"{{{COMMON}}}reference"):
        holder, reference = mark.getparent(), str(mark.text)
        assert holder is not None
        group = holder.getparent()
        assert group is not None
        content = (FOLDER / "documents" / f"{reference}.pdf").read_bytes()
        kind = _DOCUMENT_TYPES[etree.QName(group).localname]
        media_type = str(holder.findtext(f"{{{COMMON}}}mediaType"))
        found.append(Document(reference, kind, media_type, hashlib.sha256(content).hexdigest(), content))
    return found


def payload(operation: OperationName, dossier: Element, criteria: Criteria) -> Element | None:
    """The payload of an answer, or None when the dossier holds nothing of the kind."""
    return _PAYLOADS[operation](dossier, criteria)


def _whole(dossier: Element, _: Criteria) -> Element | None:
    return dossier if len(dossier) else None


def _group(name: str) -> Callable[[Element, Criteria], Element | None]:
    def one(dossier: Element, _: Criteria) -> Element | None:
        found = dossier.find(f"{{{DOSSIER}}}{name}")
        return None if found is None else _renamed(found, name)

    return one


def _prior_applications(dossier: Element, _: Criteria) -> Element | None:
    found = dossier.findall(f"{{{DOSSIER}}}priorApplication")
    answer = etree.Element(f"{{{SERVICE}}}priorApplications", nsmap={"s": SERVICE, "d": DOSSIER})
    answer.extend(_renamed(one, "priorApplication") for one in found)
    return answer if found else None


def _document(dossier: Element, criteria: Criteria) -> Element | None:
    for one in documents(dossier):
        if one.reference == criteria.document_reference:
            answer = etree.Element(f"{{{SERVICE}}}document", nsmap={"s": SERVICE})
            content = base64.b64encode(one.content).decode()
            values = {"reference": one.reference, "type": one.type, "mediaType": one.media_type}
            for name, value in {**values, "sha256": one.sha256, "content": content}.items():
                etree.SubElement(answer, f"{{{SERVICE}}}{name}").text = value
            return answer
    return None


def _renamed(group: Element, name: str) -> Element:
    """A group of a dossier as element of the service: the same type under another name."""
    element = etree.Element(f"{{{SERVICE}}}{name}", nsmap={"s": SERVICE, "d": DOSSIER})
    element.extend(deepcopy(child) for child in group)
    return element


_PAYLOADS: Final[Mapping[str, Callable[[Element, Criteria], Element | None]]] = {
    "consultDossier": _whole,
    "consultStatus": _group("header"),
    "consultSocialSecurityStatus": _group("socialSecurity"),
    "consultPriorApplications": _prior_applications,
    "retrieveDocument": _document,
}
