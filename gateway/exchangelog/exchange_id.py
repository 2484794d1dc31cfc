"""The id of an exchange, or of a delivery: what its entries share, and what a peer is told of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from gateway.model import ExchangeId

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_VERSION: Final = 0x7 << 76
_VARIANT: Final = 0b10 << 62
_CHANCE: Final = (0xFFF << 64) | ((1 << 62) - 1)  # 74 bits


def new_exchange_id(now: datetime, random: Callable[[int], bytes]) -> ExchangeId:
    """A new one, a UUID of version 7 (RFC 9562 §5.7): 48 bits of time, 74 of chance.

    Ids of one time stand side by side in an index, so that a commit writes a few of its pages and not one for each
    entry. They tell when the exchange began, which the entry tells too.
    """
    time = (now - _EPOCH) // _MILLISECOND
    chance = int.from_bytes(random(10)) & _CHANCE
    return ExchangeId(str(UUID(int=time << 80 | _VERSION | _VARIANT | chance)))
