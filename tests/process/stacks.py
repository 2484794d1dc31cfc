"""One function for each foreign stack: the whole message that it writes, not signed yet."""

from __future__ import annotations

from uuid import uuid4

from tests.process.emission import (
    ACTION,
    ANONYMOUS,
    URL,
    VALUE_TYPE,
    WSSE_WSU,
    XSD,
    XSI,
    Asking,
    content,
    content_without_prefixes,
    declared,
    moment,
    named,
    signature,
    timestamp,
    token,
)
from tests.world import EXCLUSIVE, SERVICE, V11, V12, WSA, WSSE, WSU, X509V3

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
WSA_2004 = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
ENCODINGS = {
    V11.value: "http://schemas.xmlsoap.org/soap/encoding/",
    V12.value: "http://www.w3.org/2003/05/soap-encoding",
}
_DATE_TIME = f' ValueType="{XSD}/dateTime"'


def zeep(ask: Asking) -> str:
    """Signature, token, Timestamp: each refers to what stands behind it. Line feeds inside the signature."""
    body, time, cert = (f"id-{uuid4()}" for _ in range(3))
    wsu = f' xmlns:wsu="{WSU}"'
    zone = "+00:00"
    return (
        f"<?xml version='1.0' encoding='utf-8'?>\n"
        f'<soap-env:Envelope xmlns:soap-env="{ask.envelope}"><soap-env:Header><wsse:Security xmlns:wsse="{WSSE}">'
        + signature(ask, {body: None, time: None}, named(cert, attributes=VALUE_TYPE), ds="", space="\n")
        + token(ask, cert, declared=wsu)
        + timestamp(moment(digits=0, zone=zone), moment(300, digits=0, zone=zone), time, declared=wsu)
        + f'</wsse:Security></soap-env:Header><soap-env:Body{wsu} wsu:Id="{body}">'
        + content(ask, "ns0", "ns1", declared("ns0", "ns1"))
        + "</soap-env:Body></soap-env:Envelope>"
    )


def node_soap(ask: Asking) -> str:
    """Token, Timestamp under a default namespace, Signature; ids that are numbers; ten minutes, whole seconds."""
    wsu = f' xmlns:wsu="{WSU}"'
    return (
        f'<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="{ask.envelope}" xmlns:xsi="{XSI}"{wsu}'
        f'{declared("s", "c")}><soap:Header><wsse:Security{WSSE_WSU} soap:mustUnderstand="1">'
        + token(ask, "x509-54513e9eadf84a3083024d30d784b1f1")
        + f'<Timestamp xmlns="{WSU}"{wsu} wsu:Id="_1"><Created>{moment(digits=0)}</Created>'
        f"<Expires>{moment(600, digits=0)}</Expires></Timestamp>"
        + signature(
            ask,
            {"_0": None, "_1": None},
            named(
                "x509-54513e9eadf84a3083024d30d784b1f1",
                attributes=VALUE_TYPE,
                declared=f' xmlns:wsse="{WSSE}"',
            ),
        )
        + f'</wsse:Security></soap:Header><soap:Body{wsu} wsu:Id="_0">'
        + content(ask, "s", "c", f' xmlns="{SERVICE}"')
        + "</soap:Body></soap:Envelope>"
    )


