"""The permitted-view matrix as shipped: each of its 204 cells, and the default that grants nothing."""

from __future__ import annotations

import re
import tomllib

import pytest

from gateway.agreement.finding import AgreementError, Findings
from gateway.agreement.load import load_agreement
from gateway.agreement.load_operations import load_operations
from gateway.agreement.load_words import load_words
from gateway.agreement.matrix import compile_groups, compile_matrix
from gateway.agreement.views import compile_views
from gateway.model import Role
from tests.rules.agreement_files import AGREEMENT, changed, shipped, shipped_files

# Columns PLAT REG OE CONS MUN NSSO. P provides, R receives, with fields where not all; "+": more in some contexts.
# "~": provides more in some notifications. The last letter is the certainty of the cell.
MATRIX = """
G01 | PR(status,statusDate) C | R~ C                             | R C           | R L      | R L      | R L
G02 | PR L     | R C                             | R C           | R L      | PR L     | R L
G03 | P L      | - J                             | R L           | R J      | R L      | - J
G04 | P J      | - J                             | R L           | R J      | - J      | R J
G05 | P L      | R L                             | R L           | R J      | - J      | - J
G06 | P L      | - J                             | R L           | R L      | - J      | - J
G07 | P L      | - J                             | R L           | - J      | PR L     | - J
G08 | P C      | R(number,issueDate,expiryDate) L | R C           | PR L     | R L      | - J
G09 | R J      | R(title,expiryDate) L           | P L           | R L      | R L      | - J
G10 | P C      | R C                             | R L           | R(name) J | R(name) J | R L
G11 | P L      | R L                             | - J           | - J      | - J      | PR L
G12 | P C      | R L                             | R L           | - J      | - J      | - J
G13 | P L      | R L                             | R J           | - J      | - J      | R L
G14 | P C      | R C                             | R L           | - J      | - J      | R J
G15 | P C      | R C | R L | R(startDate,endDate) J | R(startDate,endDate) J | R(startDate,endDate,jointCommittee) L
G16 | P C      | R C                             | R L           | - J      | - J      | - J
G17 | P C      | R C                             | R(municipality) J | - J  | - J      | R L
G18 | P C      | R C                             | - J           | - J      | - J      | - J
G19 | P L      | R L                             | - J           | - J      | - J      | - J
G20 | P C      | R C                             | R L           | - J      | - J      | - J
G21 | P C      | R(present) L                    | R C           | - J      | - J      | - J
G22 | P L      | R(present) J                    | R L           | - J      | - J      | - J
G23 | P L      | R(present) J                    | R L           | - J      | - J      | - J
G24 | P L      | R(present)+ J                   | R L           | - J      | - J      | - J
G25 | P L      | -+ J                            | R C           | - J      | - J      | - J
G26 | P J      | -+ J | R L | R(relation,familyName,givenNames,birthDate,nationality) J | R(relation,familyName,givenNames,birthDate,nationality) J | - J
G27 | R C      | P C                             | R C           | - J      | - J      | - J
G28 | R C      | P C | R C | R(outcome) L | R(outcome) L | R(outcome,validFrom,validUntil) L
G29 | R~ C | R(outcome) L | PR(outcome,date,validFrom,validUntil,annexType) C | R C      | R C      | R(outcome,validFrom,validUntil) L
G30 | R(work,residence) L | P(work) J | P(residence,publicOrder)R(work) L | - J | - J | - J
G31 | R(status) J | R(status) J                  | R L           | P C      | R L      | - J
G32 | R(status) J | R(cardExpiry) L              | R L           | - J      | P C      | R(cardExpiry) J
G33 | R J      | -+ L                            | R L           | - J      | - J      | P L
G34 | - J      | PR L                            | PR J          | - J      | - J      | - J
"""
ROWS = {
    row.split("|")[0].strip(): [cell.strip() for cell in row.split("|")[1:]]
    for row in MATRIX.strip().splitlines()
}
CELLS = [(code, role, cell) for code, cells in ROWS.items() for role, cell in zip(Role, cells, strict=True)]


