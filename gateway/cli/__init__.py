"""The commands. Each group has a file of its own; errors leave as a code, a sentence and a remedy."""

from __future__ import annotations

import sys
from typing import NoReturn

from gateway.agreement.finding import AgreementError
from gateway.cli.commands import app
from gateway.config import ConfigError
from gateway.exchangelog.flaw import ProofError
from gateway.identity.trust import TrustError


def main() -> NoReturn:
    """Entry point of `gateway`."""
    try:
        app()
    except ConfigError as error:
        sys.exit(str(error))
    except ProofError as error:
        sys.exit(f"{error} {error.flaw.row.remedy}")
    except TrustError as error:
        sys.exit(str(error))
    except AgreementError as error:
        sys.exit(f"CFG010: the agreement does not compile.\n{error}\nCorrect each place named above.")
    sys.exit(0)
