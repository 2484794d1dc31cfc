"""`gateway log list` in an officer's hands: by person and dossier, on record, and nothing of others."""

from __future__ import annotations

import csv
import io
import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_filter import Filter
from gateway.adapters.store_reader import LogReader
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.commitment import actor_commitment, subject_commitment
from gateway.exchangelog.flaw import Flaw
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.question import Outcome, Question
from gateway.model import Settlement
from tests.process.search_world import (
    HERS,
    MINE,
    NOW,
    OTHER_SSIN,
    REGISTER,
    SSIN,
    UNKNOWN_SSIN,
    asked,
    consultation,
    digest,
    fill,
    indices,
    notification,
    number,
    officer,
    opened,
    refusal,
    refused,
    run,
    write_settings,
)
from tests.process.store_world import alter, findings, query

WORK, RESIDENCE = "WIB:WORK_DECISION", "WIB:RESIDENCE_DECISION"
# index: what
ENTRIES = [
    *consultation("BRUSSELS", "PLATFORM", WORK, MINE),  # 0, 1
    *consultation("IMMIGRATION_OFFICE", "PLATFORM", RESIDENCE, HERS, at=NOW + timedelta(hours=1)),  # 2, 3
    refusal("IMMIGRATION_OFFICE", HERS, SSIN),  # 4: of another's dossier, with my number
    refusal("BRUSSELS", HERS),  # 5
    *notification(  # 6; 7, 8 to the platform; 9 to the Immigration Office
        "BRUSSELS",
        [("PLATFORM", WORK), ("IMMIGRATION_OFFICE", RESIDENCE)],
        MINE,
        Settlement.ACKNOWLEDGED,
        None,
    ),
]


@pytest.fixture
async def path(tmp_path):
    store = tmp_path / "store.sqlite"
    await fill(store, ENTRIES)
    return store


@pytest.fixture
def config(path, tmp_path):
    """An officer of the whole log works here."""
    return write_settings(tmp_path, path, officer())


def last(path) -> dict[str, object]:
    ((leaf,),) = query(path, "SELECT leaf FROM entries ORDER BY idx DESC LIMIT 1")
    return json.loads(leaf)


# Filters.


@pytest.mark.parametrize(
    ("options", "found"),
    {
        "what somebody asked or told": (("--from", "BRUSSELS"), [9, 8, 7, 6, 5, 1, 0]),
        "what somebody was asked or told": (("--to", "IMMIGRATION_OFFICE"), [9, 6]),
        "a legal context": (("--context", RESIDENCE), [9, 5, 4, 3, 2]),
        "refusals, whatever their code": (("--outcome", "refused"), [5, 4]),
        "what was released": (("--outcome", "released"), [9, 7, 3, 1]),
        "ends of deliveries": (("--outcome", "acknowledged"), [8]),
        "before a time": (("--until", "2026-03-14T16:00:00", "--kind", "request"), [0]),
        "between two times": (("--since", "2026-03-14T16:00:00", "--until", "2026-03-14T17:00:00"), [3, 2]),
        "times of another zone": (
            ("--since", "2026-03-14T17:00:00+01:00", "--until", "2026-03-14T18:00:00+01:00"),
            [3, 2],
        ),
        "from an index on": (("--start", "7"), [9, 8, 7]),
        "between two indices": (("--start", "2", "--before", "4"), [3, 2]),
    }.values(),
)
def test_list_is_narrowed(config, options, found):
    assert indices("--config", config, *options) == found


def test_the_store_finds_what_the_plain_definition_finds(path, config):
    """`Question.matches` is what answers are checked by, SQL what finds them."""
    leaves = [Leaf.parse(one.leaf) for one in ENTRIES]
    notification = leaves[6].id
    values = {
        "kind": [*Kind],
        "authority": [number("BRUSSELS"), number("PLATFORM"), number("PLATFORM").partition("/")[0]],
        "sender": [number("BRUSSELS"), number("NSSO").partition("/")[0]],
        "recipient": [number("PLATFORM"), number("IMMIGRATION_OFFICE"), number("NSSO").partition("/")[0]],
        "operation": ["consultDossier", "notifyWorkDecision"],
        "context": [WORK, RESIDENCE],
        "code": ["released", "acknowledged", "WIB07007"],
        "outcome": [*Outcome],
        "since": [leaves[3].time, leaves[0].time],
        "until": [leaves[3].time, leaves[0].time],
        "notification": [notification],
        "party": [number("BRUSSELS"), number("PLATFORM"), number("IMMIGRATION_OFFICE"), number("NSSO")],
    }
    assert values.keys() == set(Question.__struct_fields__)
    with LogReader.open(path) as log:
        for name, value in ((name, str(value)) for name, given in values.items() for value in given):
            found = [index for index, _, _ in log.found(Filter(**{name: value}), 0, len(leaves))]
            question = Question(**{name: value})
            assert found == [n for n, leaf in enumerate(leaves) if question.matches(leaf)], (name, value)


