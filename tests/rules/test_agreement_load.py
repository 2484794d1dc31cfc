"""agreement.toml → Agreement: every reference resolves, or every finding is named with its place.

Courses and places, which stand in files of their own, are tested in files of their own.
"""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agreement.finding import AgreementError
from gateway.agreement.load import load_agreement, require_in_force, revision
from gateway.model import Pattern, Role
from tests.rules.agreement_files import (
    AGREEMENT,
    DOSSIER,
    EXCHANGE,
    PLACES,
    PROCEDURES,
    changed,
    shipped,
    shipped_files,
)

SCAN_REG = 'receive = ["number", "issueDate", "expiryDate"], basis = ["G"]'
CELL = 'OE   = { provide = "none", receive = "all", basis = ["A", "F"], certainty = "C" }'
CONSULT_CONS = 'CONS = ["WIB:VISA_ISSUE"]'


def test_the_shipped_agreement_compiles():
    agreement = shipped()
    assert agreement.id == "WIB-PROTOCOL"
    assert agreement.number == 1
    assert agreement.valid_from == dt.date(2026, 1, 1)
    assert agreement.retention.log_years == 10
    assert agreement.closed_read_days == 365
    assert len(agreement.contexts) == 14
    assert sum(len(group.cells) for group in agreement.groups.values()) == 204


def test_every_cell_has_a_basis_and_a_certainty():
    for group in shipped().groups.values():
        for cell in group.cells.values():
            assert cell.source.basis
            assert set(cell.source.basis) <= set(shipped().bases)
            assert cell.source.certainty in {"C", "L", "J"}


# Row scope: where the dossier opens, and one state before.
OPENS = {
    Role.PLAT: ("SUBMITTED", None),
    Role.REG: ("SUBMITTED", None),
    Role.OE: ("ADMISSIBLE", "SUBMITTED"),
    Role.CONS: ("PERMIT_GRANTED", "RESIDENCE_GRANTED"),
    Role.MUN: ("PERMIT_GRANTED", "RESIDENCE_GRANTED"),
    Role.NSSO: ("WORK_GRANTED", "UNDER_REVIEW"),
}


@pytest.mark.parametrize("role", Role)
def test_a_dossier_opens_to_a_role_at_its_status(role):
    first, before = OPENS[role]
    statuses = shipped().roles[role].statuses
    assert first in statuses
    assert before not in statuses
    assert {"CARD_ISSUED", "CLOSED", "REVOKED"} <= statuses


@pytest.mark.parametrize("role", [Role.OE, Role.CONS, Role.MUN, Role.NSSO])
def test_states_that_hide_how_far_a_dossier_came_open_nothing(role):
    assert (
        shipped()
        .roles[role]
        .statuses.isdisjoint({"SUBMITTED", "INFO_REQUESTED", "INADMISSIBLE", "WITHDRAWN"})
    )


def test_employment_control_is_off_by_default():
    agreement = shipped()
    assert agreement.contexts["WIB:EMPLOYMENT_CONTROL"].roles == frozenset()
    for operation in agreement.operations.values():
        assert all("WIB:EMPLOYMENT_CONTROL" not in contexts for contexts in operation.requesters.values())


def test_the_hub_answers_only_what_holds_no_fields():
    hub = {
        name
        for name, operation in shipped().operations.items()
        if operation.hub and operation.pattern is Pattern.CONSULT
    }
    assert hub == {"sendTestMessage", "checkAccessControl"}


def test_the_pattern_of_an_operation_follows_from_who_answers_it():
    operations = shipped().operations
    of = {
        pattern: {name for name, one in operations.items() if one.pattern is pattern} for pattern in Pattern
    }
    assert of[Pattern.MAILBOX] == {"listMessages", "fetchMessage", "acknowledgeMessage"}
    assert {"consultDossier", "sendTestMessage"} <= of[Pattern.CONSULT]
    assert of[Pattern.UPLOAD] == {"uploadDocument"}
    assert len(of[Pattern.NOTIFY]) == 19
    assert all(operations[name].messages.notification for name in of[Pattern.NOTIFY])


