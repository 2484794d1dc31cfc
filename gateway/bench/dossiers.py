"""The dossiers of the benchmark: schema-valid, of half a KB to 100 KB, all of fields a platform provides.

A dossier grows as real ones do: first more field groups, then more places of work, qualifications, family
members and foreign identifiers (the schema allows 50 of each). About half of the leaves are withheld from
a region that decides on work, so that filtering has something to do at every size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.agreement import identifiers
from gateway.model import COMMON, DOSSIER, DossierNumber
from gateway.soap.xml import text

Content = str | Sequence["Item"]
Item = tuple[str, Content]  # element name, its text or its children; "c:" marks the common namespace

MIN_KB: Final = 0.5
MAX_KB: Final = 100.0  # a little more, and the schema's limits on repetition are reached
_ASKED, _TOLD, _POSTED = (
    2026,
    2025,
    2024,
)  # years of the dossiers that are asked for, told to endpoints, to a mailbox
_DIGEST: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def dossier_number(kilobytes: float) -> DossierNumber:
    """The sequence number tells the size in bytes, so that a provider knows what to answer."""
    return identifiers.dossier_number(_ASKED, round(kilobytes * 1024))


def told_number(lane: int) -> DossierNumber:
    """The dossier of which one client tells: what is told of one dossier is delivered one after the other."""
    return identifiers.dossier_number(_TOLD, lane)


def posted_number(lane: int) -> DossierNumber:
    """The dossier of which one client tells a mailbox."""
    return identifiers.dossier_number(_POSTED, lane)


def kilobytes_of(number: str) -> float:
    """The size that a dossier number of the benchmark asks for."""
    return int(number.split("-")[2]) / 1024


def payload(kilobytes: float, number: DossierNumber | None = None) -> str:
    """The payload element of the answer, in canonical form, of about this size on the wire.

    On the wire each namespace is declared once (`messages.compact`); in canonical form a hundred times.
    `number`: the dossier, by default the one that is asked for at this size.
    """
    target = round(kilobytes * 1024) - len("<s:dossier></s:dossier>")
    groups: dict[str, list[Item]] = {}
    size = 0
    for item in _growing(number or dossier_number(kilobytes)):
        length = len(_write(item, "d", declared=True).encode())
        if size + length <= target:
            groups.setdefault(item[0], []).append(item)
            size += length
    groups["workerCivil"] = [
        (name, [*content, *groups.get("alias", ())]) for name, content in groups.get("workerCivil", ())
    ]
    written = "".join(_write(item, "s", declared=False) for name in _ORDER for item in groups.get(name, ()))
    return f"<s:dossier>{written}</s:dossier>"


def _write(item: Item, parent: str, *, declared: bool) -> str:
    """Exclusive C14N declares a prefix wherever it is first used below an element of another one."""
    name, content = item
    prefix, local = ("c", name[2:]) if name.startswith("c:") else ("d", name)
    namespace = COMMON if prefix == "c" else DOSSIER
    declaration = "" if declared or prefix == parent else f' xmlns:{prefix}="{namespace}"'
    inner = (
        text(content)
        if isinstance(content, str)
        else "".join(_write(child, prefix, declared=declared) for child in content)
    )
    return f"<{prefix}:{local}{declaration}>{inner}</{prefix}:{local}>"


def _growing(number: DossierNumber) -> Iterator[Item]:
    """Items in order of importance: what a small dossier has, what a full one has, what repeats."""
    yield from _core(number)
    yield from _full()
    for count in range(1, 51):
        yield from _repeated(count)


_ORDER: Final = (
    "header", "worker", "workerCivil", "foreignIdentifier", "contact", "addressAbroad", "addressBelgium",
    "travelDocument", "employer", "establishment", "proxy", "hostUndertaking", "function", "contract", "salary",
    "workPlace", "qualification", "labourMarketTest", "contractDocument", "feePayment", "feePaid",
    "criminalRecord", "criminalRecordPresent", "medicalCertificate", "medicalCertificatePresent",
    "sicknessInsurance", "sicknessInsurancePresent", "meansOfSubsistence", "familyMember", "familyInsured",
)  # fmt: skip


def _core(number: DossierNumber) -> list[Item]:
    return [
        ("header", [
            ("dossierNumber", number), ("permitType", "SINGLE_PERMIT"), ("procedure", "FIRST"),
            ("competentRegion", "BRUSSELS"), ("status", "UNDER_REVIEW"), ("statusDate", "2026-09-14"),
        ]),
        ("worker", [
            ("familyName", "El Idrissi"), ("givenNames", "Samira"), ("birthDate", "1990-05-17"), ("nationality", "MA"),
        ]),
        ("travelDocument", [("type", "PASSPORT"), ("number", "XK4419027"), ("expiryDate", "2031-03-02")]),
        ("employer", [("cbeNumber", "0999066643"), ("name", "Atelier Zenne NV")]),
        ("salary", [("amount", "4120.00"), ("period", "MONTH"), ("currency", "EUR")]),
        ("criminalRecordPresent", "true"),
    ]  # fmt: skip


def _full() -> list[Item]:
    return [
        ("workerCivil", [("birthPlace", "Tétouan"), ("birthCountry", "MA"), ("civilStatus", "MARRIED")]),
        ("contact", [("email", "s.elidrissi@example.org"), ("phone", "+212 600 000 000")]),
        ("addressAbroad", [
            ("street", "Avenue Mohammed V"), ("number", "114"), ("postCode", "93000"), ("locality", "Tétouan"),
            ("country", "MA"),
        ]),
        ("establishment", [("unitNumber", "2999900023"), ("nssoNumber", "0999900123")]),
        ("proxy", [("cbeNumber", "0999066643"), ("mandateReference", "MAND-2026-00417")]),
        ("function", [
            ("title", "Software developer"), ("isco", "2512"), ("workerCategory", "HIGHLY_SKILLED"),
        ]),
        ("contract", [
            ("type", "FIXED_TERM"), ("startDate", "2026-11-01"), ("endDate", "2029-10-31"), ("hoursPerWeek", "38"),
            ("jointCommittee", "200"),
        ]),
        ("labourMarketTest", [("outcome", "EXEMPT")]),
        ("contractDocument", [("document", _document("contract-0417"))]),
        ("feePayment", [("amount", "366.00"), ("date", "2026-09-01"), ("structuredCommunication", "090933755493")]),
        ("feePaid", "true"),
        ("criminalRecord", [
            ("issuingCountry", "MA"), ("issueDate", "2026-08-03"), ("clear", "true"), ("document", _document("record-0417")),
        ]),
        ("medicalCertificate", [
            ("issuingCountry", "MA"), ("issueDate", "2026-08-11"), ("fit", "true"), ("document", _document("medical-0417")),
        ]),
        ("medicalCertificatePresent", "true"),
        ("sicknessInsurance", [("insurer", "Atlas Mutuelle"), ("startDate", "2026-11-01"), ("familyCovered", "false")]),
        ("sicknessInsurancePresent", "true"),
        ("meansOfSubsistence", [("kind", "SALARY"), ("amount", "4120.00"), ("document", _document("means-0417"))]),
        ("familyInsured", "false"),
    ]  # fmt: skip


def _repeated(count: int) -> list[Item]:
    """What a worker with a long career brings; titles and names also in their own script, as certified."""
    return [
        ("workPlace", [
            ("address", [
                ("c:street", "Boulevard de l'Abattoir - Slachthuislaan, entrée du personnel par la cour - ingang via het plein"),
                ("c:number", str(count)), ("c:box", f"B{count:03d}"), ("c:postCode", "1000"),
                ("c:locality", "Bruxelles - Brussel - Brüssel, quartier de Cureghem - Kuregemwijk"), ("c:country", "BE"),
            ]),
            ("municipality", "21004"), ("main", "true" if count == 1 else "false"),
        ]),
        ("qualification", [
            ("diploma", (f"Master in computer science, specialisation in distributed systems, part {count} "
             "(الماستر في علوم الحاسوب والهندسة، تخصص الأنظمة الموزعة وأمن المعلومات، كلية العلوم، جامعة عبد المالك السعدي بتطوان، "
             "شهادة مصادق عليها من طرف وزارة التعليم العالي والبحث العلمي)")),
            ("institution", "Université Abdelmalek Essaâdi, Tétouan (جامعة عبد المالك السعدي، كلية العلوم بتطوان)"),
            ("year", str(1970 + count)), ("experienceYears", str(count % 30)),
        ]),
        ("familyMember", [
            ("relation", "CHILD"), ("familyName", "El Idrissi Benali-Tazi El Ouazzani (الإدريسي بنعلي التازي الوزاني)"),
            ("givenNames", f"Yasmine Nour Amal Fatima-Zahra Khadija (ياسمين نور أمل فاطمة الزهراء خديجة), {count}"), ("birthDate", "2015-00-00"), ("nationality", "MA"),
        ]),
        ("alias", f"Samira El Idrissi-Benali ({count}), née Benali-Tazi El Ouazzani (سميرة الإدريسي بنعلي التازي الوزاني)"),
        ("foreignIdentifier", [
            ("type", "NATIONAL_NUMBER"), ("value", f"LE-{count:06d}-TETOUAN-REGISTRE-CIVIL"), ("country", "MA"),
            ("validFrom", "2010-02-01"), ("validUntil", "2030-01-31"),
        ]),
    ]  # fmt: skip


def _document(reference: str) -> list[Item]:
    return [("c:reference", reference), ("c:mediaType", "application/pdf"), ("c:sha256", _DIGEST)]
