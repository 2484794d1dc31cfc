"""`gateway agreement sign` and `signatures`: a party signs, everybody sees it, and a hub serves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.adapters.pki import write_pki
from gateway.cli.agreement import app
from tests.path import hub as memory
from tests.path.hub import ROOT
from tests.process.running import write_settings
from tests.process.test_check import check, codes, serve

PARTIES = ("BRUSSELS", "FLANDERS", "GERMAN_COMMUNITY", "IMMIGRATION_OFFICE", "NSSO", "PLATFORM", "WALLONIA")


@pytest.fixture
def place(tmp_path) -> Path:
    """A hub's directory in order but for the signatures, of which there is none."""
    write_pki(tmp_path / "pki", memory.pki())
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
        assert codes(place) == ["CFG027"] * (len(PARTIES) - count)
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
    assert (done.returncode, done.stderr.splitlines()[-1][:6]) == (1, "CFG027")


def test_what_counts_for_nothing_is_told_while_somebody_is_missing(place):
    (place / "signatures/x.xml").write_text("<x/>")
    for name in PARTIES[1:]:
        sign(place, name)
    assert codes(place) == ["CFG027", "CFG027"]
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
        ({"name": "POST_RABAT"}, "CFG028"),
        ({"name": "HUB", "kind": "sign-ec"}, "CFG028"),
        ({"name": "BRUSSELS", "kind": "tls"}, "CFG028"),
        ({"name": "BRUSSELS", "output": "/nowhere/x.xml"}, "CFG028"),
        ({"name": "BRUSSELS", "output": "{place}/register.toml"}, "CFG028"),
        ({"name": "BRUSSELS", "key": "{place}/pki/FLANDERS/sign.key.pem"}, "CFG007"),
        ({"name": "BRUSSELS", "key": "pkcs11:"}, "CFG001"),
        ({"name": "NOBODY"}, "CFG003"),
    ],
)
def test_what_cannot_be_signed_is_told(place, options, code):
    result = sign(place, **{name: value.format(place=place) for name, value in options.items()})
    assert (result.exit_code, result.stderr[:6]) == (1, code)
    assert list((place / "signatures").iterdir()) == []


def test_trust_that_cannot_be_read_is_told(place):
    (place / "pki/root.crt.pem").write_text("x")
    done = signatures(place)
    assert (done.exit_code, done.stderr[:3]) == (1, "TRU")
