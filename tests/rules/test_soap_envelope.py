"""The skeleton of a SOAP message and what its header may ask for (attacks P39–P41, S10, W20–W26)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.model import Addressing
from gateway.refusal import Code
from tests.world import (
    ACTION,
    ANONYMOUS,
    CONTENT,
    V11,
    V12,
    WSA,
    WSSE,
    Draft,
    accept,
    build,
    refused,
    reply_to,
    wsa,
)

OTHER = '<x:block xmlns:x="urn:x"{}>x</x:block>'
UUID = "urn:uuid:0b7a3c4e-6f1d-4b7e-9a55-0d6a1f0d9b1c"
ADDRESSING_2004 = '<a:Action xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"{}>urn:x</a:Action>'


def edited(*edit: tuple[str, str], **changes) -> Callable[[], bytes]:
    return lambda: build(edit=edit, **changes)


def written(*edit: tuple[str, str]) -> Callable[[], bytes]:
    """A message that is refused before its signature matters: the signature stays empty."""
    return lambda: Draft(edit=edit).text().encode()


def with_blocks(blocks: str, version=V11) -> Callable[[], bytes]:
    return lambda: build(blocks=blocks, version=version)


VERSIONS = {
    "an unknown envelope namespace": written((f'"{V11.value}"', '"http://www.w3.org/2001/12/soap-envelope"')),
    "no namespace": written(("<soap:Envelope", "<Envelope"), ("</soap:Envelope", "</Envelope")),
    "a namespace that only looks right": written((f'"{V11.value}"', f'"{V11.value[:-1]}"')),
    "a body without envelope": CONTENT.encode,
    "another root in the SOAP namespace": written(
        ("<soap:Envelope", "<soap:Body"), ("</soap:Envelope", "</soap:Body")
    ),
}


@pytest.mark.parametrize("broken", VERSIONS.values(), ids=VERSIONS)
def test_an_envelope_of_no_soap_version_is_refused(broken):
    assert refused(broken()) is Code.SOAP_VERSION


@pytest.mark.parametrize("version", [V11, V12])
def test_both_soap_versions_are_accepted(version):
    assert accept(build(version=version)).version is version


BODY, HEADER_END = f'<soap:Body wsu:Id="body">{CONTENT}</soap:Body>', "</wsse:Security></soap:Header>"
FOREIGN_BODY = BODY.replace("<soap:Body", f'<o:Body xmlns:o="{V12.value}"').replace("/soap:Body", "/o:Body")
STRUCTURE = {
    "no Header": f'<soap:Envelope xmlns:soap="{V11.value}"><soap:Body>{CONTENT}</soap:Body></soap:Envelope>'.encode,
    "no Body": written((BODY, "")),
    "two Bodies": written((BODY, BODY + "<soap:Body><x/></soap:Body>")),
    "two Headers": written(("<soap:Header", "<soap:Header/><soap:Header")),
    "Body before Header": written((BODY, ""), ("<soap:Header", BODY + "<soap:Header")),
    "an element after the Body": written((BODY, BODY + "<x/>")),
    "an element between Header and Body": written((BODY, "<x/>" + BODY)),
    "a Body of the other SOAP version": written((BODY, FOREIGN_BODY)),
    "an empty Body": edited((CONTENT, "")),
    "a Body of text": edited((CONTENT, "text")),
    "two operations in one Body": edited((CONTENT, CONTENT + CONTENT)),
    "text before the operation": edited((CONTENT, "x" + CONTENT)),
    "text after the operation": edited((CONTENT, CONTENT + "x")),
    "text in the envelope": edited((BODY, "x" + BODY)),
    "text after the Body": edited((BODY, BODY + "x")),
    "text in the Header": edited(("<wsse:Security>", "x<wsse:Security>")),
    "text after the security header": edited((HEADER_END, "</wsse:Security>x</soap:Header>")),
}


@pytest.mark.parametrize("broken", STRUCTURE.values(), ids=STRUCTURE)
def test_anything_but_one_header_and_one_body_with_one_element_is_refused(broken):
    assert refused(broken()) is Code.SOAP_STRUCTURE


def test_white_space_between_the_elements_is_no_matter():
    spaced = (("<soap:Header", "\n <soap:Header"), (BODY, f"\n {BODY}\n"), (CONTENT, f"\r\n\t{CONTENT}\n"))
    assert accept(build(edit=spaced))


UNDERSTOOD = {
    "an unknown block": (OTHER.format(' soap:mustUnderstand="{}"'), V11),
    "an unknown block of SOAP 1.2": (OTHER.format(' soap:mustUnderstand="{}"'), V12),
    "an unknown block for the next node": (
        OTHER.format(f' soap:role="{V12.value}/role/next" soap:mustUnderstand="{{}}"'),
        V12,
    ),
    "addressing of 2004": (ADDRESSING_2004.format(' soap:mustUnderstand="{}"'), V11),
    "reliable messaging": (
        '<r:Sequence xmlns:r="http://docs.oasis-open.org/ws-rx/wsrm/200702" soap:mustUnderstand="{}"/>',
        V12,
    ),
    "another version of the security header": (
        '<w:Security xmlns:w="http://schemas.xmlsoap.org/ws/2002/12/secext" soap:mustUnderstand="{}"/>',
        V11,
    ),
}


@pytest.mark.parametrize(("block", "version"), UNDERSTOOD.values(), ids=UNDERSTOOD)
def test_a_block_that_must_be_understood_and_is_not_is_refused(block, version):
    for required in ("1", "true", " true ", "yes", "2"):
        assert refused(build(blocks=block.format(required), version=version)) is Code.MUST_UNDERSTAND
    for optional in ("0", "false"):
        assert accept(build(blocks=block.format(optional), version=version))


def test_must_understand_of_the_other_soap_version_says_nothing():
    block = OTHER.format(f' o:mustUnderstand="1" xmlns:o="{V12.value}"')
    assert accept(build(blocks=block, version=V11))
    assert refused(build(blocks=block, version=V12)) is Code.MUST_UNDERSTAND


@pytest.mark.parametrize("value", ["0", "1", "true", "false"])
def test_the_blocks_that_are_understood_may_be_marked(value):
    assert accept(build(security=f' soap:mustUnderstand="{value}"'))
    action = wsa("Action", ACTION).replace("<wsa:Action", f'<wsa:Action soap:mustUnderstand="{value}"')
    assert accept(build(blocks=action)).addressing.action == ACTION


SECURITY_HEADERS = {
    "none": (
        f'<soap:Envelope xmlns:soap="{V11.value}"><soap:Header/><soap:Body>{CONTENT}</soap:Body></soap:Envelope>'.encode,
        build,
    ),
    "two": (with_blocks("<wsse:Security/>"), with_blocks('<x:Security xmlns:x="urn:x"/>')),
    "a second one for another role": (
        with_blocks('<wsse:Security soap:role="urn:somebody"/>', V12),
        with_blocks('<x:Security xmlns:x="urn:x" soap:role="urn:somebody"/>', V12),
    ),
    "an actor": (
        lambda: build(security=' soap:actor="http://schemas.xmlsoap.org/soap/actor/next"'),
        lambda: build(security=' soap:actor=""'),
    ),
    "a role": (
        lambda: build(security=f' soap:role="{V12.value}/role/ultimateReceiver"', version=V12),
        lambda: build(security=' soap:relay="true"', version=V12),
    ),
    "the role none": (
        lambda: build(security=f' soap:role="{V12.value}/role/none"', version=V12),
        lambda: build(version=V12),
    ),
    "one in a namespace that only looks right": (
        lambda: build(edit=((f'xmlns:wsse="{WSSE}"', f'xmlns:wsse="{WSSE}/"'),)),
        build,
    ),
}


@pytest.mark.parametrize(("broken", "twin"), SECURITY_HEADERS.values(), ids=SECURITY_HEADERS)
def test_anything_but_one_security_header_for_us_is_refused(broken, twin):
    assert refused(broken()) is Code.SECURITY_HEADER
    assert accept(twin())


ADDRESSING = {
    **{
        f"{name} twice": (wsa(name, value) * 2, wsa(name, value))
        for name, value in {
            "To": "https://hub.example/soap",
            "From": f"<wsa:Address>{ANONYMOUS}</wsa:Address>",
            "ReplyTo": f"<wsa:Address>{ANONYMOUS}</wsa:Address>",
            "FaultTo": f"<wsa:Address>{ANONYMOUS}</wsa:Address>",
            "MessageID": UUID,
            "RelatesTo": UUID,
            "Action": ACTION,
        }.items()
    },
    "a reply elsewhere": (reply_to("http://canary.example/"), reply_to(ANONYMOUS)),
    "a reply by mail": (reply_to("mailto:canary@example.org"), reply_to(f" {ANONYMOUS}\n")),
    "a reply nowhere": (reply_to(f"{WSA}/none"), reply_to(ANONYMOUS)),
    "a fault elsewhere": (reply_to("http://canary.example/", "FaultTo"), reply_to(ANONYMOUS, "FaultTo")),
    "a reply address that only begins well": (reply_to(f"{ANONYMOUS}@canary.example"), reply_to(ANONYMOUS)),
    "a reply without address": (wsa("ReplyTo", ""), reply_to(ANONYMOUS)),
    "a reply address in text": (wsa("ReplyTo", ANONYMOUS), reply_to(ANONYMOUS)),
    "a reply address with a child": (reply_to(f"{ANONYMOUS}<x/>"), reply_to(ANONYMOUS)),
    "two reply addresses": (
        wsa("ReplyTo", f"<wsa:Address>{ANONYMOUS}</wsa:Address>" * 2),
        reply_to(ANONYMOUS),
    ),
    "a reply with reference parameters": (
        wsa("ReplyTo", f"<wsa:Address>{ANONYMOUS}</wsa:Address><wsa:ReferenceParameters><x/></wsa:ReferenceParameters>"),
        reply_to(ANONYMOUS),
    ),
    "an empty message id": (wsa("MessageID", ""), wsa("MessageID", UUID)),
    "a relative message id": (wsa("MessageID", "42"), wsa("MessageID", "uuid:42")),
    "a message id with a space": (wsa("MessageID", "urn:a b"), wsa("MessageID", " urn:ab\n")),
    "a message id with markup": (wsa("MessageID", "urn:a&lt;b&gt;"), wsa("MessageID", "urn:a-b")),
    "a message id with an ampersand": (wsa("MessageID", "urn:a&amp;b"), wsa("MessageID", "urn:a;b")),
    "a message id with a line break": (wsa("MessageID", "urn:a&#10;b"), wsa("MessageID", "urn:a/b")),
    "a message id beyond ASCII": (wsa("MessageID", "urn:é"), wsa("MessageID", "urn:e")),
    "a message id of 10,000 characters": (wsa("MessageID", "urn:" + "x" * 10_000), wsa("MessageID", "urn:" + "x" * 200)),
    "a message id with a child": (wsa("MessageID", f"{UUID}<x/>"), wsa("MessageID", UUID)),
    "an action that is no IRI": (wsa("Action", "sendTestMessage"), wsa("Action", ACTION)),
    "an empty action": (wsa("Action", ""), wsa("Action", ACTION)),
}  # fmt: skip


@pytest.mark.parametrize(("broken", "twin"), ADDRESSING.values(), ids=ADDRESSING)
def test_addressing_that_is_repeated_malformed_or_leads_elsewhere_is_refused(broken, twin):
    for version in (V11, V12):
        assert refused(build(blocks=broken, version=version)) is Code.ADDRESSING
        assert accept(build(blocks=twin, version=version)).addressing


READ = {
    "nothing": ("", None),
    "addressing of 2004 only": (ADDRESSING_2004.format(""), None),
    "an action": (wsa("Action", ACTION), Addressing(None, ACTION, None)),
    "an id and an action": (wsa("MessageID", UUID) + wsa("Action", ACTION), Addressing(UUID, ACTION, None)),
    "both versions of addressing": (
        ADDRESSING_2004.format("") + wsa("MessageID", UUID),
        Addressing(UUID, None, None),
    ),
    "the other form of a UUID": (
        wsa("MessageID", UUID.removeprefix("urn:")),
        Addressing(UUID[4:], None, None),
    ),
    "To alone": (wsa("To", "https://hub.example/soap"), Addressing(None, None, "https://hub.example/soap")),
}


@pytest.mark.parametrize(("blocks", "addressing"), READ.values(), ids=READ)
def test_addressing_is_read_for_the_reply(blocks, addressing):
    assert accept(build(blocks=blocks)).addressing == addressing


def test_addressing_is_called_signed_only_when_every_block_is():
    both = wsa("MessageID", UUID, "id") + wsa("Action", ACTION, "action")
    assert accept(build(blocks=both, signed=("body", "time", "id", "action"))).addressing_signed
    assert not accept(build(blocks=both, signed=("body", "time", "id"))).addressing_signed
    assert not accept(build(blocks=both)).addressing_signed
