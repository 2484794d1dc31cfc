"""What the hub signs, three other engines verify, and each signed part travels in its canonical form."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import SoapVersion
from gateway.refusal import Code, Refusal
from gateway.soap import fault
from gateway.soap.xml import canonical, parse_verified, text
from gateway.wss.sign import Header, sign
from tests.rules.second_engine import lxml_digests_agree, tree_of, xmlsec_verifies, zeep_verifies
from tests.world import ACTION, LIMITS, NOW, SERVICE, WSA, WSSE, WSU, accept, holder

UNIQUE = "0b7a3c4e-6f1d-4b7e-9a55-0d6a1f0d9b1c"
ADDRESSING = (
    Header("Action", ACTION),
    Header("MessageID", f"urn:uuid:{UNIQUE}"),
    Header("To", f"{WSA}/anonymous"),
    Header("RelatesTo", "urn:uuid:e0e0e0e0-6f1d-4b7e-9a55-0d6a1f0d9b1c"),
)
KEYS = ["rsa-2048", "p256", "p384"]
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("&<>\"'\r\n\t\x7f\x85]")
)


def content(value: str) -> str:
    return f'<s:sendTestMessageResponse xmlns:s="{SERVICE}"><s:echo>{text(value)}</s:echo></s:sendTestMessageResponse>'


def signed(body: str, version: SoapVersion, kind: str = "rsa-2048", addressing=ADDRESSING) -> bytes:
    return sign(
        body,
        version=version,
        key=holder(kind).signing,
        now=NOW,
        lifetime=timedelta(minutes=5),
        unique=UNIQUE,
        addressing=addressing,
    )


def verify_everywhere(data: bytes) -> None:
    xmlsec_verifies(data)
    zeep_verifies(data)
    lxml_digests_agree(data)


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("version", list(SoapVersion))
@pytest.mark.parametrize("addressing", [(), ADDRESSING], ids=["no addressing", "addressing"])
def test_a_message_of_ours_verifies_everywhere(version, kind, addressing):
    data = signed(content("good"), version, kind, addressing)
    verify_everywhere(data)
    verified = accept(data)
    assert verified.version is version
    assert verified.certificate == holder(kind).der
    assert verified.created == NOW
    assert verified.addressing_signed
    assert (verified.addressing is None) == (not addressing)


@given(TEXTS, st.sampled_from(list(SoapVersion)), st.sampled_from(KEYS))
@settings(deadline=None, derandomize=True, max_examples=150)
def test_any_text_that_we_sign_verifies_and_reads_back(value: str, version: SoapVersion, kind: str):
    data = signed(content(value), version, kind)
    verify_everywhere(data)
    assert parse_verified(accept(data).body).findtext(".//{*}echo") == value


@given(TEXTS)
@settings(deadline=None, derandomize=True, max_examples=50)
def test_any_text_in_a_header_that_we_sign_verifies(value: str):
    data = signed(content("good"), SoapVersion.V11, addressing=(Header("RelatesTo", value),))
    verify_everywhere(data)
    assert tree_of(data).findtext(f".//{{{WSA}}}RelatesTo") == value


@pytest.mark.parametrize("version", list(SoapVersion))
@pytest.mark.parametrize("code", list(Code), ids=lambda code: code.row.label)
def test_every_fault_is_signed_in_a_form_that_verifies_everywhere(code: Code, version: SoapVersion):
    refusal = Refusal(code, "rsa-sha1")
    body = fault.write(refusal, UNIQUE, version, '<c:exchangeFault xmlns:c="urn:c"></c:exchangeFault>')
    data = signed(body, version, addressing=(Header("Action", fault.action(refusal)),))
    verify_everywhere(data)
    root = tree_of(data)
    assert code_of(root, version) in {code.row.fault, "soap:Sender", "soap:Receiver"}
    assert (b"exchangeFault" in accept(data).body) == fault.has_detail(refusal)


def code_of(root, version: SoapVersion) -> str:
    """The QName of the fault: its prefix must be one that the message declares, as the code table means it."""
    path = ".//faultcode" if version is SoapVersion.V11 else ".//{*}Subcode/{*}Value"
    element = root.find(path)
    if element is None:
        element = root.find(".//{*}Code/{*}Value")
    prefix = element.text.partition(":")[0]
    assert element.nsmap[prefix] == {"soap": version.value, "wsse": WSSE, "wsu": WSU, "wsa": WSA}[prefix]
    return element.text


@pytest.mark.parametrize("version", list(SoapVersion))
@pytest.mark.parametrize(
    "shown", [Code.SCHEMA, Code.ALGORITHM, Code.EXPIRED, Code.INTERNAL], ids=lambda c: c.row.label
)
def test_a_fault_is_canonical_and_names_code_and_incident(shown: Code, version: SoapVersion):
    body = fault.write(Refusal(shown), UNIQUE, version, "")
    wrapped = f'<soap:Body xmlns:soap="{version.value}">{body}</soap:Body>'
    assert canonical(parse_verified(wrapped.encode())).decode() == wrapped
    assert shown.row.code in body
    assert UNIQUE in body


def test_faults_about_headers_and_security_have_no_detail():
    """SOAP 1.1 §4.4: a detail is about the Body."""
    for code in Code:
        about_body = code.row.fault in {"soap:Client", "soap:Server"}
        assert fault.has_detail(Refusal(code)) == about_body


@pytest.mark.parametrize("version", list(SoapVersion))
def test_the_order_is_the_one_that_every_client_reads(version: SoapVersion):
    """gSOAP finds the signed parts only if the signature comes last."""
    root = tree_of(signed(content("good"), version))
    assert [child.tag.rpartition("}")[2] for child in root[0][-1]] == [
        "Timestamp",
        "BinarySecurityToken",
        "Signature",
    ]


def test_ids_of_two_messages_differ():
    first = signed(content("good"), SoapVersion.V11)
    second = first.replace(UNIQUE.encode(), UNIQUE[::-1].encode())
    ids = [set(tree_of(data).xpath("//@w:Id", namespaces={"w": WSU})) for data in (first, second)]
    assert not ids[0] & ids[1]
    assert all(UNIQUE in id_ for id_ in ids[0])


def test_a_large_body_is_signed_in_one_piece():
    data = signed(content("x" * 1_000_000), SoapVersion.V12)
    assert len(data) < LIMITS.bytes
    verify_everywhere(data)
    assert accept(data)
