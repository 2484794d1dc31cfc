"""Which log a command means and with which key it is checked, and how a command says what is wrong.

The log is named by `--store`, the key by `--vkey` or `--vkey-file`. On the hub itself `--config` names both,
and lets authorities appear by their id in the register; with `--log` it is one of those that the hub's log succeeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.log_key import log_signers
from gateway.adapters.postgres_uri import SCHEMES, PostgresUri
from gateway.adapters.store_former import LogAt, Succession, succession
from gateway.adapters.store_reader import LogReader
from gateway.agreement.register import Register, load_register
from gateway.agreement.schema import Contract, compile_contract, leaves
from gateway.cli.lines import plain
from gateway.cli.output import is_writable, write_output
from gateway.config import Settings, StorePlace, load
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Verifier, of_log
from gateway.exchangelog.quorum import LogKey, parse_log_key
from gateway.reading import FORESEEN, contract_files, in_words, of_file

_LARGEST: Final = 512 * 1024 * 1024  # bytes of a file that is read whole; a document has 256 MiB at most
_BESIDE = Path(__file__).parents[2] / "contracts"  # the contracts of this program, without settings


def parse_store(text: str) -> StorePlace:
    """Raises typer.BadParameter."""
    try:
        return PostgresUri.parse(text) if text.startswith(SCHEMES) else Path(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


StoreFile = Annotated[
    StorePlace | None,
    typer.Option(
        "--store",
        parser=parse_store,
        metavar="FILE|URI",
        help="The store's SQLite file, or the URI of its PostgreSQL database.",
    ),
]
Config = Annotated[
    Path | None, typer.Option("--config", help="The hub's settings file, instead of --store and --vkey.")
]
# Of commands that check no signature.
Unverified = Annotated[
    Path | None, typer.Option("--config", help="The hub's settings file, instead of --store.")
]
Settled = Annotated[Path, typer.Option("--config", help="The hub's settings file.")]
Vkey = Annotated[
    list[str] | None,
    typer.Option(
        "--vkey",
        help="The log's verification key: name+id+key. Again for a former key; to verify a log that ended, after its own that of a log that succeeds it.",
    ),
]
VkeyFile = Annotated[
    Path | None, typer.Option("--vkey-file", help="File with the log's verification keys, each on a line.")
]
BucketKeysDirectory = Annotated[
    Path | None, typer.Option("--bucket-keys", help="Directory of the bucket keys, to open seeds with.")
]
Which = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="ORIGIN",
        help="With --config: not the log in force, but this one of those that it succeeds (log.former).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a log is, how it is checked, and what its parties are called."""

    store: StorePlace
    verifiers: Sequence[
        LogKey
    ] = ()  # the first is of this log; with them may be those of logs that succeed it
    register: Register | None = None  # with --config
    contracts: Path | None = None
    bucket_keys: Path | None = None
    former: Sequence[StorePlace] = ()  # with --config: stores of the logs that the one in force succeeds
    of: LogAt | None = None  # which of those it is
    in_force: Place | None = None  # then the log that records look-ups, and goes on with the directory

    @property
    def recording(self) -> Place:
        """The log in force."""
        return self.in_force or self

    @property
    def of_log(self) -> str | None:
        """What an entry of the log in force says that it is about; None: itself."""
        return None if self.of is None else self.of.origin

    def signed(self, log: LogReader) -> tuple[bytes, Checkpoint]:
        """The checkpoint, verbatim and read: signed, or what the successor of this log says that it was.

        Raises `ProofError`.
        """
        if self.of is None or self.of.agreed is None:
            return log.signed(self.keys)
        return log.ended(self.of.agreed)

    def believed(self, log: LogReader, note: str) -> Checkpoint:
        """A checkpoint that `signed` gave, perhaps before the log grew. Raises `ProofError`."""
        if self.of is None or self.of.agreed is None:
            return open_checkpoint(note.encode(), self.keys)
        return log.ended(self.of.agreed)[1]

    def whole(self) -> tuple[int, int]:
        """From the lowest index that is kept up to the size of the log, as it is now. Raises `ProofError`."""
        with LogReader.open(self.store) as log:
            return log.minimum, log.head().size

    def succession(self) -> Succession:
        """Of the log in force. Raises `ProofError`."""
        return succession(self.store, self.former, self.keys)

    def at(self, one: LogAt, logs: Succession) -> Place:
        """One of the logs that this one, which is in force, succeeds: by its key, as far as they have the same."""
        own = [key for key in self.verifiers if isinstance(key, Verifier)]
        later = [log.origin for log in logs.former if log.origin != one.origin]
        named = [replace(key, name=origin) for origin in (one.origin, *later) for key in own]
        return replace(self, store=one.place, verifiers=[*named, *self.verifiers], of=one, in_force=self)

    def every(self, logs: Succession) -> list[Place]:
        """All logs, the oldest first, at the end this one, which is in force."""
        return [*(self.at(one, logs) for one in logs.former), self]

    def name(self, party: str) -> str:
        """The id in the register of an enterprise number; without a register the number."""
        return next((one for one, enterprise in self.parties.items() if enterprise == party), party)

    @property
    def parties(self) -> Mapping[str, str]:
        """Id in the register → enterprise number."""
        if self.register is None:
            return {}
        return {str(one.id): str(one.enterprise) for one in (self.register.hub, *self.register.authorities)}

    def opened_keys(self) -> BucketKeys | None:
        """To open seeds with, where their directory is named. Raises `ProofError` (LOG642)."""
        return None if self.bucket_keys is None else BucketKeys.open(self.bucket_keys)

    @property
    def keys(self) -> Sequence[LogKey]:
        """Of this log. Raises `ProofError`."""
        if not self.verifiers:
            raise ProofError(Flaw.KEY_MISSING)
        return of_log(self.verifiers[0].name, self.verifiers)

    def contract(self) -> Contract | None:
        """The schemas that the settings name, else those of this program; None where there are none."""
        directory = self.contracts or _BESIDE
        if self.contracts is None and not directory.is_dir():
            return None
        return compile_contract(contract_files(directory))

    def fields(self) -> Mapping[str, str]:
        """Path of a payload → its field ("G16.amount"), by the contracts of the settings; {} without."""
        contract = self.contract() if self.contracts is not None else None
        if contract is None:
            return {}
        texts = (leaf for one in contract.messages.values() for leaf in leaves(one.payload))
        return {leaf.path: str(leaf.field) for leaf in texts if leaf.field is not None}


