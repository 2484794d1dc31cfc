"""Check digits: each refused identifier has an accepted twin that differs in one detail."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.be import ssn, vat

from gateway.agreement.identifiers import check_cbe, check_dossier, check_ssin, check_ticket, dossier_number
from gateway.refusal import Code, Refusal


def _with_check(nine, *, born_2000=False):
    return nine + f"{97 - int(('2' if born_2000 else '') + nine) % 97:02d}"


def _refused(check, number, **options):
    with pytest.raises(Refusal) as refused:
        check(number, **options)
    assert refused.value.code is Code.IDENTIFIER
    assert len(number) < 4 or number not in str(refused.value)  # a fault never repeats what a peer sent
    return refused.value.about


ACCEPTED = {
    "the example of the register": "85073003328",
    "born from 2000": "17073003384",
    "a bis number, sex known": "98472899765",
    "a bis number, born from 2000": "01490700185",
    "a bis number, sex unknown": _with_check("982728997"),
    "month and day unknown": _with_check("900000001"),
    "day unknown": _with_check("900500001"),
    "birth date unknown": _with_check("000001001"),
    "counter of the day exhausted": _with_check("900002001"),
    "a bis number with month unknown": _with_check("902000001"),
    "a bis number with sequence 000": _with_check("982728000"),
    "check digits 97": _with_check("850730097"[:8] + "5"),
}


@pytest.mark.parametrize("number", ACCEPTED.values(), ids=ACCEPTED.keys())
@pytest.mark.parametrize("test_numbers", [False, True])
def test_ssin_is_accepted(number, test_numbers):
    assert check_ssin(number, test_numbers=test_numbers) == number


REFUSED = {
    "a wrong check digit": "85073003329",
    "two digits exchanged": "85070303328",
    "ten digits": "8507300332",
    "twelve digits": "085073003328",
    "separators": "85.07.30-033-28",
    "a trailing line end": "85073003328\n",
    "Arabic-Indic digits": "٨٥٠٧٣٠٠٣٣٢٨",
    "month 13": _with_check("851330033"),
    "month 19": _with_check("851930033"),
    "month 33": _with_check("853330033"),
    "month 53": _with_check("855330033"),
    "month 60": _with_check("856030033"),
    "month 73": _with_check("857330033"),
    "day 32": _with_check("850732033"),
    "sequence 000 outside bis numbers": _with_check("850730000"),
    "sequence 000 of a test number": _with_check("856130000"),
    "zeroes": "0" * 11,
}


@pytest.mark.parametrize("number", REFUSED.values(), ids=REFUSED.keys())
def test_ssin_is_refused(number):
    assert _refused(check_ssin, number, test_numbers=True) == "ssin"


@pytest.mark.parametrize("number", ["90612400144", "85650304271", "01721201879"])
def test_test_numbers_are_accepted_only_where_the_deployment_says_so(number):
    assert check_ssin(number, test_numbers=True) == number
    assert _refused(check_ssin, number, test_numbers=False) == "ssin"


@given(
    st.integers(0, 99),
    st.integers(1, 12),
    st.integers(1, 28),
    st.integers(1, 998),
    st.sampled_from([0, 20, 40]),
)
def test_every_number_of_a_full_date_is_accepted_as_python_stdnum_does(year, month, day, sequence, bis):
    number = _with_check(f"{year:02d}{month + bis:02d}{day:02d}{sequence:03d}")
    assert check_ssin(number, test_numbers=False) == ssn.validate(number)


@given(st.integers(0, 10**9 - 1), st.integers(0, 99))
def test_what_python_stdnum_refuses_for_its_check_digits_is_refused(nine, check):
    number = f"{nine:09d}{check:02d}"
    valid = check in {97 - nine % 97, 97 - (2 * 10**9 + nine) % 97}
    if not valid:
        assert not ssn.is_valid(number)
        _refused(check_ssin, number, test_numbers=True)


TICKETS = ["85073003328", "85.07.30-033.28", "850730_03328", _with_check("906124001")]


@pytest.mark.parametrize("ticket", TICKETS)
def test_a_ticket_that_is_the_number_of_a_person_is_refused(ticket):
    assert _refused(check_ticket, ticket) == "ticket"


@pytest.mark.parametrize("ticket", ["85073003329", "A85073003328", "0850730033", "BXL-2026-000417", "1"])
def test_other_tickets_are_accepted(ticket):
    check_ticket(ticket)


_FORMS = re.compile(
    r"[0-9]{10,11}|WIB-[0-9]{4}-[0-9]{7}-[0-9]{2}", re.ASCII
)  # may be right; the tests above are theirs


@given(st.text(max_size=30).filter(lambda text: _FORMS.fullmatch(text) is None))
def test_arbitrary_text_is_refused_and_nothing_worse(text):
    assert _refused(check_ssin, text, test_numbers=True)
    assert _refused(check_cbe, text)
    assert _refused(check_dossier, text)


@pytest.mark.parametrize("number", ["0566988259", "0999011116", "1000000021"])
def test_cbe_number_is_accepted(number):
    assert check_cbe(number) == vat.validate(number)


@pytest.mark.parametrize(
    "number",
    ["0566988258", "0566.988.259", "566988259", "BE0566988259", "2566988258", "0000000000", " 0566988259"],
)
def test_cbe_number_is_refused(number):
    assert _refused(check_cbe, number) == "cbeNumber"


@given(st.integers(0, 9999), st.integers(0, 9_999_999))
def test_a_made_dossier_number_is_accepted_and_its_neighbours_are_not(year, sequence):
    number = dossier_number(year, sequence)
    assert check_dossier(number) == number
    wrong = f"{number[:-2]}{(int(number[-2:]) + 1) % 100:02d}"
    assert _refused(check_dossier, wrong) == "dossierNumber"


def test_the_first_dossier_number_of_2026():
    assert dossier_number(2026, 1) == "WIB-2026-0000001-59"


@pytest.mark.parametrize(
    "number",
    [
        "WIB-2026-0000001-58",
        "WIB-2026-0000002-59",
        "wib-2026-0000001-59",
        "WIB-2026-000001-59",
        "WIB-2026-0000001-059",
    ],
)
def test_dossier_number_is_refused(number):
    assert _refused(check_dossier, number) == "dossierNumber"


@pytest.mark.parametrize(("year", "sequence"), [(10_000, 1), (2026, 10_000_000), (-1, 1), (2026, -1)])
def test_no_dossier_number_is_made_out_of_range(year, sequence):
    with pytest.raises(ValueError, match="four digits"):
        dossier_number(year, sequence)