@pytest.mark.parametrize(
    "options",
    [
        ("--context", "work"),
        ("--outcome", "permitted?"),
        ("--from", "BRUSELS"),
        ("--to", "1"),
        ("--person", "-", "--dossier", MINE),
    ],
)
def test_a_value_that_nothing_can_have_is_a_mistake(config, options):
    assert refused("list", "--config", config, *options) == "LOG510"


# By person and dossier.


def test_entries_about_a_person_are_found_through_its_dossiers_and_where_it_was_named(path, config):
    assert indices("--config", config, "--person", SSIN) == [9, 8, 7, 6, 4, 1, 0]
    assert indices("--config", config, "--person", OTHER_SSIN) == [5, 4, 3, 2]
    assert indices("--config", config, "--person", UNKNOWN_SSIN) == []
    assert indices("--config", config, "--dossier", HERS) == [5, 4, 3, 2]
    assert findings(path)[0].flaw is Flaw.UNSETTLED  # and nothing worse


def test_a_number_from_standard_input_is_found_as_one_that_is_typed(config):
    result = run("list", "--config", config, "--person", "-", "--json", typed=f"{SSIN}\n")
    assert [one["index"] for one in json.loads(result.stdout)["entries"]][:2] == [9, 8]


def test_a_number_that_is_none_is_not_repeated(config):
    result = run("list", "--config", config, "--person", "85073003300")
    assert (result.exit_code, result.stderr[:6]) == (1, "DOS008")
    assert "85073003300" not in result.output


def test_the_number_of_a_person_is_kept_nowhere(path, config, tmp_path):
    indices("--config", config, "--person", SSIN)
    for file in filter(Path.is_file, tmp_path.rglob("*")):
        assert SSIN.encode() not in file.read_bytes(), file
        assert digest(SSIN) not in file.read_bytes() or file.name.startswith("store"), file  # the directory
    keys, bucket = BucketKeys.open(path.parent / "bucket-keys"), Bucket.parse("exchange/2026-03")
    assert query(path, "SELECT person FROM seeds WHERE person IS NOT NULL AND idx < 10") == [
        (keys.digest(bucket, b"person " + digest(SSIN)),)
    ]


def test_nobody_is_found_once_the_key_of_the_bucket_is_gone(path, config):
    indices("--config", config, "--dossier", HERS)  # from then on the newest seed is of another month
    BucketKeys.open(path.parent / "bucket-keys").destroy(Bucket.parse("exchange/2026-03"))
    assert refused("list", "--config", config, "--person", SSIN) == "LOG643"  # no erasure is recorded
    alter(path, "UPDATE buckets SET erased = 10 WHERE name = 'exchange/2026-03'")
    assert indices("--config", config, "--person", SSIN) == [11]  # that look-up
    report = asked("subject", SSIN, "--config", config)
    assert (report["disclosures"], report["unopened"]) == ([], True)


def test_an_index_that_was_altered_hides_nothing_from_a_report(path, config, tmp_path):
    alter(path, "UPDATE seeds SET dossier = NULL WHERE idx = 1")
    assert 1 not in indices("--config", config, "--person", SSIN)
    assert 1 in [one["index"] for one in asked("subject", SSIN, "--config", config)["disclosures"]]
    answer = tmp_path / "answer"
    run("list", "--config", config, "--person", SSIN, "--proof", answer)
    assert 1 in json.loads((answer / "answer.json").read_text())["indices"]


def test_an_index_that_was_altered_adds_nothing(path, config):
    alter(path, "UPDATE seeds SET dossier = (SELECT dossier FROM seeds WHERE idx = 0) WHERE idx = 3")
    assert 3 not in indices("--config", config, "--person", SSIN)
    assert indices("--config", config, "--from", "BRUSSELS") == [9, 8, 7, 6, 5, 1, 0]


def test_what_names_a_person_goes_with_the_seed(path, config):
    alter(path, "DELETE FROM seeds WHERE idx = 4")
    assert indices("--config", config, "--person", SSIN) == [9, 8, 7, 6, 1, 0]


