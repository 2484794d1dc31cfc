"""PROTOCOL §8.15: whatever is done to an evidence file is found, and told by its code."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest
from asn1crypto import cms, core, tsp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.cli.evidence_told import print_shown
from gateway.evidence.check import check
from gateway.exchangelog.flaw import Flaw
from gateway.exchangelog.note import Signer
from gateway.identity.certify import issue_root
from gateway.identity.issue import KeyKind, new_key
from gateway.model import Answer, Outcome
from gateway.wss.sign import SigningKey
from tests.path.evidence import (
    ORIGIN,
    exported,
    flaws,
    forged,
    given,
    members,
    past_pair,
    record,
    record_answer,
    resealed,
    revoking,
    serial_of,
    signed_with,
    with_crl,
    written_by,
)
from tests.path.hub import NOW, Hub, authority, signing_key
from tests.world import once

pytestmark = pytest.mark.no_cover  # the lines of gateway/evidence are not counted

WORK = "WIB:WORK_DECISION"
QUESTION, ANSWER = "entries/0/message-1.xml", "entries/1/message-1.xml"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Pieces = dict[str, bytes]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> bytes:
    """A question and its answer."""

    async def made() -> bytes:
        hub = await Hub.start(tmp_path_factory.mktemp("hub"))
        await hub.consult("BRUSSELS", "consultDossier", WORK)
        await hub.store.close()
        return exported(hub, 0)

    return asyncio.run(made())


def replacing(name: str, old: str, new: str) -> Callable[[Pieces], None]:
    def change(pieces: Pieces) -> None:
        pieces[name] = once(pieces[name].decode(), old, new).encode()

    return change


def without(*names: str) -> Callable[[Pieces], None]:
    def change(pieces: Pieces) -> None:
        for name in names:
            del pieces[name]

    return change


def adding(name: str) -> Callable[[Pieces], None]:
    return lambda pieces: pieces.update({name: b"x"})


def exchanged(one: str, other: str) -> Callable[[Pieces], None]:
    def change(pieces: Pieces) -> None:
        pieces[one], pieces[other] = pieces[other], pieces[one]

    return change


def signed_value_changed(pieces: Pieces) -> None:
    """Another SignatureValue of the right length: no key made it."""
    before, value, after = pieces[QUESTION].decode().replace("SignatureValue>", "\0").split("\0")
    raw = bytearray(base64.b64decode(value.removesuffix("</ds:")))
    raw[5] ^= 1
    value = base64.b64encode(raw).decode()
    pieces[QUESTION] = f"{before}SignatureValue>{value}</ds:SignatureValue>{after}".encode()


def proof_with(change: Callable[[list[str]], None]) -> Callable[[Pieces], None]:
    """The lines of the first entry's proof, changed: header, extra, index, hashes."""

    def changed(pieces: Pieces) -> None:
        head, _, note = pieces["entries/0/entry.tlog-proof"].partition(b"\n\n")
        lines = head.decode().split("\n")
        change(lines)
        pieces["entries/0/entry.tlog-proof"] = "\n".join(lines).encode() + b"\n\n" + note

    return changed


def other_hash(lines: list[str]) -> None:
    lines[3] = base64.b64encode(bytes(32)).decode()


def other_leaf(lines: list[str]) -> None:
    """The entry says that somebody else asked."""
    leaf = base64.b64decode(lines[1].removeprefix("extra ")).decode()
    lines[1] = (
        "extra "
        + base64.b64encode(once(leaf, '"purpose":"WIB:WORK_', '"purpose":"WIB:WORT_').encode()).decode()
    )


def agreement_changed(pieces: Pieces) -> None:
    name = next(name for name in pieces if name.endswith("agreement.toml"))
    pieces[name] += b"\n# a word more\n"


def without_lists(pieces: Pieces) -> None:
    for name in [name for name in pieces if name.startswith("trust/crls/")]:
        del pieces[name]


