"""The files of an operator and of the agreement's parties: what is wrong in them is a finding, never anything else."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from cryptography.x509 import load_der_x509_certificate

from gateway.agreement import load as loading
from gateway.agreement.finding import AgreementError, Finding
from gateway.agreement.load import load_agreement
from gateway.agreement.register import Register, load_register
from gateway.agreement.schema import compile_contract
from gateway.config import ConfigError
from gateway.config import load as load_settings
from gateway.identity.enrolment import load_enrolment, written_line
from gateway.identity.leaf import Purpose
from gateway.model import AuthorityId
from tests.examples import NOW, signing_key
from tests.fuzz.chance import Choices, lines
from tests.fuzz.target import Target
from tests.rules.agreement_files import (
    AGREEMENT,
    COMMON,
    DOSSIER,
    EXCHANGE,
    PLACES,
    PROCEDURES,
    WSDL,
    shipped_files,
)

_ROOT = Path(__file__).parents[2]
_WORDS = (
    "", "\n", "=", "[", "]", "{", "}", '"', "'", "[[", "]]", ".", ",", "# ", "\x00", "\ufeff", "é", "true", "false", "0", "-1", "1.5", "nan", "inf",
    "99999999999999999999999", "0x7f", "2026-02-30", "2026-06-01", "2026-06-01T00:00:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "9999-12-31", "0001-01-01", "10:00:00", '""', '"x"', '"all"', '"none"', "[]", "[[]]",
    "{}", "{ a = 1 }", '["PLAT", "PLAT"]', '["REG"]', '"G01"', '"WIB:APPEAL"', '"consultDossier"', '"\\u0000"', '"""', "[" * 60, "a = 1\n", "[a]\n",
    "[[authority]]\n", "[hub]\n", "[operations.x]\n", "[roles.PLAT]\n", '[contexts."WIB:X"]\n', "[[courses]]\n", "[[merger]]\n", "[listen]\n",
)  # fmt: skip
_XML_WORDS = (
    "", "<!DOCTYPE x>", "<xs:any/>", "<xs:choice>", "</xs:choice>", 'minOccurs="0"', 'maxOccurs="unbounded"', 'type="x:y"', 'type="c:SsinType"',
    '<xs:element name="x" type="xs:string"/>', "<xs:annotation/>", '<g:group code="G99" field="x"/>', "<g:structural/>", "<x/>", "<!--x-->",
    'name="x"', 'ref="s:x"', '<xs:include schemaLocation="file:///dev/null"/>', '<xs:import namespace="urn:x" schemaLocation="http://x/"/>',
)  # fmt: skip
_compiled = cache(lambda frozen: compile_contract(dict(frozen)))


def terms(data: bytes) -> None:
    """agreement.toml, procedures.toml or places.toml, changed; the schemas as they are, compiled once."""
    choices = Choices(data)
    name = choices.one_of((AGREEMENT, PROCEDURES, PLACES))
    before = loading.compile_contract
    loading.compile_contract = lambda files: _compiled(frozenset(_schemas(files).items()))
    try:
        _load_agreement(name, _edited(choices, shipped_files()[name], _WORDS))
    finally:
        loading.compile_contract = before


def _schemas(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if not name.endswith(".toml")}


def schemas(data: bytes) -> None:
    """One of the XSDs, or the WSDL, changed."""
    choices = Choices(data)
    name = choices.one_of((COMMON, DOSSIER, EXCHANGE, WSDL))
    _load_agreement(name, _edited(choices, shipped_files()[name], _XML_WORDS))


def _load_agreement(name: str, content: bytes) -> None:
    _told(lambda: load_agreement({**shipped_files(), name: content}))


def _told(step: Callable[[], object]) -> None:
    """It works, or says what is wrong and where."""
    found: tuple[Finding, ...] | None = None
    try:
        step()
    except AgreementError as error:
        found = error.findings
    assert found is None or (found and all(one.file and one.sentence for one in found))


def _edited(choices: Choices, content: bytes, words: tuple[str, ...]) -> bytes:
    return choices.edited(lines(content.decode()), words).encode("utf-8", "surrogatepass")


def register(data: bytes) -> None:
    """register.toml, changed, or any bytes."""
    choices = Choices(data)
    content = _edited(choices, _file("contracts/register.toml"), _WORDS) if choices.number(4) else data[1:]
    _told(lambda: load_register(content, "register.toml"))


def enrolled(data: bytes) -> None:
    """The list of enrolled certificates, changed, or any bytes; a line that is read has a time to compare."""
    choices = Choices(data)
    content = _edited(choices, _enrolment(), _WORDS) if choices.number(4) else data[1:]

    def use() -> None:
        for line in load_enrolment(content, "enrolled.toml", _register()).by_fingerprint.values():
            line.holds(NOW)

    _told(use)


@cache
def _register() -> Register:
    return load_register(_file("contracts/register.toml"), "register.toml")


@cache
def _enrolment() -> bytes:
    certificate = load_der_x509_certificate(signing_key("BRUSSELS").certificate)
    line = written_line(AuthorityId("BRUSSELS"), Purpose.SIGN, certificate)
    dated = f"valid_from = {NOW.isoformat()}\nvalid_until = 2027-01-01T00:00:00Z\n"
    return (line + dated + line.replace("BRUSSELS", "NSSO")).encode()


def settings(data: bytes) -> None:
    """gateway.toml, changed, or any bytes."""
    choices = Choices(data)
    content = _edited(choices, _file("deploy/gateway.toml"), _WORDS) if choices.number(4) else data[1:]
    with tempfile.NamedTemporaryFile(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as file:
        file.write(content)
        file.flush()
        with suppress(ConfigError):
            load_settings(Path(file.name))


@cache
def _file(name: str) -> bytes:
    return (_ROOT / name).read_bytes()


def _seeds(count: int) -> Callable[[], list[bytes]]:
    return lambda: [bytes([number]) for number in range(count)]


TARGETS = (
    Target("terms", terms, _seeds(3), largest=80, seconds=10.0, guided=False, replayed=12),
    Target("schemas", schemas, _seeds(4), largest=80, seconds=10.0, guided=False, replayed=2),
    Target("register", register, _seeds(4), largest=6_000, replayed=300),
    Target("enrolled", enrolled, _seeds(4), largest=6_000, replayed=300),
    Target("settings", settings, _seeds(4), largest=6_000, replayed=400),
)