def _fields(group, letter, cell):
    """The fields that a cell of the table grants on the side of `letter`."""
    match = re.search(rf"{letter}(\(([^)]*)\))?", cell.rpartition(" ")[0])
    if match is None:
        return frozenset()
    names = match[2].split(",") if match[2] else [field.partition(".")[2] for field in group.fields]
    return frozenset(f"{group.code}.{name}" for name in names)


@pytest.mark.parametrize(("code", "role", "cell"), CELLS, ids=[f"{code}-{role}" for code, role, _ in CELLS])
def test_cell(code, role, cell):
    group = shipped().groups[code]
    compiled = group.cells[role]
    assert compiled.provide == _fields(group, "P", cell)
    assert compiled.receive == _fields(group, "R", cell)
    assert bool(compiled.receive_under) is ("+" in cell)
    assert bool(compiled.provide_in) is ("~" in cell)
    assert compiled.source.certainty == cell[-1]


# The narrowings that hold for some contexts only.
UNDER = {
    ("G24", "WIB:INDEFINITE_PERMIT"): {
        "insurer",
        "startDate",
        "endDate",
        "familyCovered",
        "document",
        "present",
    },
    ("G24", "WIB:WORK_DECISION"): {"present"},
    ("G25", "WIB:INDEFINITE_PERMIT"): {"kind", "amount", "document"},
    ("G25", "WIB:RENEWAL"): set(),
    ("G26", "WIB:INDEFINITE_PERMIT"): {"present"},
    ("G26", "WIB:ADMISSIBILITY"): set(),
    ("G33", "WIB:RENEWAL"): {"declared", "declarationType", "periodStart", "periodEnd", "dmfa"},
    ("G33", "WIB:EMPLOYMENT_CONTROL"): {"declared", "declarationType", "periodStart", "periodEnd", "dmfa"},
    ("G33", "WIB:WORK_DECISION"): set(),
}


@pytest.mark.parametrize(("code", "context"), UNDER, ids=[f"{code} {context}" for code, context in UNDER])
def test_the_region_receives_more_only_under_the_named_contexts(code, context):
    cell = shipped().groups[code].cells[Role.REG]
    assert cell.receives(context) == {f"{code}.{name}" for name in UNDER[code, context]}


WRITES = {
    # role, notification, field → may it be written there
    (Role.PLAT, "notifyDeemedDecision", "G29.outcome"): True,
    (Role.PLAT, "notifyDeemedDecision", "G29.appealDate"): False,  # not in the list of what it computes
    (Role.PLAT, "submitApplication", "G29.outcome"): False,  # in no other operation
    (Role.OE, "notifyDeemedDecision", "G29.outcome"): True,
    (
        Role.OE,
        "notifyDeemedDecision",
        "G30.residence",
    ): False,  # its own, but the notification does not carry it
    (Role.REG, "closeDossier", "G01.status"): True,
    (Role.REG, "closeDossier", "G01.permitType"): False,
    (Role.REG, "rectifyData", "G28.outcome"): True,
    (Role.REG, "rectifyData", "G01.status"): False,
    (Role.REG, "rectifyData", "G29.outcome"): False,
    (Role.MUN, "notifyCard", "G02.ssin"): True,
    (Role.MUN, "notifyVisa", "G02.ssin"): False,  # no sender of it
}


@pytest.mark.parametrize(("role", "operation", "field"), WRITES, ids=str)
def test_what_a_role_may_write_in_a_notification(role, operation, field):
    assert (field in shipped().provided(role, operation)) is WRITES[role, operation, field]


def test_special_categories_are_named():
    groups = shipped().groups
    assert groups["G22"].sensitivity == ("GDPR 10",)
    assert groups["G23"].sensitivity == ("GDPR 9",)
    assert groups["G02"].sensitivity == ("GDPR 87",)


def test_nothing_is_received_in_a_context_that_the_role_may_not_invoke():
    matrix = shipped().matrix
    for name, context in shipped().contexts.items():
        for role in set(Role) - context.roles:
            assert matrix.receives(role, name) == frozenset()


