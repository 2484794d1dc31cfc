"""PROTOCOL §2.8: what counts for the gateway as a whole is divided among its worker processes."""

from __future__ import annotations

import msgspec
import pytest

from gateway.config import load, share_of
from tests.path.hub import ROOT

DIVIDED = {
    "limits": {
        *("connections", "connections_per_address", "connections_per_authority", "provider_connections"),
        *("spool_bytes", "in_flight", "in_flight_per_authority", "in_flight_bytes"),
    },
    "delivery": {"at_once", "mailbox_waits"},
}
WHOLE = load(ROOT / "deploy/gateway.toml")


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_the_shares_make_up_the_whole_and_no_share_more(workers: int):
    shared = share_of(WHOLE, workers)
    for section, divided in DIVIDED.items():
        before = msgspec.structs.asdict(getattr(WHOLE, section))
        after = msgspec.structs.asdict(getattr(shared, section))
        for name in before.keys() - divided:
            assert after[name] == before[name], name
        for name in divided:
            assert (after[name] - 1) * workers < before[name] <= after[name] * workers, name


def test_a_share_of_the_spool_holds_a_document():
    shared = share_of(WHOLE, 64)
    assert shared.limits.spool_bytes == WHOLE.limits.document_bytes