def test_the_providers_of_a_notification_are_its_senders():
    permit = shipped().operations["notifyPermit"]
    assert set(permit.providers) == set(permit.requesters) == {Role.OE, Role.REG}
    assert not permit.hub
    assert permit.groups == {"G09", "G28", "G29"}


def test_only_notifications_have_groups_and_recipients():
    for operation in shipped().operations.values():
        told = operation.pattern is Pattern.NOTIFY
        assert (operation.groups is not None) is told
        assert bool(operation.recipients) is told
        assert operation.follows_log is (operation.name == "rectifyData")


def test_the_platform_is_asked_by_default():
    operations = shipped().operations
    assert operations["consultDossier"].providers[0] is Role.PLAT
    assert operations["retrieveDocument"].providers[0] is Role.PLAT
    assert operations["consultPriorApplications"].scatter


def test_every_context_carries_what_its_questions_are_asked_with():
    assert all("G01" in context.groups for context in shipped().contexts.values())


@pytest.mark.parametrize(
    ("context", "permit_type", "procedure", "applies"),
    [
        ("WIB:WORK_DECISION", "SINGLE_PERMIT", "FIRST", True),
        ("WIB:WORK_DECISION", "SINGLE_PERMIT", "RENEWAL", False),
        ("WIB:WORK_DECISION", "WORK_PERMIT", "FIRST", False),
        ("WIB:WORK_PERMIT", "WORK_PERMIT", "FIRST", True),
        ("WIB:RENEWAL", "BLUE_CARD", "RENEWAL", True),
        ("WIB:RENEWAL", "BLUE_CARD", "FIRST", False),
        ("WIB:PROFESSIONAL_CARD", "PROFESSIONAL_CARD", "FIRST", True),
        ("WIB:INDEFINITE_PERMIT", "SINGLE_PERMIT_INDEFINITE", "FIRST", True),
        ("WIB:INDEFINITE_PERMIT", "SINGLE_PERMIT", "FIRST", False),
        ("WIB:ADMISSIBILITY", "SOME_NEW_PERMIT", "FIRST", True),
    ],
)
def test_a_context_applies_to_its_permits_and_procedures(context, permit_type, procedure, applies):
    assert shipped().contexts[context].applies(permit_type, procedure) is applies


