"""`gateway log subject`: who received which of a person's data, when, why; and what it must not say."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from functools import cache
from pathlib import Path

import pytest
import rfc8785
from lxml import html

from gateway.exchangelog.commitment import body_commitment
from gateway.exchangelog.flaw import Flaw
from gateway.model import Settlement
from gateway.refusal import Code
from tests.process.search_world import (
    HERS,
    MINE,
    OTHER_SSIN,
    REGISTER,
    SSIN,
    UNKNOWN_SSIN,
    agreement,
    asked,
    consultation,
    digest,
    fill,
    notification,
    officer,
    opened,
    refusal,
    refused,
    run,
    write_settings,
)
from tests.process.store_world import alter, append_all, findings, open_store, query

WORK, RESIDENCE = "WIB:WORK_DECISION", "WIB:RESIDENCE_DECISION"
UNSENT = consultation("BRUSSELS", "PLATFORM", WORK, MINE)
ENTRIES = [
    *consultation("BRUSSELS", "PLATFORM", WORK, MINE),  # 0, 1
    *consultation("IMMIGRATION_OFFICE", "PLATFORM", RESIDENCE, MINE, operation="retrieveDocument"),  # 2, 3
    *consultation("IMMIGRATION_OFFICE", "PLATFORM", RESIDENCE, HERS),  # 4, 5
    refusal("IMMIGRATION_OFFICE", HERS, SSIN),  # 6
    *notification(  # 7; 8, 9 to the platform; 10 to the Immigration Office; nothing yet to social security
        "BRUSSELS",
        [("PLATFORM", WORK), ("IMMIGRATION_OFFICE", RESIDENCE), ("NSSO", WORK)],
        MINE,
        Settlement.ACKNOWLEDGED,
        None,
    ),
    *UNSENT,  # 11, 12
    refusal("BRUSSELS", MINE, code=Code.SIGNING_UNAVAILABLE, exchange=UNSENT[0].exchange),  # 13
]


@pytest.fixture
async def path(tmp_path):
    store = tmp_path / "store.sqlite"
    await fill(store, ENTRIES)
    return store


@pytest.fixture
def config(path, tmp_path):
    return write_settings(tmp_path, path, officer())


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Settings of a store that tests only ask."""
    directory = tmp_path_factory.mktemp("kept")
    asyncio.run(fill(directory / "store.sqlite", ENTRIES))
    return write_settings(directory, directory / "store.sqlite", officer())


@cache  # a report takes a second: the agreement is compiled
def report(config: Path, *options: str, ssin: str = SSIN) -> dict[str, object]:
    return asked("subject", ssin, "--config", config, *options)


def told(found: dict[str, object]) -> list[tuple[int, str, str]]:
    return [(one["index"], one["recipient"], one["state"]) for one in found["disclosures"]]


def name(party: str, language: str = "en") -> str:
    return getattr(REGISTER.names[party], language)


def test_the_report_tells_each_disclosure_and_what_became_of_it(kept):
    found = report(kept)
    region, platform, office, nsso = map(name, ("BRUSSELS", "PLATFORM", "IMMIGRATION_OFFICE", "NSSO"))
    assert told(found) == [
        (1, region, "answered"),
        (3, office, "answered"),
        (8, platform, "acknowledged"),
        (10, office, "under way"),
        (12, region, "not returned"),
    ]
    assert {one["dossier"] for one in found["disclosures"]} == {MINE}
    assert [(one["index"], one["recipient"]) for one in found["waiting"]] == [(7, nsso)]
    assert told(report(kept, ssin=OTHER_SSIN)) == [(5, office, "answered")]


def test_each_disclosure_says_what_why_and_on_which_basis(kept):
    first = report(kept)["disclosures"][0]
    view = agreement().view("consultDossier", "REG", WORK, "PLAT")
    groups = {one.partition(".")[0] for one in agreement().released_fields(view)}
    assert {one["code"] for one in first["categories"]} == groups
    assert all(one["name"] == agreement().groups[one["code"]].name for one in first["categories"])
    assert first["purpose"] == agreement().contexts[WORK].purpose
    assert first["sources"] == [name("PLATFORM")]
    assert set(agreement().contexts[WORK].source.basis) <= set(first["bases"])
    assert all(text == agreement().bases[letter] for letter, text in first["bases"].items())
    assert first["revision"] == agreement().revision


def test_a_document_is_of_one_of_the_categories_that_the_recipient_may_have(kept):
    document = report(kept)["disclosures"][1]
    assert {one["document"] for one in document["categories"]} == {True}
    assert "G22" in {one["code"] for one in document["categories"]}  # criminal record: the office may have it


