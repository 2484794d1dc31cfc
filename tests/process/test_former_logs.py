"""What an officer asks and erases in the logs that the one in force succeeds (PROTOCOL §8.19)."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing

import pytest

from gateway.adapters.store_connect import connect
from gateway.adapters.store_directory import Directory
from gateway.adapters.store_eraser import Eraser
from gateway.adapters.store_former import succession
from gateway.adapters.store_session import Use
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.erasure import Erasing, Hand
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Basis, Ground, Kind
from gateway.exchangelog.indices import Indices
from gateway.exchangelog.leaf import Leaf
from tests.process import running
from tests.process.former_world import NOW, ORDERED, Years, asked
from tests.process.search_world import HERS, MINE, SSIN
from tests.process.store_world import alter, query

PLACES = {"files": ("0.db", "1.db", "2.db"), "databases": ("database",) * 3}
COURT = Erasing(Hand("0999000110", "officer-1"), Basis.COURT, Ground.ORDERED)


@pytest.fixture(params=PLACES)
def years(request, tmp_path) -> Years:
    """Two logs: in the first 0, 1 and 4, 5 are about MINE, 2, 3 about HERS; in the second 1, 2 about MINE, 3, 4 about HERS."""
    stores = [
        request.getfixturevalue("postgres").empty_database() if one == "database" else tmp_path / one
        for one in PLACES[request.param]
    ]
    years = Years.begin(tmp_path, stores)
    years.fill(0, *asked(MINE), *asked(HERS), *asked(MINE, 4))
    years.succeed(0)
    years.fill(1, *asked(MINE, 4), *asked(HERS, 5))
    return years


in_files = pytest.mark.parametrize("years", ["files"], indirect=True)


# To look for.


def test_a_look_up_in_a_former_log_is_recorded_in_the_one_in_force(years):
    found = years.told(1, "log list", "--log", "log/0", "--dossier", MINE)
    assert [one["index"] for one in found["entries"]] == [5, 4, 1, 0]
    said = years.entry(1, found["access"])
    assert (said["kind"], said["of_log"], said["start"], said["end"]) == ("access", "log/0", 0, 6)
    here = years.told(1, "log list", "--dossier", MINE)
    assert [one["index"] for one in here["entries"]] == [5, 2, 1]  # that look-up, too, is about it
    assert "of_log" not in years.entry(1, here["access"])
    assert years.verify(0) == years.verify(1) == []


@in_files
def test_a_log_that_is_none_of_them_is_told_with_those_that_are(years):
    result = years.run(1, "log list", "--log", "log/9")
    assert (result.exit_code, result.stderr[:6]) == (1, "LOG510")
    assert "log/0, log/1" in result.stderr
    assert years.told(1, "log list", "--log", "log/1") == years.told(1, "log list")
    for command, options in (
        ("show", ("1",)),
        ("prove", ("1",)),
        ("verify-range", ("0", "6")),
        ("verify", ()),
        ("prove-view", ("1", "--agreement", running.ROOT / "contracts")),
    ):
        assert years.run(1, f"log {command}", *options, "--log", "log/0").exit_code == 0, command
    assert years.told(1, "explain", "1", "--log", "log/0")["outcome"] == "released"


@in_files
def test_an_answer_from_a_former_log_is_whole_or_none(years):
    options = ("--log", "log/0", "--dossier", MINE, "--proof", years.place / "proof")
    years.told(1, "log list", *options)
    checked = years.run(1, "log verify", "--answer", years.place / "proof", "--vkey", years.vkey(0), "--json")
    assert json.loads(checked.stdout)["indices"] == [0, 1, 4, 5]
    alter(years.stores[0], "UPDATE tiles SET hashes = zeroblob(length(hashes))")
    assert years.refused(1, "log list", "--log", "log/0", "--dossier", MINE) == "LOG413"
    assert years.refused(1, "log subject", SSIN) == "LOG413"


def test_the_report_for_a_person_covers_every_log(years):
    found = years.told(1, "log subject", SSIN)
    assert [(one["log"], one["index"]) for one in found["disclosures"]] == [
        ("log/0", 1),
        ("log/0", 5),
        ("log/1", 2),
    ]
    (former,) = found["former"]
    assert (former["origin"], former["range"], former["access"]) == ("log/0", {"start": 0, "end": 6}, 5)
    assert (found["origin"], found["range"], found["access"]) == ("log/1", {"start": 0, "end": 5}, 6)
    assert found["looked_up"] == []
    told = [years.entry(1, index) for index in (5, 6)]
    assert [one.get("of_log") for one in told] == ["log/0", None]
    assert {one["query"] for one in told} == {"subject"}
    page = years.run(1, "log subject", SSIN).stdout
    assert all(text in page for text in ("1 of log/0", "5 of log/0", "2 of log/1"))
    less = years.told(1, "log subject", SSIN, "--withhold", "log/0#1", "--withhold", "2")
    assert [(one["log"], one["index"]) for one in less["disclosures"]] == [("log/0", 5)]
    assert [one["index"] for one in less["looked_up"]] == [5, 6, 7, 8]


@in_files
def test_a_report_is_never_shorter_than_it_says(years):
    old = years.stores[0]
    text = (years.place / "1.toml").read_text()
    (years.place / "1.toml").write_text(text.replace(f'former = ["{old}"]', "former = []"))
    assert years.refused(1, "log subject", SSIN) == "LOG720"
    (years.place / "1.toml").write_text(text)
    kept = old.rename(old.with_suffix(".away"))
    assert years.refused(1, "log subject", SSIN) == "LOG506"
    assert years.refused(1, "log erase", "--person", SSIN, *ORDERED) == "LOG506"
    kept.rename(old)
    (years.place / "1.toml").write_text(text.replace(f'["{old}"]', f'["{years.stores[1]}"]'))
    assert years.refused(1, "log subject", SSIN) == "LOG720"
    assert "LOG720" in years.run(1, "check", "--without-names").stderr


# To erase.


def test_what_is_erased_of_a_person_goes_from_every_log(years):
    plan = years.told(1, "log erase", "--person", SSIN, *ORDERED[:-1])
    assert (plan["erased"], plan["former"][0]["entries"]) == (False, "0-1,4-5")
    assert years.about(0, MINE) == [0, 1, 4, 5]
    done = years.told(1, "log erase", "--person", SSIN, *ORDERED)
    (former,) = done["former"]
    assert (former["log"], former["entries"], former["count"]) == ("log/0", "0-1,4-5", 4)
    assert done["entries"] == "1-2,5-8"  # four look-ups: two each time
    assert years.about(0, MINE) == years.about(1, MINE) == []
    assert years.about(0, HERS) == [2, 3]
    said = Leaf.parse(json.dumps(years.entry(1, former["log_index"]), separators=(",", ":")).encode())
    assert (said.kind, said.of_log, said.more["count"]) == (Kind.ERASURE, "log/0", 4)
    assert years.verify(0, 1) == years.verify(1) == []
    assert years.told(1, "log verify", "--log", "log/0")["findings"] == []
    assert years.refused(1, "log erase", "--log", "log/0", "--entries", "0", *ORDERED) == "LOG653"


@in_files
def test_one_log_may_be_named_and_the_look_up_goes_with_what_it_found(years):
    done = years.told(1, "log erase", "--log", "log/0", "--dossier", MINE, *ORDERED)
    assert (done["entries"], done["former"][0]["entries"]) == ("5", "0-1,4-5")
    assert years.about(1, MINE) == [1, 2]
    assert (
        years.refused(1, "log erase", "--log", "log/0", "--bucket", "exchange/2026-03", *ORDERED) == "LOG651"
    )
    assert years.refused(1, "log erase", "--log", "log/0", "--entries", "6", *ORDERED) == "LOG503"
    assert years.refused(1, "log erase", "--log", "log/0", "--dossier", MINE, *ORDERED) == "LOG653"
    words = [
        line.split()[0] for line in years.run(1, "log erase", "--dossier", HERS, *ORDERED).stdout.splitlines()
    ]
    assert words == ["log", "entries", "count", "erased;", "entries", "count", "erased;"]
    assert years.verify(0, 1) == years.verify(1) == []


@in_files
def test_what_was_erased_later_is_believed_of_a_successor_whose_key_is_given(years):
    years.told(1, "log erase", "--log", "log/0", "--entries", "0-1", *ORDERED)
    assert years.verify(0, 1) == []
    assert years.verify(0) == [("LOG657", None)]
    alter(years.stores[0], "DELETE FROM seeds WHERE idx = 3", "DELETE FROM messages WHERE idx = 3")
    assert years.verify(0, 1) == [("LOG412", 3)]


def test_an_erasure_stays_accounted_for_once_the_next_log_is_in_force(years):
    years.told(1, "log erase", "--log", "log/0", "--entries", "0-1", *ORDERED)
    years.succeed(1)
    assert years.verify(0, 1) == []
    years.told(2, "log erase", "--log", "log/0", "--entries", "4", *ORDERED)
    years.told(2, "log erase", "--log", "log/1", "--entries", "1", *ORDERED)
    assert query(years.stores[0], "SELECT indices FROM erased") == [("0-1,4",)]
    assert years.verify(0, 2) == years.verify(1, 2) == years.verify(2) == []
    assert years.verify(0, 1) == [("LOG657", None)]
    for log in ("log/0", "log/1", "log/2"):
        assert years.told(2, "log verify", "--log", log)["findings"] == []
    assert [one["origin"] for one in years.told(2, "log subject", SSIN)["former"]] == ["log/0", "log/1"]


def test_a_bucket_is_erased_in_every_log_and_each_accounts_for_it(years):
    buckets = {
        one["bucket"]: one["seeds"]
        for one in json.loads(years.run(1, "log retention", "--json").stdout)["buckets"]
    }
    assert (buckets["exchange/2026-03"], buckets["exchange/2026-04"], buckets["exchange/2026-05"]) == (
        4,
        4,
        2,
    )
    for bucket, count in (("exchange/2026-03", 4), ("exchange/2026-04", 4)):
        done = years.told(1, "log erase", "--bucket", bucket, *ORDERED)
        assert done["count"] == count
    assert years.about(0, MINE) == years.about(1, MINE) == []
    assert query(years.stores[0], "SELECT count(*) FROM seeds") == [(0,)]
    assert years.verify(0, 1) == years.verify(1) == []
    assert years.verify(0) == [("LOG657", None)]
    alter(years.stores[0], "DELETE FROM accounts WHERE bucket = 'exchange/2026-03'")
    assert {code for code, _ in years.verify(0, 1)} == {"LOG646", "LOG412"}


@in_files
async def test_a_rectification_is_not_stopped_by_a_bucket_that_is_gone(years):
    async with years.opened(1) as store:
        assert len(await store.releases(MINE)) == 3
        await asyncio.to_thread(years.told, 1, "log erase", "--bucket", "exchange/2026-03", *ORDERED)
        assert len(await store.releases(MINE)) == 2


@in_files
def test_nothing_is_erased_while_a_log_is_left_out(years):
    text = (years.place / "1.toml").read_text()
    (years.place / "1.toml").write_text(text.replace(f'former = ["{years.stores[0]}"]', "former = []"))
    one_by_one = ("--dossier", MINE), ("--person", SSIN), ("--entries", "1", "--dossier", MINE)
    for options in (*one_by_one, ("--bucket", "exchange/2026-04")):
        assert years.refused(1, "log erase", *options, *ORDERED) == "LOG720", options
    assert years.refused(1, "log retention") == "LOG720"
    assert years.run(1, "log show", "5").exit_code == 1  # not even a look-up
    years.told(1, "log erase", "--entries", "1", *ORDERED)


@in_files
def test_a_look_up_that_found_nothing_stays(years):
    for _ in range(2):  # the second finds the look-ups of the first
        assert years.refused(1, "log erase", "--dossier", "WIB-2026-0000003-57", *ORDERED) == "LOG653"
    assert [years.entry(1, index)["kind"] for index in range(5, 9)] == ["access"] * 4
    assert query(years.stores[1], "SELECT count(*) FROM seeds WHERE idx > 4") == [(4,)]


@in_files
def test_what_was_erased_is_told_though_the_rest_was_not(years, monkeypatch):
    erase_entries = Eraser.erase_entries

    def failing(self, wanted, erasing, signers, now, of=None):
        if of is None:
            raise ProofError(Flaw.NOT_DONE, "erasure")
        return erase_entries(self, wanted, erasing, signers, now, of)

    monkeypatch.setattr(Eraser, "erase_entries", failing)
    result = years.run(1, "log erase", "--dossier", MINE, *ORDERED, "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, result.stderr[:6]) == (1, Flaw.NOT_DONE.row.code)
    assert [(one["log"], one["entries"]) for one in told["former"]] == [("log/0", "0-1,4-5")]
    assert (told["erased"], told["count"], told["log_index"]) == (True, 0, None)


# A crash between the two stores.


@pytest.mark.parametrize("ends", ["a hub that starts", "the command again", "a look-up"])
def test_what_was_recorded_is_carried_out_by_whoever_comes_next(years, ends, monkeypatch):
    with years.eraser(1) as one, monkeypatch.context() as patch:
        patch.setattr(one, "settle", lambda _: True)  # as if it had been killed when the entry was durable
        (former,) = [log for log in _logs(years, 1) if log.origin == "log/0"]
        one.erase_entries(Indices.parse("0-1"), COURT, years.signers(1), NOW, former)
    assert years.about(0, MINE) == [0, 1, 4, 5]
    assert years.verify(0) == []
    assert years.run(1, "log verify", "--log", "log/0", "--json").exit_code == 1
    if ends == "a hub that starts":
        years.fill(1)
    elif ends == "a look-up":
        years.told(1, "log list", "--dossier", HERS)
    else:
        assert years.refused(1, "log erase", "--log", "log/0", "--entries", "0-1", *ORDERED) == "LOG653"
    assert years.about(0, MINE) == [4, 5]
    assert years.verify(0, 1) == []


@in_files
def test_what_was_recorded_is_carried_out_even_by_the_log_after_the_next(years, monkeypatch):
    with years.eraser(1) as one, monkeypatch.context() as patch:
        patch.setattr(one, "settle", lambda _: True)
        (former,) = [log for log in _logs(years, 1) if log.origin == "log/0"]
        one.erase_entries(Indices.parse("0-1"), COURT, years.signers(1), NOW, former)
    years.succeed(1)
    years.fill(2)
    assert years.about(0, MINE) == [4, 5]
    assert years.verify(0, 1) == []


def begun(years: Years, number: int, bucket: str, monkeypatch) -> None:
    """The erasure of a bucket that is recorded, and no more: as if the process had been killed then."""

    def killed(_signers: object) -> None:
        raise ProofError(Flaw.NOT_DONE)

    with years.eraser(number) as one:
        monkeypatch.setattr(one, "settle", killed)
        with pytest.raises(ProofError):
            one.erase_bucket(Bucket.parse(bucket), COURT, years.signers(number), NOW)
    assert Bucket.parse(bucket) in years.keys.held()


@in_files
def test_a_bucket_whose_erasure_was_only_recorded_when_its_log_ended_goes_with_the_next_start(
    years, monkeypatch
):
    begun(years, 1, "exchange/2026-05", monkeypatch)
    years.succeed(1)
    assert {code for code, _ in years.verify(1)} == {"LOG647", "LOG648"}
    years.fill(2)
    assert Bucket.parse("exchange/2026-05") not in years.keys.held()
    assert years.verify(1) == years.verify(0, 1) == years.verify(2) == []
    assert years.about(1, HERS) == []


@in_files
def test_what_a_bucket_of_the_log_in_force_holds_goes_with_no_mark_of_a_former_one(years):
    """Whoever can write to a former store makes nothing go that no entry of it says."""
    years.succeed(1)
    alter(years.stores[1], "UPDATE buckets SET erased = 1 WHERE name = 'exchange/2026-05'")
    assert years.refused(2, "log list", "--dossier", HERS) == "LOG646"
    assert Bucket.parse("exchange/2026-05") in years.keys.held()
    alter(years.stores[1], "UPDATE buckets SET erased = 1 WHERE name = 'exchange/2026-04'")
    alter(years.stores[1], "UPDATE buckets SET erased = NULL WHERE name = 'exchange/2026-05'")
    assert years.refused(2, "log list", "--dossier", HERS) == "LOG646"  # of log/0, which has that month, too
    assert Bucket.parse("exchange/2026-04") in years.keys.held()


@in_files
def test_a_pruning_that_was_only_recorded_when_its_log_ended_is_carried_out_by_the_next_start(years):
    alter(years.stores[0], "UPDATE minimum SET idx = 2")  # with less than a bundle
    years.told(1, "log list", "--dossier", HERS)
    assert query(years.stores[0], "SELECT min(idx) FROM entries") == [(2,)]
    assert query(years.stores[0], "SELECT count(*) FROM spent") == [(1,)]


@in_files
def test_no_key_goes_before_each_former_store_knows_of_it(years, monkeypatch):
    begun(years, 1, "exchange/2026-04", monkeypatch)
    kept = years.stores[0].rename(years.place / "away")
    for command, options in (("log list", ("--dossier", HERS)), ("log erase", ("--entries", "3", *ORDERED))):
        assert years.refused(1, command, *options) == "LOG506"
    with pytest.raises(ProofError):
        years.fill(1)
    assert Bucket.parse("exchange/2026-04") in years.keys.held()
    kept.rename(years.stores[0])
    assert years.verify(0, 1) == []
    found = json.loads(years.run(1, "log verify", "--log", "log/0", "--json").stdout)["findings"]
    assert [one["code"] for one in found] == ["LOG647"]
    years.fill(1)
    assert Bucket.parse("exchange/2026-04") not in years.keys.held()
    assert years.verify(0, 1) == years.verify(1) == []
    assert years.told(1, "log verify", "--log", "log/0")["findings"] == []


def _logs(years: Years, number: int):
    verifiers = [one.verifier for one in years.signers(number)]
    return succession(years.stores[number], years.stores[:number], verifiers).former


# By another hand.


@in_files
def test_a_list_that_no_entry_commits_to_destroys_nothing(years):
    years.told(1, "log erase", "--log", "log/0", "--entries", "0", *ORDERED)
    alter(years.stores[1], "UPDATE former_erased SET indices = '0-5'")
    assert years.refused(1, "log list", "--dossier", HERS) == "LOG646"
    assert years.about(0, HERS) == [2, 3]
    assert {code for code, _ in years.verify(1)} == {"LOG646"}
    assert years.verify(0, 1) == []


@in_files
def test_an_account_that_was_taken_from_elsewhere_is_found(years):
    years.told(1, "log erase", "--log", "log/0", "--entries", "0-1", *ORDERED)
    alter(years.stores[0], "UPDATE accounts SET bucket = 'exchange/2026-03'")
    assert {"LOG658", "LOG646", "LOG412"} == {code for code, _ in years.verify(0, 1)}
    alter(years.stores[0], "UPDATE accounts SET bucket = '', account = CAST('{}' AS BLOB)")
    assert ("LOG658", None) in years.verify(0, 1)


@in_files
def test_an_erasure_that_was_undone_in_a_former_log_shows_against_the_log_in_force(years):
    years.told(1, "log erase", "--log", "log/0", "--entries", "0-1", *ORDERED)
    before = query(years.stores[0], "SELECT indices, salt FROM erased")
    ((account,),) = query(years.stores[0], "SELECT account FROM accounts")
    seeds = query(years.stores[0], "SELECT * FROM seeds WHERE idx = 2")
    kept = query(years.stores[0], "SELECT * FROM messages WHERE idx = 2")
    years.told(1, "log erase", "--log", "log/0", "--entries", "2", *ORDERED)
    with closing(connect(years.stores[0], Use.WRITE)) as session:
        session.copy("seeds", seeds)
        session.copy("messages", kept)
        session.execute("UPDATE erased SET indices = ?, salt = ?", before[0])
        session.execute("UPDATE accounts SET account = ?", (account,))
    assert years.verify(0, 1) == []  # by itself it is the store of an earlier day
    told = json.loads(years.run(1, "log verify", "--log", "log/0", "--json").stdout)
    assert [(one["code"], one["index"]) for one in told["findings"]] == [("LOG647", 2)]


# Logs that did not end in order.


def test_what_a_forked_log_shows_beyond_what_was_agreed_on_is_reached_as_well(tmp_path):
    years = Years.begin(tmp_path, [tmp_path / "0.db", tmp_path / "1.db"])
    years.fill(0, *asked(MINE))
    (tmp_path / "agreed").write_text(years.run(0, "log checkpoint").stdout)
    years.fill(0, *asked(MINE))
    years.succeed(0, "--reason", "forked", "--agreed", str(tmp_path / "agreed"))
    assert years.entry(1, 0)["of_size"] == 2
    years.fill(1)
    told = years.told(1, "log subject", SSIN)
    assert [one["index"] for one in told["disclosures"]] == [1, 3]
    assert (told["former"][0]["size"], told["former"][0]["range"]) == (4, {"start": 0, "end": 4})
    years.told(1, "log erase", "--person", SSIN, *ORDERED)
    assert years.about(0, MINE) == []
    assert years.verify(0, 1) == years.verify(1) == []


def test_nothing_of_a_log_behind_a_lost_one_is_erased_one_by_one(tmp_path):
    """The log after it still names it; but nothing leads from the log in force to that one."""
    years = Years.begin(tmp_path, [tmp_path / f"{number}.db" for number in range(4)])
    years.fill(0, *asked(MINE))
    years.succeed(0)
    years.fill(1, *asked(HERS))
    years.succeed(1)
    years.fill(2)
    (tmp_path / "agreed").write_text(years.run(2, "log checkpoint").stdout)
    lost = years.stores[2]
    lost.unlink()
    text = (tmp_path / "3.toml").read_text()
    (tmp_path / "3.toml").write_text(text.replace(f', "{lost}"]', "]"))
    given = ("--reason", "lost", "--agreed", tmp_path / "agreed", "--vkey", years.vkey(2))
    years.told(3, "log succeed", *given)
    years.fill(3)
    for options in (ORDERED[:-1], ORDERED):
        for named in (("--dossier", MINE), ("--log", "log/0", "--entries", "0")):
            assert years.refused(3, "log erase", *named, *options) == "LOG720"
    assert years.about(0, MINE) == [0, 1]
    assert years.verify(0) == []


@in_files
def test_a_lost_log_is_told_of_and_those_before_it_are_known_by_their_key(years):
    old, lost, _ = years.stores
    (years.place / "agreed").write_text(years.run(1, "log checkpoint").stdout)
    lost.unlink()
    text = (years.place / "2.toml").read_text()
    (years.place / "2.toml").write_text(text.replace(f', "{lost}"]', "]"))
    given = ("--reason", "lost", "--agreed", years.place / "agreed", "--vkey", years.vkey(1))
    years.told(2, "log succeed", *given)
    with closing(Directory.open(years.stores[2], writes=True)) as directory:  # from a backup, say
        directory.put(years.scope())
    told = years.told(2, "log subject", SSIN)
    assert (told["lost"], [one["origin"] for one in told["former"]]) == (["log/1"], ["log/0"])
    assert [(one["log"], one["index"]) for one in told["disclosures"]] == [("log/0", 1), ("log/0", 5)]
    assert "the log log/1 recorded: it is lost" in years.run(2, "log subject", SSIN).stdout
    by_entry = ("--log", "log/0", "--entries", "0", *ORDERED)
    # Which agreement was in force went with the store.
    assert years.refused(2, "log erase", *by_entry) == "LOG522"
    years.fill(2)
    assert years.refused(2, "log erase", *by_entry) == "LOG720"
    assert years.refused(2, "log erase", "--dossier", MINE, *ORDERED[:-1]) == "LOG720"  # before it is tried
    years.told(2, "log erase", "--bucket", "exchange/2026-03", *ORDERED)
    assert years.about(0, MINE) == [4, 5]
    assert {code for code, _ in years.verify(0, 2)} == {"LOG646", "LOG412"}  # nothing can prove who said so
    alter(old, "UPDATE head SET note = CAST(replace(CAST(note AS TEXT), 'log/0 ', 'log/9 ') AS BLOB)")
    assert years.refused(2, "log subject", SSIN) == "LOG204"


# Stores of an earlier version.


@in_files
def test_a_file_of_an_earlier_version_is_read_as_it_is_and_renewed_by_who_writes(years):
    for store in years.stores[:2]:
        alter(store, "DROP TABLE accounts", "DROP TABLE former_erased", "PRAGMA user_version = 5")
    assert [one["index"] for one in years.told(1, "log list", "--log", "log/0")["entries"]] == [
        5,
        4,
        3,
        2,
        1,
        0,
    ]
    assert years.verify(0) == years.verify(1) == []
    assert version(years.stores[0]) == version(years.stores[1]) == 5
    years.told(1, "log erase", "--person", SSIN, *ORDERED)
    assert version(years.stores[0]) == version(years.stores[1]) == 6
    assert years.verify(0, 1) == years.verify(1) == []


def version(store) -> int:
    ((found,),) = query(store, "PRAGMA user_version")
    return found


@pytest.mark.parametrize("years", ["databases"], indirect=True)
def test_databases_of_an_earlier_version_are_brought_to_this_one_together(years):
    for store in years.stores[:2]:
        alter(
            store,
            "DROP TABLE accounts",
            "DROP TABLE former_erased",
            "UPDATE alembic_version SET version_num = '0001'",
        )
    assert years.refused(1, "log list") == "LOG517"
    assert years.told(1, "store migrate")["stores"] == [str(years.stores[1]), str(years.stores[0])]
    years.told(1, "log erase", "--person", SSIN, *ORDERED)
    assert years.verify(0, 1) == years.verify(1) == []


@in_files
async def test_buckets_of_former_logs_are_due_as_well(years):
    async with years.opened(1) as store:
        assert [await store.due(0, NOW.replace(month=month)) for month in (4, 5, 6)] == [1, 2, 3]
