"""What a log says of those that it succeeds, and what those that succeed it say of it (PROTOCOL §8.19)."""

from __future__ import annotations

from typing import Final

from alembic import op

revision = "0002"
down_revision = "0001"

_SUCCESSION: Final = """
CREATE TABLE former_erased (
  origin word PRIMARY KEY,
  indices text NOT NULL, salt bytea NOT NULL,
  entry bigint NOT NULL
);
CREATE TABLE accounts (
  bucket word PRIMARY KEY,
  account bytea NOT NULL
);
"""


def upgrade() -> None:
    """From the first version."""
    op.get_bind().exec_driver_sql(_SUCCESSION)