# Sentence of the case → (old text, new text, path of the finding, part of its sentence)
BROKEN = {
    "an unknown field": (
        SCAN_REG,
        SCAN_REG.replace("issueDate", "numbr"),
        "groups.G08.REG.receive[1]",
        'no field "numbr" in group G08',
    ),
    "a field of another group": (
        SCAN_REG,
        SCAN_REG.replace("issueDate", "G16.amount"),
        "groups.G08.REG.receive[1]",
        "no field",
    ),
    "a field twice": (
        SCAN_REG,
        SCAN_REG.replace("issueDate", "number"),
        "groups.G08.REG.receive[1]",
        "stands twice",
    ),
    "an empty list of fields": (
        SCAN_REG,
        'receive = [], basis = ["G"]',
        "groups.G08.REG.receive",
        "empty list",
    ),
    "a missing cell": (CELL + "\n", "", "groups.G01.OE", "no cell"),
    "a missing side of a cell": (
        CELL,
        CELL.replace('receive = "all", ', ""),
        "groups.G01.OE",
        "missing required field `receive`",
    ),
    "a cell without basis": (CELL, CELL.replace('["A", "F"]', "[]"), "groups.G01.OE.basis", "has a basis"),
    "an unknown basis": (CELL, CELL.replace('"F"', '"Z"'), "groups.G01.OE.basis[1]", 'no basis "Z"'),
    "an unknown certainty": (
        CELL,
        CELL.replace('"C"', '"X"'),
        "groups.G01.OE.certainty",
        "invalid enum value",
    ),
    "an unknown key in a cell": (
        CELL,
        CELL.replace("certainty", "sure"),
        "groups.G01.OE",
        "unknown field `sure`",
    ),
    "a wildcard other than all": (
        CELL,
        CELL.replace('"all"', '"*"'),
        "groups.G01.OE.receive",
        "invalid enum value",
    ),
    "a misspelt role in a row": (
        CELL,
        CELL + "\n" + CELL.replace("OE  ", "DVZ "),
        "groups.G01",
        "unknown field `DVZ`",
    ),
    "a missing row": ("[groups.G34]", "[groups.G35]", "groups.G34", "which the schemas use"),
    "a row too many": ("[groups.G34]", "[groups.G35]", "groups.G35", 'no group "G35" in the schemas'),
    "an unknown sensitivity": (
        '["GDPR 9"]',
        '["GDPR 99"]',
        "groups.G23.sensitivity[0]",
        "invalid enum value",
    ),
    "an unknown context in a cell": (
        '{ "WIB:INDEFINITE_PERMIT" = "all" }',
        '{ "WIB:INDEF" = "all" }',
        "groups.G24.REG.receive_under[0]",
        'no context "WIB:INDEF"',
    ),
    "an unknown field under a context": (
        '{ "WIB:INDEFINITE_PERMIT" = ["present"] }',
        '{ "WIB:INDEFINITE_PERMIT" = ["presnt"] }',
        'groups.G26.REG.receive_under."WIB:INDEFINITE_PERMIT"[0]',
        "no field",
    ),
    "a number under a context": (
        '{ "WIB:INDEFINITE_PERMIT" = ["present"] }',
        '{ "WIB:INDEFINITE_PERMIT" = 7 }',
        'groups.G26.REG.receive_under."WIB:INDEFINITE_PERMIT"',
        "expected `array`",
    ),
    "an unknown status": (
        'statuses = [\n  "ADMISSIBLE"',
        'statuses = [\n  "ADMITTED"',
        "roles.OE.statuses[0]",
        'no status "ADMITTED"',
    ),
    "an unknown role": ("[roles.OE]", "[roles.DVZ]", "roles.DVZ", 'no role "DVZ"'),
    "a missing role": ("[roles.OE]", "[roles.DVZ]", "roles.OE", "no terms"),
    "an unknown role in a context": (
        'roles = ["PLAT", "OE", "CONS"]',
        'roles = ["PLAT", "DVZ", "CONS"]',
        'contexts."WIB:VISA_ISSUE".roles[1]',
        'no role "DVZ"',
    ),
    "an unknown group in a context": (
        'groups = ["G01", "G02", "G34"]',
        'groups = ["G01", "G02", "G35"]',
        'contexts."WIB:PRIOR_APPLICATION_CHECK".groups[2]',
        'no group "G35"',
    ),
    "an unknown procedure": (
        'procedures = ["RENEWAL"]',
        'procedures = ["RENEW"]',
        'contexts."WIB:RENEWAL".procedures[0]',
        'no procedure "RENEW"',
    ),
    "a malformed permit type": (
        "\nWORK_PERMIT = {",
        "\nwork-permit = {",
        "permit_types.work-permit",
        "no code",
    ),
    "a permit type without a language": (
        ', en = "Work permit" }',
        " }",
        "permit_types.WORK_PERMIT",
        "missing required field `en`",
    ),
    "a misspelt permit type in a context": (
        'permit_types = ["WORK_PERMIT"]',
        'permit_types = ["WORK_PERMTI"]',
        'contexts."WIB:WORK_PERMIT".permit_types[0]',
        'no permit type "WORK_PERMTI"',
    ),
    "a permit type twice": (
        'permit_types = ["SINGLE_PERMIT", "BLUE_CARD"]',
        'permit_types = ["BLUE_CARD", "BLUE_CARD"]',
        'contexts."WIB:WORK_DECISION".permit_types[1]',
        "stands twice",
    ),
    "no list of permit types": ("[permit_types]", "[permits]", "permit_types", "missing"),
    "a malformed context": (
        '[contexts."WIB:APPEAL"]',
        '[contexts."appeal"]',
        'contexts."appeal"',
        "DOMAIN:PURPOSE",
    ),
    "an unknown operation": (
        "[operations.consultStatus]",
        "[operations.getStatus]",
        "operations.getStatus",
        'no operation "getStatus"',
    ),
    "a missing operation": (
        "[operations.consultStatus]",
        "[operations.getStatus]",
        "operations.consultStatus",
        "the agreement does not",
    ),
    "an unknown context of a requester": (
        CONSULT_CONS,
        'CONS = ["WIB:VISA"]',
        "operations.consultDossier.requesters.CONS[0]",
        'no context "WIB:VISA"',
    ),
    "a context that the requester may not invoke": (
        CONSULT_CONS,
        'CONS = ["WIB:APPEAL"]',
        "operations.consultDossier.requesters.CONS[0]",
        "may not invoke",
    ),
    "a context that is off": (
        CONSULT_CONS,
        'CONS = ["WIB:EMPLOYMENT_CONTROL"]',
        "operations.consultDossier.requesters.CONS[0]",
        "may not invoke",
    ),
    "an unknown requester": (
        CONSULT_CONS,
        'POST = ["WIB:VISA_ISSUE"]',
        "operations.consultDossier.requesters.POST",
        'no role "POST"',
    ),
    "a requester that is no list": (
        CONSULT_CONS,
        "CONS = true",
        "operations.consultDossier.requesters.CONS",
        "expected `array`",
    ),
    "an unknown provider": (
        'providers = ["NSSO"]',
        'providers = ["ONSS"]',
        "operations.consultSocialSecurityStatus.providers[0]",
        'no role "ONSS"',
    ),
    "no provider": (
        'providers = ["NSSO"]',
        "providers = []",
        "operations.consultSocialSecurityStatus.providers",
        "no provider",
    ),
    "personal data from the hub": (
        'providers = ["NSSO"]',
        'providers = "HUB"',
        "operations.consultSocialSecurityStatus.providers",
        "holds no fields",
    ),
    "what a mailbox does not know": (
        '[operations.consultStatus]\nproviders = ["PLAT"]',
        '[operations.consultStatus]\nproviders = "MAILBOX"',
        "operations.consultStatus.providers",
        "no answer of its own",
    ),
    "an echo from a provider": (
        '[operations.sendTestMessage]\nproviders = "HUB"',
        '[operations.sendTestMessage]\nproviders = ["PLAT"]',
        "operations.sendTestMessage.providers",
        "holds no fields",
    ),
    "an operation that is asked and told": (
        "[operations.withdrawApplication]",
        "[operations.withdrawApplication]\nrequesters = {}",
        "operations.withdrawApplication",
        "either requesters or senders",
    ),
    "an operation that nobody may call": (
        'senders = { CONS = ["WIB:VISA_ISSUE"] }\n',
        "",
        "operations.notifyVisa",
        "either requesters or senders",
    ),
    "telling what is asked for": (
        '[operations.consultStatus]\nproviders = ["PLAT"]\nrequesters',
        '[operations.consultStatus]\ngroups = ["G01"]\nsenders',
        "operations.consultStatus",
        "where the request ends with what is told",
    ),
    "asking for what is told": (
        "senders = { CONS =",
        'providers = ["CONS"]\nrequesters = { CONS =',
        "operations.notifyVisa",
        "where the request ends with what is told",
    ),
    "a notification with a provider": (
        'senders = { CONS = ["WIB:VISA_ISSUE"] }',
        'senders = { CONS = ["WIB:VISA_ISSUE"] }\nproviders = ["CONS"]',
        "operations.notifyVisa",
        "has no providers",
    ),
    "an unknown sender": (
        'senders = { CONS = ["WIB:VISA_ISSUE"] }',
        'senders = { POST = ["WIB:VISA_ISSUE"] }',
        "operations.notifyVisa.senders.POST",
        'no role "POST"',
    ),
    "a context that the sender may not invoke": (
        'senders = { CONS = ["WIB:VISA_ISSUE"] }',
        'senders = { CONS = ["WIB:APPEAL"] }',
        "operations.notifyVisa.senders.CONS[0]",
        "may not invoke",
    ),
    "a notification that carries nothing": (
        'groups = ["G08", "G31"]\n',
        "",
        "operations.notifyVisa.groups",
        "groups that it may carry",
    ),
    "a notification of an unknown group": (
        'groups = ["G08", "G31"]',
        'groups = ["G08", "G35"]',
        "operations.notifyVisa.groups[1]",
        'no group "G35"',
    ),
    "a question with groups": (
        '[operations.consultStatus]\nproviders = ["PLAT"]',
        '[operations.consultStatus]\nproviders = ["PLAT"]\ngroups = ["G01"]',
        "operations.consultStatus.groups",
        "only a notification",
    ),
    "a question that follows the log": (
        '[operations.consultStatus]\nproviders = ["PLAT"]',
        '[operations.consultStatus]\nproviders = ["PLAT"]\nfollows_log = true',
        "operations.consultStatus.follows_log",
        "only a notification",
    ),
    "a right to write in an unknown operation": (
        "provide_in = { closeDossier",
        "provide_in = { endDossier",
        "groups.G01.REG.provide_in.endDossier",
        'tells no "endDossier"',
    ),
    "a right to write in another's notification": (
        "provide_in = { closeDossier",
        "provide_in = { submitApplication",
        "groups.G01.REG.provide_in.submitApplication",
        'tells no "submitApplication"',
    ),
    "a right to write in a notification that does not carry it": (
        "provide_in = { closeDossier",
        "provide_in = { notifyAppeal",
        "groups.G01.REG.provide_in.notifyAppeal",
        "does not carry group G01",
    ),
    "an unknown field to write in a notification": (
        'closeDossier = ["status", "statusDate"]',
        'closeDossier = ["status", "since"]',
        "groups.G01.REG.provide_in.closeDossier[1]",
        'no field "since"',
    ),
    "asking two roles at once": (
        'providers = ["REG"]\nscatter',
        'providers = ["REG", "OE"]\nscatter',
        "operations.consultPriorApplications.scatter",
        "exactly one role",
    ),
    "asking several for what is no list": (
        'providers = ["NSSO"]\n',
        'providers = ["NSSO"]\nscatter = true\n',
        "operations.consultSocialSecurityStatus.scatter",
        "only lists",
    ),
    "an unknown document type": (
        "\nCONTRACT =",
        "\nCONTRACTS =",
        "documents.CONTRACTS",
        'no document type "CONTRACTS"',
    ),
    "a missing document type": (
        "\nCONTRACT =",
        "\nCONTRACTS =",
        "documents.CONTRACT",
        "the agreement does not",
    ),
    "a document behind a field that holds none": (
        'field = "G20.document"',
        'field = "G16.amount"',
        "documents.CONTRACT.field",
        "no field for a document",
    ),
    "a document type without field": (
        '{ field = "G20.document" }',
        "{}",
        "documents.CONTRACT",
        "missing required field",
    ),
    "an unknown key": ("log_years = 10", "log_yeers = 10", "retention", "unknown field `log_yeers`"),
    "a wrong type": ("log_years = 10", 'log_years = "ten"', "retention.log_years", "expected `int`"),
    "a retention of nothing": (
        "payload_days = 30",
        "payload_days = 0",
        "retention.payload_days",
        "at least 1",
    ),
    "a retention beyond the calendar": (
        "payload_days = 30",
        "payload_days = 99999999999",
        "retention.payload_days",
        "at most 36525",
    ),
    "an unknown table": ("\n[bases]", "\n[basis]", "basis", "no such table"),
    "a missing table": ("\n[bases]", "\n[basis]", "bases", "missing"),
    "a basis without text": ('A = "Cooperation', 'A = 1 # "', "bases.A", "expected `str`"),
    "a basis that is blank": ('A = "Cooperation', 'A = " " # "', "bases.A", "no text"),
    "a file that is not TOML": ("[agreement]", "[agreement", "", "not TOML"),
    "a name that moves a cursor": (
        'name = "Dossier header"',
        r'name = "\u001b[1A"',
        "groups.G01.name",
        "printed",
    ),
    "a text that ends a line": (
        '\ntitle = "',
        r"""
title = "\n""",
        "agreement.title",
        "printed",
    ),
    "a text that is turned about": (
        '\ntitle = "',
        r"""
title = "\u202e""",
        "agreement.title",
        "printed",
    ),
    "a key of the kind": ("\n[bases]", '\n[bases]\n"A\\u009b" = "x"', r"bases.A\x9b", "printed"),
    "a number without end": ("log_years = 10", f"log_years = {'9' * 5_000}", "", "not TOML"),
    "lists without end": ("log_years = 10", f"log_years = {'[' * 3_000}", "", "not TOML"),
}


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_agreement_is_refused_for(case):
    old, new, path, sentence = BROKEN[case]
    with pytest.raises(AgreementError) as refused:
        load_agreement(changed(AGREEMENT, old, new))
    assert any(
        finding.file == AGREEMENT and finding.path == path and sentence in finding.sentence
        for finding in refused.value.findings
    ), refused.value


