"""`gateway agreement diff`: directories and kept revisions compared, with an exit status as that of `diff`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.agreement.load import load_agreement
from gateway.cli.commands import app
from tests.path.hub import ROOT, Hub, agreement
from tests.rules.agreement_files import AGREEMENT, changed

CONTRACTS = str(ROOT / "contracts")
NUMBERED = changed(AGREEMENT, "revision = 1", "revision = 2")


def diff(*arguments: object):
    result = CliRunner().invoke(app, ["agreement", "diff", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def draft(tmp_path) -> Path:
    """A copy of the contracts in which a region is shown less of the travel document, and the number is another."""
    directory = Path(shutil.copytree(ROOT / "contracts", tmp_path / "draft"))
    text = (directory / "agreement.toml").read_text()
    old = 'receive = ["number", "issueDate", "expiryDate"], basis = ["G"]'
    assert old in text
    text = text.replace(old, 'receive = ["number", "expiryDate"], basis = ["G"]', 1)
    (directory / "agreement.toml").write_text(text.replace("revision = 1", "revision = 2", 1))
    return directory


def test_two_directories_with_the_same_files_are_the_same_revision(tmp_path):
    copy = shutil.copytree(ROOT / "contracts", tmp_path / "copy")
    result = diff(CONTRACTS, copy)
    assert result.exit_code == 0
    assert "The same revision." in result.stdout


def test_a_draft_that_takes_a_field_away_says_from_whom_where_and_why(draft):
    result = diff(CONTRACTS, draft)
    assert result.exit_code == 1
    assert "REG in WIB:WORK_DECISION" in result.stdout
    assert "loses G08.issueDate (Travel document; ROLE)" in result.stdout
    assert "REG, G08 Travel document\n      receives: - G08.issueDate" in result.stdout
    assert "gains" not in result.stdout


def test_what_is_lost_for_another_reason_is_told_apart(draft):
    """The platform provides it no more, either; the posts do, and the region may not receive it from them."""
    file = draft / "agreement.toml"
    group, mark, rest = file.read_text().partition("[groups.G08]")
    provided = rest.replace(
        'provide = "all"', 'provide = ["number", "expiryDate", "type", "country", "scan"]', 1
    )
    file.write_text(group + mark + provided)
    told = diff(CONTRACTS, draft).stdout
    for reason, provider in (("ROLE", "CONS"), ("PROVIDER", "PLAT")):
        lost = f"loses G08.issueDate (Travel document; {reason})"
        where = f"where consultDossier of {provider}, rectifyData of {provider}"
        assert f"  REG in WIB:APPEAL\n      {lost}\n      {where}\n" in told


def test_for_machines_each_field_stands_with_its_group_and_reasons(draft):
    told = json.loads(diff(CONTRACTS, draft, "--json").stdout)
    assert not told["same"]
    assert told["files"] == ["contracts/agreement.toml"]
    (consulted,) = [
        one
        for one in told["changes"]
        if (one["context"], one["operation"], one["source"])
        == ("WIB:WORK_DECISION", "consultDossier", "PLAT")
    ]
    assert (consulted["role"], consulted["gains"], consulted["loses"]) == ("REG", [], ["G08.issueDate"])
    assert consulted["fields"] == [
        {
            "field": "G08.issueDate",
            "group": "Travel document",
            "withheld_before": None,
            "withheld_after": "ROLE",
        }
    ]


async def test_revisions_that_a_store_keeps_are_named_by_hash_by_its_beginning_or_as_in_force(hub: Hub):
    newer = load_agreement(NUMBERED)
    await hub.adopt(newer)
    store = ("--store", hub.path)
    assert diff("in-force", newer.revision, *store).exit_code == 0
    assert diff(CONTRACTS, agreement().revision[:12], *store).exit_code == 0
    result = diff(CONTRACTS, "in-force", *store, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["new"]["revision"] == newer.revision


@pytest.mark.parametrize("name", ["in-force", "nowhere", "0" * 64])
def test_trouble_is_told_apart_from_a_difference(name):
    result = diff(CONTRACTS, name)
    assert result.exit_code == 2
    assert "LOG752" in result.stderr


async def test_a_hash_that_the_store_does_not_keep_is_trouble(hub: Hub):
    result = diff(CONTRACTS, "0" * 64, "--store", hub.path)
    assert result.exit_code == 2
    assert "LOG752" in result.stderr


def test_a_draft_that_does_not_compile_is_trouble(draft):
    text = (draft / "agreement.toml").read_text()
    (draft / "agreement.toml").write_text(text.replace('"WIB:WORK_DECISION"', '"WIB:WORK_DECISIONS"', 1))
    result = diff(CONTRACTS, draft)
    assert result.exit_code == 2
    assert "CFG010" in result.stderr
