"""Cosignatures and trust policies, byte for byte: what others published verifies, and what they refuse is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from gateway.exchangelog.cosignature import Cosigner, CosignerKey, signed_message
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Note, Signature, Signer, Verifier, open_note, parse_note
from gateway.exchangelog.quorum import FUTURE, TrustPolicy
from tests.flaws import may_be_refused

# A checkpoint of a public log of the web's certificates, as it was published, cosigned by its witnesses. The
# log's first line is of a type that is unknown here (05), and the keys of the other witnesses are not given.
PUBLISHED = """arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

\u2014 arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
\u2014 arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
\u2014 transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
\u2014 witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
\u2014 remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
\u2014 witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
""".encode()
ARCHE = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
REMORA = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
SEEN = 0x6A122120  # when it was cosigned

LOG = Signer.of("xlog.hub.example/2026", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
NOW = 1_790_000_000
ROOT = merkle.root([merkle.leaf_hash(b"%d" % index) for index in range(7)])
CHECKPOINT = sign_checkpoint(7, ROOT, [LOG])
TEXT = Checkpoint(LOG.name, 7, ROOT).text


def ed25519(number: int) -> Cosigner:
    return Cosigner.of(
        f"w{number}.example/witness", Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))
    )


def ml_dsa(name: str = "w9.example/witness") -> Cosigner:
    return Cosigner.of(name, MLDSA44PrivateKey.from_seed_bytes(bytes(range(32))))


W1, W2, W3 = (ed25519(number) for number in (1, 2, 3))
EITHER = [W1, ml_dsa()]


def flaw_of(call, *arguments) -> Flaw:
    with pytest.raises(ProofError) as caught:
        call(*arguments)
    return caught.value.flaw


def cosigned(*cosigners: Cosigner, time: int = NOW) -> bytes:
    return CHECKPOINT + "".join(one.sign(TEXT, time).line for one in cosigners).encode()


def policy(*lines: str) -> TrustPolicy:
    return TrustPolicy.parse("".join(f"{line}\n" for line in lines).encode())


def of(*cosigners: Cosigner) -> list[str]:
    return [f"witness W{number} {one.public.vkey}" for number, one in enumerate(cosigners, 1)]


# Cosignatures.


def test_a_published_cosignature_verifies_under_its_published_key():
    key = CosignerKey.parse(REMORA)
    assert key.vkey == REMORA
    note = open_note(PUBLISHED, [key])
    (signature,) = [one for one in note.signatures if one.name == key.name]
    assert key.verify(note.text, signature) == SEEN
    assert open_checkpoint(PUBLISHED, [Verifier.parse(ARCHE)]).size == 1432088532


def test_a_published_checkpoint_fulfils_a_policy_of_its_witnesses():
    trusted = policy(f"log {ARCHE}", f"witness remora {REMORA}", "quorum remora")
    assert trusted.verify(PUBLISHED, SEEN).times == {"remora": SEEN}
    other = PUBLISHED.replace(b"1432088532", b"1432088533")
    assert flaw_of(trusted.verify, other, SEEN) is Flaw.SIGNATURE


def test_the_signed_message_is_that_of_the_specification():
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    assert signed_message(b"\x04", "witness.example.com/w1", text, 1679315147) == (
        b"cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n"
        b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )
    assert signed_message(b"\x06", "w", text, 1) == (
        b"subtree/v1\n\x00\x01w"
        + bytes(7)
        + b"\x01\x1bexample.com/behind-the-sofa"
        + bytes(8)
        + (20852163).to_bytes(8)
        + Checkpoint.parse(text).root
    )


@pytest.mark.parametrize("cosigner", EITHER, ids=["ed25519", "ml-dsa-44"])
def test_a_cosignature_says_when_it_was_made(cosigner):
    signature = cosigner.sign(TEXT, NOW)
    assert CosignerKey.parse(cosigner.public.vkey).verify(TEXT, signature) == NOW


@pytest.mark.parametrize("cosigner", EITHER, ids=["ed25519", "ml-dsa-44"])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_no_bit_of_a_cosignature_can_be_changed(cosigner, data):
    value = bytearray(cosigner.sign(TEXT, NOW).value)
    bit = data.draw(st.integers(0, 8 * len(value) - 1))
    value[bit // 8] ^= 1 << bit % 8
    changed = Signature(cosigner.public.name, cosigner.public.key_id, bytes(value))
    assert flaw_of(cosigner.public.verify, TEXT, changed) is Flaw.SIGNATURE


@pytest.mark.parametrize("cosigner", EITHER, ids=["ed25519", "ml-dsa-44"])
@pytest.mark.parametrize("end", [0, 7, 8, -1])
def test_a_cosignature_that_is_cut_short_does_not_verify(cosigner, end):
    signature = cosigner.sign(TEXT, NOW)
    short = Signature(signature.name, signature.key_id, signature.value[:end])
    assert flaw_of(cosigner.public.verify, TEXT, short) is Flaw.SIGNATURE


def test_what_ed25519_signs_covers_extension_lines_and_what_ml_dsa_signs_the_name():
    longer = TEXT + "extension\n"
    assert flaw_of(W1.public.verify, longer, W1.sign(TEXT, NOW)) is Flaw.SIGNATURE
    renamed = ml_dsa("another.example/witness")
    assert flaw_of(renamed.public.verify, TEXT, ml_dsa().sign(TEXT, NOW)) is Flaw.SIGNATURE


def test_a_text_that_is_no_checkpoint_is_not_cosigned():
    assert flaw_of(W1.sign, "one\ntwo\n", NOW) is Flaw.CHECKPOINT_FORM
    assert flaw_of(ml_dsa().sign, Checkpoint("x" * 256, 7, ROOT).text, NOW) is Flaw.CHECKPOINT_FORM


def test_a_key_of_a_log_is_none_of_a_witness_nor_the_other_way_round():
    assert flaw_of(CosignerKey.parse, LOG.verifier.vkey) is Flaw.KEY_FORM
    assert flaw_of(Verifier.parse, W1.public.vkey) is Flaw.KEY_FORM
    # The same key as a log's and as a witness's has two ids: one's line says nothing under the other's.
    same = Cosigner.of(LOG.name, LOG.key)
    assert same.public.key_id != LOG.verifier.key_id
    assert flaw_of(open_note, CHECKPOINT, [same.public]) is Flaw.UNSIGNED


def test_a_log_may_sign_by_ml_dsa_beside_ed25519():
    beside = ml_dsa(LOG.name)
    note = cosigned(beside, time=0)
    for keys in ([LOG.verifier], [beside.public], [LOG.verifier, beside.public]):
        assert open_checkpoint(note, keys).size == 7


def test_lines_that_nobody_knows_are_ignored():
    """A signer may add such lines on purpose, so that nobody forgets to ignore them (grease)."""
    grease = [
        Signature(LOG.name, b"\xff\xff\xff\xff", b"\x00"),
        Signature("nobody.example", LOG.verifier.key_id, bytes(64)),
        Signature(W1.public.name, b"\x00\x00\x00\x00", bytes(72)),
    ]
    signed = parse_note(cosigned(W1))
    note = Note(signed.text, (*grease, *signed.signatures, *grease)).serialise()
    assert open_checkpoint(note, [LOG.verifier]).size == 7
    trusted = policy(f"log {LOG.verifier.vkey}", *of(W1), "quorum W1")
    assert trusted.verify(note, NOW).times == {"W1": NOW}


# Policies.


def test_two_levels_of_groups_are_counted_as_the_specification_has_them():
    members = [ed25519(number) for number in range(1, 7)]
    trusted = policy(
        f"log {LOG.verifier.vkey} https://log.example/",
        *of(*members),
        "group X 2 W1 W2 W3",
        "group Y any W4 W5 W6",
        "group X-and-Y all X Y",
        "quorum X-and-Y",
    )
    for names, enough in (
        ((1, 2, 4), True),
        ((1, 3, 6), True),
        ((1, 2, 3), False),
        ((1, 4, 5, 6), False),
        ((), False),
    ):
        note = cosigned(*(members[name - 1] for name in names))
        if enough:
            assert set(trusted.verify(note, NOW).times) == {f"W{name}" for name in names}
        else:
            assert flaw_of(trusted.verify, note, NOW) is Flaw.QUORUM


def test_a_log_that_is_not_listed_is_not_believed_however_many_cosign():
    trusted = policy(f"log {ARCHE}", *of(W1), "quorum W1")
    assert flaw_of(trusted.verify, cosigned(W1), NOW) is Flaw.UNSIGNED
    assert trusted.verify(cosigned(W1), NOW, [LOG.verifier]).checkpoint.size == 7


def test_a_wrong_line_of_a_known_witness_spoils_the_checkpoint():
    trusted = policy(f"log {LOG.verifier.vkey}", *of(W1, W2), "group G any W1 W2", "quorum G")
    line = W2.sign(Checkpoint(LOG.name, 8, ROOT).text, NOW).line.encode()
    assert flaw_of(trusted.verify, cosigned(W1) + line, NOW) is Flaw.SIGNATURE


def test_a_cosignature_from_the_future_counts_for_nothing():
    trusted = policy(f"log {LOG.verifier.vkey}", *of(W1), "quorum W1")
    assert trusted.verify(cosigned(W1, time=NOW + FUTURE), NOW).times == {"W1": NOW + FUTURE}
    assert flaw_of(trusted.verify, cosigned(W1, time=NOW + FUTURE + 1), NOW) is Flaw.QUORUM


def test_of_several_cosignatures_of_one_witness_the_last_counts():
    trusted = policy(f"log {LOG.verifier.vkey}", *of(W1), "quorum W1")
    note = (
        cosigned(W1, time=NOW - 9) + W1.sign(TEXT, NOW).line.encode() + W1.sign(TEXT, NOW - 5).line.encode()
    )
    assert trusted.verify(note, NOW).times == {"W1": NOW}


def test_without_a_quorum_the_log_alone_is_believed():
    assert policy(f"log {LOG.verifier.vkey}", "quorum none").verify(CHECKPOINT, NOW).times == {}


def test_witnesses_and_logs_may_use_ml_dsa():
    beside = ml_dsa(LOG.name)
    trusted = policy(f"log {beside.public.vkey}", *of(ml_dsa_witness()), "quorum W1")
    assert trusted.verify(cosigned(beside, ml_dsa_witness()), NOW).times == {"W1": NOW}


def ml_dsa_witness() -> Cosigner:
    return Cosigner.of("w8.example", MLDSA44PrivateKey.from_seed_bytes(bytes(32)))


def test_comments_white_space_and_foreign_letters_are_allowed():
    data = (
        f"# caf\u00e9 \n\n \t \n\tlog\t {LOG.verifier.vkey}  \n  # comment\nwitness \u00e9 {W1.public.vkey} https://w/\n"
    ).encode()
    trusted = TrustPolicy.parse(
        data + b"witness \xff\xfe " + W2.public.vkey.encode() + b"\nquorum \xc3\xa9\n"
    )
    assert trusted.quorum == "\u00e9"
    assert trusted.witnesses["\u00e9"].url == "https://w/"
    assert len(trusted.witnesses) == 2


GOOD = [f"log {LOG.verifier.vkey}", *of(W1, W2, W3)]


@pytest.mark.parametrize(
    "lines",
    [
        GOOD,
        [*GOOD, "quorum none", "quorum none"],
        [*GOOD, "quorum W4"],
        [*GOOD, "quorum W1 W2"],
        [*GOOD, "quorum"],
        ["quorum W1", *GOOD],
        [*GOOD, "group G any", "quorum G"],
        [*GOOD, "group G 0 W1", "quorum G"],
        [*GOOD, "group G 2 W1", "quorum G"],
        [*GOOD, "group G 01 W1", "quorum G"],
        [*GOOD, "group G some W1", "quorum G"],
        [*GOOD, "group G any W1 W1", "quorum G"],
        [*GOOD, "group G any none", "quorum G"],
        [*GOOD, "group none any W1", "quorum none"],
        [*GOOD, "group W1 any W2", "quorum W1"],
        [*GOOD, "group G any H", "group H any W1", "quorum G"],
        [*GOOD, "group G any W1", "group H any W1 W2", "quorum H"],
        [*GOOD, GOOD[0], "quorum none"],
        [*GOOD, f"witness W4 {W1.public.vkey}", "quorum none"],
        [*GOOD, f"witness W1 {ed25519(4).public.vkey}", "quorum none"],
        [*GOOD, f"witness W4 {LOG.verifier.vkey}", "quorum none"],
        [f"log {W1.public.vkey}", "quorum none"],
        ["log", "quorum none"],
        [f"log {LOG.verifier.vkey} https://x more", "quorum none"],
        ["mirror x", "quorum none"],
        ["quorum none\r"],
        ["# \x7f", "quorum none"],
        [],
    ],
)
def test_malformed_policies_are_refused(lines):
    assert flaw_of(policy, *lines) is Flaw.POLICY_FORM


def test_a_policy_ends_with_a_newline():
    assert flaw_of(TrustPolicy.parse, b"quorum none") is Flaw.POLICY_FORM


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_a_policy_of_any_bytes_is_read_or_refused(data):
    with may_be_refused(Flaw.POLICY_FORM):
        TrustPolicy.parse(data)
