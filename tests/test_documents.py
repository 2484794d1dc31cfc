"""Documents say what the code does: tables, settings, metrics, commands, limits and examples are compared.

`python -m tests.examples` writes the generated parts and the examples anew after a deliberate change.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import fields as members
from hashlib import sha256

import msgspec
import pytest
import typer
from click import Context, Group
from lxml import etree

from gateway.adapters import store
from gateway.adapters.metrics import Metrics
from gateway.agreement.messages import answered
from gateway.agreement.served import served_documents
from gateway.agreement.views import REASONS
from gateway.cli.commands import app
from gateway.config import Settings, load
from gateway.exchangelog.checkpoint import open_checkpoint
from gateway.exchangelog.entry import subject_commitment
from gateway.exchangelog.fields import FieldRecord, base64url, fields_root, verify_disclosure
from gateway.exchangelog.flaw import Flaw
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import Verifier
from gateway.exchangelog.proof import TlogProof
from gateway.model import AuthorityId, Outcome, Role
from gateway.refusal import Code
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss import profile
from gateway.wss import verify as strict
from gateway.wss.profile import Window
from gateway.wss.verify import verify
from tests import examples
from tests.examples import DIRECTORY, NOW, ROOT

PROTOCOL = ROOT / "PROTOCOL.md"
DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if not {".venv", "var", ".git"} & set(path.parts))
SOURCES = [path for folder in ("gateway", "tests", "contracts", "deploy") for path in sorted((ROOT / folder).rglob("*"))]
GENERATED = re.compile(r"(?<=<!-- generated: )(?P<what>.+?) -->\n(?P<text>.*?)(?=<!-- end -->)", re.DOTALL)
EXAMPLES = sorted(examples.build())
MESSAGES = [name for name in EXAMPLES if name.endswith(".xml")]


# What is generated.


def table(head: tuple[str, ...], lines: Iterator[tuple[object, ...]]) -> str:
    rows = [head, ("---",) * len(head), *lines]
    return "".join(f"| {' | '.join(str(cell) for cell in row)} |\n" for row in rows)


def codes() -> str:
    head = ("Code", "Label", "Fault", "HTTP", "Origin", "Category", "Severity", "Sentence", "Remedy")
    rows = [code.row for code in Code]
    return table(
        head,
        (
            (f"`{row.code}`", f"`{row.label}`", f"`{row.fault}`" if row.http == 500 else "—", row.http, row.origin)
            + (row.category, row.severity, row.sentence, row.remedy)
            for row in rows
        ),
    )


def contexts() -> str:
    known = examples.agreement().contexts.values()
    head = ("Legal context", "Purpose", "Roles", "Only for permits", "Only for procedures")
    return table(
        head,
        (
            (f"`{one.name}`", one.purpose, listed(Role, one.roles))
            + (listed(sorted(one.permit_types or ())), listed(sorted(one.procedures or ())))
            for one in known
        ),
    )


def statuses() -> str:
    roles = examples.agreement().roles
    order = list(roles[Role.REG].statuses | roles[Role.PLAT].statuses)
    order.sort(key=list(examples.agreement().contract.values["header/status"]).index)
    raw = tomllib.loads((ROOT / "contracts/agreement.toml").read_text())["roles"]
    return table(("Role", "Statuses at which a dossier is open"), ((f"`{role}`", listed(raw[role]["statuses"])) for role in Role))


def listed(names: object, chosen: object = None) -> str:
    return ", ".join(f"`{name}`" for name in names if chosen is None or name in chosen) or "—"


def reasons() -> str:
    return table(("Reason", "Meaning"), ((f"`{reason}`", meaning) for reason, meaning in REASONS.items()))


def flaws() -> str:
    rows = [flaw.row for flaw in Flaw]
    return table(
        ("Code", "Level", "Sentence", "Remedy"),
        ((f"`{row.code}`", row.level, row.sentence, row.remedy) for row in rows),
    )


def body(name: str) -> str:
    """The Body's element, indented; a long run of filteredElement is cut, declarations are left out."""
    element = parse_verified(examples.build()[name])[1][0]
    filtered = list(element.iter("{*}filteredElement"))
    for one in filtered[2:-1]:
        one.getparent().remove(one)
    if len(filtered) > 3:
        filtered[1].addnext(etree.Comment(f" {len(filtered) - 3} more "))
    etree.indent(element)
    return fenced("xml", re.sub(r' xmlns:\w+="[^"]*"', "", etree.tostring(element, encoding="unicode")).rstrip())


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


