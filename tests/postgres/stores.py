"""A store in PostgreSQL, as a test's node opens it."""

from __future__ import annotations

from pathlib import Path

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.postgres_uri import PostgresUri
from gateway.adapters.store import LogReader, Store
from tests.process.store_world import KEY, ORIGIN, PAYLOAD_KEY

place_of = PostgresUri.parse


def opened(uri: str, keys: Path, **options: object) -> Store:
    """`keys`: directory of the bucket keys, which nodes share. Raises `ProofError`."""
    bucket_keys = BucketKeys.create(keys)
    return Store.open(place_of(uri), KEY, ORIGIN, payload_key=PAYLOAD_KEY, bucket_keys=bucket_keys, **options)


def reading(uri: str) -> LogReader:
    """Raises `ProofError`."""
    return LogReader.open(place_of(uri))
