"""An exported log: every way to tamper with its files is found and named."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.exchangelog.checkpoint import open_checkpoint, sign_checkpoint
from gateway.exchangelog.erasure import Hand, pruned
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.note import Note, Signature, parse_note
from gateway.exchangelog.site import check_site
from tests.exchanges import NOW, exchange_id
from tests.sites import (
    OTHER,
    SIGNER,
    SIZE,
    VERIFIER,
    MemorySite,
    entries,
    good_site,
    site_of,
    with_entries,
)

UNKNOWN = (Flaw.OUTCOME_UNKNOWN, 529)


def flaws(files: MemorySite, pinned=None) -> set[tuple[Flaw, int | None]]:
    return {(finding.flaw, finding.index) for finding in check_site(files, [VERIFIER], pinned)}


def changed(start: int, leaves: dict[int, bytes]) -> list[bytes]:
    """The entries of one bundle from `start` on, with some exchanged."""
    end = min(start + 256, SIZE)
    return [leaves.get(index, entries()[index]) for index in range(start, end)]


def test_a_good_site_has_only_the_notice_of_the_open_request():
    (notice,) = check_site(good_site(), [VERIFIER])
    assert (notice.flaw, notice.index, notice.fails) == (*UNKNOWN, False)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 528])
def test_good_sites_of_any_size_hold(size):
    assert not any(finding.fails for finding in check_site(site_of(entries()[:size]), [VERIFIER]))


def test_progress_reaches_the_end():
    told = []
    assert list(check_site(good_site(), [VERIFIER], progress=told.append))
    assert told == [256, 512, SIZE]


FORGED = entries()[300].replace(b"consultDossier", b"consultStatus")
OUT_OF_FORM = entries()[301].replace(b'"v":1', b'"v":2')


def altered_entry(files):
    with_entries(files, 1, changed(256, {300: FORGED}))


def entry_out_of_form(files):
    with_entries(files, 1, changed(256, {301: OUT_OF_FORM}))


def swapped_entries(files):
    with_entries(files, 2, changed(512, {528: entries()[529], 529: entries()[528]}))


def swapped_bundles(files):
    files["tile/entries/000"], files["tile/entries/001"] = (
        files["tile/entries/001"],
        files["tile/entries/000"],
    )


def entry_dropped(files):
    with_entries(files, 2, changed(512, {})[:-1])


def entry_added(files):
    with_entries(files, 2, [*changed(512, {}), entries()[0]])


def bundle_cut(files):
    files["tile/entries/002.p/18"] = files["tile/entries/002.p/18"][:-1]


def bundle_gone(files):
    del files["tile/entries/001"]


def first_bundle_gone(files):
    del files["tile/entries/000"]


def truncated(files):
    for path in [path for path in files if "/002" in path]:
        del files[path]


def tile_altered(files):
    files["tile/0/001"] = bytes(32) + files["tile/0/001"][32:]


def last_tile_altered(files):
    files["tile/0/002.p/18"] = bytes(32) + files["tile/0/002.p/18"][32:]


def upper_tile_altered(files):
    files["tile/1/000.p/2"] = bytes(64)


def tile_gone(files):
    del files["tile/0/000"]


def upper_tile_gone(files):
    del files["tile/1/000.p/2"]


def tile_longer(files):
    files["tile/0/002.p/18"] += bytes(32)


def other_key(files):
    root = open_checkpoint(files["checkpoint"], [VERIFIER]).root
    files["checkpoint"] = sign_checkpoint(SIZE, root, [OTHER])


def other_root(files):
    files["checkpoint"] = sign_checkpoint(SIZE, bytes(32), [SIGNER])


def larger_size(files):
    root = open_checkpoint(files["checkpoint"], [VERIFIER]).root
    files["checkpoint"] = sign_checkpoint(SIZE + 10**15, root, [SIGNER])


def signature_gone(files):
    files["checkpoint"] = files["checkpoint"].replace(b"\xe2\x80\x94 ", b"- ")


def older_partial_altered(files):
    files["tile/0/002.p/3"] = bytes(32) + files["tile/0/002.p/18"][32 : 3 * 32]


def older_bundle_altered(files):
    files["tile/entries/002.p/1"] = site_of(entries()[:1])["tile/entries/000.p/1"]


TAMPERING = {
    altered_entry: {(Flaw.ALTERED, 300), (Flaw.PAIRING, 301)},
    entry_out_of_form: {(Flaw.ALTERED, 301), (Flaw.ENTRY_FORM, 301), (Flaw.OUTCOME_UNKNOWN, 300)},
    swapped_entries: {(Flaw.ALTERED, 528), (Flaw.ALTERED, 529), (Flaw.OUTCOME_UNKNOWN, 528)},
    swapped_bundles: {(Flaw.ALTERED, 0), (Flaw.ALTERED, 256)},
    entry_dropped: {(Flaw.BUNDLE, 512)},
    entry_added: {(Flaw.BUNDLE, 512)},
    bundle_cut: {(Flaw.BUNDLE, 512)},
    bundle_gone: {(Flaw.MISSING, 256)},
    first_bundle_gone: {(Flaw.MISSING, 0)},
    truncated: {(Flaw.MISSING, 512), (Flaw.TILE, None)},
    tile_altered: {(Flaw.TILE, None)},
    last_tile_altered: {(Flaw.TILE, None)},
    upper_tile_altered: {(Flaw.TILE, None)},
    tile_gone: {(Flaw.TILE, None)},
    upper_tile_gone: {(Flaw.TILE, None)},
    tile_longer: {(Flaw.TILE, None)},
    other_key: {(Flaw.UNSIGNED, None)},
    other_root: {(Flaw.TREE, None)},
    larger_size: {(Flaw.MISSING, 512), (Flaw.MISSING, 768)},
    signature_gone: {(Flaw.NOTE_FORM, None)},
    older_partial_altered: {(Flaw.TILE, None)},
    older_bundle_altered: {(Flaw.BUNDLE, None)},
}


@pytest.mark.parametrize("tampering", TAMPERING, ids=lambda one: one.__name__)
def test_tampering_is_found_and_named(tampering):
    files = good_site()
    tampering(files)
    found = list(check_site(files, [VERIFIER]))
    assert TAMPERING[tampering] <= {(finding.flaw, finding.index) for finding in found}
    assert any(finding.fails for finding in found)
    assert len(found) < 20  # a claim of any size is a few findings


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_flipped_bit_in_any_file_is_found(data):
    files = good_site()
    path = data.draw(st.sampled_from(sorted(files)))
    at = data.draw(st.integers(0, len(files[path]) * 8 - 1))
    whole = bytearray(files[path])
    whole[at // 8] ^= 1 << at % 8
    files[path] = bytes(whole)
    assert any(finding.fails for finding in check_site(files, [VERIFIER]))


def test_all_findings_are_reported_not_the_first_alone():
    files = good_site()
    altered_entry(files)
    upper_tile_altered(files)
    bundle_cut(files)
    assert {(Flaw.ALTERED, 300), (Flaw.TILE, None), (Flaw.BUNDLE, 512)} <= flaws(files)


def test_a_site_without_checkpoint_is_none():
    files = good_site()
    del files["checkpoint"]
    with pytest.raises(ProofError) as caught:
        list(check_site(files, [VERIFIER]))
    assert caught.value.flaw is Flaw.NO_SITE


def test_a_log_rolled_back_is_found_by_whoever_kept_a_checkpoint():
    pinned = open_checkpoint(good_site()["checkpoint"], [VERIFIER])
    earlier = site_of(entries()[:528])
    assert flaws(earlier) == set()
    assert flaws(earlier, pinned) == {(Flaw.ROLLBACK, None)}
    assert flaws(good_site(), open_checkpoint(earlier["checkpoint"], [VERIFIER])) == {UNKNOWN}


def test_history_rewritten_with_the_key_is_found_by_whoever_kept_a_checkpoint():
    pinned = open_checkpoint(good_site()["checkpoint"], [VERIFIER])
    rewritten = site_of([*entries()[:528], entries()[529], entries()[528]])
    assert (Flaw.ROLLBACK, None) in flaws(rewritten, pinned)
    assert not any(finding.fails for finding in check_site(rewritten, [VERIFIER]))


def test_partial_ones_of_earlier_checkpoints_may_stay_and_may_go():
    files = good_site()
    for path, data in site_of(entries()[:520]).items():
        files.setdefault(path, data)
    assert flaws(files) == {UNKNOWN}
    old = site_of(entries()[:520])
    for path in ("tile/0/002.p/8", "tile/entries/002.p/8", "tile/1/000.p/2"):
        del old[path]
    full = site_of([*entries(), *(entries()[0] for _ in range(512, 1024))])
    for path in ("tile/0/002", "tile/entries/002"):
        old[path] = full[path]
    old["tile/1/000.p/2"] = full["tile/1/000.p/4"][:64]
    assert flaws(old) == {(Flaw.UNCOVERED, None)}  # the full ones stand in for those that went


class Vanishing(MemorySite):
    """An export takes the older partial ones away between a reader's listing and its reading."""

    def paths(self):
        yield from super().paths()
        yield from ("tile/0/002.p/3", "tile/entries/002.p/3")


