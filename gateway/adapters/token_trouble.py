"""What can be wrong with a key in a token. Whoever only tells of it needs no PKCS #11."""

from __future__ import annotations

from enum import Enum


class Trouble(Enum):
    """What can be wrong with a key in a token: the code of the settings' findings, and what to do."""

    PIN_FILE = "CFG003", "Correct pin-source in the URI."
    KIND = "CFG004", "Name a key of the kind that the setting is for."
    PAIR = "CFG007", "Name the certificate and the key of one pair."
    EXPOSED = "CFG009", "Let nobody else read that file or write to its directory: chmod 600, chmod go-w."
    LIBRARY = "CFG030", "Install the token's PKCS #11 library, and name it in module-path."
    TOKEN = (
        "CFG031",
        "Correct token or serial in the URI: pkcs11-tool --list-token-slots shows what is there.",
    )
    PIN = (
        "CFG032",
        "Correct the PIN in its file, then log in once by hand: pkcs11-tool --login --list-objects.",
    )
    OBJECT = (
        "CFG033",
        "Correct object or id in the URI: pkcs11-tool --login --list-objects shows what is there.",
    )
    EXTRACTABLE = "CFG034", "Make a key in the token, sensitive and not extractable, and its certificate."
    DEVICE = "CFG035", "Look into the token's own log; deploy/README.md says what a token must be able to do."


class TokenError(Exception):
    """A key in a token cannot be used. The message never holds a PIN."""

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(message)
        self.code, self.remedy = trouble.value
