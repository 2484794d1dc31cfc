"""A refusal as a SOAP fault (PROTOCOL §11): canonical XML for the Body, and its wsa:Action.

Every fault is HTTP 500 and signed, in the version of the request. The fault string has one fixed form, so
that code and incident can be read even where SOAP forbids a detail: header and security faults carry none
(SOAP 1.1 §4.4).
"""

from __future__ import annotations

from typing import Final

from gateway.model import SERVICE, SoapVersion
from gateway.refusal import Refusal
from gateway.soap import names
from gateway.soap.xml import text

ACTION: Final = f"{SERVICE}/exchangeFault"


def has_detail(refusal: Refusal) -> bool:
    """Whether the fault concerns the Body, so that a detail may describe it."""
    return refusal.code.row.fault in {"soap:Client", "soap:Server"}


def action(refusal: Refusal) -> str:
    """The wsa:Action of the fault message (WS-Addressing SOAP Binding §6)."""
    if has_detail(refusal):
        return ACTION
    return names.WSA_FAULT if refusal.code.row.fault.startswith("wsa:") else names.WSA_SOAP_FAULT


def reason(refusal: Refusal, incident: str) -> str:
    """`CODE label (about): sentence Remedy: remedy [incident UUID]`."""
    row = refusal.code.row
    about = f" ({refusal.about})" if refusal.about else ""
    return f"{row.code} {row.label}{about}: {row.sentence} Remedy: {row.remedy} [incident {incident}]"


def write(refusal: Refusal, incident: str, version: SoapVersion, detail: str) -> str:
    """The soap:Fault element. `detail` is canonical XML, used only where SOAP allows one."""
    shown = detail if has_detail(refusal) else ""
    code, sentence = refusal.code.row.fault, text(reason(refusal, incident))
    if version is SoapVersion.V11:
        return _soap11(code, sentence, shown)
    return _soap12(code, sentence, shown)


# The prefixes of QNames in content (wsse, wsu, wsa) are declared on our Envelope, where exclusive C14N
# does not sign them; nothing is decided on a faultcode, whose meaning is repeated in the signed reason.


def _soap11(code: str, sentence: str, detail: str) -> str:
    shown = f"<detail>{detail}</detail>" if detail else ""
    return (
        f"<soap:Fault><faultcode>{code}</faultcode><faultstring>{sentence}</faultstring>{shown}</soap:Fault>"
    )


_SOAP12_CODES: Final = {
    "soap:Server": "soap:Receiver",
    "soap:VersionMismatch": "soap:VersionMismatch",
    "soap:MustUnderstand": "soap:MustUnderstand",
}


def _soap12(code: str, sentence: str, detail: str) -> str:
    own = code.startswith("soap:")
    subcode = "" if own else f"<soap:Subcode><soap:Value>{code}</soap:Value></soap:Subcode>"
    shown = f"<soap:Detail>{detail}</soap:Detail>" if detail else ""
    return (
        f"<soap:Fault><soap:Code><soap:Value>{_SOAP12_CODES.get(code, 'soap:Sender')}</soap:Value>{subcode}</soap:Code>"
        f'<soap:Reason><soap:Text xml:lang="en">{sentence}</soap:Text></soap:Reason>{shown}</soap:Fault>'
    )
