"""How often an authority may send a message (PROTOCOL §7.8): a bucket of tokens, one for each message.

The bucket is kept as one number, the moment at which it will be full again (the "theoretical arrival time" of
ITU-T I.371, annex A): refusing changes nothing, and a quota that changes meanwhile holds at once.
"""

from __future__ import annotations

from typing import Final

from gateway.model import Quota

_ROUNDING: Final = (
    1e-6  # seconds: who waited exactly as long as told is not refused for the last bit of a float
)


def draw(quota: Quota, full_at: float, now: float) -> tuple[float, float]:
    """One message more: when the bucket will be full again, and the seconds to wait until this one is within the
    quota; 0.0 when it is, and only then a token was taken.

    Both moments are seconds of one clock that never goes back; a bucket from which nothing was taken is full at any
    moment that is past.
    """
    each = 1 / quota.per_second
    full_at = max(full_at, now)
    wait = full_at + each - (now + quota.burst * each)
    return (full_at, wait) if wait > _ROUNDING else (full_at + each, 0.0)
