"""Revisions of the agreement: the one in force, and earlier ones that accepted notifications still go by."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from gateway.agreement.finding import AgreementError
from gateway.agreement.load import Agreement, load_agreement
from gateway.broker.ports import Archive
from gateway.model import Notification
from gateway.refusal import Code, Refusal


class Revisions:
    """Earlier revisions are compiled once and kept; there are few."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._known: dict[str, Agreement] = {}

    async def of(self, revision: str, in_force: Agreement) -> Agreement:
        """Raises Refusal: LOG_UNAVAILABLE when the store does not have it, or has it damaged."""
        if revision == in_force.revision:
            return in_force
        if revision not in self._known:
            files = await self._archive.agreement(revision)
            if files is None:
                raise Refusal(Code.LOG_UNAVAILABLE, "agreement")
            try:  # compiling takes most of a second
                found = await asyncio.to_thread(load_agreement, files)
            except AgreementError as error:
                raise Refusal(Code.LOG_UNAVAILABLE, "agreement") from error
            if found.revision != revision:  # the store does not vouch for what it keeps
                raise Refusal(Code.LOG_UNAVAILABLE, "agreement")
            self._known[revision] = found
        return self._known[revision]


def outlived(notification: Notification, in_force: Agreement, now: datetime) -> bool:
    """Has it waited longer than the agreement in force lets a payload be kept? Then nobody gets it."""
    return now - notification.accepted > timedelta(days=in_force.retention.payload_days)
