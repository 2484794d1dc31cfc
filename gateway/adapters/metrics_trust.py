"""Series of what is in force: certificates, revocation, the agreement, and whether it is what the files say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.adapters.metrics_stated import Stated
from gateway.model import AuthorityId


class TrustSeries:
    """A part of `Metrics`."""

    worker: str  # the number of this process

    def _count_trust(self, counted: CollectorRegistry) -> None:
        self._asked = Counter(
            "gateway_ocsp_answers",
            "Questions to OCSP responders, by what came of them.",
            ["issuer", "outcome"],
            registry=counted,
        )
        self._graced = Counter(
            "gateway_revocation_grace",
            "Certificates accepted by grace alone: what is known of their revocation had run out.",
            ["authority"],
            registry=counted,
        )
        self._reloads = Gauge(
            "gateway_reload_timestamp_seconds",
            "When the files were last found in force or put in force (good), or could not be (failed).",
            ["outcome", "worker"],
            registry=counted,
            multiprocess_mode="livemax",  # of one: each worker has its own
        )

    def _state_trust(self, stated: CollectorRegistry) -> None:
        self._certificates = Stated(
            "gateway_certificate_expiry_timestamp_seconds",
            "End of validity of the hub's own certificates.",
            ["certificate"],
            registry=stated,
        )
        self._lists = Stated(
            "gateway_revocation_list_expiry_timestamp_seconds",
            "nextUpdate of the revocation lists in force; past it every certificate of the issuer is refused.",
            ["issuer"],
            registry=stated,
        )
        self._list_ages = Stated(
            "gateway_revocation_list_timestamp_seconds",
            "thisUpdate of the revocation lists in force.",
            ["issuer"],
            registry=stated,
        )
        self._agreement = Stated(
            "gateway_agreement_revision", "Revision number of the agreement in force.", registry=stated
        )

    def configured(
        self,
        certificates: Mapping[str, datetime],
        lists: Mapping[str, tuple[datetime, datetime]],
        revision: int,
    ) -> None:
        """State what is in force: ends of validity by name, thisUpdate and nextUpdate by issuer, and the
        agreement's revision number.
        """
        self._list_ages.replace({(name,): since.timestamp() for name, (since, _) in lists.items()})
        self._lists.replace({(name,): until.timestamp() for name, (_, until) in lists.items()})
        self._certificates.replace({(name,): expiry.timestamp() for name, expiry in certificates.items()})
        self._agreement.set(revision)

    def asked(self, issuer: str, outcome: str) -> None:
        """Count one question to a responder; outcomes are words of `identity.ocsp`."""
        self._asked.labels(issuer, outcome).inc()

    def _expect_graced(self, authority: AuthorityId) -> None:
        self._graced.labels(authority)

    def graced(self, authority: AuthorityId) -> None:
        """Count one acceptance that rests on grace."""
        self._graced.labels(authority).inc()

    def reloaded(self, *, good: bool) -> None:
        """State that the files were looked at now, and whether what they say is in force."""
        self._reloads.labels("good" if good else "failed", self.worker).set_to_current_time()