@pytest.mark.parametrize(("option", "by"), [("--person", "person"), ("--dossier", "dossier")])
def test_a_look_up_is_on_record_before_it_is_answered(path, config, option, by):
    value = {"person": SSIN, "dossier": MINE}[by]
    answer = asked("list", "--config", config, option, value)
    entry, seed = last(path), opened(path, 10)
    assert answer["access"] == 10
    assert (entry["kind"], entry["query"], entry["by"]) == ("access", "list", by)
    assert (entry["start"], entry["end"], entry["from"]) == (0, 10, str(REGISTER.hub.enterprise))
    assert entry["actor"] == actor_commitment("officer-7", seed)
    assert entry["subj"] == subject_commitment(MINE if by == "dossier" else None, seed)
    assert value not in json.dumps(entry)
    assert 10 in indices("--config", config, option, value)  # who looks somebody up is found there
    assert [one.flaw for one in findings(path)] == [Flaw.UNSETTLED]


def test_what_is_found_otherwise_is_not_recorded(path, config):
    indices("--config", config, "--authority", "BRUSSELS")
    assert query(path, "SELECT count(*) FROM entries") == [(len(ENTRIES),)]


def test_without_a_record_there_is_no_answer(path, config):
    config.with_name("log.key.pem").write_text("no key")
    assert refused("list", "--config", config, "--person", SSIN) == "LOG202"
    config.with_name("log.key.pem").unlink()
    assert refused("list", "--config", config, "--dossier", MINE) == "LOG509"
    assert query(path, "SELECT count(*) FROM entries") == [(len(ENTRIES),)]


def test_nothing_is_recorded_of_an_answer_that_cannot_be_written(path, config, tmp_path):
    there, nowhere = tmp_path, tmp_path / "none" / "report.html"
    for options in (
        ("list", "--dossier", MINE, "--proof", there),
        ("subject", SSIN, "--proof", there),
        ("subject", SSIN, "--output", there),
        ("subject", SSIN, "--output", nowhere),
    ):
        assert refused(*options, "--config", config) == "LOG509"
    assert query(path, "SELECT count(*) FROM entries") == [(len(ENTRIES),)]


def test_a_page_and_all_that_matches_are_not_asked_for_at_once(config):
    assert run("list", "--config", config, "--format", "csv", "--json").exit_code == 2


def test_an_index_that_no_log_can_have_is_a_mistake(config):
    for command in ("show", "prove"):
        assert run(command, 1 << 63, "--config", config).exit_code == 2
        assert refused(command, (1 << 63) - 1, "--config", config) == "LOG503"


def test_a_look_up_is_recorded_in_no_copy(path, config, tmp_path):
    """The log's key would sign two roots of one size: a fork of its own making."""
    copy = tmp_path / "copy.sqlite"
    shutil.copy(path, copy)
    beside = ("--store", copy, "--config", config)
    for option, value in (("--dossier", MINE), ("--person", SSIN)):
        assert refused("list", *beside, option, value) == "LOG510"
        assert run("list", "--store", path, "--config", config, option, value).exit_code == 0  # its own
    assert query(copy, "SELECT count(*) FROM entries") == [(len(ENTRIES),)]
    assert len(indices(*beside)) == len(ENTRIES)


def test_nobody_is_looked_up_without_settings(path):
    assert refused("list", "--store", path, "--dossier", MINE) == "LOG739"
    assert indices("--store", path) == list(range(9, -1, -1))


# Officers.


@pytest.mark.parametrize(
    ("rights", "options"),
    {
        "a stranger": ((), ()),
        "no right to export": (("search", "person"), ("--format", "csv")),
        "no right to look up": (("search", "export"), ("--dossier", MINE)),
        "no right to search": (("person", "export"), ()),
    }.values(),
)
def test_an_officer_has_the_rights_of_the_settings(path, tmp_path, rights, options):
    row = officer("HUB", *rights) if rights else officer(user="somebody-else")
    config = write_settings(tmp_path, path, row)
    assert refused("list", "--config", config, *options) == ("LOG733" if rights else "LOG732")
    assert query(path, "SELECT count(*) FROM entries") == [(len(ENTRIES),)]


@pytest.mark.parametrize("rows", [[officer(), officer("BRUSSELS")], [officer("NOWHERE")]])
def test_officers_that_cannot_be_told_apart_are_none(path, tmp_path, rows):
    assert refused("list", "--config", write_settings(tmp_path, path, *rows)) == "LOG734"


@pytest.fixture
def region(path, tmp_path):
    """An officer of Brussels works here."""
    return write_settings(tmp_path, path, officer("BRUSSELS"))


