"""`gateway log` on a reply that was kept: checked and disclosed with nothing but files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.commands import app
from gateway.model import DOSSIER
from tests.examples import DIRECTORY

STATUS = f'<d:status xmlns:d="{DOSSIER}">SUBMITTED</d:status>'
REPLY, KEY = DIRECTORY / "reply-with-proof.xml", ("--vkey-file", str(DIRECTORY / "log.vkey"))


def log(*arguments: object, key: tuple[str, ...] = KEY):
    return CliRunner().invoke(app, ["log", *map(str, arguments), *key])


def changed(directory: Path, old: str, new: str) -> Path:
    """A reply in which the hub, or whoever kept it, changed something."""
    text = REPLY.read_text()
    assert old in text
    path = directory / "reply.xml"
    path.write_text(text.replace(old, new))
    return path


def test_a_kept_reply_is_checked_offline():
    done = log("verify", "--reply", REPLY, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["verified"], told["operation"]) == (0, True, "consultStatus")
    assert {"path": "header/status", "reason": None} in told["records"]
    assert "header/status" in log("verify", "--reply", REPLY).stdout


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (">SUBMITTED<", ">GRANTED<", "LOG625"),
        (STATUS, "", "LOG626"),
        (STATUS, STATUS.replace("status", "mood"), "LOG628"),
        ("<c:index>11</c:index>", "<c:index>12</c:index>", "LOG623"),
        ("<c:index>11</c:index>", "<c:index>10</c:index>", "LOG624"),
        ("WIB:WORK_DECISION", "WIB:RENEWAL", "LOG622"),
        ("<s:status>", "<s:state>", "LOG629"),
    ],
)
def test_a_changed_reply_is_told_by_its_code(tmp_path, old, new, code):
    done = log("verify", "--reply", changed(tmp_path, old, new))
    assert done.exit_code == 1
    assert done.stderr.startswith(code)


def test_a_reply_without_proof_cannot_be_checked():
    done = log("verify", "--reply", DIRECTORY / "reply.xml")
    assert (done.exit_code, done.stderr[:6]) == (1, "LOG621")


def test_one_value_is_disclosed_and_checked_by_somebody_else(tmp_path):
    path = tmp_path / "status.json"
    done = log("disclose", REPLY, "header/status", "--output", path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert done.exit_code == 0, done.stderr
    shown = log("verify", "--disclosure", path, "--json")
    told = json.loads(shown.stdout)
    assert (told["path"], told["value"], told["index"]) == ("header/status", ["SUBMITTED"], 11)
    assert "header/status SUBMITTED" in log("verify", "--disclosure", path).stdout
    assert b"EX1234567" not in path.read_bytes()


def test_a_reply_is_not_replaced_by_what_is_disclosed_of_it(tmp_path):
    reply = tmp_path / "reply.xml"
    reply.write_bytes(REPLY.read_bytes())
    done = log("disclose", reply, "header/status", "--output", reply)
    assert (done.exit_code, done.stderr[:6]) == (1, "LOG509")
    assert reply.read_bytes() == REPLY.read_bytes()


def test_an_absent_value_is_disclosed_as_absent(tmp_path):
    path = tmp_path / "post.json"
    assert (
        json.loads(log("disclose", REPLY, "header/post", "--output", path, "--json").stdout)["value"] is None
    )
    assert "there was none" in log("verify", "--disclosure", path).stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("disclose", REPLY, "header/nothing", "--output", "@"), "LOG630"),
        (("disclose", DIRECTORY / "reply.xml", "header/status", "--output", "@"), "LOG621"),
        (("disclose", DIRECTORY / "request.xml", "header/status", "--output", "@"), "LOG629"),
        (("disclose", "/nowhere.xml", "header/status", "--output", "@"), "LOG509"),
        (("disclose", REPLY, "header/status", "--output", "/nowhere/x"), "LOG509"),
        (("verify", "--disclosure", REPLY), "LOG631"),
    ],
)
def test_what_cannot_be_disclosed_says_why(tmp_path, arguments, code):
    done = log(*(tmp_path / "x" if one == "@" else one for one in arguments))
    assert done.exit_code == 1
    assert done.stderr.startswith(code)
    assert not (tmp_path / "x").exists()


def test_one_thing_is_checked_at_a_time():
    done = log("verify", "--reply", REPLY, "--disclosure", REPLY)
    assert (done.exit_code, done.stdout) == (2, "")


def test_without_a_key_nothing_is_believed():
    done = log("verify", "--reply", REPLY, key=())
    assert (done.exit_code, done.stderr[:6]) == (1, "LOG504")