def stamped_in_the_year_0(pieces: Pieces) -> None:
    """A token without an authority, of a year that no calendar of Python has."""
    imprint = {
        "hash_algorithm": {"algorithm": "sha256"},
        "hashed_message": hashlib.sha256(pieces["checkpoint"]).digest(),
    }
    time = core.GeneralizedTime.load(b"\x18\x0f00000101000000Z")
    facts = {
        "version": 1, "policy": "1.2.3", "message_imprint": imprint, "serial_number": 1, "gen_time": time,
    }  # fmt: skip
    content = core.ParsableOctetString(tsp.TSTInfo(facts).dump())
    signed = {
        "version": 3,
        "digest_algorithms": [],
        "encap_content_info": {"content_type": "tst_info", "content": content},
        "signer_infos": [],
    }
    token = {"content_type": "signed_data", "content": cms.SignedData(signed)}
    pieces["checkpoint.tsr"] = tsp.TimeStampResp({"status": {"status": 0}, "time_stamp_token": token}).dump()


BY_THE_HUB: dict[str, tuple[Callable[[Pieces], None], Flaw]] = {
    "a word of a message is changed": (
        replacing(ANSWER, "Fictitious", "Factitious"), Flaw.MESSAGE_SIGNATURE,
    ),
    "the value of a signature is changed": (signed_value_changed, Flaw.MESSAGE_SIGNATURE),
    "a message is not of the profile": (
        replacing(QUESTION, "more#ecdsa-sha256", "more#ecdsa-sha1"), Flaw.MESSAGE_FORM,
    ),
    "a message has a document type": (
        replacing(QUESTION, "<soap:Envelope", "<!DOCTYPE x><soap:Envelope"), Flaw.MESSAGE_FORM,
    ),
    "two messages are exchanged": (exchanged(QUESTION, ANSWER), Flaw.MESSAGE_OTHER),
    "a message is missing": (without(QUESTION), Flaw.PIECE_MISSING),
    "the payload is changed": (replacing("entries/1/payload.xml", "Fictitious", "Factitious"), Flaw.BODY),
    "the payload is missing": (without("entries/1/payload.xml"), Flaw.PIECE_MISSING),
    "the salt of the body is another entry's": (
        exchanged("entries/0/body.salt", "entries/1/body.salt"), Flaw.BODY,
    ),
    "a field is said to be withheld that was released": (
        replacing("entries/1/fields.json", '["r","dossier/header/status"', '["w","dossier/header/status"'),
        Flaw.FIELDS,
    ),
    "field records are missing": (without("entries/1/fields.json"), Flaw.PIECE_MISSING),
    "a hash of the proof is changed": (proof_with(other_hash), Flaw.ROOT),
    "a hash of the proof is missing": (proof_with(lambda lines: lines.pop()), Flaw.PROOF_LENGTH),
    "the proof is of another index": (
        proof_with(lambda lines: lines.__setitem__(2, "index 1")), Flaw.PROOF_FORM,
    ),
    "the entry is changed": (proof_with(other_leaf), Flaw.ROOT),
    "a proof is missing": (without("entries/0/entry.tlog-proof"), Flaw.PIECE_MISSING),
    "two proofs are exchanged": (
        exchanged("entries/0/entry.tlog-proof", "entries/1/entry.tlog-proof"), Flaw.PROOF_FORM,
    ),
    "the checkpoint is missing": (without("checkpoint"), Flaw.PIECE_MISSING),
    "the size in the checkpoint is changed": (replacing("checkpoint", "\n2\n", "\n3\n"), Flaw.SIGNATURE),
    "the agreement is changed": (agreement_changed, Flaw.AGREEMENT),
    "the request is missing": (
        lambda pieces: [pieces.pop(name) for name in list(pieces) if name.startswith("entries/0/")], Flaw.APART,
    ),
    "there are no entries": (
        lambda pieces: [pieces.pop(name) for name in list(pieces) if name.startswith("entries/")],
        Flaw.PIECE_MISSING,
    ),
    "a piece has no place": (adding("entries/0/note.txt"), Flaw.PIECE_SURPLUS),
    "another piece has no place": (adding("readme"), Flaw.PIECE_SURPLUS),
    "a payload stands where nothing was released": (adding("entries/0/payload.xml"), Flaw.PIECE_SURPLUS),
    "field records stand where there are none": (
        lambda pieces: pieces.update({"entries/0/fields.json": b'[["r","dossier","x"]]'}), Flaw.PIECE_SURPLUS,
    ),
    "no entry names the agreement": (adding(f"agreement/{'ab' * 32}/contracts/agreement.toml"), Flaw.PIECE_SURPLUS),
    "a certificate has another's name": (adding(f"trust/anchors/{'ab' * 32}.crt"), Flaw.PIECE_SURPLUS),
    "a path of the field records is no text": (
        replacing("entries/1/fields.json", '["r","dossier/header/status"', '["r","\\ud800"'), Flaw.FIELD_FORM,
    ),
    "a list of revocations is not there": (without_lists, Flaw.REVOCATION),
    "the signer was revoked before": (with_crl(serial_of("BRUSSELS"), NOW - DAY, NOW - HOUR), Flaw.REVOKED),
    "a list ended before": (with_crl(1, NOW - 90 * DAY, NOW - 60 * DAY), Flaw.REVOCATION),
    "the token was made of something else": (
        lambda pieces: pieces.update({"checkpoint.tsr": b"no token"}), Flaw.TIMESTAMP,
    ),
    "the token has a year that there is not": (stamped_in_the_year_0, Flaw.TIMESTAMP),
}  # fmt: skip


