"""Two revisions compared: each change of one term is told at its place, and nothing else is."""

from __future__ import annotations

import pytest

from gateway.agreement.difference import Change, compare, withheld
from gateway.agreement.facts import facts
from gateway.agreement.load import load_agreement
from gateway.agreement.section import Place, Section
from gateway.model import FieldId, LegalContext, OperationName, Role
from tests.rules.agreement_files import AGREEMENT, DOSSIER, PLACES, PROCEDURES, changed, shipped

pytestmark = pytest.mark.no_cover  # the same lines, thousands of times

PASSPORT = 'receive = ["number", "issueDate", "expiryDate"], basis = ["G"]'
NARROWED = 'receive = ["number", "expiryDate"], basis = ["G"]'
WORK = LegalContext("WIB:WORK_DECISION")
CONSULT = OperationName("consultDossier")
CASES = {  # file, old, new: in which sections something is told
    "a comment": (AGREEMENT, "# Default deny:", "# Deny by default:", set()),
    "a note of a cell": (AGREEMENT, "the scan is judged unnecessary", "the scan is unnecessary", set()),
    "a field of a cell": (AGREEMENT, PASSPORT, NARROWED, {Section.RECEIVES, Section.MATRIX}),
    "the basis of a cell": (AGREEMENT, PASSPORT, PASSPORT.replace('"G"', '"A"'), {Section.BASES}),
    "who may ask": (
        AGREEMENT, '\nOE = ["WIB:PRIOR_APPLICATION_CHECK"]', "", {Section.RECEIVES, Section.OPERATIONS},
    ),
    "a status at which a dossier is open": (
        AGREEMENT, '"REGISTERED", "CARD_ISSUED", "CLOSED", "REVOKED",\n]', '"REGISTERED", "CARD_ISSUED", "REVOKED",\n]',
        {Section.STATUSES},
    ),
    "days of reading": (AGREEMENT, "closed_dossier_days = 365", "closed_dossier_days = 364", {Section.HEAD}),
    "the day of validity": (AGREEMENT, "valid_from = 2026-01-01", "valid_from = 2026-01-02", {Section.HEAD}),
    "the words of a purpose": (AGREEMENT, "Decide on residence, and", "Decide on residence and", {Section.WORDING}),
    "the basis of a retention": (
        AGREEMENT, 'nobody fetched\nbasis = ["U"]', 'nobody fetched\nbasis = ["T"]', {Section.BASES},
    ),
    "the certainty of a course": (PROCEDURES, 'certainty = "C"', 'certainty = "L"', {Section.BASES}),
    "a quota by little": (AGREEMENT, "per_second = 100.0", "per_second = 100.00001", {Section.QUOTAS}),
    "what a role is called": (AGREEMENT, 'en = "Platform"', 'en = "Portal"', {Section.WORDING}),
    "what a type of permit is called": (AGREEMENT, 'en = "EU Blue Card"', 'en = "Blue Card"', {Section.WORDING}),
    "the days of a term": (PROCEDURES, "days = 30", "days = 45", {Section.DEADLINES}),
    "the day on which a rule begins": (
        PROCEDURES, "days = 30\nworking = false\nvalid_from = 2018-12-24",
        "days = 30\nworking = false\nvalid_from = 2018-12-25", {Section.DEADLINES},
    ),
    "the region of municipalities": (PLACES, 'prefixes = ["21"]', 'prefixes = ["210"]', {Section.PLACES}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_change_is_told_where_it_stands_and_nowhere_else(case):
    name, old, new, sections = CASES[case]
    found = compare(shipped(), load_agreement(changed(name, old, new)))
    assert found.files == [name]
    assert not found.same
    assert {one.place.section for one in found.changes} == sections


def test_a_revision_does_not_differ_from_itself():
    found = compare(shipped(), load_agreement(dict(shipped().files)))
    assert found.same
    assert not found.changes


def test_what_one_way_is_gained_is_lost_the_other_way():
    narrowed = load_agreement(changed(AGREEMENT, PASSPORT, NARROWED))
    there, back = compare(shipped(), narrowed), compare(narrowed, shipped())
    assert [Change(one.place, one.loses, one.gains) for one in there.changes] == list(back.changes)


def test_a_lost_field_is_told_by_role_context_operation_and_source_with_the_reason():
    narrowed = load_agreement(changed(AGREEMENT, PASSPORT, NARROWED))
    place = Place(Section.RECEIVES, "receives", Role.REG, WORK, CONSULT, Role.PLAT)
    assert Change(place, frozenset(), frozenset({"G08.issueDate"})) in compare(shipped(), narrowed).changes
    assert withheld(shipped(), place, FieldId("G08.issueDate")) is None
    assert withheld(narrowed, place, FieldId("G08.issueDate")) == "ROLE"


def test_a_right_to_a_type_of_document_is_told_by_its_type():
    text = shipped().files[AGREEMENT].decode()
    row = text[text.index("[groups.G20]") : text.index("[groups.G21]")]
    denied = load_agreement(
        changed(
            AGREEMENT,
            row,
            row.replace(
                'REG  = { provide = "none", receive = "all"', 'REG  = { provide = "none", receive = "none"'
            ),
        )
    )
    lost = [one for one in compare(shipped(), denied).changes if one.place.section is Section.DOCUMENTS]
    assert {one.place.role for one in lost} == {Role.REG}
    assert {one.place.operation for one in lost} == {"retrieveDocument"}
    assert all(one.loses == {"CONTRACT"} and not one.gains for one in lost)


def test_a_new_element_of_the_schema_is_told_as_an_addition():
    old = '<xs:element name="issueDate"'
    text = shipped().files[DOSSIER].decode()
    start = text.index(old)
    element = text[start : text.index("</xs:element>", start) + len("</xs:element>")]
    added = element.replace('"issueDate"', '"issuePlace"')
    assert added.count("issuePlace") == 2
    after = load_agreement(changed(DOSSIER, element, element + added))
    schema = [one for one in compare(shipped(), after).changes if one.place.section is Section.SCHEMA]
    assert all(one.gains and not one.loses for one in schema)
    assert {"G08.issuePlace"} in [one.gains for one in schema]


def test_two_elements_whose_fields_change_places_are_told():
    """Who may see one may then see the other, though every field is granted as before."""
    issued, expires = b'code="G08" field="issueDate"', b'code="G08" field="expiryDate"'
    data = shipped().files[DOSSIER]
    exchanged = data.replace(issued, b"@").replace(expires, issued).replace(b"@", expires)
    found = compare(shipped(), load_agreement({**shipped().files, DOSSIER: exchanged})).changes
    told = {one.place.name.rpartition("/")[2]: (one.gains, one.loses) for one in found}
    assert told == {
        "issueDate": ({"G08.expiryDate"}, {"G08.issueDate"}),
        "expiryDate": ({"G08.issueDate"}, {"G08.expiryDate"}),
    }


def test_every_step_and_every_deadline_of_every_course_has_a_place_of_its_own():
    places = list(facts(shipped()))
    for section, number in (
        (Section.COURSES, sum(len(one.steps) for one in shipped().courses.values())),
        (Section.DEADLINES, sum(len(one.deadlines) for one in shipped().courses.values())),
    ):
        found = [one for one in places if one.section is section and one.what in {"step", "term"}]
        assert len(found) == number