def test_an_authoritys_officer_sees_its_own_exchanges_and_no_number_of_others(path, region):
    answer = asked("list", "--config", region, "--limit", 2)
    assert [one["index"] for one in answer["entries"]] == [9, 8]
    assert (answer["total"], answer["next"]) == (7, 8)
    assert indices("--config", region, "--dossier", HERS) == [5]
    assert last(path)["from"] == number("BRUSSELS")
    assert indices("--config", region, "--person", SSIN) == [9, 8, 7, 6, 1, 0]
    assert indices("--config", region, "--kind", "access") == [11, 10]


def test_a_recipient_sees_its_own_delivery_and_not_who_else_was_told(path, tmp_path):
    config = write_settings(tmp_path, path, officer("PLATFORM"))
    assert indices("--config", config, "--from", "BRUSSELS") == [8, 7, 1, 0]
    assert asked("show", 7, "--config", config)["notification"] == [7, 8]
    for index in (6, 9, 3 + 2):
        assert refused("show", index, "--config", config) == "LOG735"


def test_two_units_of_one_legal_person_are_two_authorities(path, tmp_path):
    config = write_settings(tmp_path, path, officer("NSSO"))
    assert number("NSSO").partition("/")[0] == number("PLATFORM").partition("/")[0]
    assert indices("--config", config) == []


def test_an_entry_of_others_is_shown_and_proved_to_nobody(region):
    assert asked("show", 1, "--config", region)["index"] == 1
    assert refused("show", 3, "--config", region) == "LOG735"
    assert refused("prove", 3, "--config", region) == "LOG735"
    assert refused("prove-view", 3, "--config", region) == "LOG735"
    assert run("prove", 1, "--config", region).exit_code == 0


def test_an_altered_entry_is_nobodys(path, region, tmp_path):
    alter(path, "UPDATE entries SET leaf = x'00' WHERE idx = 1")
    assert indices("--config", region) == [9, 8, 7, 6, 5, 0]
    assert refused("show", 1, "--config", region) == "LOG735"
    whole = write_settings(tmp_path, path, officer())
    assert asked("show", 1, "--config", whole)["flaws"] == ["LOG404", "LOG301"]


# Export.


def test_csv_has_every_entry_that_matches_the_oldest_first(config):
    result = run("list", "--config", config, "--format", "csv", "--from", "BRUSSELS", "--limit", 1)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["index"] for row in rows] == ["0", "1", "5", "6", "7", "8", "9"]
    assert rows[0] | {"exchange": "", "leaf_hash": ""} == {
        "index": "0",
        "time": "2026-03-14T15:09:26.535Z",
        "kind": "request",
        "from": "BRUSSELS",
        "to": "PLATFORM",
        "operation": "consultDossier",
        "legal_context": WORK,
        "decision": "permitted",
        "reason": "",
        "exchange": "",
        "notification": "",
        "leaf_hash": "",
        "flaws": "",
    }
    assert rows[3]["to"] == "PLATFORM IMMIGRATION_OFFICE"
    assert result.stderr == "7 entries\n"


def test_json_lines_have_what_the_list_has(config):
    lines = run("list", "--config", config, "--format", "jsonl").stdout.splitlines()
    listed = asked("list", "--config", config)["entries"]
    assert [json.loads(line) for line in lines] == listed[::-1]


def test_an_altered_entry_is_exported_as_one(path, config):
    alter(path, "UPDATE entries SET leaf = x'00' WHERE idx = 1")
    rows = list(csv.DictReader(io.StringIO(run("list", "--config", config, "--format", "csv").stdout)))
    assert (rows[1]["index"], rows[1]["kind"], rows[1]["flaws"]) == ("1", "", "LOG404 LOG301")


@pytest.mark.parametrize("time", ["2026", "1773500000", "2026-02-29", "0001-01-01T00:00:00+01:00", "now"])
def test_what_is_no_time_is_not_taken_for_one(config, time):
    assert run("list", "--config", config, "--until", time).exit_code == 2


def test_an_export_about_a_person_is_recorded_as_an_export(path, config):
    result = run("list", "--config", config, "--person", SSIN, "--format", "jsonl")
    assert [json.loads(line)["index"] for line in result.stdout.splitlines()] == [0, 1, 4, 6, 7, 8, 9]
    assert (last(path)["query"], last(path)["end"]) == ("export", 10)
    assert result.stderr == "7 entries; looked through 10 entries from index 0; recorded as entry 10\n"