def test_file_that_was_only_sealed_again_holds(data):
    assert flaws(data) == flaws(resealed(data, lambda pieces: None)) == set()


@pytest.mark.parametrize("what", BY_THE_HUB)
def test_what_the_hub_itself_could_change_is_found(data, what):
    change, flaw = BY_THE_HUB[what]
    assert flaw in flaws(resealed(data, change))


async def test_payload_with_what_its_records_withhold_is_told(hub):
    """The hub releases one thing and records another: both are in the entry, and nothing else tells."""
    secret = "<d:contact><d:phone>+32 2</d:phone></d:contact>"
    status = "<d:header><d:status>SUBMITTED</d:status><d:fax/></d:header>"
    payload = f'<s:dossier xmlns:d="urn:d">{status}{secret}</s:dossier>'
    made, id_ = await record(hub, signed_with(signing_key("BRUSSELS")))
    await record_answer(hub, made, id_, payload=payload)
    found = check(exported(hub, 1), given()).findings
    assert {(one.flaw, one.about) for one in found} >= {
        (Flaw.WITHHELD_CAME, "dossier/contact/phone"), (Flaw.UNRECORDED, "dossier/header/fax"),
    }  # fmt: skip
    assert (Flaw.UNRECORDED, "dossier/header/status") not in {(one.flaw, one.about) for one in found}


async def test_answer_of_a_provider_that_signed_nothing_is_told(hub):
    """The hub makes up what a provider said."""
    made, id_ = await record(hub, signed_with(signing_key("BRUSSELS")))
    platform = Answer(authority("PLATFORM"), Outcome.DATA_FOUND, None, b"")
    await record_answer(hub, made, id_, answers=(platform,))
    found = check(exported(hub, 1), given()).findings
    assert (Flaw.PIECE_MISSING, 1) in {(one.flaw, one.index) for one in found}


def test_field_records_that_are_no_more_than_brackets_cost_no_memory(data):
    """Of 60 KB: as values they were gigabytes."""
    bomb = b"[" + b"[]," * 8_000_000 + b"[]]"
    tracemalloc.start()
    found = flaws(resealed(data, lambda pieces: pieces.update({"entries/1/fields.json": bomb})))
    assert Flaw.FIELD_FORM in found
    assert tracemalloc.get_traced_memory()[1] < 8 * len(bomb)
    tracemalloc.stop()