PARTS = {part["what"]: part["text"] for part in GENERATED.finditer(PROTOCOL.read_text())}


@pytest.mark.parametrize("what", PARTS)
def test_a_generated_part_of_the_protocol_is_current(what: str):
    assert PARTS[what] == generated(what)


def test_every_kind_of_generated_part_is_used():
    assert {what.split()[0] for what in PARTS} == set(GENERATORS)


# Reading tables.


def section(number: str) -> str:
    """The text under a heading, to the next heading of the same or a higher level."""
    found = re.search(rf"^(#+) {re.escape(number)}.*?$(.*?)(?=^#{{1,3}} |\Z)", PROTOCOL.read_text(), re.M | re.S)
    assert found, number
    return found[2]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def annex(letter: str) -> str:
    found = re.search(rf"^## Annex {letter}:.*?$(.*?)(?=^## |\Z)", PROTOCOL.read_text(), re.M | re.S)
    assert found, letter
    return found[1]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# The code table, independent of its generator.


def test_every_refusal_code_has_one_row_with_its_label_and_status():
    found = {names(row[0])[0]: row for row in rows(section("12. Code table")) if names(row[0])}
    assert set(found) == {code.row.code for code in Code}
    for code in Code:
        row = found[code.row.code]
        assert (names(row[1])[0], row[3]) == (code.row.label, str(code.row.http))


def test_codes_and_labels_are_unique_and_well_formed():
    rows_ = [code.row for code in Code]
    assert len({row.code for row in rows_}) == len({row.label for row in rows_}) == len(rows_)
    for row in rows_:
        assert re.fullmatch(r"WIB\d{5}", row.code)
        assert row.sentence.endswith(".")
        assert row.remedy.endswith(".")


def test_every_code_that_a_document_names_exists():
    known = {code.row.code for code in Code} | {answered(outcome, ()).code for outcome in Outcome}
    known |= {answered(Outcome.NO_RESULT, (AuthorityId("X"),)).code} | {flaw.row.code for flaw in Flaw}
    for path in DOCUMENTS:
        named = set(re.findall(r"\b(?:WIB\d{5}|LOG\d{3})\b", path.read_text()))
        assert named <= known, path


def test_the_statuses_of_a_reply_are_those_of_the_protocol():
    table_ = {names(row[0])[0]: row for row in rows(section("10.2")) if names(row[0])}
    given = [answered(outcome, ()) for outcome in Outcome] + [answered(Outcome.NO_RESULT, (AuthorityId("X"),))]
    assert {status.code for status in given} == set(table_)
    for status in given[:-1]:
        assert status.value in names(table_[status.code][1])


# Settings.


