"""Buckets by retention class and month."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.exchangelog.bucket import Bucket, bucket_of
from gateway.exchangelog.flaw import Flaw, ProofError
from tests.exchanges import request_entry

NOVEMBER = Bucket("exchange", "2026-11")


def test_bucket_of_an_entry_is_its_retention_class_and_the_month_of_its_time():
    assert bucket_of(request_entry().leaf) == Bucket("exchange", "2026-03")


def test_name_is_read_as_it_is_written():
    assert str(NOVEMBER) == "exchange/2026-11"
    assert Bucket.parse("exchange/2026-11") == NOVEMBER


@pytest.mark.parametrize(
    "name",
    [
        "",
        "exchange",
        "exchange/2026-13",
        "exchange/2026-1",
        "Exchange/2026-11",
        "../2026-11",
        "exchange/2026-11\n",
    ],
)
def test_nothing_else_is_a_name(name):
    with pytest.raises(ProofError) as caught:
        Bucket.parse(name)
    assert caught.value.flaw is Flaw.BUCKET_NAME


def test_bucket_ends_with_its_month_also_in_december():
    assert NOVEMBER.end == datetime(2026, 12, 1, tzinfo=UTC)
    assert Bucket("exchange", "2026-12").end == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"{}",
        b'{"t":"2026-11-01T","ret":7}',
        b'{"t":"soon","ret":"exchange"}',
        b'{"t":"2026-11\xff","ret":"exchange"}',
        b'{"t":' + b"[" * 60_000,
        b'{"other":' + b"[" * 60_000,
    ],
)
def test_what_is_no_leaf_is_in_no_bucket(leaf):
    with pytest.raises(ProofError) as caught:
        bucket_of(leaf)
    assert caught.value.flaw is Flaw.ENTRY_FORM
