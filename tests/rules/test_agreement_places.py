"""places.toml → regions and mergers, by the day."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agreement.course import NisMerger, NisRule, Places
from gateway.agreement.finding import AgreementError
from gateway.agreement.load import load_agreement
from gateway.agreement.register import load_register
from gateway.model import Role
from tests.rules.agreement_files import PLACES, REGISTER, ROOT, changed, shipped

TODAY = dt.date(2026, 6, 1)

REGIONS = {
    "21004": "BRUSSELS",
    "11002": "FLANDERS",
    "23027": "FLANDERS",  # Halle: the same province of old as Brussels and Nivelles
    "24062": "FLANDERS",
    "25072": "WALLONIA",  # Nivelles
    "31005": "FLANDERS",
    "44021": "FLANDERS",
    "52011": "WALLONIA",
    "62063": "WALLONIA",
    "63023": "GERMAN_COMMUNITY",  # Eupen
    "63079": "WALLONIA",  # Verviers: the same arrondissement as Eupen
    "63080": "WALLONIA",  # Waimes, and Malmedy below: French-speaking neighbours
    "63049": "WALLONIA",
    "71016": "FLANDERS",
    "81001": "WALLONIA",
    "92094": "WALLONIA",
    "22001": None,  # no such arrondissement
    "00000": None,
}


@pytest.mark.parametrize("nis", REGIONS)
def test_region_of_a_municipality(nis):
    assert shipped().places.region(nis, TODAY) == REGIONS[nis]


def test_nine_municipalities_are_of_the_german_speaking_community():
    found = [one for one in shipped().places.regions if one.region == "GERMAN_COMMUNITY"]
    assert len({one.prefix for one in found}) == 9
    assert all(len(one.prefix) == 5 for one in found)


def test_before_the_cooperation_agreement_no_region_is_known():
    places = shipped().places
    assert places.region("21004", dt.date(2018, 12, 24)) == "BRUSSELS"
    assert places.region("21004", dt.date(2018, 12, 23)) is None


MERGED = {
    # old code → code from this day on
    "12030": ("12041", dt.date(2019, 1, 1)),  # Puurs
    "72040": ("72042", dt.date(2019, 1, 1)),  # Meeuwen-Gruitrode
    "54007": ("57096", dt.date(2019, 1, 1)),  # Mouscron
    "11007": ("11002", dt.date(2025, 1, 1)),  # Borsbeek
    "11056": ("46030", dt.date(2025, 1, 1)),  # Zwijndrecht goes to another province
    "23032": ("23106", dt.date(2025, 1, 1)),  # Herne
    "71069": ("71071", dt.date(2025, 1, 1)),  # Ham
    "82005": ("82039", dt.date(2025, 1, 1)),  # Bertogne
}


@pytest.mark.parametrize("nis", MERGED)
def test_a_municipality_that_merged_is_known_by_its_new_code_from_the_day(nis):
    into, since = MERGED[nis]
    assert shipped().places.current(nis, since) == into
    assert shipped().places.current(nis, since - dt.timedelta(days=1)) == nis


def test_numbers_of_mergers():
    """Fifteen of Flanders into seven and eleven new codes in 2019; 27 codes ended in 2025, for Antwerp's stayed."""
    of_year = {
        year: [one for one in shipped().places.mergers if one.since.year == year] for year in (2019, 2025)
    }
    flanders = [one for one in of_year[2019] if shipped().places.region(one.into, TODAY) == "FLANDERS"]
    assert (len(flanders), len({one.into for one in flanders})) == (15, 7)
    assert len(of_year[2019]) - len(flanders) == 11
    assert (len(of_year[2025]), len({one.into for one in of_year[2025]})) == (27 + 2, 13 + 1)


def test_no_merger_moves_a_municipality_to_another_region():
    places = shipped().places
    for one in places.mergers:
        before = places.region(one.nis, max(one.since - dt.timedelta(days=1), dt.date(2018, 12, 24)))
        assert places.region(one.nis, one.since) == before


def test_the_region_of_a_registered_municipality_is_that_of_its_code():
    register = load_register((ROOT / REGISTER).read_bytes(), REGISTER)
    for one in register.authorities:
        if one.role is Role.MUN:
            assert shipped().places.current(one.nis, TODAY) == one.nis
            assert shipped().places.region(one.nis, TODAY) == one.region