BY_ANYBODY: dict[str, tuple[Callable[[Pieces], None], Flaw]] = {
    "a byte more": (lambda pieces: pieces.update({QUESTION: pieces[QUESTION] + b" "}), Flaw.PIECE_ALTERED),
    "a piece less": (without(QUESTION), Flaw.PIECE_MISSING),
    "a piece more": (adding("entries/0/message-2.xml"), Flaw.PIECE_SURPLUS),
    "no signature": (without("META-INF/signatures.xml"), Flaw.PIECE_MISSING),
    "another manifest": (adding("META-INF/manifest.xml"), Flaw.PIECE_ALTERED),
    "a second signature": (adding("META-INF/signatures2.xml"), Flaw.PIECE_SURPLUS),
    "another time of signing": (
        replacing("META-INF/signatures.xml", "<xades:SigningTime>2", "<xades:SigningTime>1"), Flaw.SEAL,
    ),
    "another form of the signature": (
        replacing("META-INF/signatures.xml", ' Id="signature"', ' Id="signature" a=""'), Flaw.SEAL,
    ),
    "another order": (
        lambda pieces: pieces.update({"checkpoint": pieces.pop("checkpoint")}), Flaw.PIECE_ALTERED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BY_ANYBODY)
def test_what_anybody_could_change_is_found(data, what):
    change, flaw = BY_ANYBODY[what]
    assert flaw in flaws(forged(data, change))


BINDING = re.compile(r"checkpoint|agreement/.*|.*payload\.xml|trust/(crls|intermediates)/.*")


def replaced(pieces: Pieces, chance: Random) -> tuple[str, bool]:
    """One piece with something else in it: which, and whether it is another now."""
    name = chance.choice(sorted(pieces))
    old = pieces[name]
    at, size = chance.randrange(len(old) + 1), chance.randrange(40)
    junk = chance.randbytes(size)
    new = chance.choice([b"", junk, b"\x30\x82" + junk, old[at : at + size]])
    pieces[name] = chance.choice(
        [new, old[:at] + new + old[at:], old[:at] + new + old[at + size :], old[:at]]
    )
    return name, pieces[name] != old


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_put_in_the_place_of_a_piece_is_never_an_error(data, seed):
    """And a finding, but where anchors of others are given, or white space stands between what was signed."""
    chance, made = Random(seed), list[tuple[str, bool]]()
    for _ in range(15):
        found = flaws(resealed(data, lambda pieces: made.append(replaced(pieces, chance))))
        name, changed = made[-1]
        assert found if changed and BINDING.fullmatch(name) else True, name


def test_every_finding_is_told_not_the_first_alone(data):
    def change(pieces: Pieces) -> None:
        for one in ("a word of a message is changed", "the payload is changed", "the agreement is changed"):
            BY_THE_HUB[one][0](pieces)

    assert flaws(resealed(data, change)) == {
        Flaw.MESSAGE_SIGNATURE, Flaw.BODY, Flaw.AGREEMENT,
    }  # fmt: skip


def test_what_did_not_verify_is_not_shown(data):
    shown = check(resealed(data, proof_with(other_leaf)), given())
    assert list(shown.leaves) == [1]


def test_keys_and_anchors_come_from_outside(data):
    stranger = Signer.of(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32))).verifier
    assert flaws(data, verifiers=[stranger]) == {Flaw.UNSIGNED}
    other = issue_root(new_key(KeyKind.P256), NOW - DAY).certificate.public_bytes(Encoding.PEM)
    assert flaws(data, anchors=[other]) == {Flaw.PATH, Flaw.SEALER}
    assert flaws(data, anchors=[b"-----BEGIN CERTIFICATE-----"]) == {Flaw.PATH, Flaw.SEALER}
    assert flaws(data, anchors=[]) == {Flaw.OWN_ANCHORS}


