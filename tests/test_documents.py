"""Documents say what the code does: tables, settings, metrics, commands, limits and references are compared.

`python -m tests.examples` writes the generated parts of PROTOCOL.md anew after a deliberate change.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import fields as members

import msgspec
import pytest
import typer
from typer.core import TyperGroup

from gateway.adapters import store
from gateway.adapters.metrics import Metrics
from gateway.adapters.metrics_stated import Stated
from gateway.agreement import notices
from gateway.agreement.messages import answered
from gateway.agreement.rows import AuthorityRow
from gateway.agreement.schema import NOTHING
from gateway.agreement.served import served_documents
from gateway.broker.document import INLINE
from gateway.config import Settings, load
from gateway.exchangelog.flaw import Flaw
from gateway.exchangelog.form import DropReason
from gateway.model import Acknowledgement, AuthorityId, Outcome, Pattern, Role, Settlement
from gateway.refusal import Code
from gateway.soap.xml import Limits
from gateway.wss import profile, verify
from gateway.wss.profile import Window
from tests import examples
from tests.attacks.case import ROWS
from tests.documents import GENERATED, GENERATORS, PROTOCOL, annex, generated, names, rows, section
from tests.examples import ROOT

_IGNORED = {".venv", "var", ".git", "node_modules"}
DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if not _IGNORED & set(path.parts))
SOURCES = [
    path
    for folder in ("gateway", "tests", "contracts", "deploy")
    for path in sorted((ROOT / folder).rglob("*"))
]
PARTS = {part["what"]: part["text"] for part in GENERATED.finditer(PROTOCOL.read_text())}


@pytest.mark.parametrize("what", PARTS)
def test_a_generated_part_of_the_protocol_is_current(what: str):
    assert PARTS[what] == generated(what)


def test_every_kind_of_generated_part_is_used():
    assert {what.split()[0] for what in PARTS} == set(GENERATORS)


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
    known |= {notices.status(value).code for value in Acknowledgement}
    known |= {answered(Outcome.NO_RESULT, (AuthorityId("X"),)).code} | {flaw.row.code for flaw in Flaw}
    for path in DOCUMENTS:
        named = set(re.findall(r"\b(?:WIB\d{5}|LOG\d{3})\b", path.read_text()))
        assert named <= known, path


def test_the_statuses_of_a_reply_are_those_of_the_protocol():
    table_ = {names(row[0])[0]: row for row in rows(section("10.2")) if names(row[0])}
    given = [answered(outcome, ()) for outcome in Outcome] + [
        answered(Outcome.NO_RESULT, (AuthorityId("X"),))
    ]
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
    words = {msgspec.NODEFAULT: "required", None: "none"}
    expected = {
        name: words.get(default) or f"`{json.dumps(default)}`".replace('"', "")
        for name, default in settings()
    }
    assert found == expected


def test_the_settings_file_of_the_repository_shows_every_setting_and_loads():
    text = (ROOT / "deploy/gateway.toml").read_text()
    raw = tomllib.loads(re.sub(r"(?m)^# (?=[a-z_]+ = )", "", text))  # what may be left out is commented out
    tables = {key: part if isinstance(part, dict) else {} for key, part in raw.items()}
    shown = {f"{key}.{name}" for key, part in tables.items() for name in part} | {
        key for key in raw if not tables[key]
    }
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
        elif isinstance(collector, Stated):
            found[collector.name] = collector.labels
    return found


def test_every_metric_stands_in_the_annex_with_its_labels():
    found = {names(row[0])[0]: tuple(names(row[1])) for row in rows(annex("C")) if names(row[0])}
    assert found == series()


def test_every_stage_of_the_path_is_a_label_in_the_annex():
    stages = {
        node.args[0].value
        for path in (ROOT / "gateway/broker").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "stage"
    }
    row = next(row for row in rows(annex("C")) if "gateway_stage_seconds" in row[0])
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
    """Every command, without the groups that are none themselves."""
    from gateway.cli.commands import app

    waiting = [("gateway", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        if not isinstance(command, TyperGroup):
            yield name
            continue
        if command.invoke_without_command:
            yield name
        below = command.list_commands(None)
        waiting += [(f"{name} {one}", command.get_command(None, one)) for one in below]


def test_every_command_stands_in_the_annex_and_no_other():
    assert {names(row[0])[0] for row in rows(annex("D")) if row[0].startswith("`gateway")} == set(commands())


def test_every_command_that_a_document_shows_exists():
    known = {tuple(name.split()) for name in commands()}
    groups = {name[:2] for name in known if len(name) == 3}
    for path in DOCUMENTS:
        shown = re.findall(
            r"`gateway ([a-z]+(?: [a-z][a-z-]*)?)|^(?:\S*bin/)?gateway ([a-z]+(?: [a-z][a-z-]*)?)",
            path.read_text(),
            re.MULTILINE,
        )
        for inline, in_block in shown:
            words = ("gateway", *(inline or in_block).split())
            assert words[:2] in groups | {name[:2] for name in known}, (path, words)
            if words[:2] in groups and len(words) > 2:
                assert words[:3] in known, (path, words)


def test_every_family_of_start_up_codes_is_explained():
    texts = (path.read_text() for path in (ROOT / "gateway").rglob("*.py"))
    found = {family for content in texts for family in re.findall(r'"([A-Z]{3})\d{3}\b', content)}
    assert found == {names(row[0])[0] for row in rows(annex("D")) if re.fullmatch(r"`[A-Z]{3}`", row[0])}


# The agreement.


def test_every_operation_is_described_with_its_criteria_and_payload():
    found = [row for number in ("6.2", "13.1", "14. Mailboxes") for row in rows(section(number))]
    table_ = {names(row[0])[0]: row for row in found if names(row[0])}
    messages = examples.agreement().contract.messages
    assert set(table_) == set(messages)
    for name, one in messages.items():
        criteria = next(node for node in one.request.children if node.name == "criteria")
        assert re.findall(r"[A-Za-z0-9]+", table_[name][1]) == [node.name for node in criteria.children]
        assert names(table_[name][2]) == ([one.payload.name] if one.payload is not NOTHING else [])


def test_the_senders_of_every_notification_are_those_of_the_agreement():
    described_ = {names(row[0])[0]: set(names(row[3])) for row in rows(section("13.1")) if names(row[0])}
    told = {
        name: {str(role) for role in one.requesters}
        for name, one in examples.agreement().operations.items()
        if one.pattern is Pattern.NOTIFY
    }
    assert described_ == told


def test_every_settlement_and_reason_is_described():
    text = section("13.7")
    assert {names(row[0])[0] for row in rows(text) if names(row[0])} == set(Settlement)
    assert set(DropReason) <= set(names(text))


def test_every_role_and_every_table_of_the_agreement_is_described():
    assert [name for row in rows(section("1.2")) for name in names(row[0]) if name in set(Role)] == list(Role)
    raw = tomllib.loads((ROOT / "contracts/agreement.toml").read_text())
    described = {re.match(r"\[(\w+)", names(row[0])[0])[1] for row in rows(section("7.5")) if names(row[0])}
    assert described == set(raw)


def test_every_column_of_the_register_is_described():
    described = {name for row in rows(section("1.2")) for name in names(row[0])} - set(Role)
    assert described == {one.name for one in msgspec.structs.fields(AuthorityRow)}


def test_every_contract_document_that_is_served_is_listed():
    served = served_documents(examples.agreement(), Role.REG, "https://gateway.example.be/soap/v1")
    listed_ = {names(row[0])[0].partition("?")[2] for row in rows(section("2.4")) if names(row[0])}
    assert {re.sub(r"^xsd=.*", "xsd=NAME", query) for query in served} | {"certificates"} == listed_


# Limits and algorithms.


def test_limits_in_the_text_are_those_of_the_code():
    limits, window = Limits(), Window()
    xml = section("3.1")
    for phrase in (
        f"{limits.depth} levels",
        f"{limits.elements:,} elements",
        f"{limits.attributes} attributes on one element and {limits.all_attributes:,} in the message",
        f"{limits.namespaces} namespace declarations",
        f"values of {limits.attribute_value:,} characters",
        f"declarations around it, {limits.lookups:,} together",
    ):
        assert phrase in xml
    assert len(members(Limits)) == 8
    assert f"{limits.bytes:,} bytes" in section("2.3")
    assert f"| {store.MAX_QUEUE:,} |" in section("2.3")
    for text_ in (section("2.3"), (ROOT / "contracts/README.md").read_text()):
        assert f"{INLINE:,} bytes (7 MiB) before encoding" in text_
    assert INLINE * 4 / 3 < 10_000_000  # its text fits libxml2's limit
    assert f"at most {verify._MAX_IDS} identifiers" in section("4.2")
    assert f"1 to {profile.MAX_REFERENCES} `Reference`" in section("4.3")
    assert f"at most {profile.MAX_PREFIXES} prefixes" in section("4.3")
    assert f"make at most {profile.MAX_LOOKUPS:,} |" in section("4.3")
    assert f"at most {profile.MAX_CERTIFICATE:,} bytes" in section("4.5")
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
    return set(re.findall(r"^#+ (\d+(?:\.\d+)?)[ .]", PROTOCOL.read_text(), re.MULTILINE))


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
    for name in re.findall(r"`((?:gateway|contracts|certs|deploy|tests)/[\w/-]+\.\w+)`", content):
        assert (ROOT / name).exists(), name


def test_anchors_of_links_inside_the_protocol_exist():
    content = PROTOCOL.read_text()
    anchors = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", content, re.MULTILINE)
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
    assert re.search(r"^ExecStart=\S+/gateway serve --config \S+$", unit, re.MULTILINE)
    assert re.search(r"^ExecStartPre=\S+/gateway check --config \S+ --without-names$", unit, re.MULTILINE)


CITED = re.compile(r"attacks?\s+([A-Z]\d\d(?:(?:, | and |–)[A-Z]\d\d)*)")


def test_every_attack_that_is_cited_is_listed():
    listed = set(re.findall(r"^\| ([A-Z]\d\d) \|", (ROOT / "tests/ATTACKS.md").read_text(), re.MULTILINE))
    sources = [*ROOT.glob("gateway/**/*.py"), *ROOT.glob("tests/**/*.py")]
    cited = {
        one
        for path in sources
        for found in CITED.findall(path.read_text())
        for one in re.findall(r"[A-Z]\d\d", found)
    }
    assert cited
    assert cited <= listed, sorted(cited - listed)
    assert listed == set(ROWS)


# The threat model: what it names exists, and nobody and nothing is left out.

THREATS = (ROOT / "deploy/threat-model.md").read_text()
KINDS = {"pretend", "alter", "deny", "read", "stop", "gain"}


def threats(heading: str) -> list[list[str]]:
    """The rows of the threat model under a heading."""
    (part,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", THREATS, re.MULTILINE | re.DOTALL)
    return rows(part)[1:]


ASSETS = {row[0] for row in threats("Assets")}
ACTORS = [row[0] for row in threats("Actors")]


@pytest.mark.parametrize("actor", ACTORS)
def test_the_threat_model_looks_at_every_kind_of_threat_of_every_actor(actor: str):
    found = threats(actor)
    assert {row[0] for row in found} == KINDS
    for kind, threat, asset, answer, held in found:
        assert asset in ASSETS, threat
        assert answer, threat
        assert held != "—" or "does not apply" in answer.lower(), (kind, threat)


def test_every_asset_of_the_threat_model_is_threatened_by_somebody():
    assert {row[2] for actor in ACTORS for row in threats(actor)} == ASSETS


def test_whatever_the_threat_model_says_to_hold_is_a_test_an_attack_or_a_gap():
    lists = [ROOT / "tests/ATTACKS.md", *(ROOT / "tests").glob("attacks/*.py")]
    attacks = {one for path in lists for one in re.findall(r"\b[A-Z]\d\d\b", path.read_text())}
    gaps = [row[0] for row in rows(annex("F"))]
    for actor in ACTORS:
        for *_, held in threats(actor):
            for one in held.split(", ") if held != "—" else []:
                if one.startswith("attack "):
                    assert one.removeprefix("attack ") in attacks, one
                elif one.startswith("annex F: "):
                    assert any(gap.startswith(one.removeprefix("annex F: ")) for gap in gaps), one
                else:
                    assert is_test(one.strip("`")), one


def is_test(name: str) -> bool:
    """Is there such a test? `name`: its file below tests, and the function."""
    file, _, function = name.partition("::")
    path = ROOT / "tests" / file
    return (
        path.is_file()
        and re.search(rf"^(async )?def {function}\(", path.read_text(), re.MULTILINE) is not None
    )