def test_the_report_is_recorded_before_it_is_made(path, config):
    first, second = (asked("subject", SSIN, "--config", config) for _ in range(2))
    assert first["looked_up"] == []
    assert (first["access"], second["access"]) == (len(ENTRIES), len(ENTRIES) + 1)
    ((leaf,),) = query(path, f"SELECT leaf FROM entries WHERE idx = {first['access']}")
    assert {"kind": "access", "query": "subject", "by": "person", "end": len(ENTRIES)}.items() <= json.loads(
        leaf
    ).items()
    assert [(one["index"], one["authority"]) for one in second["looked_up"]] == [
        (first["access"], name("HUB"))
    ]
    assert {one.flaw for one in findings(path)} == {Flaw.UNSETTLED}
    config.with_name("log.key.pem").unlink()
    assert refused("subject", SSIN, "--config", config) == "LOG509"


def test_the_report_needs_the_rights_to_search_and_to_look_up(path, tmp_path):
    for rights in (("search",), ("person",)):
        config = write_settings(tmp_path, path, officer("HUB", *rights))
        assert refused("subject", SSIN, "--config", config) == "LOG733"


def test_nothing_is_told_of_refusals_and_of_what_is_withheld(kept):
    assert told(report(kept, "--withhold", "1", "--withhold", "12")) == told(report(kept))[1:4]
    left = report(kept, "--withhold", RESIDENCE)
    assert [index for index, *_ in told(left)] == [1, 8, 12]
    nothing = report(kept, "--withhold", WORK)
    assert [one["recipient"] for one in nothing["waiting"]] == []  # told in that context
    for none in ("WIB:NOTHING", "5", "99"):  # of somebody else, and of nobody
        assert refused("subject", SSIN, "--config", kept, "--withhold", none) == "LOG510"


def test_what_is_withheld_changes_nothing_else_in_the_report(kept):
    usual, less = (page(kept, *options) for options in ((), ("--withhold", "3")))
    for heading in ("What this report does not show", "How long, and your rights"):
        assert text(section(usual, heading)) == text(section(less, heading))


def test_the_log_commits_to_what_was_withheld(path, config):
    report(config, "--withhold", "3")
    ((leaf,),) = query(path, "SELECT leaf FROM entries WHERE kind = 'access'")
    seed = opened(path, len(ENTRIES))
    question = rfc8785.dumps({"person": SSIN, "withhold": ["3"]})
    assert json.loads(leaf)["body"] == body_commitment(question, seed)


def test_an_authoritys_officer_reports_its_own_exchanges(path, tmp_path):
    config = write_settings(tmp_path, path, officer("IMMIGRATION_OFFICE"))
    found = report(config)
    assert found["authority"] == name("IMMIGRATION_OFFICE")
    assert [index for index, *_ in told(found)] == [3, 10]
    assert found["waiting"] == []
    assert refused("subject", SSIN, "--config", config, "--proof", tmp_path / "proof") == "LOG733"


def test_a_report_about_nobody_says_so(kept):
    assert report(kept, ssin=UNKNOWN_SSIN)["disclosures"] == []
    assert "No exchange of your data is on record." in text(page(kept, ssin=UNKNOWN_SSIN))


def test_entries_that_nobody_can_open_any_more_are_owned_up_to(path, config, kept):
    assert report(kept)["unopened"] is False
    assert "nobody can tell any more" not in text(page(config))
    alter(path, "DELETE FROM seeds WHERE idx = 1")
    assert report(config)["unopened"] is True
    assert "nobody can tell any more" in text(page(config, "--language", "en"))


async def test_a_report_is_made_only_of_a_whole_log(tmp_path):
    path = tmp_path / "store.sqlite"
    await fill(path, ENTRIES)
    async with open_store(path) as store:
        await append_all(store, [refusal("BRUSSELS", HERS) for _ in range(300)])
    config = write_settings(tmp_path, path, officer())
    alter(path, "UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE idx = 0) WHERE idx = 4")
    assert refused("subject", SSIN, "--config", config) == "LOG104"
    alter(path, "UPDATE entries SET leaf = x'00' WHERE idx = 4")
    assert refused("subject", SSIN, "--config", config) == "LOG301"
    alter(path, "DELETE FROM seeds WHERE idx = 4", "DELETE FROM entries WHERE idx = 4")
    assert refused("subject", SSIN, "--config", config) == "LOG402"


# The page.


@cache
def page(config: Path, *options: str, ssin: str = SSIN):
    result = run("subject", ssin, "--config", config, *options)
    assert result.exit_code == 0, result.stderr
    return html.document_fromstring(result.stdout)