def test_no_certificate_writes_lines_of_the_report(data, capsys):
    """Whoever sealed the file is named though nobody believes it, and chose its own name."""
    key = new_key(KeyKind.P256)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x\nverified; notices: 0.\x1b[8m")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - DAY, NOW + DAY)
    made = builder.sign(key, SHA256()).public_bytes(Encoding.DER)
    pieces = {one: piece for one, piece in members(data).items() if not one.startswith("META-INF/")}
    shown = check(written_by(pieces, SigningKey(key, made)), given())
    assert {one.flaw for one in shown.findings} == {Flaw.SEALER}
    print_shown(shown, str)
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert [line for line in told.splitlines() if line.startswith("verified")] == []


def test_who_was_revoked_by_then_is_told_by_a_later_list_too(data):
    later = revoking(serial_of("BRUSSELS"), NOW - HOUR, NOW + DAY)
    assert flaws(data, crls=[later]) == {Flaw.REVOKED}
    after = revoking(serial_of("BRUSSELS"), NOW + HOUR, NOW + DAY)
    assert flaws(data, crls=[after]) == set()


def test_file_is_signed_by_somebody_who_was_to_be_believed_then(data):
    pieces = {name: one for name, one in members(data).items() if not name.startswith("META-INF/")}
    expired = written_by(pieces, past_pair("BRUSSELS", NOW - 3000 * DAY))
    assert flaws(expired) == {Flaw.SEALER}


@pytest.mark.parametrize("party", ["BRUSSELS", "PLATFORM"])
def test_party_that_packs_the_file_anew_is_told(data, party):
    """Without what it does not want to be seen, and with its own signature, which is one to be believed."""
    pieces = {name: one for name, one in members(data).items() if not name.startswith("META-INF/")}
    assert flaws(written_by(pieces, signing_key(party))) == {Flaw.SEALER}


async def test_certificate_that_had_ended_when_it_signed_is_told(hub):
    await record(hub, signed_with(past_pair("BRUSSELS", NOW - 3000 * DAY)))
    assert flaws(exported(hub, 0)) == {Flaw.VALIDITY}


async def test_message_that_another_authority_signed_is_told(hub):
    await record(hub, signed_with(signing_key("FLANDERS")))
    assert flaws(exported(hub, 0)) == {Flaw.MESSAGE_SIGNER}


async def test_release_that_the_agreement_does_not_yield_is_told(hub):
    """Its vector is one of the tests' own: neither the paths of the contract nor what the role may see."""
    await record_answer(hub, *await record(hub, signed_with(signing_key("BRUSSELS"))))
    assert flaws(exported(hub, 1)) == {Flaw.PARTITION, Flaw.VIEW}


async def test_certificate_for_something_else_is_told(hub):
    await record(hub, signed_with(signing_key("BRUSSELS", "tls")))
    assert flaws(exported(hub, 0)) == {Flaw.PATH}


async def test_message_of_long_before_is_told(hub):
    await record(hub, signed_with(signing_key("BRUSSELS")), NOW + 2 * HOUR)
    assert flaws(exported(hub, 0)) == {Flaw.MESSAGE_TIME}


async def test_message_and_entry_of_another_exchange_are_told(hub):
    for _ in range(2):
        await hub.consult("BRUSSELS", "consultDossier", WORK)
    mine, other = (members(exported(hub, index)) for index in (0, 2))

    def message(pieces: Pieces) -> None:
        pieces[QUESTION] = other["entries/2/message-1.xml"]

    def entry(pieces: Pieces) -> None:
        pieces |= {name: one for name, one in other.items() if name.startswith("entries/2/")}

    assert mine[QUESTION] != other["entries/2/message-1.xml"]
    assert Flaw.MESSAGE_OTHER in flaws(resealed(exported(hub, 0), message))
    assert flaws(resealed(exported(hub, 0), entry)) == {Flaw.APART}