def gsoap(ask: Asking) -> str:
    """Everything declared on the envelope, constant ids, the token and addressing signed as well."""
    addressed = {name: f"wsa-{name}" for name in ("MessageID", "ReplyTo", "To", "Action")}
    understood = ' SOAP-ENV:mustUnderstand="true"'
    return (
        f'{DECLARATION}<SOAP-ENV:Envelope xmlns:SOAP-ENV="{ask.envelope}" xmlns:xsi="{XSI}" xmlns:xsd="{XSD}" '
        f'xmlns:c14n="{EXCLUSIVE}" xmlns:wsa5="{WSA}"{WSSE_WSU}{declared("ns1", "ns2")}><SOAP-ENV:Header>'
        f'<wsa5:MessageID wsu:Id="wsa-MessageID">urn:uuid:{uuid4()}</wsa5:MessageID>'
        f'<wsa5:ReplyTo wsu:Id="wsa-ReplyTo"><wsa5:Address>{ANONYMOUS}</wsa5:Address></wsa5:ReplyTo>'
        f'<wsa5:To wsu:Id="wsa-To"{understood}>{URL}</wsa5:To>'
        f'<wsa5:Action wsu:Id="wsa-Action"{understood}>{ACTION}</wsa5:Action>'
        f"<wsse:Security{understood}>"
        + timestamp(moment(digits=0), moment(10, digits=0), "Time")
        + token(ask, "X509Token")
        + signature(
            ask,
            dict.fromkeys(("Time", "X509Token", *addressed.values(), "Body")),
            named("X509Token", attributes=VALUE_TYPE),
            own="SOAP-ENV wsse",
        )
        .replace('xmlns:ec="', 'xmlns:c14n="')
        .replace("ec:", "c14n:")
        + '</wsse:Security></SOAP-ENV:Header><SOAP-ENV:Body wsu:Id="Body">'
        + content(ask, "ns1", "ns2")
        + "</SOAP-ENV:Body></SOAP-ENV:Envelope>"
    )


def wss4j(ask: Asking) -> str:
    """CXF with actions: token, Signature, Timestamp; a PrefixList where there is anything to list."""
    body, time, cert = f"id-{uuid4()}", f"TS-{uuid4()}", f"X509-{uuid4()}"
    reference = named(cert, attributes=VALUE_TYPE, declared=f'{WSSE_WSU} wsu:Id="STR-{uuid4()}"')
    return (
        f'<soap:Envelope xmlns:soap="{ask.envelope}"><soap:Header><wsse:Security{WSSE_WSU} soap:mustUnderstand="1">'
        + token(ask, cert)
        + signature(
            ask,
            {body: None, time: "wsse soap"},
            reference,
            own="soap",
            ids=(f' Id="SIG-{uuid4()}"', f' Id="KI-{uuid4()}"'),
        )
        + timestamp(moment(), moment(300), time)
        + f'</wsse:Security></soap:Header><soap:Body xmlns:wsu="{WSU}" wsu:Id="{body}">'
        + content(ask, "s", "c", declared("s", "c"))
        + "</soap:Body></soap:Envelope>"
    )


def jax_ws_ri(ask: Asking) -> str:
    """Two prefixes for the envelope's namespace, default namespaces, addressing that the handler cannot sign."""
    body, time, cert = f"id-{uuid4()}", f"TS-{uuid4()}", f"X509-{uuid4()}"
    wsa = f' xmlns="{WSA}"'
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><S:Envelope xmlns:S=\"{ask.envelope}\" "
        f'xmlns:SOAP-ENV="{ask.envelope}" xmlns="urn:nobody"><SOAP-ENV:Header><To{wsa}>{URL}</To>'
        f'<Action{wsa} S:mustUnderstand="1">{ACTION}</Action><ReplyTo{wsa}><Address>{ANONYMOUS}</Address></ReplyTo>'
        f"<FaultTo{wsa}><Address>{ANONYMOUS}</Address></FaultTo><MessageID{wsa}>uuid:{uuid4()}</MessageID>"
        f'<wsse:Security{WSSE_WSU} S:mustUnderstand="1">'
        + token(ask, cert)
        + signature(
            ask,
            {body: "#default SOAP-ENV", time: "#default S SOAP-ENV wsse"},
            named(cert),
            own="#default S SOAP-ENV",
        )
        + timestamp(moment(), moment(300), time)
        + f'</wsse:Security></SOAP-ENV:Header><S:Body{WSSE_WSU} wsu:Id="{body}">'
        + content_without_prefixes(ask)
        + "</S:Body></S:Envelope>"
    )


