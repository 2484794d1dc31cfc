"""The closed list of refusal codes, the exception that carries one, and the one table that explains them.

A code never changes its meaning and is never reused. PROTOCOL.md §12 prints this table and a test holds
the two equal. Sentences and remedies may be reworded; they are courtesy, the code is the contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final


class Origin(StrEnum):
    """Whose fault it is (after ebMS3's error classes)."""

    CALLER = "caller"
    GATEWAY = "gateway"
    PROVIDER = "provider"


class Category(StrEnum):
    """The stage family that refused."""

    TRANSPORT = "transport"
    XML = "xml"
    SOAP = "soap"
    SECURITY = "security"
    IDENTITY = "identity"
    REQUEST = "request"
    POLICY = "policy"
    PROVIDER = "provider"
    GATEWAY = "gateway"


class Severity(StrEnum):
    """FATAL: will fail again unchanged. TRANSIENT: the same question, with a new ticket, may succeed."""

    FATAL = "fatal"
    TRANSIENT = "transient"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One row of the code table."""

    code: str  # "WIB04006"
    label: str  # metric label, "part-not-signed"
    category: Category
    origin: Origin
    severity: Severity
    http: int  # 500: a signed SOAP fault; anything else: a bare HTTP refusal
    fault: str  # SOAP 1.1 faultcode and SOAP 1.2 subcode: prefix and name
    sentence: str
    remedy: str


def _row(  # noqa: PLR0913 - one parameter for each column of the printed table
    code: str,
    label: str,
    category: Category,
    sentence: str,
    remedy: str,
    *,
    fault: str = "soap:Client",
    http: int = 500,
    origin: Origin = Origin.CALLER,
    severity: Severity = Severity.FATAL,
) -> Explanation:
    return Explanation(code, label, category, origin, severity, http, fault, sentence, remedy)


_T, _X, _S = Category.TRANSPORT, Category.XML, Category.SOAP
_W, _I, _R = Category.SECURITY, Category.IDENTITY, Category.REQUEST
_P, _V, _G = Category.POLICY, Category.PROVIDER, Category.GATEWAY
_GATEWAY, _PROVIDER = Origin.GATEWAY, Origin.PROVIDER
_TRANSIENT = Severity.TRANSIENT
_INVALID, _CHECK, _TOKEN = "wsse:InvalidSecurity", "wsse:FailedCheck", "wsse:InvalidSecurityToken"
_ALGORITHM, _UNSUPPORTED = "wsse:UnsupportedAlgorithm", "wsse:UnsupportedSecurityToken"
_SERVER = "soap:Server"


class Code(Enum):
    """Every way an exchange can be refused, in the order of the path."""

    # fmt: off
    # PROTOCOL §2: the wire. Bare HTTP, because nothing was parsed.
    METHOD = _row("WIB01001", "method-not-allowed", _T, "The method is not served here.", "Send messages with POST; read the exchange log with GET or HEAD.", http=405)
    MEDIA_TYPE = _row("WIB01002", "media-type", _T, "The media type or charset is not one of the profile.", "Send text/xml (SOAP 1.1) or application/soap+xml (SOAP 1.2) in UTF-8.", http=415)
    CONTENT_ENCODING = _row("WIB01003", "content-encoding", _T, "Compressed messages are not accepted.", "Send the message without Content-Encoding.", http=415)
    TOO_LARGE = _row("WIB01004", "too-large", _T, "The message is larger than the published limit.", "Send documents by reference; see PROTOCOL §2 for the limit.", http=413)
    TOO_SLOW = _row("WIB01005", "too-slow", _T, "The message did not arrive in time.", "Send the whole message within the published deadline.", http=408, severity=_TRANSIENT)
    STRANGER = _row("WIB01006", "stranger", _T, "The TLS certificate names no authority of the register.", "Enrol the certificate with the operator of the gateway.", http=403)
    BUSY = _row("WIB01007", "busy", _T, "The gateway is at its capacity.", "Try again after the seconds named in Retry-After.", fault=_SERVER, origin=_GATEWAY, severity=_TRANSIENT)
    HTTP = _row("WIB01008", "http", _T, "The bytes received are no HTTP/1.1 request as accepted here.", "Check the request line, the header fields, the framing of the body, and Expect.", http=400)
    MULTIPART = _row("WIB01009", "multipart", _T, "The multipart message is no MTOM package as accepted here.", "Send the SOAP message first, then at most the one attachment that an operation takes; nothing nested, encoded or unnamed.", http=400)
    LOG_DENIED = _row("WIB01010", "log-denied", _T, "This part of the exchange log is not served to this authority.", "Entry bundles go to the authorities that log.readers names, and nothing to one that is suspended: ask the operator.", http=403)

    # PROTOCOL §3.1: XML.
    XML_MALFORMED = _row("WIB02001", "xml-malformed", _X, "The message is not well-formed XML in UTF-8.", "Check the message with an XML parser.")
    XML_DTD = _row("WIB02002", "xml-dtd", _X, "SOAP messages carry no document type declaration.", "Remove the DOCTYPE.")
    XML_COMMENT = _row("WIB02003", "xml-comment", _X, "Comments and processing instructions are not accepted.", "Remove comments and processing instructions.")
    XML_LIMIT = _row("WIB02004", "xml-limit", _X, "The message exceeds a limit on depth, elements, attributes or namespaces.", "See PROTOCOL §3 for the limits.")

    # PROTOCOL §3.2: SOAP.
    SOAP_VERSION = _row("WIB03001", "soap-version", _S, "The envelope is neither SOAP 1.1 nor SOAP 1.2.", "Use one of the two envelope namespaces.", fault="soap:VersionMismatch")
    SOAP_STRUCTURE = _row("WIB03002", "soap-structure", _S, "The envelope is not exactly Header then Body with one child.", "Send one Header and one Body with one element in it.")
    MUST_UNDERSTAND = _row("WIB03003", "must-understand", _S, "A header block marked mustUnderstand is unknown here.", "Remove the header block or its mustUnderstand; PHP wse-php: WSASoap::WSANS_2005.", fault="soap:MustUnderstand")
    ADDRESSING = _row("WIB03004", "addressing", _S, "A WS-Addressing header is repeated, malformed, or asks for a reply elsewhere.", "Use each header once, with anonymous ReplyTo and FaultTo, and the address of the WSDL in To; zeep: no WsAddressingPlugin.", fault="wsa:InvalidAddressingHeader")
    ACTION = _row("WIB03005", "action-mismatch", _S, "SOAPAction, wsa:Action and the element in the Body name different operations.", "Use the soapAction of the WSDL, or none.", fault="wsa:ActionMismatch")
    OPERATION = _row("WIB03006", "operation-unknown", _S, "The element in the Body is no operation of this service.", "Take the operation from the WSDL served to you.")

    # PROTOCOL §4: WS-Security.
    SECURITY_HEADER = _row("WIB04001", "security-header", _W, "There must be exactly one wsse:Security header, without actor or role.", "Configure one signature action and no second security header.", fault=_INVALID)
    SECURITY_STRUCTURE = _row("WIB04002", "security-structure", _W, "The security header must hold exactly one Timestamp, one BinarySecurityToken and one Signature, nothing else.", "Send a Timestamp (zeep adds none by itself; WSS4J: action 'Timestamp Signature'; node-soap: hasTimeStamp); name the certificate by a direct reference to a binary security token (WSS4J: signatureKeyIdentifier DirectReference; zeep: BinarySignature; .NET Framework: authenticationMode MutualCertificateDuplex); no other token, signature or encryption (WCF: ProtectionLevel.Sign).", fault=_INVALID)
    ID_FORM = _row("WIB04003", "id-form", _W, "An identifier attribute is repeated, misplaced or not wsu:Id.", "Use wsu:Id, each value once; node-soap: signerOptions.idMode 'wssecurity'; .NET SignedXml: override GetIdElement.", fault=_INVALID)
    ALGORITHM = _row("WIB04004", "algorithm", _W, "A signature, digest or canonicalisation algorithm is not in the profile.", "zeep: pass RSA_SHA256 and SHA256; CXF: ws-security.asymmetric.signature.algorithm; WSS4J: signatureAlgorithm and signatureDigestAlgorithm; Metro: signatureAlgorithm of sp:AlgorithmSuite; WCF: defaultAlgorithmSuite Basic256Sha256; .NET SignedXml: CanonicalizationMethod and transforms exc-c14n; node-soap: signatureTransformations with exc-c14n only, no signatureAlgorithm, no digestAlgorithm, an RSA key; gSOAP: SOAP_SMD_SIGN_RSA_SHA256; PHP wse-php: algorithm and digest SHA256; XML::Compile: signer and digest_method.", fault=_ALGORITHM)
    REFERENCE = _row("WIB04005", "reference", _W, "A signature reference is not '#id' with one exclusive canonicalisation and one digest.", "Reference each part by its wsu:Id with exactly one exc-c14n transform; .NET SignedXml: one XmlDsigExcC14NTransform for each Reference.", fault=_INVALID)
    NOT_SIGNED = _row("WIB04006", "part-not-signed", _W, "A part that must be signed is not: Body and Timestamp, and addressing where the register requires it.", "zeep: add a wsu:Timestamp to the header before BinarySignature.apply; WSS4J: signatureParts with Body and Timestamp; node-soap: additionalReferences, no excludeReferencesFromSigning; gSOAP: soap_wsse_add_Timestamp; PHP wse-php: addTimestamp before signing; XML::Compile: sign_types, signature before timestamp.", fault=_INVALID)
    TOKEN_FORM = _row("WIB04007", "token-form", _W, "The key must be named by a direct reference to an X.509 v3 binary security token.", "WSS4J and CXF: signatureKeyIdentifier DirectReference; zeep: BinarySignature; gSOAP: soap_wsse_add_KeyInfo_SecurityTokenReferenceX509; PHP wse-php: attachTokentoSig.", fault=_UNSUPPORTED)
    TOKEN = _row("WIB04008", "token", _W, "The binary security token is not one DER certificate with a key of the profile.", "Send the signing certificate itself: RSA 2048 to 4096, or ECDSA P-256 or P-384.", fault=_TOKEN)
    SIGNATURE = _row("WIB04009", "signature", _W, "The signature or a digest does not match.", "Sign last and serialise once, without pretty-printing; with an EC key gSOAP writes no value of the standard: use RSA.", fault=_CHECK)
    TIMESTAMP = _row("WIB04010", "timestamp", _W, "The wsu:Timestamp is missing a time or is malformed.", "Send Created and Expires as xsd:dateTime with a zone, at most an hour apart; PHP wse-php: addTimestamp(300).", fault=_INVALID)
    EXPIRED = _row("WIB04011", "expired", _W, "The message is older than the acceptance window or has expired.", "Check the sender's clock and send at once after signing.", fault="wsu:MessageExpired", severity=_TRANSIENT)
    FUTURE = _row("WIB04012", "future", _W, "The message was created in the future.", "Check the sender's clock.", fault=_INVALID, severity=_TRANSIENT)

    # PROTOCOL §5: identity. One sentence for every certificate trouble: no oracle.
    CERTIFICATE = _row("WIB05001", "certificate", _I, "The signing certificate is not accepted now.", "Check issuer, validity, key usage and revocation with the operator of the gateway.", fault=_TOKEN)
    AUTHORITY_UNKNOWN = _row("WIB05002", "authority-unknown", _I, "The signing certificate names no authority that may call.", "Enrol the certificate with the operator of the gateway.", fault="wsse:FailedAuthentication")
    IDENTITIES_DIFFER = _row("WIB05003", "identities-differ", _I, "TLS certificate and signature belong to different authorities.", "Use both certificates of the same authority.", fault="wsse:FailedAuthentication")
    CUSTOMER = _row("WIB05004", "customer-mismatch", _I, "informationCustomer does not name the authority that signed.", "Put your own KBO/CBE number, and unit if you have one, into customerIdentification.", fault="wsse:FailedAuthentication")
    SUSPENDED = _row("WIB05005", "suspended", _I, "The authority is suspended in the register.", "Contact the operator of the gateway.", fault="wsse:FailedAuthentication")

    # PROTOCOL §6: the request.
    SCHEMA = _row("WIB06001", "schema", _R, "The Body is not valid against the contract.", "Validate the message against the XSD served to you.")
    IDENTIFIER = _row("WIB06002", "identifier", _R, "An identifier has wrong check digits, is a test number, or stands in place of a ticket.", "Check INSZ, KBO and dossier numbers before sending; a ticket must not be the number of a person.")
    RESERVED = _row("WIB06003", "reserved-block", _R, "informationGateway, and dataFilters of a notification, are written by the gateway only.", "Leave them out.")
    TIMESTAMP_SENT = _row("WIB06004", "timestamp-sent", _R, "timestampSent is outside the acceptance window.", "Set timestampSent when sending and check the clock.", severity=_TRANSIENT)
    TICKET = _row("WIB06005", "ticket-duplicate", _R, "This ticket was used before by the same authority.", "Give each request a new ticket; only the very same notification may be sent again with its ticket.")

    # PROTOCOL §7: permission.
    CONTEXT_UNKNOWN = _row("WIB07001", "context-unknown", _P, "The legal context is not one of the agreement.", "Take the legal context from checkAccessControl.")
    CONTEXT_DENIED = _row("WIB07002", "context-denied", _P, "Your role may not invoke this legal context for this operation.", "Ask checkAccessControl which contexts are yours (KSZ MSG00013).")
    CONTEXT_INAPPLICABLE = _row("WIB07003", "context-inapplicable", _P, "The legal context does not apply to this type of permit or procedure.", "Use the context that belongs to the dossier's procedure.")
    OPERATION_DENIED = _row("WIB07004", "operation-denied", _P, "Your role may not call this operation.", "Ask checkAccessControl which operations are yours.")
    DOSSIER_DENIED = _row("WIB07005", "dossier-denied", _P, "The dossier is not in your scope, or does not exist.", "The dossier must be routed to you first (KSZ MSG00012).")
    STATUS_DENIED = _row("WIB07006", "status-denied", _P, "At its present status the dossier is not open to your role.", "Wait for the status that the agreement names.", severity=_TRANSIENT)
    CRITERIA_DENIED = _row("WIB07007", "criteria-denied", _P, "A search criterion is not that of the dossier, or is a field that you or the provider may not hold.", "Name the dossier's own worker; if you did, the operator of the gateway sees whether the dossier is bound to one.")
    DOCUMENT_DENIED = _row("WIB07008", "document-denied", _P, "Your view does not include this type of document.", "Ask checkAccessControl which documents are yours.")
    VIEW_EMPTY = _row("WIB07009", "view-empty", _P, "Nothing that this source holds may be released to you in this legal context.", "Ask checkAccessControl which fields are yours.")
    SOURCE_DENIED = _row("WIB07010", "source-denied", _P, "The source is no provider of this operation, or plays no part in this dossier.", "Name a source that the agreement lists for the operation.")
    QUOTA = _row("WIB07011", "quota", _P, "You have sent more messages than the agreement permits in this time.", "Try again after the seconds named in Retry-After; send fewer, or ask the parties of the agreement for a larger quota.", fault=_SERVER, severity=_TRANSIENT)

    # PROTOCOL §9: the provider, only half trusted.
    PROVIDER_UNREACHABLE = _row("WIB09001", "provider-unreachable", _V, "The provider could not be reached.", "Ask again later with a new ticket.", fault=_SERVER, origin=_PROVIDER, severity=_TRANSIENT)
    PROVIDER_TIMEOUT = _row("WIB09002", "provider-timeout", _V, "The provider did not answer in time.", "Ask again later with a new ticket.", fault=_SERVER, origin=_PROVIDER, severity=_TRANSIENT)
    PROVIDER_HTTP = _row("WIB09003", "provider-http", _V, "The provider did not answer with a SOAP message.", "The operator of the gateway informs the provider.", fault=_SERVER, origin=_PROVIDER)
    PROVIDER_SECURITY = _row("WIB09004", "provider-security", _V, "The provider's answer is not a validly signed message of the profile.", "The operator of the gateway informs the provider.", fault=_SERVER, origin=_PROVIDER)
    PROVIDER_IDENTITY = _row("WIB09005", "provider-identity", _V, "The answer was signed or served by another party than the provider asked.", "The operator of the gateway informs the provider.", fault=_SERVER, origin=_PROVIDER)
    PROVIDER_SCHEMA = _row("WIB09006", "provider-schema", _V, "The provider's answer is not valid against the contract.", "The operator of the gateway informs the provider.", fault=_SERVER, origin=_PROVIDER)
    PROVIDER_MISMATCH = _row("WIB09007", "provider-mismatch", _V, "The provider answered another question.", "The operator of the gateway informs the provider.", fault=_SERVER, origin=_PROVIDER)
    PROVIDER_RIGHT = _row("WIB09008", "provider-right", _V, "The provider wrote a field that it may not provide.", "The operator of the gateway informs the provider.", fault=_SERVER, origin=_PROVIDER)
    PROVIDER_FAULT = _row("WIB09009", "provider-fault", _V, "The provider answered with a fault of its own.", "Ask again later with a new ticket.", fault=_SERVER, origin=_PROVIDER, severity=_TRANSIENT)
    DOCUMENT_DIGEST = _row("WIB09010", "document-digest", _V, "The document does not have the digest that was asked for.", "Consult the dossier again for the current reference and digest.", fault=_SERVER, origin=_PROVIDER)
    PROVIDER_ADDRESS = _row("WIB09011", "provider-address", _V, "The provider's address is none that the gateway may connect to.", "The operator of the gateway compares the register's endpoint and what the name service says of it with outbound.allow.", fault=_SERVER, origin=_GATEWAY, severity=_TRANSIENT)

    # PROTOCOL §8 and §11: the gateway itself.
    LOG_UNAVAILABLE = _row("WIB10001", "log-unavailable", _G, "It is not certain that the exchange was recorded, so nothing is released.", "Ask again later: a question or an upload with a new ticket, a notification with its own.", fault=_SERVER, origin=_GATEWAY, severity=_TRANSIENT)
    INTERNAL = _row("WIB10002", "internal", _G, "The gateway failed; the incident is recorded.", "Give the incident number to the operator of the gateway.", fault=_SERVER, origin=_GATEWAY)
    SPOOL_UNAVAILABLE = _row("WIB10003", "spool-unavailable", _G, "There was no room to keep the document, so it was neither taken in nor passed on.", "Ask again later with a new ticket.", fault=_SERVER, origin=_GATEWAY, severity=_TRANSIENT)
    SIGNING_UNAVAILABLE = _row("WIB10004", "signing-unavailable", _G, "The gateway cannot sign at this moment, so nothing that it would have to sign is sent.", "Try again after the seconds named in Retry-After: a question with a new ticket, a notification with its own.", http=503, origin=_GATEWAY, severity=_TRANSIENT)

    # PROTOCOL §13: notifications.
    STEP_UNKNOWN = _row("WIB13001", "step-unknown", _P, "The course of such a dossier has no such step for your role.", "Check operation, permit type and procedure, and the value that tells the outcome.")
    TRANSITION_DENIED = _row("WIB13002", "transition-denied", _P, "At its present status the dossier does not allow this step.", "Consult the status first; tell what came before it first.")
    DOSSIER_EXISTS = _row("WIB13003", "dossier-exists", _P, "The dossier was opened before.", "Give each application a new dossier number.")
    ROUTE_UNKNOWN = _row("WIB13004", "route-unknown", _P, "What the file says leads to no authority that can take part, or to another region than the competent one.", "Check the place of work, competentRegion, the post and the residence that the file names.")
    SENDER_RIGHT = _row("WIB13005", "sender-right", _P, "The notification holds a field that your role may not write in this operation.", "Leave out what is another authority's to say; the WSDL served to you has your fields.")
    DOSSIER_CHANGED = _row("WIB13006", "dossier-changed", _P, "Something else about the dossier happened at the same moment.", "Send the same message again.", severity=_TRANSIENT)
    PAYLOAD_REQUIRED = _row("WIB13007", "payload-required", _R, "The notification tells nothing, or not of which dossier.", "Send the dossier element with what the operation is about.")

    # PROTOCOL §14: mailboxes.
    MESSAGE_UNKNOWN = _row("WIB14001", "message-unknown", _P, "No such message waits for you.", "List your messages; one that was acknowledged is gone.")
    MESSAGE_LEASED = _row("WIB14002", "message-leased", _P, "The message was fetched and may still be acknowledged by whoever fetched it.", "Wait until the lease has ended, or acknowledge it.", severity=_TRANSIENT)
    MESSAGE_ORDER = _row("WIB14003", "message-order", _P, "An earlier message about the same dossier must be acknowledged first.", "Take the messages in the order of the list.")
    MAILBOX_NONE = _row("WIB14004", "mailbox-none", _P, "Your messages go to your endpoint: you have no mailbox.", "Read them where the register says that your service is.")

    # PROTOCOL §17: documents.
    DOCUMENT_TOO_LARGE = _row("WIB15001", "document-too-large", _R, "The document is too large to travel as base64 in the message.", "Ask with MTOM, or name multipart/related in the Accept header: CXF: mtom-enabled; node-soap: forceMTOM; zeep: session.headers['Accept'] = 'multipart/related, text/xml'.")
    DOCUMENT_MISMATCH = _row("WIB15002", "document-mismatch", _R, "The document is not the one that the criteria name.", "Write reference, type and SHA-256 of the very content into criteria and document alike.")
    DOCUMENT_EXISTS = _row("WIB15003", "document-exists", _P, "Another document was uploaded under this reference before.", "Give each document of a dossier a reference of its own.")
    # fmt: on

    @property
    def row(self) -> Explanation:
        return self.value


SOON: Final = 2  # seconds after which a hub that is at its capacity may be tried again
_SOON: Final = frozenset({Code.BUSY, Code.SIGNING_UNAVAILABLE})


class Refusal(Exception):  # noqa: N818 - the protocol's own word: a foreseen outcome, not an error
    """A foreseen refusal.

    `about` narrows the sentence for officer and peer ("Timestamp", "rsa-sha1"). It is always one of the
    program's own constants, never text that a peer sent: a signed fault must not become a signing oracle.
    `signer`: register id of who signed, where that is not the TLS peer; for the operational log, never for the peer.
    `retry_after`: whole seconds after which the peer may try again; None: nobody can tell.
    """

    def __init__(
        self, code: Code, about: str = "", *, signer: str = "", retry_after: int | None = None
    ) -> None:
        super().__init__(f"{code.row.code} {code.row.label}" + (f": {about}" if about else ""))
        self.code: Final = code
        self.about: Final = about
        self.signer: Final = signer
        self.retry_after: Final = SOON if retry_after is None and code in _SOON else retry_after
