"""Check digits of identifiers, which an XSD cannot express (PROTOCOL §6.4).

Arithmetic of our own for the INSZ: python-stdnum reads the clock to choose the century, drops separators,
and refuses test numbers. Whether an identifier exists is for its register, not for the gateway.
"""

from __future__ import annotations

import re
from typing import Final

from stdnum.be import vat
from stdnum.exceptions import ValidationError

from gateway.model import DossierNumber
from gateway.refusal import Code, Refusal

# Year, month, day, sequence, check digits. Months: 00-12 National Register (00: unknown or exhausted), 20-32 and
# 40-52 bis numbers, 61-72 MAGDA test numbers.
_SSIN: Final = re.compile(
    r"[0-9]{2}(?P<month>[0-9]{2})(?P<day>[0-9]{2})(?P<sequence>[0-9]{3})[0-9]{2}", re.ASCII
)
_REGISTER, _BIS, _TEST = range(13), (*range(20, 33), *range(40, 53)), range(61, 73)
_DAYS: Final = range(32)  # 00: unknown
_SEPARATORS: Final = str.maketrans("", "", "._-")
_CBE: Final = re.compile(r"[01][0-9]{9}", re.ASCII)
_DOSSIER: Final = re.compile(r"WIB-(?P<year>[0-9]{4})-(?P<sequence>[0-9]{7})-(?P<check>[0-9]{2})", re.ASCII)


def check_ssin(number: str, *, test_numbers: bool) -> str:
    """Return an INSZ/NISS of eleven digits. `test_numbers`: accept those that can be no person's.

    Births from 2000 put a 2 before the nine digits that are checked; either century is accepted.
    Raises Refusal: IDENTIFIER.
    """
    match = _SSIN.fullmatch(number)
    if match is None:
        raise Refusal(Code.IDENTIFIER, "ssin")
    month, day, sequence = int(match["month"]), int(match["day"]), int(match["sequence"])
    known = month in _REGISTER or month in _BIS or (test_numbers and month in _TEST)
    numbered = sequence != 0 or month in _BIS  # BCSS: sequence 000 for bis numbers only
    if not (known and numbered and day in _DAYS):
        raise Refusal(Code.IDENTIFIER, "ssin")
    if int(number[9:]) not in (_check(int(number[:9])), _check(int(f"2{number[:9]}"))):
        raise Refusal(Code.IDENTIFIER, "ssin")
    return number


def check_ticket(ticket: str) -> None:
    """A ticket must not be a person's number: its digest outlives the dossier (PROTOCOL §6.3).

    Refused as well when written with dots and hyphens, and from the test range, which a test may leave behind.
    Raises Refusal: IDENTIFIER.
    """
    try:
        check_ssin(ticket.translate(_SEPARATORS), test_numbers=True)
    except Refusal:
        return
    raise Refusal(Code.IDENTIFIER, "ticket")


def check_cbe(number: str) -> str:
    """Return a KBO/CBE number of ten digits. Raises Refusal: IDENTIFIER."""
    if not _CBE.fullmatch(number):  # python-stdnum would also accept dots and nine digits
        raise Refusal(Code.IDENTIFIER, "cbeNumber")
    try:
        return str(vat.validate(number))
    except ValidationError as error:
        raise Refusal(Code.IDENTIFIER, "cbeNumber") from error


def check_dossier(number: str) -> DossierNumber:
    """Return a dossier number with correct check digits. Raises Refusal: IDENTIFIER."""
    match = _DOSSIER.fullmatch(number)
    if match is None or int(match["check"]) != _check(int(match["year"] + match["sequence"])):
        raise Refusal(Code.IDENTIFIER, "dossierNumber")
    return DossierNumber(number)


def dossier_number(year: int, sequence: int) -> DossierNumber:
    """The dossier number of a year and a sequence: WIB-YYYY-NNNNNNN-CC. Raises ValueError out of range."""
    if not (0 <= year <= 9999 and 0 <= sequence <= 9_999_999):
        raise ValueError("year of four digits and sequence of seven expected")
    digits = f"{year:04d}{sequence:07d}"
    return DossierNumber(f"WIB-{digits[:4]}-{digits[4:]}-{_check(int(digits)):02d}")


def _check(number: int) -> int:
    """Belgian check digits: 97 minus the remainder by 97, so 01 to 97."""
    return 97 - number % 97
