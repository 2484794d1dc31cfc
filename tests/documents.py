"""What documents say, and what they should: the tables of PROTOCOL.md read, and its generated parts made."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable

from lxml import etree

from gateway.agreement.course import RESUME, Course, Deadline, Step
from gateway.agreement.views import REASONS
from gateway.exchangelog.flaw import Flaw
from gateway.model import Role
from gateway.refusal import Code
from gateway.soap.xml import parse_verified
from tests import examples
from tests.examples import ROOT

PROTOCOL = ROOT / "PROTOCOL.md"
GENERATED = re.compile(r"(?<=<!-- generated: )(?P<what>.+?) -->\n(?P<text>.*?)(?=<!-- end -->)", re.DOTALL)


def table(head: tuple[str, ...], lines: Iterable[tuple[object, ...]]) -> str:
    rows = [head, ("---",) * len(head), *lines]
    return "".join(f"| {' | '.join(str(cell) for cell in row)} |\n" for row in rows)


def codes() -> str:
    head = ("Code", "Label", "Fault", "HTTP", "Origin", "Category", "Severity", "Sentence", "Remedy")
    rows = [code.row for code in Code]
    return table(
        head,
        (
            (
                f"`{row.code}`",
                f"`{row.label}`",
                f"`{row.fault}`" if row.http == 500 else "—",
                row.http,
                row.origin,
                row.category,
                row.severity,
                row.sentence,
                row.remedy,
            )
            for row in rows
        ),
    )


def contexts() -> str:
    known = examples.agreement().contexts.values()
    head = ("Legal context", "Purpose", "Roles", "Only for permits", "Only for procedures")
    return table(
        head,
        (
            (
                f"`{one.name}`",
                one.purpose,
                listed(role for role in Role if role in one.roles),
                listed(sorted(one.permit_types or ())),
                listed(sorted(one.procedures or ())),
            )
            for one in known
        ),
    )


def statuses() -> str:
    raw = tomllib.loads((ROOT / "contracts/agreement.toml").read_text())["roles"]
    rows_ = ((f"`{role}`", listed(raw[role]["statuses"])) for role in Role)
    return table(("Role", "Statuses at which a dossier is open"), rows_)


def courses() -> str:
    """One table of steps for each course."""
    return "\n".join(course_table(one) for one in examples.agreement().courses.values())


def course_table(course: Course) -> str:
    about = f"{listed(sorted(course.permit_types))}; procedures {listed(sorted(course.procedures))}"
    head = ("Told", "By", "At", "Leads to", "Part begins (+), ends (−)", "Who hears, in which legal context")
    return f"**{course.name}**: {about}\n\n{table(head, map(step_row, course.steps))}"


def step_row(step: Step) -> tuple[str, ...]:
    when = "" if step.when is None else f", {step.when[0]} = `{step.when[1]}`"
    parts = [f"+{role}" for role in step.inscribes] + [f"−{role}" for role in sorted(step.ends)]
    return (
        f"`{step.operation}`{when}",
        f"{', '.join(sorted(step.senders))} in `{step.context}`",
        listed(sorted(step.before)),
        {None: "stays", RESUME: "resumes"}.get(step.after, f"`{step.after}`")
        + (" (interrupts)" if step.interrupts else ""),
        " ".join(parts) or "—",
        "; ".join(f"{role} `{context}`" for role, context in step.recipients.items()) or "—",
    )


def deadlines() -> str:
    head = ("Course", "Deadline", "Starts", "Ends", "Stands still", "Term", "Only for", "In force", "Basis")
    known = examples.agreement().courses.values()
    return table(head, (deadline_row(course, one) for course in known for one in course.deadlines))


def deadline_row(course: Course, one: Deadline) -> tuple[str, ...]:
    only = sorted((one.regions or frozenset()) | (one.permit_types or frozenset()))
    return (
        course.name,
        one.name,
        listed(sorted(one.starts)),
        listed(sorted(one.ends)),
        listed(sorted(one.suspended)),
        f"{one.days} {'working ' if one.working else ''}days",
        listed(only),
        f"{one.valid_from} to {one.valid_until}" if one.valid_until else f"from {one.valid_from}",
        f"{', '.join(one.basis)} [{one.certainty}]",
    )


def listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words) or "—"


def reasons() -> str:
    return table(("Reason", "Meaning"), ((f"`{reason}`", meaning) for reason, meaning in REASONS.items()))


def flaws() -> str:
    rows = [flaw.row for flaw in Flaw]
    return table(
        ("Code", "Level", "Sentence", "Remedy"),
        ((f"`{row.code}`", row.level, row.sentence, row.remedy) for row in rows),
    )


def body(name: str) -> str:
    """The Body's element, indented; a long run of filteredElement and long base64 are cut, declarations left out."""
    element = parse_verified(examples.build()[name])[1][0]
    filtered = list(element.iter("{*}filteredElement"))
    for one in filtered[2:-1]:
        one.getparent().remove(one)
    if len(filtered) > 3:
        filtered[1].addnext(etree.Comment(f" {len(filtered) - 3} more "))
    for one in element.iter("{*}checkpoint", "{*}tlogProof"):
        one.text = f"{(one.text or '')[:40]}…"
    etree.indent(element)
    return fenced(
        "xml", re.sub(r' xmlns:\w+="[^"]*"', "", etree.tostring(element, encoding="unicode")).rstrip()
    )


def text(name: str) -> str:
    return fenced("", examples.build()[name].decode().rstrip("\n"))


def leaf(name: str) -> str:
    return fenced("json", json.dumps(json.loads(examples.build()[name]), indent=2))


def fenced(language: str, content: str) -> str:
    return f"```{language}\n{content}\n```\n"


GENERATORS: dict[str, Callable[..., str]] = {
    "codes": codes,
    "contexts": contexts,
    "statuses": statuses,
    "reasons": reasons,
    "courses": courses,
    "deadlines": deadlines,
    "flaws": flaws,
    "body": body,
    "text": text,
    "leaf": leaf,
}


def generated(what: str) -> str:
    name, *arguments = what.split()
    return GENERATORS[name](*arguments)


def regenerate() -> None:
    """Write the generated parts of PROTOCOL.md."""
    current = PROTOCOL.read_text()
    PROTOCOL.write_text(GENERATED.sub(lambda part: f"{part['what']} -->\n{generated(part['what'])}", current))


def section(number: str) -> str:
    """The text under a heading, to the next heading of the same or a higher level."""
    found = re.search(
        rf"^(#+) {re.escape(number)}.*?$(.*?)(?=^#{{1,3}} |\Z)",
        PROTOCOL.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert found, number
    return found[2]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def annex(letter: str) -> str:
    found = re.search(
        rf"^## Annex {letter}:.*?$(.*?)(?=^## |\Z)", PROTOCOL.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found, letter
    return found[1]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
