"""Times: the strict form of xsd:dateTime, the Timestamp, and the window of acceptance (attacks W01–W07)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.refusal import Code
from gateway.wss import times
from tests.world import NOW, accept, build, refused

MILLISECOND = timedelta(milliseconds=1)

FORMS = {
    "2026-06-01T09:00:00Z": NOW,
    "2026-06-01T09:00:00.0Z": NOW,
    "2026-06-01T09:00:00.12Z": NOW + 120 * MILLISECOND,
    "2026-06-01T09:00:00.123Z": NOW + 123 * MILLISECOND,
    "2026-06-01T09:00:00.123456Z": NOW + timedelta(microseconds=123_456),
    "2026-06-01T09:00:00.1234567Z": NOW + timedelta(microseconds=123_456),
    "2026-06-01T09:00:00.9999999Z": NOW + timedelta(microseconds=999_999),
    "2026-06-01T09:00:00+00:00": NOW,
    "2026-06-01T09:00:00-00:00": NOW,
    "2026-06-01T11:00:00+02:00": NOW,
    "2026-06-01T11:00:00.5+02:00": NOW + 500 * MILLISECOND,
    "2026-05-31T23:30:00-09:30": NOW,
    "2026-06-01T23:00:00+14:00": NOW,
    "2026-05-31T19:00:00-14:00": NOW,
    "2024-02-29T00:00:00Z": datetime(2024, 2, 29, tzinfo=UTC),
    "9999-12-31T23:59:59Z": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    "0001-01-01T00:00:00Z": datetime(1, 1, 1, tzinfo=UTC),
}


@pytest.mark.parametrize(("written", "moment"), FORMS.items(), ids=FORMS)
def test_a_date_and_time_with_a_zone_is_read(written: str, moment: datetime):
    assert times.read(written) == moment


NOT_READ = {
    "nothing": "",
    "no zone": "2026-06-01T09:00:00",
    "a date alone": "2026-06-01Z",
    "a time alone": "09:00:00Z",
    "a week date": "2026-W23-1T09:00:00Z",
    "a day of the year": "2026-152T09:00:00Z",
    "the basic form": "20260601T090000Z",
    "a blank for T": "2026-06-01 09:00:00Z",
    "a small t": "2026-06-01t09:00:00Z",
    "a small z": "2026-06-01T09:00:00z",
    "no seconds": "2026-06-01T09:00Z",
    "a comma": "2026-06-01T09:00:00,5Z",
    "a point without digits": "2026-06-01T09:00:00.Z",
    "eight digits of a second": "2026-06-01T09:00:00.12345678Z",
    "nine digits of a second": "2026-06-01T09:00:00.123456789Z",
    "Arabic digits": "٢٠٢٦-06-01T09:00:00Z",
    "full-width digits": "\uff12\uff10\uff12\uff16-06-01T09:00:00Z",
    "a line feed behind": "2026-06-01T09:00:00Z\n",
    "a blank before": " 2026-06-01T09:00:00Z",
    "NUL behind": "2026-06-01T09:00:00Z\0",
    "24:00:00": "2026-06-01T24:00:00Z",
    "a leap second": "2026-06-30T23:59:60Z",
    "minute 60": "2026-06-01T09:60:00Z",
    "month 13": "2026-13-01T09:00:00Z",
    "30 February": "2026-02-30T09:00:00Z",
    "29 February of a common year": "2026-02-29T09:00:00Z",
    "year 0": "0000-06-01T09:00:00Z",
    "year 10000": "10000-06-01T09:00:00Z",
    "a negative year": "-2026-06-01T09:00:00Z",
    "a year with sign": "+2026-06-01T09:00:00Z",
    "an offset without colon": "2026-06-01T09:00:00+0200",
    "an offset of hours": "2026-06-01T09:00:00+02",
    "an offset of 14:01": "2026-06-01T09:00:00+14:01",
    "an offset of 15 hours": "2026-06-01T09:00:00+15:00",
    "an offset of minus 14:30": "2026-06-01T09:00:00-14:30",
    "an offset of 60 minutes": "2026-06-01T09:00:00+01:60",
    "an offset of seconds": "2026-06-01T09:00:00+01:00:00",
    "a minus sign of typography": "2026-06-01T09:00:00−01:00",
    "a zone by name": "2026-06-01T09:00:00 UTC",
    "two zones": "2026-06-01T09:00:00ZZ",
    "seconds since 1970": "1780304400",
    "a moment before year 1 in UTC": "0001-01-01T00:00:00+14:00",
    "a moment after year 9999 in UTC": "9999-12-31T23:59:59-14:00",
}


@pytest.mark.parametrize("written", NOT_READ.values(), ids=NOT_READ)
def test_any_other_form_is_no_time(written: str):
    with pytest.raises((ValueError, OverflowError)):
        times.read(written)


def test_more_digits_of_a_second_are_read_where_they_are_allowed():
    assert times.read("2026-06-01T09:00:00.123456789Z", digits=9) == times.read("2026-06-01T09:00:00.123456Z")
    with pytest.raises(ValueError, match="1234567890"):
        times.read("2026-06-01T09:00:00.1234567890Z", digits=9)


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.builds(  # from the year 1019 to the year 9892
    lambda microseconds, zone: (EPOCH + timedelta(microseconds=microseconds)).astimezone(zone),
    st.integers(-30_000_000_000_000_000, 250_000_000_000_000_000),
    ZONES,
)


@given(MOMENTS)
@settings(deadline=None, derandomize=True)
def test_what_is_written_is_read_to_the_millisecond(moment: datetime):
    written = times.write(moment)
    assert written.endswith("Z")
    assert timedelta() <= moment - times.read(written) < MILLISECOND


@given(MOMENTS)
@settings(deadline=None, derandomize=True)
def test_every_form_that_python_writes_with_a_zone_is_read(moment: datetime):
    assert times.read(moment.isoformat()) == moment


@given(
    st.text(max_size=40)
    | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", fullmatch=True)
)
@settings(deadline=None, derandomize=True, max_examples=300)
def test_any_text_is_a_time_or_an_error_that_is_foreseen(written: str):
    try:
        moment = times.read(written)
    except (ValueError, OverflowError):
        return
    assert moment.tzinfo is UTC
    assert written.isascii()


def created(text: str, expires: str = "2026-06-01T09:05:00Z") -> bytes:
    return build(created=text, expires=expires)


@pytest.mark.parametrize(
    "written",
    [form for form, moment in FORMS.items() if moment - NOW < timedelta(seconds=1) and moment >= NOW],
)
def test_created_may_have_any_of_these_forms(written: str):
    assert accept(created(written)).created == FORMS[written]


CREATED, EXPIRES = (
    "<wsu:Created>2026-06-01T09:00:00.000Z</wsu:Created>",
    "<wsu:Expires>2026-06-01T09:05:00.000Z</wsu:Expires>",
)
TIMESTAMPS = {
    **{f"Created is {name}": {"created": written} for name, written in NOT_READ.items() if "\0" not in written and written == written.strip()},
    "Expires without zone": {"expires": "2026-06-01T09:05:00"},
    "Expires beyond year 9999": {"expires": "9999-12-31T23:59:59-14:00"},
    "no Created": {"edit": ((CREATED, ""),)},
    "no Expires": {"edit": ((EXPIRES, ""),)},
    "neither": {"edit": ((CREATED + EXPIRES, ""),)},
    "Expires first": {"edit": ((CREATED + EXPIRES, EXPIRES + CREATED),)},
    "two Created": {"edit": ((CREATED, CREATED + CREATED),)},
    "two Expires": {"edit": ((EXPIRES, EXPIRES + EXPIRES),)},
    "a third child": {"edit": ((EXPIRES, EXPIRES + '<x:x xmlns:x="urn:x"/>'),)},
    "a child in Created": {"edit": ((CREATED, CREATED.replace("</", "<x/></")),)},
    "a Created of another namespace": {"edit": ((CREATED, CREATED.replace("wsu:", "wsse:")),)},
    "Expires before Created": {"created": "2026-06-01T09:00:10Z", "expires": "2026-06-01T09:00:05Z"},
    "Expires equal to Created": {"created": "2026-06-01T09:00:10Z", "expires": "2026-06-01T09:00:10Z"},
    "a life of more than an hour": {"expires": "2026-06-01T10:00:00.001Z"},
    "a life of ten years": {"expires": "2036-06-01T09:00:00Z"},
}  # fmt: skip


@pytest.mark.parametrize("broken", TIMESTAMPS.values(), ids=TIMESTAMPS)
def test_a_malformed_timestamp_is_refused(broken):
    assert refused(build(**broken)) is Code.TIMESTAMP


def test_a_timestamp_at_the_end_of_the_calendar_is_refused_like_any_other():
    assert refused(build(created="9999-12-31T23:59:58Z", expires="9999-12-31T23:59:59Z")) is Code.FUTURE
    assert refused(build(created="0001-01-01T00:00:00Z", expires="0001-01-01T00:00:01Z")) is Code.EXPIRED


def test_the_timestamps_twins_are_accepted():
    assert accept(build(expires="2026-06-01T10:00:00.000Z"))
    assert accept(build(created="2026-06-01T09:00:10Z", expires="2026-06-01T09:00:11Z"))
    spaced = ((CREATED, CREATED.replace("2026", "\n  2026") + "\n"), (EXPIRES, EXPIRES.replace("</", " </")))
    assert accept(build(edit=spaced))


WINDOW = {
    "created five minutes ago": (timedelta(minutes=-5), timedelta(minutes=4), None),
    "created a millisecond before that": (
        timedelta(minutes=-5) - MILLISECOND,
        timedelta(minutes=4),
        Code.EXPIRED,
    ),
    "created an hour ago, with an hour to live": (
        timedelta(hours=-1) + MILLISECOND,
        MILLISECOND,
        Code.EXPIRED,
    ),
    "expires in a millisecond": (timedelta(minutes=-1), MILLISECOND, None),
    "expires now": (timedelta(minutes=-1), timedelta(), Code.EXPIRED),
    "expired a day ago": (timedelta(days=-1, minutes=-1), timedelta(days=-1), Code.EXPIRED),
    "created a minute ahead": (timedelta(minutes=1), timedelta(minutes=2), None),
    "created a millisecond after that": (
        timedelta(minutes=1) + MILLISECOND,
        timedelta(minutes=2),
        Code.FUTURE,
    ),
    "created a day ahead": (timedelta(days=1), timedelta(days=1, minutes=5), Code.FUTURE),
}


@pytest.mark.parametrize(("made", "ends", "code"), WINDOW.values(), ids=WINDOW)
def test_the_window_is_five_minutes_back_and_one_ahead(made: timedelta, ends: timedelta, code: Code | None):
    data = build(created=times.write(NOW + made), expires=times.write(NOW + ends))
    if code is None:
        assert accept(data).created == NOW + made
    else:
        assert refused(data) is code


def test_time_is_looked_at_last_so_that_only_a_signer_learns_the_clock():
    expired = build(created="2026-05-01T09:00:00Z", expires="2026-05-01T09:05:00Z")
    assert refused(expired) is Code.EXPIRED
    assert refused(expired.replace(b">good<", b">evil<")) is Code.SIGNATURE
