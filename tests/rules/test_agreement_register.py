"""The register of authorities: who is who, and nobody twice."""

from __future__ import annotations

import json

import pytest

from gateway.agreement.finding import RegisterError
from gateway.agreement.register import Register, load_register
from gateway.model import Enterprise, Role
from tests.rules.agreement_files import REGISTER, ROOT

DATA = (ROOT / REGISTER).read_bytes()
SHIPPED = load_register(DATA, REGISTER)


def test_the_shipped_register_has_every_authority():
    assert [authority.id for authority in SHIPPED.authorities] == [
        "PLATFORM", "BRUSSELS", "FLANDERS", "WALLONIA", "GERMAN_COMMUNITY", "IMMIGRATION_OFFICE", "POST_RABAT",
        "POST_NEW_DELHI", "MUN_BRUSSELS", "MUN_LIEGE", "MUN_EUPEN", "NSSO",
    ]  # fmt: skip
    assert {authority.role for authority in SHIPPED.authorities} == set(Role)
    assert all(authority.endpoint is None for authority in SHIPPED.authorities)
    assert SHIPPED.hub.role is None


def test_platform_and_social_security_are_one_enterprise_and_two_authorities():
    platform, nsso = SHIPPED.by_id["PLATFORM"], SHIPPED.by_id["NSSO"]
    assert platform.enterprise.cbe == nsso.enterprise.cbe
    assert SHIPPED.by_enterprise(platform.enterprise) is platform
    assert SHIPPED.by_enterprise(nsso.enterprise) is nsso
    assert SHIPPED.by_enterprise(Enterprise(platform.enterprise.cbe)) is None
    assert SHIPPED.by_enterprise(Enterprise(platform.enterprise.cbe, "OTHER")) is None


def test_every_authority_is_found_by_its_identity():
    for authority in SHIPPED.authorities:
        assert SHIPPED.by_enterprise(authority.enterprise) is authority
        assert SHIPPED.by_id[authority.id] is authority
        assert SHIPPED.names[authority.id].en == authority.name


def test_the_hub_is_found_by_no_lookup():
    assert SHIPPED.by_enterprise(SHIPPED.hub.enterprise) is None
    assert "HUB" not in SHIPPED.by_id


def test_a_suspended_authority_is_known_but_not_asked():
    text = DATA.decode().replace("active = true", "active = false", 2)  # platform and Brussels
    register = load_register(text.encode(), REGISTER)
    assert [one.id for one in register.active(Role.REG)] == ["FLANDERS", "WALLONIA", "GERMAN_COMMUNITY"]
    assert register.by_id["BRUSSELS"].active is False
    assert register.by_enterprise(register.by_id["BRUSSELS"].enterprise) is not None


def test_the_only_one_of_a_role_can_be_suspended_and_its_successor_takes_its_place():
    """An authority whose keys were stolen is taken off at once; that must not stop everybody else."""
    office = 'id = "IMMIGRATION_OFFICE"'
    line = DATA.decode().partition(f"[[authority]]\n{office}")[2]
    line = f"[[authority]]\n{office}{line.partition('[[authority]]')[0]}"
    suspended = line.replace("active = true", "active = false")
    text = DATA.decode().replace(line, suspended)
    assert load_register(text.encode(), REGISTER).active(Role.OE) == ()
    successor = line.replace("IMMIGRATION_OFFICE", "NEW_OFFICE").replace("0999066643", "0998044480")
    successor = successor.replace("immigration-office", "new-office")
    register = load_register(text.replace(suspended, suspended + successor).encode(), REGISTER)
    assert [one.id for one in register.active(Role.OE)] == ["NEW_OFFICE"]


def served(url: str) -> Register:
    line = 'id = "BRUSSELS"\n'
    assert line in DATA.decode()
    return load_register(
        DATA.decode().replace(line, f"{line}endpoint = {json.dumps(url)}\n").encode(), REGISTER
    )


def test_an_authority_may_have_an_endpoint():
    register = served("https://brussels.wib.example/soap/v1")
    assert register.by_id["BRUSSELS"].endpoint == "https://brussels.wib.example/soap/v1"
    assert register.by_id["FLANDERS"].endpoint is None
    assert SHIPPED.by_id["BRUSSELS"].endpoint is None


@pytest.mark.parametrize(
    "url",
    [
        "http://brussels.wib.example/",
        "file:///etc/passwd",
        "https://user:secret@brussels.wib.example/",
        "https://brussels.wib.example/?op=x",
    ],
)
def test_endpoint_is_refused(url):
    with pytest.raises(RegisterError) as refused:
        served(url)
    assert refused.value.findings[0].path == "authority[1 BRUSSELS].endpoint"


