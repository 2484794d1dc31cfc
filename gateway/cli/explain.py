"""What went wrong → a line that begins with its code and ends with what to do."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.adapters.tls import TlsError
from gateway.agreement.finding import AgreementError
from gateway.config import ConfigError
from gateway.exchangelog.flaw import ProofError
from gateway.identity.trust import TrustError
from gateway.loading import StartError

FORESEEN = (StartError, ConfigError, ProofError, TrustError, AgreementError, TlsError)


def in_words(error: Exception) -> Iterator[str]:
    """A text for each thing that is wrong. `error` is one of FORESEEN."""
    match error:
        case StartError():
            for one in error.errors:
                yield from in_words(one)
        case ProofError():
            yield f"{error} {error.flaw.row.remedy}"
        case AgreementError():
            yield f"CFG010: {error.what}.\n{error}\nCorrect each place named above."
        case TlsError():
            yield f"CFG012: {error}. Name PEM files that OpenSSL can read."
        case _:
            yield str(error)
