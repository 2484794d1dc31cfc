"""`gateway agreement sign` and `signatures`: a party signs, everybody sees it, and a hub serves."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_pem_x509_certificate
from typer.testing import CliRunner

from gateway import config
from gateway.cli.agreement import app
from gateway.cli.log_operator import Operator
from gateway.cli.pki_files import renew
from gateway.identity.issue import private_pem
from gateway.sandbox.signatures import sign_agreement
from tests.path import hub as memory
from tests.path.hub import ROOT
from tests.process.running import write_settings
from tests.process.sandboxes import gateway
from tests.process.test_check import check, codes, serve, setting
from tests.process.tokens import program

PARTIES = ("BRUSSELS", "FLANDERS", "GERMAN_COMMUNITY", "IMMIGRATION_OFFICE", "NSSO", "PLATFORM", "WALLONIA")


@pytest.fixture
def place(tmp_path) -> Path:
    """A hub's directory in order but for the signatures, of which there is none."""
    memory.place_pki(tmp_path / "pki")
    write_settings(tmp_path, "https://127.0.0.1:1/soap", {})
    shutil.rmtree(tmp_path / "signatures")
    (tmp_path / "signatures").mkdir()
    return tmp_path


def run(*arguments: object):
    result = CliRunner().invoke(app, [*map(str, arguments), "--contracts", str(ROOT / "contracts")])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def sign(place: Path, name: str, *, key: str = "", kind: str = "sign", output: str = ""):
    folder = place / "pki" / name
    pair = ("--certificate", folder / f"{kind}.crt.pem", "--key", key or folder / f"{kind}.key.pem")
    return run("sign", *pair, "--output", output or place / f"signatures/{name}.xml", "--json")


def signatures(place: Path, *options: str):
    pki = place / "pki"
    trust = [("--crl", pki / f"{one}.crl.pem") for one in ("root", "issuing")]
    trust += [("--anchor", pki / "root.crt.pem"), ("--intermediate", pki / "issuing.crt.pem")]
    return run(
        "signatures", "--signatures", place / "signatures", *(one for pair in trust for one in pair), *options
    )


def test_each_party_signs_and_then_a_hub_may_serve(place):
    for count, name in enumerate(PARTIES):
        assert codes(place) == ["CFG036"] * (len(PARTIES) - count)
        told = json.loads(signatures(place, "--json").stdout)
        assert (told["adopted"], sum(row["file"] is not None for row in told["parties"])) == (False, count)
        assert json.loads(sign(place, name).stdout)["revision"] == told["revision"]
    facts = json.loads(check(place, "--json").stdout)
    assert (facts["findings"], facts["agreement"]["adopted_by"]) == (
        [],
        sorted(row["party"] for row in told["parties"]),
    )
    done = signatures(place, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["adopted"], told["others"]) == (0, True, [])
    assert {row["file"] for row in told["parties"]} == {f"{name}.xml" for name in PARTIES}
    shown = signatures(place).stdout
    assert all(row["party"] in shown and row["signed"] in shown for row in told["parties"])


def test_a_hub_does_not_start_without_one(place):
    for name in PARTIES[1:]:
        sign(place, name)
    done = serve(place)
    assert (done.returncode, done.stderr.splitlines()[-1][:6]) == (1, "CFG036")


def test_what_counts_for_nothing_is_told_while_somebody_is_missing(place):
    (place / "signatures/x.xml").write_text("<x/>")
    for name in PARTIES[1:]:
        sign(place, name)
    assert codes(place) == ["CFG036", "CFG036"]
    done = signatures(place, "--json")
    (other,) = json.loads(done.stdout)["others"]
    assert (done.exit_code, other["file"], other["fault"]) == (1, "x.xml", "no valid signature")
    assert "x.xml" in signatures(place).stdout


def test_a_key_in_a_token_signs(place, token):
    token.hold("party", memory.pki()["BRUSSELS/sign.key.pem"], "07")
    assert sign(place, "BRUSSELS", key=token.uri("party")).exit_code == 0
    told = json.loads(signatures(place, "--json").stdout)
    assert [row["party"] for row in told["parties"] if row["file"]] == ["0999022202"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"name": "POST_RABAT"}, "CFG037"),
        ({"name": "HUB", "kind": "sign-ec"}, "CFG037"),
        ({"name": "BRUSSELS", "kind": "tls"}, "CFG037"),
        ({"name": "BRUSSELS", "output": "/nowhere/x.xml"}, "CFG037"),
        ({"name": "BRUSSELS", "output": "{place}/there.xml"}, "CFG037"),
        ({"name": "BRUSSELS", "output": "{place}/signature"}, "CFG037"),
        ({"name": "BRUSSELS", "key": "{place}/pki/FLANDERS/sign.key.pem"}, "CFG007"),
        ({"name": "BRUSSELS", "key": "pkcs11:"}, "CFG001"),
        ({"name": "NOBODY"}, "CFG003"),
    ],
)
def test_what_cannot_be_signed_is_told(place, options, code):
    (place / "there.xml").touch()
    result = sign(place, **{name: value.format(place=place) for name, value in options.items()})
    assert (result.exit_code, result.stderr[:6]) == (1, code)
    assert list((place / "signatures").iterdir()) == []


