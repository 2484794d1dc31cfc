"""RFC 7512 as far as the gateway takes it: which key, which token, which library, where the PIN is."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.adapters.pkcs11_uri import Pkcs11Uri

QUERY = "module-path=/usr/lib/p11.so&pin-source=file:/etc/pin"
GOOD = f"pkcs11:token=wib;object=sign-rsa?{QUERY}"
SECRET = "4711-secret"


def test_what_a_uri_names():
    found = Pkcs11Uri.parse(GOOD)
    assert (found.token, found.object, found.serial, found.id) == ("wib", "sign-rsa", None, None)
    assert (found.module, found.pin) == (Path("/usr/lib/p11.so"), Path("/etc/pin"))
    assert found.what == "key sign-rsa in token wib"


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("token=The%20Software%20PKCS%2311%20Softtoken;object=a", "token", "The Software PKCS#11 Softtoken"),
        ("serial=DECC0401648;object=a", "serial", "DECC0401648"),
        ("token=wib;id=%00%01%ff", "id", b"\x00\x01\xff"),
        ("token=wib;object=cl%C3%A9", "object", "clé"),
        ("token=wib;object=a;type=private", "object", "a"),
    ],
)
def test_names_are_percent_encoded(path, name, value):
    assert getattr(Pkcs11Uri.parse(f"pkcs11:{path}?{QUERY}"), name) == value


@pytest.mark.parametrize("source", ["file:/etc/pin", "file:///etc/pin", "/etc/pin"])
def test_a_file_of_the_pin_is_named_in_each_of_its_forms(source):
    uri = GOOD.replace("pin-source=file:/etc/pin", f"pin-source={source}")
    assert Pkcs11Uri.parse(uri).pin == Path("/etc/pin")


REFUSED = {
    "the PIN itself": f"{GOOD}&pin-value={SECRET}",
    "the PIN among the names": GOOD.replace("?", f";pin-value={SECRET}?"),
    "an attribute that is not known": GOOD.replace("object=", f"manufacturer={SECRET};object="),
    "an attribute of the query in the path": GOOD.replace("?", "&"),
    "a program in place of a file": GOOD.replace("file:/etc/pin", "%7C/usr/bin/pin"),
    "no token": GOOD.replace("token=wib;", ""),
    "no key": GOOD.replace(";object=sign-rsa", ""),
    "no library": GOOD.replace("module-path=/usr/lib/p11.so&", ""),
    "a library by its name alone": GOOD.replace("/usr/lib/p11.so", "p11.so"),
    "no file with the PIN": GOOD.replace("&pin-source=file:/etc/pin", ""),
    "a relative file": GOOD.replace("file:/etc/pin", "file:pin"),
    "two tokens": GOOD.replace("token=wib", "token=wib;token=other"),
    "an empty name": GOOD.replace("token=wib", "token="),
    "a public key": GOOD.replace("object=", "type=public;object="),
    "a broken escape": GOOD.replace("token=wib", "token=%2"),
    "a control character": GOOD.replace("token=wib", "token=wib%0A"),
    "no UTF-8": GOOD.replace("token=wib", "token=%ff"),
    "a space": GOOD.replace("token=wib", "token=w ib"),
    "nothing": "pkcs11:",
}


@pytest.mark.parametrize("flaw", REFUSED)
def test_anything_else_is_refused_and_not_repeated(flaw):
    with pytest.raises(ValueError) as refused:
        Pkcs11Uri.parse(REFUSED[flaw])
    assert SECRET not in str(refused.value)
