"""Which log a command means and with which key it is checked, and how a command says what is wrong.

The log is named by `--store`, the key by `--vkey` or `--vkey-file`. On the hub itself `--config` names both,
and lets authorities appear by their id in the register.
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
from gateway.agreement.register import Register, load_register
from gateway.agreement.schema import Contract, compile_contract, leaves
from gateway.cli.lines import plain
from gateway.cli.output import write_output
from gateway.config import Settings, StorePlace, load
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.quorum import LogKey, parse_log_key
from gateway.reading import FORESEEN, contract_files, in_words

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
    typer.Option("--vkey", help="The log's verification key: name+id+key. Again for a former key."),
]
VkeyFile = Annotated[
    Path | None, typer.Option("--vkey-file", help="File with the log's verification keys, each on a line.")
]
BucketKeysDirectory = Annotated[
    Path | None, typer.Option("--bucket-keys", help="Directory of the bucket keys, to open seeds with.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a log is, how it is checked, and what its parties are called."""

    store: StorePlace
    verifiers: Sequence[LogKey] = ()
    register: Register | None = None  # with --config
    contracts: Path | None = None
    bucket_keys: Path | None = None

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
        if not self.verifiers:
            raise ProofError(Flaw.KEY_MISSING)
        return self.verifiers

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
) -> Place:
    """The log that the options name; what is given on the command line goes before the settings."""
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
    except FORESEEN as error:
        for line in in_words(error):
            typer.echo(plain(line) if isinstance(error, ProofError) else line, err=True)
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


def _configured(settings: Settings) -> Place:
    path = settings.contracts.register
    register = load_register(read_file("contracts.register", path), str(path))
    verifiers = [one.verifier for one in log_signers(settings.keys.log_key, settings.log.origin)]
    return Place(
        settings.log.store, verifiers, register, settings.contracts.directory, settings.log.bucket_keys
    )