def test_a_context_narrows_what_a_role_receives():
    matrix = shipped().matrix
    assert "G16.amount" in matrix.receives(Role.REG, "WIB:WORK_DECISION")
    assert "G16.amount" not in matrix.receives(Role.REG, "WIB:ADMISSIBILITY")
    assert "G16.amount" in matrix.ever(Role.REG)


def test_every_right_to_receive_is_reachable_in_some_context():
    """A right that no context opens would be a clause without effect."""
    agreement = shipped()
    for role in Role:
        reached = frozenset().union(*(agreement.matrix.receives(role, name) for name in agreement.contexts))
        assert agreement.matrix.ever(role) - reached == frozenset(), role


def _provides(role):
    """What a role may write somewhere."""
    cells = [group.cells[role] for group in shipped().groups.values()]
    return frozenset().union(*(cell.provide.union(*cell.provide_in.values()) for cell in cells))


def test_every_field_has_a_provider_and_every_received_field_is_provided_by_another_role():
    matrix, fields = shipped().matrix, shipped().contract.fields
    assert fields == frozenset().union(*(matrix.provides(role) for role in Role))
    for role in Role:
        others = frozenset().union(*(_provides(other) for other in Role if other is not role))
        own = {"G34.hit", "G34.region", "G34.date", "G34.outcome"}  # from the authorities of the same role
        assert matrix.ever(role) - others <= own


@pytest.mark.parametrize(
    ("role", "field", "held"),
    [
        (Role.NSSO, "G02.ssin", True),
        (Role.NSSO, "G33.declared", True),
        (Role.NSSO, "G16.amount", False),
        (Role.PLAT, "G01.dossierNumber", True),
        (Role.PLAT, "G30.publicOrder", False),
        (Role.OE, "G30.publicOrder", True),
    ],
)
def test_holding_is_providing_or_receiving(role, field, held):
    assert shipped().may_hold(role, field) is held


def _emptied():
    text = shipped_files()[AGREEMENT].decode()
    emptied = re.sub(r"(receive_under|provide_in) = \{[^}]*\}, ", "", text)
    emptied = re.sub(r'(provide|receive) = ("all"|\[[^]]*\])', r'\1 = "none"', emptied)
    return emptied.encode()


def test_cells_that_grant_nothing_release_nothing():
    """The courses are taken out, for their steps would have nothing to tell."""
    tables = tomllib.loads(_emptied().decode())
    findings = Findings(AGREEMENT)
    words = load_words(tables, shipped().contract, findings)
    operations = load_operations(tables, shipped().contract, words, findings)
    groups = compile_groups(
        tables["groups"], shipped().contract.groups, words.bases, words.contexts, operations, findings
    )
    assert not findings.found
    everybody = {
        name: {
            (sender, role, context) for sender in one.providers for role in Role for context in words.contexts
        }
        for name, one in operations.items()
    }
    compiled = compile_views(
        operations,
        words.documents,
        compile_matrix(groups, words.contexts),
        everybody,
    )
    assert not any(compiled.provided.values())
    for (name, _, _, provider, _), view in compiled.views.items():
        assert compiled.released[view] == frozenset()
        assert set(view.verdicts.values()) == (set() if provider is None else {"PROVIDER"}), name


def test_a_course_of_which_nobody_hears_anything_does_not_compile():
    with pytest.raises(AgreementError) as refused:
        load_agreement({**shipped_files(), AGREEMENT: _emptied()})
    silent = {finding.path for finding in refused.value.findings if "hears nothing" in finding.sentence}
    assert len(silent) == sum(len({r for _, r, _ in step.tellings()}) for step in _steps())


def _steps():
    return [step for course in shipped().courses.values() for step in course.steps]


def test_a_new_field_of_the_schema_reaches_nobody_who_was_granted_a_list():
    old = '<xs:element name="publicOrder" type="c:LongTextType" minOccurs="0">'
    new = '<xs:element name="family" type="c:LongTextType" minOccurs="0"><xs:annotation><xs:appinfo>'
    new += '<g:group code="G30" field="family"/></xs:appinfo></xs:annotation></xs:element>' + old
    agreement = load_agreement(changed("contracts/xsd/dossier.xsd", old, new))
    assert not any(agreement.may_hold(role, "G30.family") for role in Role)