def _optional(name: str, kind: str) -> tuple[str, str]:
    told = f'<xs:element name="{name}" type="c:{kind}"'
    return f"{told}>", f'{told} minOccurs="0">'


IN_NOTIFICATIONS = '<xs:complexType name="NotificationCriteriaType">'
# Sentence of the case → (old text of the schema, new text, operation of the finding, part of its sentence)
LOOSE = {
    "a question without a dossier": (
        *_optional("dossierNumber", "DossierNumberType"),
        "consultDossier",
        "leave out dossierNumber",
    ),
    "a document of any type": (
        *_optional("documentType", "DocumentTypeType"),
        "retrieveDocument",
        "leave out documentType",
    ),
    "a document of any content": (
        *_optional("documentSha256", "Sha256Type"),
        "retrieveDocument",
        "leave out documentSha256",
    ),
    "a document of any name": (
        *_optional("documentReference", "ReferenceType"),
        "retrieveDocument",
        "leave out documentReference",
    ),
    "a criterion that would be dropped": (
        '<xs:element name="periodEnd" ',
        '<xs:element name="periodUntil" ',
        "consultSocialSecurityStatus",
        'no criterion "periodUntil"',
    ),
}


@pytest.mark.parametrize("case", LOOSE, ids=str)
def test_an_operation_is_refused_for(case):
    old, new, operation, sentence = LOOSE[case]
    with pytest.raises(AgreementError) as refused:
        load_agreement(changed(EXCHANGE, old, new))
    assert any(
        finding.path == f"operations.{operation}" and sentence in finding.sentence
        for finding in refused.value.findings
    ), refused.value