def wse_php(ask: Asking) -> str:
    """Token, Signature, Timestamp of an hour; white space inside the signature; addressing of 2004."""
    body, time, cert = (f"pfx{uuid4()}" for _ in range(3))
    return (
        f'{DECLARATION}<SOAP-ENV:Envelope xmlns:SOAP-ENV="{ask.envelope}"{declared("ns1", "ns2")} '
        f'xmlns:wsa="{WSA_2004}"{WSSE_WSU}><SOAP-ENV:Header><wsa:Action>{ACTION}</wsa:Action><wsa:To>{URL}</wsa:To>'
        f"<wsa:MessageID>uuid:{uuid4()}</wsa:MessageID>"
        f'<wsse:Security SOAP-ENV:mustUnderstand="1">'
        + token(ask, cert)
        + signature(ask, {body: None, time: None}, named(cert, attributes=VALUE_TYPE), space="\n  ")
        + timestamp(moment(digits=0), moment(3600, digits=0), time)
        + f'</wsse:Security></SOAP-ENV:Header><SOAP-ENV:Body wsu:Id="{body}">'
        + content(ask, "ns1", "ns2")
        + "</SOAP-ENV:Body></SOAP-ENV:Envelope>\n"
    )


def xml_compile(ask: Asking) -> str:
    """Timestamp with stray attributes on its times, token, Signature; a PrefixList for each part."""
    return (
        f'{DECLARATION}<SOAP-ENV:Envelope xmlns:SOAP-ENV="{ask.envelope}"><SOAP-ENV:Header>'
        f'<wsse:Security{WSSE_WSU} SOAP-ENV:mustUnderstand="1">'
        + timestamp(moment(digits=0), moment(300, digits=0), "time-1")
        .replace("<wsu:Created>", f"<wsu:Created{_DATE_TIME}>")
        .replace("<wsu:Expires>", f"<wsu:Expires{_DATE_TIME}>")
        + token(ask, "my-token")
        + signature(
            ask,
            {"elem-0": "wsu SOAP-ENV", "time-1": "wsu wsse SOAP-ENV"},
            named("my-token", attributes=VALUE_TYPE),
            own="ds wsse SOAP-ENV",
        )
        + f'</wsse:Security></SOAP-ENV:Header><SOAP-ENV:Body xmlns:wsu="{WSU}" wsu:Id="elem-0">'
        + content(ask, "x0", "x1", declared("x0", "x1"))
        + "</SOAP-ENV:Body></SOAP-ENV:Envelope>"
    )


def soap_lite(ask: Asking) -> str:
    """encodingStyle on the envelope, for a message that is not encoded."""
    style = ENCODINGS[ask.envelope]
    return (
        f'{DECLARATION.strip()}<soap:Envelope soap:encodingStyle="{style}" xmlns:soap="{ask.envelope}" '
        f'xmlns:soapenc="{style}" xmlns:xsd="{XSD}" xmlns:xsi="{XSI}"><soap:Header><wsse:Security{WSSE_WSU}>'
        + token(ask, "cert")
        + timestamp(moment(digits=0), moment(60, digits=0), "ts")
        + signature(ask, {"body": None, "ts": None}, named("cert"))
        + f'</wsse:Security></soap:Header><soap:Body xmlns:wsu="{WSU}" wsu:Id="body">'
        + content_without_prefixes(ask)
        + "</soap:Body></soap:Envelope>"
    )


def signed_xml(ask: Asking) -> str:
    """.NET: Timestamp with seven digits of a second, token without EncodingType, Signature; prefixes s, o, u, a."""
    must, cert = ' s:mustUnderstand="1"', f"uuid-{uuid4()}-1"
    return (
        f'<s:Envelope xmlns:s="{ask.envelope}" xmlns:a="{WSA}" xmlns:u="{WSU}"><s:Header>'
        f"<a:Action{must}>{ACTION}</a:Action><a:MessageID>urn:uuid:{uuid4()}</a:MessageID>"
        f"<a:ReplyTo><a:Address>{ANONYMOUS}</a:Address></a:ReplyTo><a:To{must}>{URL}</a:To>"
        f'<o:Security{must} xmlns:o="{WSSE}">'
        + timestamp(moment(digits=7), moment(300, digits=7), "_0", wsu="u")
        + f'<o:BinarySecurityToken u:Id="{cert}" ValueType="{X509V3}">{ask.token}</o:BinarySecurityToken>'
        + signature(ask, {"_1": None, "_0": None}, named(cert, wsse="o"), ds="")
        + "</o:Security></s:Header>"
        f'<s:Body u:Id="_1" xmlns:xsi="{XSI}" xmlns:xsd="{XSD}">'
        + content_without_prefixes(ask)
        + "</s:Body></s:Envelope>"
    )
