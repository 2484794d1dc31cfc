"""`outbound.allow` in a running hub and in `gateway check`: where a name leads counts when it is followed (attack R17)."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.process.bare_provider import Wire, consult, hub_before, response
from tests.process.bare_provider import honest as honestly
from tests.process.test_check import check, codes, made, place, setting

__all__ = ["made", "place"]  # fixtures

ADDRESS = "https://127.0.0.1:1/soap"


async def well(wire, body):
    yield response(honestly(body))


class Named(Wire):
    """A provider that the register knows by a name."""

    def __init__(self, name: str):
        super().__init__(well)
        self.name = name

    async def provider(self, *arguments: object) -> str:
        return (await super().provider(*arguments)).replace("127.0.0.1", self.name)


@pytest.mark.parametrize(
    ("allow", "code"), [('["127.0.0.0/8"]', None), ('["10.0.0.0/8"]', "WIB09011"), ("[]", "WIB09011")]
)
async def test_a_name_that_leads_to_an_address_not_listed_is_not_followed(tmp_path, allow, code):
    wire = Named("localhost")
    async with hub_before(wire, tmp_path, allow=allow) as hub:
        assert (await consult(hub))[1].code == code
    assert (wire.connections, len(wire.requests)) == ((1, 1) if code is None else (0, 0))


async def test_a_name_that_is_bound_anew_leads_nowhere(tmp_path, monkeypatch):
    """It was allowed when somebody looked; then it leads to a service inside, on the same port."""
    wire, leads_to, real = Named("provider.example"), ["127.0.0.1"], socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: real(
            leads_to[0] if host in {"provider.example", b"provider.example"} else host, *rest, **more
        ),
    )
    async with hub_before(wire, tmp_path, allow='["127.0.0.1/32"]') as hub:
        assert codes(Path(tmp_path)) == []
        leads_to[0] = "127.0.0.2"
        with closing(socket.create_server(("127.0.0.2", urlsplit(wire.url).port))) as inside:
            assert (await consult(hub))[1].code == "WIB09011"
            inside.settimeout(0)
            with pytest.raises(BlockingIOError):
                inside.accept()
        assert codes(Path(tmp_path)) == ["CFG023"]


# gateway check.


def test_a_network_that_is_none_is_found(place):
    setting(place, '["127.0.0.0/8"]', '["127.0.0.1/8"]')
    assert codes(place) == ["CFG022"]


def test_an_endpoint_at_an_address_that_is_not_allowed_is_found(place):
    setting(place, '["127.0.0.0/8"]', '["10.0.0.0/8"]')
    assert codes(place) == ["CFG023"]
    assert "PLATFORM" in check(place).stderr
    assert check(place, "--without-names").exit_code == 1


NAMES = {"localhost": None, "no-such-host.invalid": "CFG024"}


@pytest.mark.parametrize("name", NAMES)
def test_where_a_name_leads_is_asked_unless_it_should_not_be(place, name):
    register = place / "register.toml"
    register.write_text(register.read_text().replace(ADDRESS, ADDRESS.replace("127.0.0.1", name)))
    assert codes(place) == ([NAMES[name]] if NAMES[name] else [])
    assert check(place, "--without-names").exit_code == 0
    setting(place, '["127.0.0.0/8"]', '["10.0.0.0/8"]')
    assert codes(place) == [NAMES[name] or "CFG023"]
    assert check(place, "--without-names").exit_code == 0