def test_partial_ones_that_go_while_somebody_reads_are_no_finding():
    assert flaws(Vanishing(good_site())) == {UNKNOWN}


class Outdated(MemorySite):
    """A list that was made while an export put a full bundle in the place of a partial one."""

    def paths(self):
        return [path for path in super().paths() if path != "tile/entries/001"]


def test_a_bundle_that_the_list_has_not_is_there_all_the_same():
    assert flaws(Outdated(good_site())) == {UNKNOWN}


def test_what_the_checkpoint_does_not_cover_is_a_notice():
    files = site_of(entries()[:256])
    for path, data in good_site().items():
        files.setdefault(path, data)
    files["tile/notes.txt"] = files["tile/0/x000/000"] = b"?"
    found = list(check_site(files, [VERIFIER]))
    assert {finding.flaw for finding in found} == {Flaw.UNCOVERED}
    assert not any(finding.fails for finding in found)
    assert Finding(Flaw.UNCOVERED, about="tile/notes.txt") in found


PRUNED_TO = [256, 512]


@pytest.mark.parametrize("minimum", PRUNED_TO)
def test_bundles_may_be_gone_below_the_minimum_index_that_the_log_records_and_nowhere_else(minimum):
    said = pruned(Hand("0999099901", "officer-1"), minimum, exchange_id(), NOW, os.urandom)
    files = site_of([*entries(), said.leaf])
    assert flaws(files) == {UNKNOWN}
    for number, path in enumerate(("tile/entries/000", "tile/entries/001", "tile/entries/002.p/19")):
        del files[path]
        found = {one.flaw for one in check_site(files, [VERIFIER]) if one.fails}
        assert found == (set() if (number + 1) * 256 <= minimum else {Flaw.MISSING})


