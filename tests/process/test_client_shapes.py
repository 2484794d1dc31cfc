"""PROTOCOL §4 at a running hub: every shape that real stacks send is answered, its neighbour is refused.

Messages are written as `stacks` says and signed by xmlsec; every reply and every fault is verified by xmlsec.
"""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.process.emission import ACTION, moment
from tests.process.foreign_changes import MUST, broken, digits, ordered, sent, timed
from tests.process.foreign_world import HOLDERS, KINDS, Shape, ask, connected, pki
from tests.process.post import Form
from tests.process.running import running_hub
from tests.process.stacks import (
    gsoap,
    jax_ws_ri,
    node_soap,
    signed_xml,
    soap_lite,
    wse_php,
    wss4j,
    xml_compile,
    zeep,
)
from tests.world import MORE, V11, V12, XMLENC

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory):
    async with running_hub(tmp_path_factory.mktemp("shapes"), files=pki()) as running:
        yield running


EXTRA = (  # a block of the client's own, and its signature
    ("<wsse:Security xmlns", '<x:trace xmlns:x="urn:x" wsu:Id="trace">1</x:trace><wsse:Security xmlns'),
    ('<ds:Reference URI="#_1">', '<ds:Reference URI="#trace"><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue></ds:DigestValue></ds:Reference><ds:Reference URI="#_1">'),
)  # fmt: skip
SOAP_LITE_ACCEPT = "Accept: text/xml, multipart/*, application/soap"
PHP = Form(fields=(f'SOAPAction: "{ACTION}"', "Connection: Keep-Alive", "User-Agent: PHP-SOAP/8.2.20"))
STACKS = {  # sentence → the stack, how it posts SOAP 1.1, how it posts SOAP 1.2
    "zeep: Signature, token, Timestamp, so that each reference points forward": (
        zeep,
        Form(fields=(f'SOAPAction: "{ACTION}"', "Accept: */*", "Connection: keep-alive")),
        Form(parameters=f'; charset=utf-8; action="{ACTION}"'),
    ),
    "node-soap with its two options: token, Timestamp, Signature, ids that are numbers": (
        node_soap,
        Form(fields=(f'SOAPAction: "{ACTION}"', "Accept-Encoding: none", "Connection: close")),
        Form(parameters=f'; charset=utf-8; action="{ACTION}"', fields=("Connection: close",)),
    ),
    "gSOAP: constant ids, the token and all addressing signed, SOAPAction with SOAP 1.2 too": (
        gsoap,
        Form(fields=(f'SOAPAction: "{ACTION}"', "Connection: close")),
        Form(parameters=f'; charset=utf-8; action="{ACTION}"', fields=(f'SOAPAction: "{ACTION}"',)),
    ),
    "CXF with WSS4J: PrefixLists, ids on Signature, KeyInfo and the token's reference": (
        wss4j,
        Form(parameters="; charset=UTF-8", fields=('SOAPAction: ""', "Accept: */*"), chunks=1024),
        Form(parameters=f'; action="{ACTION}"; charset=UTF-8', chunks=1024),
    ),
    "JAX-WS RI with a handler: #default, two prefixes for one namespace, addressing unsigned": (
        jax_ws_ri,
        Form(fields=(f'SOAPAction: "{ACTION}"',), parameters="; charset=utf-8"),
        Form(parameters=f'; charset=utf-8;action="{ACTION}"'),
    ),
    "wse-php: white space inside the signature, an hour of life, addressing of 2004": (
        wse_php,
        PHP,
        Form(parameters=f'; charset=utf-8; action="{ACTION}"'),
    ),
    "XML::Compile: stray attributes on the times, PrefixLists": (
        xml_compile,
        Form(parameters='; charset="utf-8"', fields=(f'SOAPAction: "{ACTION}"', "TE: deflate,gzip;q=0.3")),
        Form(parameters='; charset="utf-8"'),
    ),
    "SOAP::Lite: encodingStyle on the envelope, no action with SOAP 1.2": (
        soap_lite,
        Form(fields=(f'SOAPAction: "{ACTION}"', SOAP_LITE_ACCEPT)),
        Form(fields=(SOAP_LITE_ACCEPT,)),
    ),
    ".NET SignedXml: seven digits of a second, no EncodingType, Expect: 100-continue": (
        signed_xml,
        Form(fields=(f'SOAPAction: "{ACTION}"', "Expect: 100-continue"), waits=True),
        Form(parameters=f'; charset=utf-8; action="{ACTION}"', fields=("Expect: 100-continue",), waits=True),
    ),
}  # fmt: skip
SHAPES = {
    **{f"{says}, in SOAP 1.1": Shape(stack=stack, form=form) for says, (stack, form, _) in STACKS.items()},
    **{
        f"{says}, in SOAP 1.2": Shape(stack=stack, version=V12.value, form=form)
        for says, (stack, _, form) in STACKS.items()
    },
    "wse-php with insertBefore false: the signature last": Shape(stack=ordered("time", "token", "signature")),
    "the signature first, then the Timestamp": Shape(stack=ordered("signature", "time", "token")),
    "the Timestamp first, the token last": Shape(stack=ordered("time", "signature", "token")),
    "the token first, the Timestamp last": Shape(stack=ordered("token", "signature", "time")),
    "an empty PrefixList": Shape(stack=wss4j, edit=(('PrefixList="wsse soap"', 'PrefixList=""'),)),
    "prefixes that are declared nowhere": Shape(stack=wss4j, edit=(("wsse soap", "xs xsi nowhere"),)),
    "a PrefixList with more than one space": Shape(stack=wss4j, edit=(("wsse soap", " wsse  soap "),)),
    "times with an offset": Shape(stack=timed(zeep, digits(3, "+02:00", 7200))),
    "times with an offset behind UTC": Shape(stack=timed(zeep, digits(0, "-05:30", -19800))),
    "times as Python writes them": Shape(stack=timed(zeep, digits(6, "+00:00"))),
    "times with one digit of a second": Shape(stack=timed(node_soap, digits(1))),
    "times with line feeds around them": Shape(stack=timed(zeep, lambda s: f"\n  {moment(s)}\n")),
    "timestampSent with nine digits, as java.time.Instant writes it": Shape(stack=sent(digits(9))),
    "timestampSent with seven digits and an offset, as .NET writes it": Shape(
        stack=sent(digits(7, "+02:00", 7200))
    ),
    "a clock that is half a minute ahead": Shape(stack=timed(zeep, digits(3, ahead=30))),
    "a clock that is four minutes late": Shape(stack=timed(zeep, digits(3, ahead=-240))),
    "a token in lines": Shape(stack=broken(node_soap, "\n")),
    "a token in lines of 64, with carriage returns": Shape(stack=broken(xml_compile, "\r\n", 64)),
    "a token with carriage returns as references, as Java's encoder leaves them": Shape(stack=broken(wss4j, "&#13;\n")),
    "a token with blanks and tabs": Shape(stack=broken(node_soap, " \t")),
    "a signed header block of the client's own": Shape(edit=EXTRA),
    "an unsigned header block of the client's own": Shape(edit=(EXTRA[0],)),
    "an id on the security header": Shape(edit=((f" {MUST}", f' {MUST} wsu:Id="security"'),)),
    "mustUnderstand 0": Shape(edit=((MUST, 'soap:mustUnderstand="0"'),)),
    "mustUnderstand true": Shape(edit=((MUST, 'soap:mustUnderstand="true"'),), version=V12.value),
    "mustUnderstand false": Shape(edit=((MUST, 'soap:mustUnderstand="false"'),), version=V12.value),
    "a default namespace on the Header": Shape(edit=(("<soap:Header>", '<soap:Header xmlns="urn:x">'),)),
    "an empty actor": Shape(edit=((MUST, f'{MUST} soap:actor=""'),)),
    "a byte order mark": Shape(stack=signed_xml, bom=True),
    "a byte order mark before a declaration": Shape(stack=gsoap, bom=True),
    "a declaration with standalone": Shape(edit=(('encoding="utf-8"?>', "encoding='UTF-8' standalone=\"yes\"?>"),)),
    "no encoding in the declaration": Shape(edit=((' encoding="utf-8"?>', "?>"),)),
    "a line feed behind the envelope": Shape(after=(("</soap:Envelope>", "</soap:Envelope>\n"),)),
    "single quotes and white space in unsigned tags": Shape(after=(("<soap:Header>", "<soap:Header\n  >"), (MUST, "soap:mustUnderstand = '1'"))),
    "chunks": Shape(form=Form(chunks=1000)),
    "chunks of a few bytes": Shape(form=Form(chunks=7)),
    "chunks after Expect": Shape(form=Form(chunks=4000, fields=("Expect: 100-continue",), waits=True)),
    "Expect without waiting": Shape(form=Form(fields=("Expect: 100-Continue",), waits=False), stack=signed_xml),
    "Connection: close": Shape(form=Form(fields=("Connection: close",))),
    "SOAPAction without quotes": Shape(form=Form(fields=(f"SOAPAction: {ACTION}",))),
    "SOAPAction quoted": Shape(form=Form(fields=(f'SOAPAction: "{ACTION}"',))),
    "SOAPAction of two quotes": Shape(form=Form(fields=('SOAPAction: ""',))),
    "SOAPAction empty": Shape(form=Form(fields=("SOAPAction:",))),
    "SOAPAction beside SOAP 1.2": Shape(version=V12.value, form=Form(fields=(f'SOAPAction: "{ACTION}"',))),
    "SOAPAction and action with SOAP 1.2": Shape(
        version=V12.value,
        form=Form(parameters=f'; charset=utf-8; action="{ACTION}"', fields=(f'SOAPAction: "{ACTION}"',)),
    ),
    "action without quotes": Shape(version=V12.value, form=Form(parameters=f"; action={ACTION}")),
    "action that is empty": Shape(version=V12.value, form=Form(parameters='; action=""')),
    "no charset": Shape(form=Form(parameters="")),
    "charset in quotes and capitals": Shape(form=Form(parameters=';charset="UTF-8"')),
    "a media type in capitals": Shape(form=Form(media="Text/XML")),
    "MTOM without an attachment, as node-soap with forceMTOM": Shape(form=Form(package=True)),
    "MTOM without an attachment, in SOAP 1.2": Shape(version=V12.value, form=Form(package=True)),
    **{
        f"{kind} with RSA-SHA{bits} and SHA-{bits}": Shape(
            kind=kind, method=f"{MORE}rsa-sha{bits}", digest=f"{MORE if bits == 384 else XMLENC}sha{bits}"
        )
        for kind in KINDS
        if kind.startswith("RSA")
        for bits in (256, 384, 512)
    },
    **{
        f"{kind} with ECDSA-SHA{bits}": Shape(stack=zeep, kind=kind, method=f"{MORE}ecdsa-sha{bits}")
        for kind in KINDS
        if kind.startswith("P-")
        for bits in (256, 384, 512)
    },
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
async def test_what_a_stack_sends_is_answered(hub, shape):
    answer = await ask(hub, shape)
    assert (answer.reply.status, answer.text("echo")) == (200, answer.ask.echo), answer.text("faultstring")
    assert answer.text("ticket") == answer.ask.ticket
    media = {V11.value: "text/xml", V12.value: "application/soap+xml"}[shape.version]
    assert f"Content-Type: {media}; charset=utf-8\r\n" in answer.reply.head


async def test_one_connection_carries_one_message_after_another_in_any_version(hub):
    async with connected(hub, HOLDERS["RSA-2048"]) as connection:
        for version in (V11.value, V12.value, V11.value):
            answer = await ask(hub, Shape(version=version), connection)
            assert (answer.reply.status, answer.text("echo")) == (200, answer.ask.echo)
