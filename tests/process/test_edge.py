"""PROTOCOL §2 on the wire: a running hub, real TLS, real HTTP."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime

import aiohttp
import pytest

from gateway.model import SERVICE, SoapVersion
from tests.path.hub import signed_question
from tests.process.running import running_hub

WORK = "WIB:WORK_DECISION"


@pytest.fixture
async def hub(tmp_path):
    async with running_hub(tmp_path, request_bytes=100_000, body_seconds=2.0) as running:
        yield running


def message(name: str = "BRUSSELS", context: str = WORK, version: SoapVersion = SoapVersion.V11) -> bytes:
    return signed_question(name, "consultDossier", context, None, datetime.now(UTC), version=version)


async def test_a_signed_question_gets_a_signed_answer(hub):
    status, answered = await hub.soap("BRUSSELS", message(), SOAPAction=f'"{SERVICE}/consultDossier"')
    assert (status, answered.code) == (200, None)
    assert answered.texts("familyName")


async def test_a_refusal_is_a_signed_fault_with_http_500(hub):
    status, answered = await hub.soap("BRUSSELS", message(context="WIB:RESIDENCE_DECISION"))
    assert (status, answered.code) == (500, "WIB07002")
    assert answered.texts("incident")


async def test_soap_12_is_answered_with_its_media_type(hub):
    headers = {"Content-Type": f'application/soap+xml; charset=utf-8; action="{SERVICE}/consultDossier"'}
    async with hub.request("BRUSSELS", data=message(version=SoapVersion.V12), headers=headers) as response:
        assert (response.status, response.content_type) == (200, "application/soap+xml")


async def test_a_soap_12_action_that_names_something_else_is_refused(hub):
    headers = {"Content-Type": 'application/soap+xml; charset=utf-8; action="urn:x"'}
    status, answered = await hub.soap("BRUSSELS", message(version=SoapVersion.V12), **headers)
    assert (status, answered.code) == (500, "WIB03005")


XML = {"Content-Type": "text/xml; charset=utf-8"}
BARE = {  # request → HTTP status and code
    "GET without a query": ({"method": "GET"}, 405, "WIB01001"),
    "PUT": ({"method": "PUT", "data": b"x", "headers": XML}, 405, "WIB01001"),
    "TRACE": ({"method": "TRACE"}, 405, "WIB01001"),
    "JSON": ({"data": b"{}", "headers": {"Content-Type": "application/json"}}, 415, "WIB01002"),
    "no media type": ({"data": b"x", "skip_auto_headers": ["Content-Type"]}, 415, "WIB01002"),
    "another charset": (
        {"data": b"x", "headers": {"Content-Type": "text/xml; charset=utf-16"}},
        415,
        "WIB01002",
    ),
    "MIME": ({"data": b"x", "headers": {"Content-Type": "multipart/related; boundary=b"}}, 415, "WIB01002"),
    "gzip": ({"data": b"x", "headers": {**XML, "Content-Encoding": "gzip"}}, 415, "WIB01003"),
    "an unknown encoding": (
        {"data": b"x", "headers": {**XML, "Content-Encoding": "compress"}},
        415,
        "WIB01003",
    ),
    "more bytes than the limit": ({"data": b"x" * 100_001, "headers": XML}, 413, "WIB01004"),
}


@pytest.mark.parametrize("flaw", BARE)
async def test_what_http_can_refuse_is_refused_before_any_parser(hub, flaw):
    request, status, code = BARE[flaw]
    async with hub.request("BRUSSELS", **request) as response:
        text = await response.text()
        assert (response.status, text[:8]) == (status, code)


async def test_endless_chunks_stop_at_the_limit(hub):
    async def endless():
        for _ in range(50):
            yield b"x" * 10_000

    async with hub.request("BRUSSELS", data=endless(), headers=XML) as response:
        assert response.status == 413


async def test_a_body_that_does_not_arrive_is_given_up(hub):
    async def stalled():
        yield b"<x>"
        await asyncio.sleep(5)

    async with hub.request("BRUSSELS", data=stalled(), headers=XML) as response:
        assert response.status == 408


async def test_a_soap_12_message_under_the_media_type_of_soap_11_is_refused(hub):
    async with hub.request("BRUSSELS", data=message(version=SoapVersion.V12), headers=XML) as response:
        assert (response.status, (await response.text())[:8]) == (415, "WIB01002")


async def test_unparsable_xml_gets_a_signed_soap_11_fault(hub):
    status, answered = await hub.soap("BRUSSELS", b"<not-xml")
    assert (status, answered.code) == (500, "WIB02001")


async def test_a_client_without_certificate_gets_no_connection(hub):
    with pytest.raises(aiohttp.ClientError):
        async with hub.request(None, data=message(), headers=XML):
            pass


async def test_only_the_exact_path_is_served(hub):
    for path in ("/", "/../metrics", "x", "/admin"):
        async with hub.request("BRUSSELS", "GET", path) as response:
            assert response.status == 404


async def test_each_authority_is_served_its_own_contract(hub):
    served = {}
    for name in ("BRUSSELS", "NSSO"):
        async with hub.request(name, "GET", "?singleWsdl") as response:
            assert response.status == 200
            served[name] = await response.text()
    assert 'name="salary"' in served["BRUSSELS"]
    assert 'name="salary"' not in served["NSSO"]
    assert hub.url not in served["NSSO"]  # the public URL, not where the process listens


async def test_an_unknown_document_is_not_found(hub):
    async with hub.request("BRUSSELS", "GET", "?wsdl=../../etc/passwd") as response:
        assert response.status == 404


async def test_the_operations_listener_tells_how_the_hub_is(hub):
    await hub.soap("BRUSSELS", message())
    await hub.soap("BRUSSELS", message(context="WIB:NOTHING"))
    async with aiohttp.ClientSession() as session:
        for path in ("/healthz", "/readyz"):
            async with session.get(hub.operations + path) as response:
                assert response.status == 200
        async with session.get(hub.operations + "/metrics") as response:
            exposition = await response.text()
    assert (
        'gateway_exchanges_total{authority="BRUSSELS",operation="consultDossier",outcome="released"} 1.0'
        in exposition
    )
    assert 'gateway_refusals_total{code="context-unknown"} 1.0' in exposition
    assert 'gateway_refusals_total{code="identities-differ"} 0.0' in exposition  # seen to rise at its first
    assert re.search(r'^gateway_log_entries\{origin="[^"]+"\} 3.0$', exposition, re.MULTILINE)
    # Seen to rise at its first, too.
    assert 'gateway_turned_away_total{authority="MUN_LIEGE",code="quota"} 0.0' in exposition
    assert 'gateway_revocation_grace_total{authority="MUN_LIEGE"} 0.0' in exposition


async def test_one_json_line_for_each_request(hub):
    await hub.soap("BRUSSELS", message())
    await hub.soap("BRUSSELS", b"<not-xml")
    lines = [json.loads(line) for line in hub.lines.getvalue().splitlines()]
    exchanges = [line for line in lines if line["event"] == "exchange"]
    assert [(line["outcome"], line["code"]) for line in exchanges] == [
        ("released", None),
        ("refused", "WIB02001"),
    ]


async def test_an_answer_never_crosses_to_another_requester(hub):
    names = ["BRUSSELS", "IMMIGRATION_OFFICE"] * 10
    contexts = {"BRUSSELS": WORK, "IMMIGRATION_OFFICE": "WIB:RESIDENCE_DECISION"}
    answers = await asyncio.gather(*(hub.soap(name, message(name, contexts[name])) for name in names))
    for name, (status, answered) in zip(names, answers, strict=True):
        assert status == 200
        assert answered.texts("cbeNumber")[0] == {"BRUSSELS": "0999022202"}.get(name, "0999066643")