def find(
    store: StorePlace | None,
    config: Path | None,
    vkey: Sequence[str] | None = None,
    vkey_file: Path | None = None,
    *,
    bucket_keys: Path | None = None,
    needs_store: bool = True,
    log: str | None = None,
) -> Place:
    """The log that the options name; what is given on the command line goes before the settings.

    `log`: origin of one that the log of the settings succeeds, or of that itself.
    """
    if log is not None:
        return _chosen(log, store, config, given_keys(vkey or (), vkey_file), bucket_keys)
    place = _configured(load(config)) if config is not None else None
    if store is None and place is None and needs_store:
        raise ProofError(Flaw.PLACE_MISSING)
    given = given_keys(vkey or (), vkey_file)
    if place is None:
        return Place(store or Path(), given, bucket_keys=bucket_keys)
    return replace(
        place,
        store=store or place.store,
        verifiers=given or place.verifiers,
        bucket_keys=bucket_keys or place.bucket_keys,
    )


@contextmanager
def explained(status: int = 1) -> Iterator[None]:
    """Tells what is wrong as a code, a sentence and a remedy on stderr; exit with the status."""
    try:
        yield
    except (*FORESEEN, OSError) as error:
        foreseen = of_file(error)
        if not isinstance(foreseen, FORESEEN):
            raise
        for line in in_words(foreseen):
            typer.echo(plain(line) if isinstance(foreseen, ProofError) else line, err=True)
        raise typer.Exit(status) from None


@contextmanager
def named(option: str, path: Path) -> Iterator[None]:
    """What is wrong with a file that an option names is told of that file."""
    try:
        yield
    except ProofError as error:
        about = f"{option} {path}" + (f": {error.about}" if error.about else "")
        raise ProofError(error.flaw, about) from error


def read_file(option: str, path: Path) -> bytes:
    """Raises `ProofError` (LOG509)."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise ProofError(Flaw.FILE, f"{option} {path}: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise ProofError(Flaw.FILE, f"{option} {path}: longer than {_LARGEST} bytes")
    return data


def require_writable(option: str, path: Path, *read: Path | None) -> None:
    """Before a record says that it was written; `read`: files that the command reads. Raises `ProofError` (LOG509)."""
    if not is_writable(path, *read):
        raise ProofError(Flaw.FILE, f"{option} {path}: cannot be written, or is read itself")


def require_new(option: str, directory: Path) -> None:
    """The same of a directory that is made. Raises `ProofError` (LOG509)."""
    if directory.exists():
        raise ProofError(Flaw.FILE, f"{option} {directory}: is there already")


def write_file(option: str, path: Path, data: bytes, *, private: bool = False) -> None:
    """See `write_output`. Raises `ProofError` (LOG509)."""
    try:
        write_output(path, data, private=private)
    except OSError as error:
        raise ProofError(Flaw.FILE, f"{option} {path}: {error.strerror}") from error


def given_keys(vkeys: Sequence[str], vkey_file: Path | None) -> Sequence[LogKey]:
    """Of the options --vkey and --vkey-file. Raises `ProofError`."""
    if vkeys or vkey_file is None:
        return [parse_log_key(one) for one in vkeys]
    words = read_file("--vkey-file", vkey_file).decode("utf-8", "replace").split()
    with named("--vkey-file", vkey_file):  # names stand before keys in what `gateway log vkey` prints
        return [parse_log_key(one) for one in words if "+" in one] or [parse_log_key("")]


def _chosen(
    origin: str,
    store: StorePlace | None,
    config: Path | None,
    given: Sequence[LogKey],
    bucket_keys: Path | None,
) -> Place:
    """Raises `ProofError`: LOG739 without settings, LOG510 for an origin that is none of theirs."""
    if config is None:
        raise ProofError(Flaw.SETTINGS, "--log: they name the stores of former logs")
    if store is not None:
        raise ProofError(Flaw.UNKNOWN_VALUE, "--store with --log: give one of them")
    present = find(None, config, bucket_keys=bucket_keys)
    logs = present.succession()
    one = next((log for log in logs.all if log.origin == origin), None)
    if one is None:
        known = ", ".join(log.origin for log in logs.all)
        raise ProofError(Flaw.UNKNOWN_VALUE, f"--log {origin!r}; one of {known}")
    found = present if one is logs.in_force else present.at(one, logs)
    return replace(found, verifiers=given or found.verifiers)


def _configured(settings: Settings) -> Place:
    path = settings.contracts.register
    register = load_register(read_file("contracts.register", path), str(path))
    verifiers = [one.verifier for one in log_signers(settings.keys.log_key, settings.log.origin)]
    return Place(
        settings.log.store,
        verifiers,
        register,
        settings.contracts.directory,
        settings.log.bucket_keys,
        settings.log.former,
    )