def settings(section_: type[msgspec.Struct] = Settings, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Path and default of every setting; the marker NODEFAULT for those that have none."""
    for one in msgspec.structs.fields(section_):
        if isinstance(one.type, type) and issubclass(one.type, msgspec.Struct):
            yield from settings(one.type, f"{prefix}{one.name}.")
        else:
            yield f"{prefix}{one.name}", one.default


def test_every_setting_stands_in_the_annex_with_its_default():
    found = {names(row[0])[0]: row[1] for row in rows(annex("B")) if names(row[0])}
    expected = {
        name: "required" if default is msgspec.NODEFAULT else f"`{json.dumps(default)}`".replace('"', "")
        for name, default in settings()
    }
    assert found == expected


def test_the_settings_file_of_the_repository_shows_every_setting_and_loads():
    raw = tomllib.loads((ROOT / "deploy/gateway.toml").read_text())
    shown = {f"{key}.{name}" if isinstance(part, dict) else key for key, part in raw.items() for name in (part if isinstance(part, dict) else [key])}
    assert shown == {name for name, _ in settings()}
    loaded = load(ROOT / "deploy/gateway.toml")
    for name, default in settings():
        value: object = loaded
        for step in name.split("."):
            value = getattr(value, step)
        if default is not msgspec.NODEFAULT:
            assert value == default, name


# Metrics.


def series() -> dict[str, tuple[str, ...]]:
    """Name as scraped → labels."""
    found: dict[str, tuple[str, ...]] = {}
    for collector in vars(Metrics()).values():
        if hasattr(collector, "_labelnames"):
            suffix = "_total" if collector._type == "counter" else ""
            found[f"{collector._name}{suffix}"] = tuple(collector._labelnames)
    return found


def test_every_metric_stands_in_the_annex_with_its_labels():
    found = {names(row[0])[0]: tuple(names(row[1])) for row in rows(annex("C")) if names(row[0])}
    assert found == series()


def test_every_stage_of_the_path_is_a_label_in_the_annex():
    tree = ast.parse((ROOT / "gateway/broker/consult.py").read_text())
    stages = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "stage"
    }
    row = next(row for row in rows(annex("C")) if "gateway_stage_seconds_total" in row[0])
    assert stages == set(names(row[2]))


def test_alerts_name_only_series_and_codes_that_exist():
    alerts = (ROOT / "deploy/alerts.yml").read_text()
    known = set(series()) | {f"{name}_bucket" for name in series()}
    assert set(re.findall(r"gateway_[a-z_]+", alerts)) <= known
    labels = {code.row.label for code in Code}
    for pattern in re.findall(r'code=~?"([^"]+)"', alerts):
        assert any(re.fullmatch(pattern, label) for label in labels), pattern
        assert all(part in labels or "." in part for part in pattern.split("|")), pattern


@pytest.mark.parametrize("arguments", [("rules", "alerts.yml"), ("config", "prometheus.yml")])
def test_prometheus_accepts_the_rules_and_the_configuration(arguments: tuple[str, str]):
    kind, name = arguments
    subprocess.run(["promtool", "check", kind, str(ROOT / "deploy" / name)], check=True, capture_output=True)


# Commands.


def commands() -> Iterator[str]:
    root = typer.main.get_command(app)
    assert isinstance(root, Group)
    waiting = [("gateway", root)]
    while waiting:
        name, command = waiting.pop()
        if isinstance(command, Group):
            waiting += [(f"{name} {one}", command.get_command(Context(command), one)) for one in command.commands]
        else:
            yield name


def test_every_command_stands_in_the_annex_and_no_other():
    assert {names(row[0])[0] for row in rows(annex("D")) if row[0].startswith("`gateway")} == set(commands())


def test_every_command_that_a_document_shows_exists():
    known = {tuple(name.split()) for name in commands()}
    groups = {name[:2] for name in known if len(name) == 3}
    for path in DOCUMENTS:
        for line in re.findall(r"`gateway ([a-z][a-z -]*)|^(?:\$ )?(?:\S*/)?gateway ([a-z]+ ?[a-z-]*)", path.read_text(), re.M):
            words = ("gateway", *(line[0] or line[1]).split())
            assert words[:2] in groups | {name[:2] for name in known}, (path, words)
            if words[:2] in groups and len(words) > 2:
                assert words[:3] in known, (path, words)


def test_every_family_of_start_up_codes_is_explained():
    found = {code for path in (ROOT / "gateway").rglob("*.py") for code in re.findall(r'"([A-Z]{3})\d{3}"', path.read_text())}
    assert found == {names(row[0])[0] for row in rows(annex("D")) if re.fullmatch(r"`[A-Z]{3}`", row[0])}


# The agreement.


def test_every_operation_is_described_with_its_criteria_and_payload():
    table_ = {names(row[0])[0]: row for row in rows(section("6.2")) if names(row[0])}
    messages = examples.agreement().contract.messages
    assert set(table_) == set(messages)
    for name, one in messages.items():
        criteria = next(node for node in one.request.children if node.name == "criteria")
        assert re.findall(r"[A-Za-z0-9]+", table_[name][1]) == [node.name for node in criteria.children]
        assert names(table_[name][2]) == [one.payload.name]


def test_every_role_and_every_table_of_the_agreement_is_described():
    assert [names(row[0])[0] for row in rows(section("1.2")) if names(row[0])] == list(Role)
    raw = tomllib.loads((ROOT / "contracts/agreement.toml").read_text())
    described = {re.match(r"\[(\w+)", names(row[0])[0])[1] for row in rows(section("7.5")) if names(row[0])}
    assert described == set(raw)


def test_every_contract_document_that_is_served_is_listed():
    served = served_documents(examples.agreement(), Role.REG, "https://gateway.example.be/soap/v1")
    listed_ = {names(row[0])[0].partition("?")[2] for row in rows(section("2.4")) if names(row[0])}
    assert {re.sub(r"^xsd=.*", "xsd=NAME", query) for query in served} == listed_


# Limits and algorithms.


def test_limits_in_the_text_are_those_of_the_code():
    limits, window = Limits(), Window()
    xml = section("3.1")
    for phrase in (
        f"{limits.depth} levels",
        f"{limits.elements:,} elements",
        f"{limits.attributes} attributes",
        f"{limits.namespaces} namespace declarations",
        f"names of {limits.name} characters",
        f"values of {limits.attribute_value:,} characters",
    ):
        assert phrase in xml
    assert len(members(Limits)) == 7
    assert f"{limits.bytes:,} bytes" in section("2.3")
    assert f"| {store.MAX_QUEUE:,} |" in section("2.3")
    assert f"at most {strict._MAX_IDS} identifiers" in section("4.2")
    assert f"1 to {profile.MAX_REFERENCES} `Reference`" in section("4.3")
    assert f"at most {profile.MAX_PREFIXES} prefixes" in section("4.3")
    assert f"now − {window.past.seconds} s" in section("4.7")
    assert f"now + {window.future.seconds} s" in section("4.7")
    assert f"Created + {window.lifetime.seconds // 3600} h" in section("4.7")
    assert f"({window.reply.seconds // 60} minutes" in section("11.1")


def test_algorithms_in_the_text_are_those_of_the_code():
    algorithms = section("4.3")
    for uri in (*profile.RSA_SIGNATURES, *profile.ECDSA_SIGNATURES):
        assert f"`{uri.rpartition('#')[2]}`" in algorithms
    for name in profile.DIGESTS.values():
        assert f"SHA-{name[3:]}" in algorithms
    assert f"{profile.RSA_BITS.start} to {profile.RSA_BITS.stop - 1} bits" in algorithms


# References.


def headings() -> set[str]:
    return set(re.findall(r"^#+ (\d+(?:\.\d+)?)[ .]", PROTOCOL.read_text(), re.M))


def test_sections_that_the_code_cites_exist():
    known = headings()
    for path in SOURCES:
        if path.suffix not in {".py", ".toml", ".md", ".xsd", ".wsdl", ".service", ".yml"}:
            continue
        text_ = path.read_text()
        cited = re.findall(r"PROTOCOL(?:\.md)?,? §(\d+(?:\.\d+)?)", text_)
        cited += re.findall(r"PROTOCOL(?:\.md)?,? §\d+\.\d+[–-](\d+\.\d+)", text_)
        if "gateway" in path.parts:
            cited += re.findall(r"# §(\d+(?:\.\d+)?)", text_)
        assert set(cited) <= known, path


def test_sections_that_the_protocol_cites_in_itself_exist():
    normative = PROTOCOL.read_text().partition("## Annex E")[0]
    own = re.sub(r"(RFC \d+|SOAP 1\.\d|ETSI EN [\d -]+) §[\d.]+", "", normative)
    assert set(re.findall(r"§(\d+(?:\.\d+)?)", own)) <= headings()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_document_names_only_files_of_this_repository(path):
    content = path.read_text()
    assert "../shared" not in content
    assert not re.search(r"(?<![\w.])/(work|tmp|root|home)/", content)
    for target in re.findall(r"\]\(([^)#\s]+)\)", content):
        if not target.startswith("https://"):
            assert (path.parent / target).resolve().is_relative_to(ROOT), target
            assert (path.parent / target).exists(), target
    for name in re.findall(r"`((?:gateway|contracts|certs|deploy|tests)/[\w./-]+)`", content):
        assert (ROOT / name).exists(), name


def test_anchors_of_links_inside_the_protocol_exist():
    content = PROTOCOL.read_text()
    anchors = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", content, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", content)) <= anchors


def test_the_readme_names_the_two_commands_and_the_measurements():
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    assert "\n## Measured\n" in readme


def test_the_changelog_has_an_unreleased_section():
    assert "\n## [Unreleased]\n\n### Added\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_unit_starts_the_hub_by_its_command():
    unit = (ROOT / "deploy/gateway.service").read_text()
    assert re.search(r"^ExecStart=\S+/gateway serve --config \S+$", unit, re.M)
    assert re.search(r"^ExecStartPre=\S+/gateway check --config \S+$", unit, re.M)


# Examples.


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_what_the_gateway_makes(name: str):
    assert (DIRECTORY / name).read_bytes() == examples.build()[name]


def test_there_is_no_other_example():
    assert {path.name for path in DIRECTORY.iterdir()} == {*EXAMPLES, "README.md"}
    described = (DIRECTORY / "README.md").read_text()
    assert all(f"`{name}`" in described for name in EXAMPLES)


@pytest.mark.parametrize("name", MESSAGES)
def test_an_example_message_verifies_and_its_body_is_valid(name: str):
    verified = verify(read((DIRECTORY / name).read_bytes(), Limits()), Window(), NOW)
    signer = "BRUSSELS" if name == "request.xml" else "PLATFORM" if name == "answer.xml" else "HUB"
    assert verified.certificate == examples.signing_key(signer).certificate
    element = parse_verified(verified.body)[0]
    if element.tag.endswith("}Fault"):
        details = list(element.iter("{*}exchangeFault"))
        assert len(details) == (name == "fault-soap11.xml")
        element = details[0] if details else None
    if element is not None:
        examples.agreement().contract.validate(element, Code.SCHEMA)


def test_the_example_proof_leads_from_the_entry_to_the_signed_checkpoint():
    verifier = Verifier.parse((DIRECTORY / "log.vkey").read_text().strip())
    leaf_ = (DIRECTORY / "leaf-response.json").read_bytes()
    proof = TlogProof.parse((DIRECTORY / "response.tlog-proof").read_bytes())
    signed = proof.verify(leaf_, verifier)
    assert proof.extra == leaf_
    assert signed == open_checkpoint((DIRECTORY / "checkpoint").read_bytes(), verifier)


def test_the_example_records_add_up_to_the_root_in_the_leaf_and_one_can_be_opened():
    leaf_ = Leaf.parse((DIRECTORY / "leaf-response.json").read_bytes())
    raw = json.loads((DIRECTORY / "field-records.json").read_text())
    records = [FieldRecord(path, last if kind == "r" else None, last if kind == "w" else None) for kind, path, last in raw]
    assert base64url(fields_root(records)).decode() == leaf_.fields_root
    assert len(records) == leaf_.nfields
    shown = next(record for record in records if record.path == examples.VALUE)
    assert verify_disclosure((DIRECTORY / "disclosure.txt").read_bytes().strip(), shown) == ["Exemple"]


@pytest.mark.parametrize("kind", ["request", "response", "refusal"])
def test_an_example_leaf_has_the_keys_of_the_protocol(kind: str):
    leaf_ = json.loads((DIRECTORY / f"leaf-{kind}.json").read_bytes())
    described = [names(row[0])[0] for row in rows(section("8.2")) if names(row[0])]
    assert set(described) == set(leaf_)
    assert leaf_["kind"] == kind


def test_the_commitment_to_a_dossier_is_made_as_the_protocol_says():
    import hmac

    seed = bytes(range(32))
    salt = base64url(hmac.digest(seed, b"subj", "sha256")[:16]).decode()
    disclosed = base64url(json.dumps([salt, "subj", "WIB-2026-0000417-31"], separators=(",", ":")).encode())
    expected = base64url(sha256(disclosed).digest()).decode()
    assert subject_commitment(examples.NUMBER, seed) == expected


def test_the_zeep_client_of_the_documents_signs_what_the_gateway_accepts(tmp_path):
    import zeep
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from zeep.wsdl.utils import etree_to_string

    snippet: dict[str, type] = {}
    exec(re.search(r"```python\n(.*?)```", (ROOT / "contracts/clients.md").read_text(), re.S)[1], snippet)
    files = {name: tmp_path / name for name in ("key", "own", "hub")}
    pem = lambda name: x509.load_der_x509_certificate(examples.signing_key(name).certificate).public_bytes(Encoding.PEM)  # noqa: E731
    key = examples.signing_key("BRUSSELS").key
    files["key"].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files["own"].write_bytes(pem("BRUSSELS"))
    files["hub"].write_bytes(pem("HUB"))
    signed = snippet["Signed"](*(str(files[name]) for name in ("key", "own", "hub")))
    client = zeep.Client(str(ROOT / "contracts/wsdl/exchange.wsdl"), wsse=signed)
    customer = {"ticket": "BXL-1", "timestampSent": NOW, "customerIdentification": {"cbeNumber": "0999022202"}}
    envelope = client.create_message(
        client.service, "sendTestMessage", informationCustomer=customer, legalContext="WIB:RENEWAL", criteria={"echo": "hello"}
    )
    from datetime import UTC, datetime

    verify(read(etree_to_string(envelope), Limits()), Window(), datetime.now(UTC))
    signed.verify(parse_verified((DIRECTORY / "reply.xml").read_bytes()))
