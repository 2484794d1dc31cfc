"""A token that holds private keys, reached through its PKCS #11 library: found, logged in to, begun anew.

One lock for each library. python-pkcs11 initialises it without any locking (C_Initialize with NULL, which PKCS #11
v2.40 §5.4 reserves for programs that never call it from two threads at once), yet lets go of the interpreter lock:
two sessions in two threads would meet inside it.

A PIN that was refused is not given a second time, by this process or by the next: a token counts, then locks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

import pkcs11
from pkcs11 import Attribute, ObjectClass, PKCS11Error, TokenFlag, exceptions

from gateway.adapters.pkcs11_uri import Pkcs11Uri
from gateway.adapters.secret_file import ExposedError, read_secret
from gateway.adapters.token_trouble import TokenError, Trouble
from gateway.broker.reply import SIGNING_SECONDS

T = TypeVar("T")
_LOG: Final = logging.getLogger(__name__)
_PIN_SIZE: Final = 255  # bytes; more is no PIN but a wrong file
_PIN_REFUSED: Final = (
    exceptions.PinIncorrect,
    exceptions.PinInvalid,
    exceptions.PinLenRange,
    exceptions.PinExpired,
    exceptions.PinLocked,
    exceptions.UserPinNotInitialized,
)


class Library:
    """A PKCS #11 library in this process. Its sessions and handles mean nothing in its next generation."""

    def __init__(self, path: Path) -> None:
        """Raises TokenError."""
        self.lock: Final = Lock()
        self.generation = 0
        self._path = path
        try:
            self._library = pkcs11.lib(str(path))
        except PKCS11Error as error:
            raise TokenError(Trouble.LIBRARY, f"{path}: cannot be loaded as a PKCS #11 library") from error

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Alone in the library. Raises TokenError when a call of another does not come back: nothing can end it."""
        if not self.lock.acquire(timeout=SIGNING_SECONDS):
            raise TokenError(Trouble.DEVICE, f"{self._path}: a call does not come back")
        try:
            yield
        finally:
            self.lock.release()

    def retried(self, call: Callable[[], T], level: int = logging.DEBUG) -> T:
        """What the call returns, if need be after beginning anew, once. Raises as it does, and PKCS11Error.

        `level`: at which the first trouble is logged; an operator is told of the last one anyway.
        """
        try:
            return call()
        except (PKCS11Error, TokenError) as error:
            _LOG.log(level, "beginning anew", exc_info=error)
        self.begin_anew()
        return call()

    def begin_anew(self) -> None:
        """Finalise and initialise: what several libraries need after a token was away. Raises PKCS11Error."""
        self.generation += 1
        self._library.reinitialize()

    def tokens(self) -> Iterator[pkcs11.Token]:
        """Those that are present and answer. Raises PKCS11Error."""
        for slot in self._library.get_slots(token_present=True):
            try:
                yield slot.get_token()
            except PKCS11Error:  # one broken reader does not hide the other
                continue


class Token:
    """A token and its one session. Whoever calls has a turn of the library."""

    def __init__(self, library: Library, uri: Pkcs11Uri) -> None:
        self.library: Final = library
        self._uri = uri  # of the first key that was asked for; the key itself does not matter here
        self._session: pkcs11.Session | None = None
        self._generation = -1
        self._refused: TokenError | None = None  # what came of the PIN

    def session(self) -> pkcs11.Session:
        """Logged in. Raises TokenError, PKCS11Error."""
        if self._session is None or self._generation != self.library.generation:
            self._session = None
            self._session, self._generation = self._log_in(), self.library.generation
        return self._session

    def one(self, kind: ObjectClass, uri: Pkcs11Uri) -> pkcs11.Object:
        """The object that the URI names. Raises TokenError, PKCS11Error."""
        wanted = {Attribute.CLASS: kind, Attribute.LABEL: uri.object, Attribute.ID: uri.id}
        template = {name: value for name, value in wanted.items() if value is not None}
        found = list(self.session().get_objects(template))
        if len(found) == 1:
            return found[0]
        many = "more than one" if found else "no"
        raise TokenError(Trouble.OBJECT, f"{uri.what}: there is {many} {kind.name.lower().replace('_', ' ')}")

    def _log_in(self) -> pkcs11.Session:
        if self._refused is not None:
            raise self._refused
        token = self._find()
        if token.flags & (TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY):
            raise TokenError(
                Trouble.PIN, f"{self._uri.where} was given a wrong PIN before, and is not given another"
            )
        pin = _read_pin(self._uri.pin)
        try:
            return token.open(user_pin=pin)
        except exceptions.UserAlreadyLoggedIn:  # a login is the whole process's: PKCS #11 v2.40 §5.6
            return token.open()
        except _PIN_REFUSED as error:
            self._refused = TokenError(
                Trouble.PIN, f"{self._uri.where} does not accept the PIN in {self._uri.pin}: {name_of(error)}"
            )
            raise self._refused from None

    def _find(self) -> pkcs11.Token:
        uri = self._uri
        found = [
            one
            for one in self.library.tokens()
            if uri.token in {None, one.label} and uri.serial in {None, one.serial.decode("utf-8", "replace")}
        ]
        if len(found) != 1:
            many = "more than one" if found else "none"
            raise TokenError(Trouble.TOKEN, f"{uri.where}: {many} is there, by {uri.module}")
        return found[0]


@cache
def library(path: Path) -> Library:
    """One for each file, whatever links lead there: it can be initialised once in a process. Raises TokenError."""
    return Library(path)


@cache
def _token(module: Path, uri: Pkcs11Uri) -> Token:
    return Token(library(module), uri)


def token_of(uri: Pkcs11Uri) -> Token:
    """The token that holds a key: the same for every key in it. Raises TokenError."""
    return _token(uri.module.resolve(), replace(uri, object=None, id=None))


def name_of(error: PKCS11Error) -> str:
    """PinIncorrect, DeviceRemoved, …: python-pkcs11 has a class for each return value, and mostly no message."""
    return type(error).__name__


def _read_pin(path: Path) -> str:
    """Read at each login and not kept. Raises TokenError."""
    try:
        pin = read_secret(path).removesuffix(b"\n").decode()
    except ExposedError as error:
        raise TokenError(Trouble.EXPOSED, f"pin-source: {error}") from error
    except OSError as error:
        raise TokenError(Trouble.PIN_FILE, f"{path}: {error.strerror}") from error
    except UnicodeDecodeError:
        pin = ""
    if not 0 < len(pin) <= _PIN_SIZE:
        raise TokenError(Trouble.PIN, f"{path}: holds no PIN")
    return pin