def text(element) -> str:
    return " ".join(element.text_content().split())


def section(document, heading: str):
    (found,) = document.xpath("//section[h2 = $heading]", heading=heading)
    return found


def test_the_page_is_well_formed_and_loads_nothing(config, tmp_path):
    output = tmp_path / "report.html"
    assert run("subject", SSIN, "--config", config, "--output", output).stdout == ""
    assert output.stat().st_mode & 0o777 == 0o600
    data = output.read_text()
    assert data.startswith("<!DOCTYPE html>\n")
    document = html.document_fromstring(data)
    assert document.get("lang") == "en"
    assert len(document.xpath("//h1")) == len(document.xpath("//main")) == 1
    assert not document.xpath("//script | //link | //img | //iframe | //@src | //@onclick")
    targets = {f"#{one}" for one in document.xpath("//@id")}
    assert targets == set(document.xpath("//@href"))  # within the page only
    assert "url(" not in data
    assert "@import" not in data


def test_every_table_has_a_caption_and_headings(kept):
    tables = page(kept).xpath("//table")
    assert len(tables) >= 3
    for table in tables:
        assert text(table.find("caption"))
        columns = table.xpath("./thead/tr/th[@scope = 'col']")
        for row in table.xpath("./tbody/tr"):
            assert len(row) == len(columns)
            assert row[0].tag == "th"
            assert row[0].get("scope") == "row"


def test_names_are_in_the_language_that_was_asked_for(kept):
    document = page(kept, "--language", "nl")
    spans = document.xpath("//span[@lang = 'nl']")
    assert any(name("BRUSSELS", "nl") in text(one) for one in spans)
    assert name("BRUSSELS") not in text(document)


def test_the_page_holds_what_the_json_holds_and_no_number(kept):
    found, shown = report(kept), text(page(kept))
    for one in found["disclosures"]:
        assert one["recipient"] in shown
        assert one["purpose"] in shown
        assert all(category["name"] in shown for category in one["categories"])
        assert all(basis in shown for basis in one["bases"].values())
    assert MINE in shown
    assert found["origin"] in shown
    for output in (shown, json.dumps(found)):
        assert SSIN not in output
        assert digest(SSIN).hex() not in output
        assert "officer-7" not in output


# What shows others that nothing was left out.


@pytest.fixture
def proof(config, tmp_path):
    report(config, "--proof", str(tmp_path / "proof"))
    return tmp_path / "proof"


def test_a_written_answer_is_checked_offline(proof, config, path, tmp_path):
    key = ("--vkey", asked("vkey", "--config", config)["vkey"])
    path.unlink()
    assert stat.S_IMODE(proof.stat().st_mode) == 0o700  # every entry of the range is in it
    answer = asked("verify", "--answer", proof, *key)
    assert (answer["verified"], answer["hidden"]) == (True, ["person"])
    assert answer["range"] == {"start": 0, "end": len(ENTRIES)}
    assert answer["indices"] == [0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13]
    assert "seeds" in run("verify", "--answer", proof, *key).stdout
    entries = proof / "entries"
    entries.write_bytes(entries.read_bytes()[:-1])
    assert run("verify", "--answer", proof, *key).stderr[:6] == "LOG301"
    entries.unlink()
    assert run("verify", "--answer", proof, *key).stderr[:6] == "LOG509"
    os.mkfifo(entries)
    assert run("verify", "--answer", proof, *key).stderr[:6] == "LOG509"
    assert run("verify", "--answer", tmp_path, *key).stderr[:6] == "LOG509"


def test_an_answer_from_which_a_match_was_taken_is_found_out(config, tmp_path):
    directory = tmp_path / "proof"
    run("list", "--config", config, "--outcome", "refused", "--start", "5", "--proof", directory)
    key = ("--vkey", asked("vkey", "--config", config)["vkey"])
    assert asked("verify", "--answer", directory, *key)["indices"] == [6, 13]
    assert 'outcome "refused"' in run("verify", "--answer", directory, *key).stdout
    answer = json.loads((directory / "answer.json").read_text())
    (directory / "answer.json").write_text(json.dumps(answer | {"indices": [6]}))
    result = run("verify", "--answer", directory, *key)
    assert (result.exit_code, result.stderr[:6], result.stdout) == (1, "LOG738", "")
    assert "entry 13" in result.stderr
    assert refused("list", "--config", config, "--proof", directory) == "LOG509"  # it is there already
    assert refused("list", "--store", tmp_path / "store.sqlite", "--proof", tmp_path / "new") == "LOG739"