# Sentence of the case → (old text, new text, path of the finding, part of its sentence). [1] is Brussels, [2] Flanders.
BROKEN = {
    "an id twice": ('id = "FLANDERS"', 'id = "BRUSSELS"', "authority[2 BRUSSELS].id", "same as authority[1 BRUSSELS].id"),
    "the hub's id": ('id = "FLANDERS"', 'id = "HUB"', "authority[2 HUB].id", "same as hub.id"),
    "a malformed id": ('id = "FLANDERS"', 'id = "Flanders"', "authority[2 Flanders].id", "form"),
    "an identity twice": ('"0999033385"', '"0999022202"', "authority[2 FLANDERS].cbe", "same as authority[1 BRUSSELS].cbe"),
    "the hub's identity": ('"0999033385"', '"0999099901"', "authority[2 FLANDERS].cbe", "same as hub.cbe"),
    "a number with and without unit": ('"0999033385"', '"0999011116"', "authority[0 PLATFORM].unit", "without a unit"),
    "wrong check digits": ('"0999033385"', '"0999033386"', "authority[2 FLANDERS].cbe", "check digits"),
    "a number with dots": ('"0999033385"', '"0999.033.385"', "authority[2 FLANDERS].cbe", "check digits"),
    "a TLS name twice": ('"flanders.wib.example"', '"brussels.wib.example"', "authority[2 FLANDERS].tls_name", "same as authority[1 BRUSSELS]"),
    "a TLS wildcard": ('"flanders.wib.example"', '"*.wib.example"', "authority[2 FLANDERS].tls_name", "form"),
    "an unknown role": ('role = "OE"', 'role = "DVZ"', "authority[5 IMMIGRATION_OFFICE].role", 'no role "DVZ"'),
    "a region twice": ('region = "FLANDERS"', 'region = "BRUSSELS"', "authority[2 FLANDERS].region", "same as authority[1 BRUSSELS].region"),
    "a region without code": ('region = "FLANDERS"\n', "", "authority[2 FLANDERS].region", "must have one"),
    "a municipality of no region": ('nis = "21004"\nregion = "BRUSSELS"', 'nis = "21004"\nregion = "LUX"', "authority[8 MUN_BRUSSELS].region", "no authority of region"),
    "a municipality without NIS code": ('nis = "21004"\n', "", "authority[8 MUN_BRUSSELS].nis", "must have one"),
    "a malformed NIS code": ('nis = "21004"', 'nis = "2100"', "authority[8 MUN_BRUSSELS].nis", "form"),
    "a post without code": ('post = "RABAT"\n', "", "authority[6 POST_RABAT].post", "must have one"),
    "a NIS code of a region": ('region = "FLANDERS"', 'region = "FLANDERS"\nnis = "21004"', "authority[2 FLANDERS].nis", "has none"),
    "a second active platform": ('role = "REG"\ncbe = "0999033385"\nregion = "FLANDERS"', 'role = "PLAT"\ncbe = "0999033385"', "authority[2 FLANDERS].role", "one active PLAT already: authority[0 PLATFORM]"),
    "a second Immigration Office": ('role = "NSSO"', 'role = "OE"', "authority[11 NSSO].role", "one active OE already"),
    "no social security": ('role = "NSSO"', 'role = "OE"', "authority", "the register has no authority of role NSSO"),
    "a municipality twice": ('nis = "62063"', 'nis = "21004"', "authority[9 MUN_LIEGE].nis", "same as authority[8 MUN_BRUSSELS].nis"),
    "a post twice": ('post = "NEW-DELHI"', 'post = "RABAT"', "authority[7 POST_NEW_DELHI].post", "same as authority[6 POST_RABAT].post"),
    "a line without id": ('id = "FLANDERS"\n', "", "authority[2]", "missing required field `id`"),
    "an unknown suite": ('suite = "ecdsa-sha256"', 'suite = "rsa-sha1"', "authority[2 FLANDERS].suite", "invalid enum value"),
    "a plain endpoint": ('region = "FLANDERS"', 'region = "FLANDERS"\nendpoint = "http://x/"', "authority[2 FLANDERS].endpoint", "form"),
    "an unknown key": ("active = true", "enabled = true", "authority[0 PLATFORM]", "unknown field `enabled`"),
    "a missing key": ("active = true\n", "", "authority[0 PLATFORM]", "missing required field `active`"),
    "a missing language": (', de = "Flämisches Ministerium für Arbeit und Sozialwirtschaft"', "", "authority[2 FLANDERS].name", "missing required field `de`"),
    "a word for a switch": ("active = true", 'active = "yes"', "authority[0 PLATFORM].active", "expected `bool`"),
    "no hub": ("[hub]", "[gateway]", "hub", "missing"),
    "an unknown table": ("[hub]", "[gateway]", "gateway", "no such table"),
    "a hub that plays a role": ('id = "HUB"', 'id = "HUB"\nrole = "PLAT"', "hub", "unknown field `role`"),
    "a file that is not TOML": ("[hub]", "[hub", "", "not TOML"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_register_is_refused_for(case):
    old, new, path, sentence = BROKEN[case]
    assert old in DATA.decode()
    with pytest.raises(RegisterError) as refused:
        load_register(DATA.decode().replace(old, new, 1).encode(), REGISTER)
    assert any(
        finding.file == REGISTER and finding.path == path and sentence in finding.sentence
        for finding in refused.value.findings
    ), refused.value


def test_authorities_that_are_no_list_are_refused():
    with pytest.raises(RegisterError):
        load_register(DATA.decode().partition("[[authority]]")[0].encode() + b"[authority]\n", REGISTER)