@pytest.mark.parametrize("name", ["submitApplication", "rectifyData", "closeDossier"])
def test_a_notification_names_its_dossier(name):
    before, _, after = shipped_files()[EXCHANGE].decode().partition(IN_NOTIFICATIONS)
    after = after.replace(*_optional("dossierNumber", "DossierNumberType"), 1)
    with pytest.raises(AgreementError) as refused:
        load_agreement({**shipped_files(), EXCHANGE: f"{before}{IN_NOTIFICATIONS}{after}".encode()})
    assert f"operations.{name}" in {finding.path for finding in refused.value.findings}


@pytest.mark.parametrize(
    ("name", "row"),
    [
        (
            "uploadDocument",
            ('[operations.uploadDocument]\nproviders = "HUB"', '[operations.uploadDocument]\ngroups = "all"'),
        ),
        ("notifyVisa", ('groups = ["G08", "G31"]', 'providers = "HUB"')),
    ],
)
def test_a_document_is_uploaded_and_a_dossier_is_told(name, row):
    with pytest.raises(AgreementError) as refused:
        load_agreement(changed(AGREEMENT, *row))
    assert any(
        finding.path == f"operations.{name}" and "uploaded" in finding.sentence
        for finding in refused.value.findings
    ), refused.value


def test_every_permit_type_has_a_name_in_each_language():
    assert shipped().permit_types["BLUE_CARD"].de == "Blaue Karte EU"
    named = set().union(*(context.permit_types or () for context in shipped().contexts.values()))
    assert named == set(shipped().permit_types)


