"""`gateway log erase`, `prune` and `retention`: tell first, act when it is confirmed, and leave a log that verifies."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import config
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.log_key import ensure_log
from gateway.adapters.store import Store
from gateway.adapters.store_directory import Directory
from gateway.adapters.store_seeds import subject_of
from gateway.cli.log import app
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.commitment import actor_commitment, subject_commitment
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.loading import load
from gateway.model import DossierNumber, DossierScope
from gateway.policy.person import person_digest
from gateway.reading import secret_key
from tests.path import hub as memory
from tests.process.running import OFFICER, write_settings
from tests.process.store_world import append_all, query
from tests.process.test_erasure import MINE, NUMBERS, OTHER, exchange

TODAY = datetime.now(UTC)
RECENT = TODAY.replace(day=1) - timedelta(days=40)  # its month has ended
OLD = TODAY.year - 12
ENTRIES = [
    *(one for at in range(130) for one in exchange(MINE, f"o{at}", 1, OLD)),  # 0 to 259
    *exchange(MINE, "r1", RECENT.month, RECENT.year),  # 260, 261
    *exchange(OTHER, "r2", RECENT.month, RECENT.year),  # 262, 263
    *exchange(OTHER, "now", TODAY.month, TODAY.year),  # 264, 265
]
OLD_BUCKET, RECENT_BUCKET, OPEN_BUCKET = (
    f"exchange/{OLD}-01",
    f"exchange/{RECENT:%Y-%m}",
    f"exchange/{TODAY:%Y-%m}",
)


async def filled(settings: config.Settings, entries: Sequence[Entry]) -> None:
    """A hub has served under these settings, and recorded this."""
    loaded, keys = load(settings), BucketKeys.open(settings.log.bucket_keys)
    path, origin, payload_key = settings.log.store, settings.log.origin, loaded.payload_key
    async with Store.open(
        path, loaded.log_keys[0], origin, payload_key=payload_key, bucket_keys=keys
    ) as store:
        await store.remember(loaded.rules.agreement.revision, loaded.rules.agreement.files)
        for entry in entries:
            await append_all(store, [entry])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("made")
    memory.place_pki(directory / "pki")
    write_settings(directory, "https://127.0.0.1:1/soap", {})
    settings = config.load(directory / "gateway.toml")
    ensure_log(settings.log.store, settings.keys.log_key, settings.log.origin, settings.log.bucket_keys)
    asyncio.run(filled(settings, ENTRIES))
    return directory


@pytest.fixture
def place(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "place"))


def run(place: Path, *arguments: object):
    command, *options = map(str, arguments)
    result = CliRunner().invoke(app, [command, "--config", str(place / "gateway.toml"), *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def told(place: Path, *arguments: object, exit_code: int = 0) -> dict[str, object]:
    result = run(place, *arguments, "--json")
    assert result.exit_code == exit_code, result.stderr
    return json.loads(result.stdout)


ASKED = ("--basis", "gdpr-17", "--ground", "unlawful-processing")
ORDERED = ("--basis", "court-order", "--ground", "ordered")
EXPIRED = ("--basis", "retention", "--ground", "expired")


def state(place: Path) -> dict[str, bytes]:
    kept = [*place.glob("store.db"), *place.glob("bucket-keys/*")]
    return {str(one.relative_to(place)): one.read_bytes() for one in kept}


def listed(place: Path, *arguments: object) -> list[int]:
    return [one["index"] for one in told(place, "list", "--limit", 1000, *arguments)["entries"]]


def opened(place: Path, index: int) -> tuple[Leaf, bytes]:
    """The leaf of an entry, and the seed of its commitments."""
    store = place / "store.db"
    ((leaf, bucket, wrapped),) = query(
        store, f"SELECT leaf, bucket, subject FROM entries JOIN seeds USING (idx) WHERE idx = {index}"
    )
    keys = BucketKeys.open(place / "bucket-keys")
    return Leaf.parse(leaf), keys.unwrap(Bucket.parse(bucket), wrapped, subject_of(index))


def bind(place: Path, dossier: str, ssin: str) -> None:
    """The directory has the dossier as that of the person."""
    settings = config.load(place / "gateway.toml")
    person = person_digest(secret_key(settings.keys.directory_key), ssin)
    scope = DossierScope(DossierNumber(dossier), "SINGLE_PERMIT", "FIRST", "SUBMITTED", TODAY, (), person)
    directory = Directory.open(settings.log.store, writes=True)
    directory.put(scope)
    directory.close()


def holds(place: Path, *notices: str) -> bool:
    found = told(place, "verify")
    return found["verified"] and [one["code"] for one in found["findings"]] == [*notices]


def test_nothing_is_destroyed_before_it_is_confirmed(place):
    before = state(place)
    plan = told(place, "erase", "--entries", "262-265", *ASKED)
    expected = {"erased": False, "entries": "262-265", "count": 4, "log_index": None}
    assert plan == {**expected, "write_ahead_log_emptied": None, "former": []}
    assert told(place, "erase", "--bucket", OLD_BUCKET, *EXPIRED)["count"] == 260
    assert state(place) == before
    assert "--confirm" in run(place, "erase", "--entries", "3", *ASKED).stdout


def test_dossier_is_erased_and_cannot_be_found_again(place):
    assert listed(place, "--dossier", OTHER) == [265, 264, 263, 262]
    done = told(place, "erase", "--dossier", OTHER, *ASKED, "--confirm")
    assert done == {
        "erased": True,
        "entries": "262-267",  # the look-ups too, that of the erasure itself among them
        "count": 6,
        "log_index": 268,
        "write_ahead_log_emptied": True,
        "former": [],
    }
    assert listed(place, "--dossier", OTHER) == []  # and this look-up is entry 269
    assert listed(place, "--kind", "erasure") == listed(place, "--code", "erased") == [268]
    assert len(listed(place, "--dossier", MINE)) == 262
    assert holds(place)


def test_several_dossiers_and_entries_go_in_one_erasure(place):
    plan = told(place, "erase", "--dossier", OTHER, "--dossier", MINE, "--entries", "0", *ASKED)
    assert (plan["entries"], plan["count"]) == ("0-267", 268)


def test_what_there_is_to_erase_is_a_look_up_on_record_before_it_is_told(place):
    plan = told(place, "erase", "--dossier", OTHER, *ASKED)
    assert (plan["erased"], plan["entries"]) == (False, "262-266")
    leaf, seed = opened(place, 266)
    assert (leaf.kind, leaf.more["query"], leaf.more["by"]) == (Kind.ACCESS, "erasure", "dossier")
    assert (leaf.more["start"], leaf.more["end"]) == (0, 266)
    assert leaf.subject == subject_commitment(DossierNumber(OTHER), seed)
    assert leaf.actor == actor_commitment("officer-1", seed)
    # That there is nothing is an answer, too.
    assert run(place, "erase", "--dossier", NUMBERS[3], *ASKED).stderr[:6] == "LOG653"
    assert told(place, "show", 267)["entry"]["query"] == "erasure"


def test_who_erased_and_who_pruned_is_committed_to(place):
    told(place, "erase", "--entries", "262", *ASKED, "--confirm")
    told(place, "erase", "--bucket", OLD_BUCKET, *EXPIRED, "--confirm")
    told(place, "prune", "--confirm")
    for index, kind in ((266, Kind.ERASURE), (267, Kind.ERASURE), (268, Kind.PRUNING)):
        leaf, seed = opened(place, index)
        assert (leaf.kind, leaf.actor) == (kind, actor_commitment("officer-1", seed))
        assert told(place, "show", index)["officer"] == "officer-1"
    assert "officer      officer-1" in run(place, "show", 266).stdout
    assert holds(place, "LOG659")
    # Told to who watches over officers, and to nobody else; of who is not named any more nobody can tell.
    settings = place / "gateway.toml"
    text = settings.read_text()
    settings.write_text(text.replace('"search", "person", ', '"search", '))
    assert told(place, "show", 266)["officer"] is None
    settings.write_text(text.replace('"officer-1"', '"officer-2"'))
    assert told(place, "show", 266)["officer"] is None


def test_no_officer_takes_the_trace_of_an_officer_away(place):
    listed(place, "--dossier", OTHER)  # 266
    told(place, "erase", "--entries", "262", *ASKED, "--confirm")  # 267
    told(place, "erase", "--bucket", OLD_BUCKET, *EXPIRED, "--confirm")
    told(place, "prune", "--confirm")  # 269
    for index in (266, 267, 269):
        tried = run(place, "erase", "--entries", index, *ORDERED, "--confirm")
        assert (tried.exit_code, tried.stderr[:6]) == (1, "LOG651")
        assert opened(place, index)


def test_what_is_about_a_person_is_erased_by_its_number(place):
    bind(place, OTHER, memory.SSIN)
    assert listed(place, "--person", memory.SSIN) == [265, 264, 263, 262]
    done = told(place, "erase", "--person", memory.SSIN, *ASKED, "--confirm")
    assert (done["entries"], done["log_index"]) == ("262-267", 268)
    assert listed(place, "--person", memory.SSIN) == []
    assert listed(place, "--dossier", OTHER) == []
    assert len(listed(place, "--dossier", MINE)) == 262
    assert memory.SSIN not in "".join(one.read_text("latin-1") for one in place.glob("store.db*"))
    assert holds(place)


def test_what_is_necessary_by_the_agreement_cannot_be_called_not_necessary(place):
    ground = ("--basis", "gdpr-17", "--ground", "not-necessary", "--confirm")
    before = state(place)
    assert run(place, "erase", "--entries", "259-260", *ground).stderr[:6] == "LOG652"
    assert state(place) == before
    assert told(place, "erase", "--entries", "0-259", *ground)["count"] == 260


@pytest.mark.parametrize(
    ("rights", "authority", "code"),
    [
        ('"search", "person", "export"', "HUB", "LOG733"),
        ('"search", "person", "export", "erase"', "BRUSSELS", "LOG733"),
        (None, "HUB", "LOG732"),
    ],
)
def test_to_erase_and_to_prune_is_for_officers_who_may(place, rights, authority, code):
    settings = place / "gateway.toml"
    officer = "" if rights is None else OFFICER.replace('"HUB"', f'"{authority}"')
    if rights is not None:
        officer = officer.replace('"search", "person", "export", "erase"', rights)
    settings.write_text(settings.read_text().replace(OFFICER, officer))
    before = state(place)
    for command in (
        ("erase", "--dossier", OTHER, *ASKED),
        ("erase", "--bucket", OLD_BUCKET, *EXPIRED),
        ("prune",),
    ):
        tried = run(place, *command, "--confirm")
        assert (tried.exit_code, tried.stdout, tried.stderr[:6]) == (1, "", code)
    assert state(place) == before


def test_bucket_that_is_due_is_told_and_erased(place):
    found = told(place, "retention", exit_code=1)
    assert (found["due"], found["years"]) == ([OLD_BUCKET], 10)
    assert [(one["bucket"], one["seeds"], one["due"]) for one in found["buckets"]] == [
        (OLD_BUCKET, 260, True),
        (RECENT_BUCKET, 4, False),
        (OPEN_BUCKET, 2, False),
    ]
    table = run(place, "retention")
    assert (table.exit_code, "due" in table.stdout) == (1, True)
    assert told(place, "erase", "--bucket", OLD_BUCKET, *EXPIRED, "--confirm")["count"] == 260
    assert told(place, "retention")["due"] == []
    assert not (place / "bucket-keys" / f"exchange_{OLD}-01.key").exists()
    assert holds(place)


def test_old_entries_are_pruned_after_their_bucket_is_erased(place):
    assert run(place, "prune").stderr[:6] == "LOG651"
    told(place, "erase", "--bucket", OLD_BUCKET, *EXPIRED, "--confirm")
    before = state(place)
    assert told(place, "prune") == {
        "pruned": False,
        "minimum": 256,
        "log_index": None,
        "write_ahead_log_emptied": None,
    }
    assert state(place) == before
    assert told(place, "prune", "--confirm")["log_index"] == 267
    assert holds(place, "LOG659")
    assert min(listed(place)) == 256
    assert run(place, "prune").stderr[:6] == "LOG653"


REFUSED = {
    "neither entries nor bucket": ((), ASKED, "LOG651"),
    "entries and a bucket": (("--entries", "3", "--bucket", OLD_BUCKET), ASKED, "LOG651"),
    "a basis that there is not": (("--entries", "3"), ("--basis", "habit", "--ground", "expired"), "LOG510"),
    "a ground of another basis": (("--entries", "3"), ("--basis", "gdpr-17", "--ground", "expired"), "LOG510"),
    "entries one by one for retention": (("--entries", "3"), EXPIRED, "LOG651"),
    "a bucket that is not due": (("--bucket", RECENT_BUCKET), EXPIRED, "LOG652"),
    "a bucket that lasts": (("--bucket", OPEN_BUCKET), ASKED, "LOG651"),
    "a key that is not lost": (("--bucket", OLD_BUCKET), ("--basis", "gdpr-33-5", "--ground", "key-lost"), "LOG651"),
    "no bucket": (("--bucket", "2026-11"), ASKED, "LOG641"),
    "a bucket that there is not": (("--bucket", "exchange/2001-01"), ASKED, "LOG653"),
    "no dossier number": (("--dossier", "WIB-1"), ASKED, "LOG510"),
    "a bucket for one person": (("--bucket", OLD_BUCKET), ASKED, "LOG651"),
    "a person that is none": (("--person", "85073003300"), ASKED, "DOS008"),
    "an entry that there is not": (("--entries", "266"), ASKED, "LOG503"),
    "no indices": (("--entries", "all"), ASKED, "LOG510"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_erased_is_told_with_a_code(made, case):
    what, why, code = REFUSED[case]
    before = state(made)
    result = run(made, "erase", *what, *why, "--confirm")
    assert (result.exit_code, result.stderr[:6]) == (1, code)
    assert state(made) == before


def test_bucket_that_is_not_due_can_be_erased_on_another_basis(place):
    done = told(place, "erase", "--bucket", RECENT_BUCKET, *ORDERED, "--confirm")
    assert (done["count"], done["bucket"]) == (4, RECENT_BUCKET)
    assert holds(place)
