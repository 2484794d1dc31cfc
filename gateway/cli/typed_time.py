"""A time as it is typed behind an option."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import typer


def time_option(name: str, told: str) -> Any:
    """The option; its value is in UTC. `told`: its help."""
    return typer.Option(name, parser=_utc, metavar="TIME", help=told)


def _utc(text: str) -> datetime:
    """A day or a time of ISO 8601: of UTC where it names no zone. Raises typer.BadParameter.

    Typer by itself takes a year alone for seconds since 1970.
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter("Give a day or a time, such as 2026-11-02T08:00:00.") from error