Day = st.dates(dt.date(2020, 1, 1), dt.date(2020, 3, 1))
Code = st.sampled_from(["1", "2", "3", "4"])
Mergers = st.lists(st.builds(NisMerger, Code, Code, Day), max_size=6)


@given(Mergers, Code, Day)
def test_following_mergers_ends_at_a_code_that_has_not_ended(mergers, code, day):
    """Whatever a file says: a circle ends too."""
    found = Places((), tuple(mergers)).current(code, day)
    ended = {one.nis for one in mergers if one.since <= day}
    chain = {one.into for one in mergers} | {code}
    assert found in chain
    if not ended:
        assert found == code


@given(st.lists(st.builds(NisRule, Code, st.sampled_from("AB"), Day, st.none() | Day), max_size=6), Day)
def test_a_rule_holds_from_its_first_day_to_its_last(rules, day):
    found = Places(tuple(rules), ()).region("1", day)
    held = {
        one.region
        for one in rules
        if one.prefix == "1" and one.valid_from <= day and (one.valid_until or day) >= day
    }
    assert found in (held or {None})


FIRST = 'prefixes = ["21"]\nregion = "BRUSSELS"\nvalid_from = 2018-12-24\n'

# Sentence of the case → (old text, new text, path of the finding, part of its sentence)
BROKEN = {
    "an unknown region": (
        'region = "BRUSSELS"',
        'region = "BRUSSEL"',
        "region[0].region",
        'no region "BRUSSEL"',
    ),
    "a prefix that is none": (
        'prefixes = ["21"]',
        'prefixes = ["2l"]',
        "region[0].prefixes[0]",
        "no beginning of a NIS code",
    ),
    "a rule that ends before it begins": (
        FIRST,
        FIRST + "valid_until = 2018-12-23\n",
        "region[0].prefixes[0]",
        "ends before it begins",
    ),
    "two rules on the same day": (
        'prefixes = ["1", "23"',
        'prefixes = ["1", "21", "23"',
        "region[1].prefixes[1]",
        'prefix "21" has another rule',
    ),
    "an unknown certainty": (
        FIRST + 'certainty = "L"',
        FIRST + 'certainty = "X"',
        "region[0].certainty",
        "invalid enum value",
    ),
    "an unknown key": (FIRST, FIRST + "name = 1\n", "region[0]", "unknown field `name`"),
    "a date that is a number": (
        "valid_from = 2018-12-24",
        "valid_from = 2018",
        "region[0].valid_from",
        "expected `date`",
    ),
    "a code that is none": (
        'from = ["12030", "12034"]',
        'from = ["12030", "1203"]',
        "merger[0].from[1]",
        '"1203" is no NIS code',
    ),
    "a code that becomes none": (
        'into = "12041"',
        'into = "1204"',
        "merger[0].from[0]",
        '"1204" is no NIS code',
    ),
    "a municipality that becomes part of itself": (
        'into = "12041"',
        'into = "12030"',
        "merger[0].from[0]",
        "part of itself",
    ),
    "a municipality that ends twice": (
        'from = ["44011", "44049"]',
        'from = ["12030", "44049"]',
        "merger[1].from[0]",
        '"12030" has ended already',
    ),
    "a municipality that goes where no rule holds": (
        'into = "12041"',
        'into = "22041"',
        "merger[0].from[0]",
        'in which region "22041" lies',
    ),
    "a missing table": ("[[region]]", "[[place]]", "place", "no such table"),
    "a table in place of a list": ("[[region]]", "[region]", "", "not TOML"),
}


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_places_are_refused_for(case):
    old, new, path, sentence = BROKEN[case]
    with pytest.raises(AgreementError) as refused:
        load_agreement(changed(PLACES, old, new))
    assert any(
        finding.file == PLACES and finding.path == path and sentence in finding.sentence
        for finding in refused.value.findings
    ), refused.value


def test_a_rule_may_be_followed_by_another():
    until = FIRST + 'valid_until = 2026-12-31\ncertainty = "L"\n\n[[region]]\n'
    files = changed(
        PLACES, FIRST, until + FIRST.replace("2018-12-24", "2027-01-01").replace("BRUSSELS", "FLANDERS")
    )
    places = load_agreement(files).places
    assert places.region("21004", dt.date(2026, 12, 31)) == "BRUSSELS"
    assert places.region("21004", dt.date(2027, 1, 1)) == "FLANDERS"