def test_an_agreement_is_in_force_from_its_day():
    require_in_force(shipped(), shipped().valid_from)
    require_in_force(shipped(), dt.date(2030, 1, 1))
    with pytest.raises(AgreementError) as refused:
        require_in_force(shipped(), shipped().valid_from - dt.timedelta(days=1))
    assert str(refused.value) == (
        f"{AGREEMENT}: agreement.valid_from: in force from 2026-01-01, and today is 2025-12-31"
    )


def test_all_findings_are_raised_at_once_and_read_as_file_path_sentence():
    files = changed(AGREEMENT, SCAN_REG, SCAN_REG.replace("issueDate", "numbr"))
    files[AGREEMENT] = files[AGREEMENT].replace(
        b'"ADMISSIBLE", "UNDER_REVIEW", "WORK_GRANTED", "WORK_REFUSED", "RESIDENCE_GRANTED"', b'"ADMITTED"'
    )
    with pytest.raises(AgreementError) as refused:
        load_agreement(files)
    assert str(refused.value).splitlines() == [
        f'{AGREEMENT}: roles.OE.statuses[0]: no status "ADMITTED"',
        f'{AGREEMENT}: groups.G08.REG.receive[1]: no field "numbr" in group G08',
    ]


def test_a_group_that_only_the_schema_has_needs_a_row():
    with pytest.raises(AgreementError) as refused:
        load_agreement(
            changed(DOSSIER, '<g:group code="G21" field="present"/>', '<g:group code="G35" field="paid"/>')
        )
    assert "groups.G35" in {finding.path for finding in refused.value.findings}


