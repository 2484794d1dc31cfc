"""Keys in a token that cannot be used: `gateway check` finds what `gateway serve` refuses, each by its code.

A hub's directory in order; one thing is broken: in the settings, at the PIN, in the token.
"""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.path import hub as memory
from tests.process.sandboxes import gateway
from tests.process.test_check import check, codes, serve, setting
from tests.process.tokens import PIN, SoftToken, program

# A key of one's own making, by python-pkcs11; and a label that is moved on to it.
RSA = "session.generate_keypair(pkcs11.KeyType.RSA, 2048, store=True, label='own', id=b'9'"
LEAVES = f"{RSA}, private_template={{pkcs11.Attribute.EXTRACTABLE: True, pkcs11.Attribute.SENSITIVE: False}})"
SHOWN = f"{RSA}, private_template={{pkcs11.Attribute.SENSITIVE: False}})"
MUTE = f"{RSA}, private_template={{pkcs11.Attribute.SIGN: False}})"
NO_PUBLIC = (
    "next(session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY,"
    " pkcs11.Attribute.LABEL: 'log'})).destroy()"
)


def test_keys_in_a_token_are_accepted_by_label_and_by_id(token, held_place):
    assert codes(held_place) == []
    setting(held_place, "object=sign-rsa", "id=%01")
    setting(held_place, "object=log", "object=log;id=%03;type=private")
    assert codes(held_place) == []


SETTINGS = {  # flaw → what is replaced in the settings, by what, and the code
    "no such library": ("module-path=/usr", "module-path=/none", "CFG030"),
    "a file that is no library": ("libsofthsm2.so", "../../share/man/man1/softhsm2-util.1.gz", "CFG030"),
    "no such token": ("token=wib", "token=other", "CFG031"),
    "no token with this serial": ("token=wib", "token=wib;serial=none", "CFG031"),
    "no such key": ("object=sign-rsa", "object=none", "CFG033"),
    "no key with this label and id": ("object=sign-rsa", "object=sign-rsa;id=%02", "CFG033"),
    "an elliptic key for RSA": ("object=sign-rsa", "object=sign-ec", "CFG004"),
    "an RSA key for the log": ("object=log", "object=sign-rsa", "CFG004"),
    "the PIN in the URI": ("softhsm2.so&", f"softhsm2.so&pin-value={PIN}&", "CFG002"),
    "no file with the PIN": ("softhsm2.so&pin-source=file:", "softhsm2.so&pin-source=file:/none", "CFG003"),
    "a TLS key in a token": ('tls_key = "pki/HUB/tls.key.pem"', 'tls_key = "pkcs11:token=wib"', "CFG002"),
    "a payload key in a token": ('"pki/HUB/payload.key"', '"pkcs11:token=wib"', "CFG002"),
}


@pytest.mark.parametrize("flaw", SETTINGS)
def test_settings_that_name_no_usable_key_are_refused(held_place, flaw):
    old, new, code = SETTINGS[flaw]
    setting(held_place, old, new)
    assert codes(held_place) == [code]


def spoil_pin(token: SoftToken) -> None:
    token.pin.write_text("wrong-pin")


def test_lease_outlasts_the_signature_of_a_token_too(held_place):
    setting(held_place, "lease_seconds = 120.0", "lease_seconds = 25.0")
    assert codes(held_place) == ["CFG017"]
    setting(held_place, "lease_seconds = 25.0", "lease_seconds = 25.1")
    assert codes(held_place) == []


PLACES = {  # flaw → what is done to the file with the PIN, and the code
    "another PIN": (spoil_pin, "CFG032"),
    "no PIN in the file": (lambda token: token.pin.write_text("\n"), "CFG032"),
    "no text in the file": (lambda token: token.pin.write_bytes(b"\xff\xfe"), "CFG032"),
    "readable by the group": (lambda token: token.pin.chmod(0o640), "CFG009"),
    "in a directory that others may write to": (lambda token: token.place.chmod(0o777), "CFG009"),
}


@pytest.mark.parametrize("flaw", PLACES)
def test_pin_that_cannot_be_used_is_told_once_for_all_keys(token, held_place, flaw):
    spoil, code = PLACES[flaw]
    spoil(token)
    token.look_again()
    assert codes(held_place) == [code]
    token.look_again()
    told = check(held_place).stderr
    assert PIN not in told
    assert "wrong-pin" not in told


def test_no_second_pin_is_given_before_somebody_logged_in_by_hand(token, held_place):
    """`gateway check`, the start, the next start: three wrong PINs would lock many a token."""
    right = token.pin.read_text()
    spoil_pin(token)
    assert serve(held_place).returncode == 1
    token.pin.write_text(right)
    token.look_again()
    assert codes(held_place) == ["CFG032"]
    assert token.run("print('in')").stdout == "in\n"
    assert codes(held_place) == []


KEYS = {  # flaw → what is done in the token, the setting that then names that key, and the code
    "one that can be taken out": (LEAVES, "object=sign-rsa", "CFG034"),
    "one that shows itself": (SHOWN, "object=sign-rsa", "CFG034"),
    "one that may not sign": (MUTE, "object=sign-rsa", "CFG035"),
    "one of another certificate": (f"{RSA})", "object=sign-rsa", "CFG007"),
    "a log's key without its public half": (NO_PUBLIC, None, "CFG033"),
}


@pytest.mark.parametrize("flaw", KEYS)
def test_key_that_is_not_as_it_should_be_is_refused(token, held_place, flaw):
    statement, named, code = KEYS[flaw]
    done = token.run(statement)
    assert done.returncode == 0, done.stderr
    if named is not None:
        setting(held_place, named, "object=own")
    token.look_again()
    assert codes(held_place) == [code]


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=lambda curve: curve.name)
def test_elliptic_key_of_another_certificate_is_refused(token, held_place, curve):
    other = ec.generate_private_key(curve)
    token.hold("other", other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "11")
    setting(held_place, "object=sign-ec", "object=other")
    token.look_again()
    assert codes(held_place) == ["CFG007"]


def test_two_keys_of_one_label_are_told_apart_by_id_only(token, held_place):
    token.hold("sign-ec", memory.pki()["BRUSSELS/sign.key.pem"], "12")
    token.look_again()
    assert codes(held_place) == ["CFG033"]
    setting(held_place, "object=sign-ec", "object=sign-ec;id=%02")
    assert codes(held_place) == []


def test_two_tokens_of_one_label_are_not_guessed_between(token, held_place):
    token.initialise()
    token.look_again()
    assert codes(held_place) == ["CFG031"]


def test_tls_key_that_is_only_a_name_of_one_in_a_token_is_refused(held_place):
    """The PEM form of OpenSSL's PKCS #11 provider, which would be called from the event loop."""
    uri = base64.encodebytes(b"\x30\x00").decode()
    kind = "PKCS#11 PROVIDER URI"
    key = held_place / "pki/HUB/tls.key.pem"
    key.write_text(f"-----BEGIN {kind}-----\n{uri}-----END {kind}-----\n")
    assert codes(held_place) == ["CFG004"]


def test_start_and_commands_of_the_log_refuse_what_the_check_finds(held_place):
    setting(held_place, "token=wib", "token=other")
    setting(held_place, "object=log", "object=none")
    done = serve(held_place)
    assert (done.returncode, [line[:6] for line in done.stderr.splitlines()]) == (1, codes(held_place))
    told = program(gateway("log", "vkey", "--config", str(held_place / "gateway.toml")))
    assert (told.returncode, told.stderr[:6]) == (1, "CFG033")