def test_a_key_that_no_message_could_be_signed_with_is_told(place):
    key = ec.generate_private_key(ec.SECP521R1())
    (place / "pki/BRUSSELS/sign.key.pem").write_bytes(private_pem(key))
    assert sign(place, "BRUSSELS").stderr[:6] == "CFG004"


def signed_by_all(place: Path) -> None:
    for name in PARTIES:
        sign(place, name)


def test_what_lies_beside_the_signatures_holds_up_nothing(place):
    signed_by_all(place)
    others = place / "signatures"
    (others / "directory.xml").mkdir()
    (others / "loop.xml").symlink_to("loop.xml")
    os.mkfifo(others / "pipe.xml")
    with (others / "long.xml").open("wb") as file:
        file.truncate(2**30)
    assert codes(place) == []
    told = json.loads(signatures(place, "--json").stdout)
    assert {(row["file"], row["fault"]) for row in told["others"]} == {
        (f"{name}.xml", "cannot be read") for name in ("directory", "loop", "pipe", "long")
    }


def revise(place: Path, *changes: tuple[str, str]) -> None:
    """Other words in the agreement, which is this place's own from now on; nobody has signed it."""
    mine = place / "contracts"
    if not mine.exists():
        shutil.copytree(ROOT / "contracts", mine)
        setting(place, f'"{ROOT}/contracts"', '"contracts"')
    text = (mine / "agreement.toml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (mine / "agreement.toml").write_text(text)


def sign_mine(place: Path) -> None:
    sign_agreement(place / "contracts", place / "pki", place / "signatures", datetime.now(UTC))


def served(place: Path) -> None:
    """A hub served under it, and ended."""
    done = program(gateway("serve", "--stop-with-stdin", "--config", str(place / "gateway.toml")))
    assert done.returncode == 0, done.stderr


SECOND = ("\nrevision = 1\n", "\nrevision = 2\n")


def test_a_start_goes_back_to_no_earlier_revision_and_leaves_no_party_out(place):
    revise(place, SECOND)
    sign_mine(place)
    served(place)
    revise(place, SECOND[::-1])
    sign_mine(place)
    assert codes(place) == ["CFG010"]  # all signed it, once
    revise(place, ("\nrevision = 1\n", "\nrevision = 3\n"), ('"0999022202", ', ""))
    sign_mine(place)
    assert codes(place) == []
    (place / "signatures/BRUSSELS.xml").unlink()
    assert codes(place) == ["CFG036"]


def test_the_hub_is_no_party(place):
    revise(place, ('"0999022202", ', f'"0999022202", "{memory.register().hub.enterprise}", '))
    sign_mine(place)
    assert codes(place) == ["CFG036"]


def test_a_certificate_that_is_revoked_adopts_nothing_new_and_what_is_in_force_stays(place):
    signed_by_all(place)
    serial = load_pem_x509_certificate((place / "pki/BRUSSELS/sign.crt.pem").read_bytes()).serial_number
    renew(place / "pki", "issuing", datetime.now(UTC), [serial])
    assert "CFG036" in codes(place)
    for name in ("issuing.crl.pem",):
        (place / "pki" / name).write_bytes(memory.pki()[name])
    served(place)
    renew(place / "pki", "issuing", datetime.now(UTC), [serial])
    assert codes(place) == []


def test_the_operator_goes_by_what_is_in_force_not_by_what_lies_there(place):
    revise(place)
    sign_mine(place)
    served(place)
    settings = config.load(place / "gateway.toml")
    before = Operator.of(settings).years
    revise(place, ("log_years = 10 ", "log_years = 1 "))
    assert Operator.of(settings).years == before == 10


@pytest.mark.parametrize("spoil", [Path.rmdir, lambda path: (path.rmdir(), path.touch())])
def test_a_directory_of_signatures_that_is_none_is_not_taken_for_nobody_having_signed(place, spoil):
    assert (signatures(place).exit_code, signatures(place).stderr) == (1, "")  # none has
    spoil(place / "signatures")
    done = signatures(place)
    assert (done.exit_code, done.stdout, done.stderr[:6]) == (1, "", "CFG036")
    assert codes(place) == ["CFG036"]


def test_trust_that_cannot_be_read_is_told(place):
    (place / "pki/root.crt.pem").write_text("x")
    done = signatures(place)
    assert (done.exit_code, done.stderr[:3]) == (1, "TRU")