@pytest.mark.parametrize("name", [AGREEMENT, PROCEDURES, PLACES])
def test_a_file_stands_once_among_the_files(name):
    second = {**shipped_files(), name.replace("contracts", "old"): b""}
    none = {other: data for other, data in shipped_files().items() if other != name}
    for files, count in ((second, "2"), (none, "0")):
        with pytest.raises(AgreementError) as refused:
            load_agreement(files)
        assert str(refused.value) == f"{name.partition('/')[2]}: {count} such files, one expected"


def test_what_is_wrong_in_places_is_said_with_what_is_wrong_in_the_agreement():
    files = changed(AGREEMENT, "payload_days = 30", "payload_days = 0")
    files[PLACES] = files[PLACES].replace(b'region = "BRUSSELS"', b'region = "BRUSSEL"')
    with pytest.raises(AgreementError) as refused:
        load_agreement(files)
    assert {finding.file for finding in refused.value.findings} == {AGREEMENT, PLACES}


def test_the_revision_is_the_hash_of_all_files():
    assert shipped().revision == revision(shipped_files())
    assert shipped().revision == "".join(f"{byte:02x}" for byte in bytes.fromhex(shipped().revision))
    for name, data in shipped_files().items():
        assert revision({**shipped_files(), name: data + b"\n"}) != shipped().revision
    assert revision({**shipped_files(), "contracts/x": b""}) != shipped().revision


def test_the_revision_of_nothing_is_the_hash_of_nothing():
    assert revision({}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


Files = st.dictionaries(st.text("ab/", max_size=3), st.binary(max_size=3), max_size=4)


@given(Files, Files)
def test_two_sets_of_files_have_one_revision_only_when_equal(one, other):
    assert (revision(one) == revision(other)) is (one == other)


@given(Files)
def test_the_order_of_files_does_not_matter(files):
    assert revision(dict(reversed(files.items()))) == revision(files)
