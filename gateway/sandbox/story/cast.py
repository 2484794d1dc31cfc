"""Who plays in the story, and how its questions name a dossier, a document, a person."""

from __future__ import annotations

from typing import Final

from gateway.sandbox.files import FIRST, WORKER

PLATFORM, OFFICE, NSSO = "PLATFORM", "IMMIGRATION_OFFICE", "NSSO"
BRUSSELS, FLANDERS, WALLONIA, COMMUNITY = "BRUSSELS", "FLANDERS", "WALLONIA", "GERMAN_COMMUNITY"
RABAT, NEW_DELHI = "POST_RABAT", "POST_NEW_DELHI"
CITY, LIEGE, EUPEN = "MUN_BRUSSELS", "MUN_LIEGE", "MUN_EUPEN"
# Documents of the first dossier: type → reference and digest, which a requester learns from the dossier.
DOCUMENTS: Final = {
    "CONTRACT": ("contract-0001", "2cb300236286d9fe9b866b172e8e725a5234a4fd9b5bb4ea0ebbaa0366dc03f6"),
    "TRAVEL_DOCUMENT_SCAN": (
        "passport-scan-0001",
        "5d8bfdd44ff64fa3d8397bb2ce9a02f0fe849175a9a69fc26f64ab0429df626f",
    ),
    "CRIMINAL_RECORD": (
        "criminal-record-0001",
        "717ff414ae3f56d530d457bb90ff246d09fb1ad1162a683978125d423650e12c",
    ),
    "MEDICAL_CERTIFICATE": (
        "medical-0001",
        "0b3f2f7b83e8f7c13f767e7919eb78285bf1aa61bd06a41caaf122975a1ff055",
    ),
}


def dossier(source: str | None = None, number: str = FIRST) -> dict[str, str]:
    """Criteria that name a dossier, and whose file of it is meant: the platform's when none is named."""
    return {"dossierNumber": number} | ({"source": source} if source else {})


def document(kind: str) -> dict[str, str]:
    """Criteria of retrieveDocument."""
    reference, digest = DOCUMENTS[kind]
    return {**dossier(), "documentReference": reference, "documentType": kind, "documentSha256": digest}


def worker(number: str = FIRST, ssin: str = WORKER) -> dict[str, str]:
    """Criteria that name a dossier and the person whom it should concern."""
    return {"dossierNumber": number, "ssin": ssin}