def test_entries_that_are_pruned_are_told_as_not_judged():
    said = pruned(Hand("0999099901", "officer-1"), 256, exchange_id(), NOW, os.urandom)
    files = site_of([*entries(), said.leaf])
    del files["tile/entries/000"]
    told = [one for one in check_site(files, [VERIFIER]) if one.flaw is Flaw.UNKEPT]
    assert told == [Finding(Flaw.UNKEPT, 0, "to entry 255")]
    assert not told[0].fails


def test_an_entry_prunes_nothing_that_comes_after_it():
    """A log could otherwise record, and take away later what somebody is not to see."""
    said = pruned(Hand("0999099901", "officer-1"), 512, exchange_id(), NOW, os.urandom)
    before = entries()[:200]
    files = site_of([*before, said.leaf, *entries()])
    assert (Flaw.PRUNING, 200) in flaws(files)
    assert (Flaw.PRUNING, 512) not in flaws(site_of([*entries()[:512], said.leaf]))


def test_the_hashes_of_pruned_entries_are_still_checked():
    said = pruned(Hand("0999099901", "officer-1"), 256, exchange_id(), NOW, os.urandom)
    files = site_of([*entries(), said.leaf])
    del files["tile/entries/000"]
    files["tile/0/000"] = bytes(8_192)
    assert Flaw.TILE in {one.flaw for one in check_site(files, [VERIFIER])}


def test_signatures_of_unknown_keys_change_nothing():
    files = good_site()
    note = parse_note(files["checkpoint"])
    stranger = Signature("witness.example", b"1234", bytes(72))
    files["checkpoint"] = Note(note.text, (stranger, *note.signatures)).serialise()
    assert flaws(files) == {UNKNOWN}


def test_the_tiles_of_a_site_are_those_of_its_entries():
    files = good_site()
    assert files["tile/0/000"] == b"".join(map(leaf_hash, entries()[:256]))
