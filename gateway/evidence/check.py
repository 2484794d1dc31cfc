"""The check of an evidence file, offline: everything that is wrong with it, and what it shows.

It goes on after a finding. What the file itself cannot vouch for is given from outside: the log's key, the anchors,
and those of the time-stamping authority.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final

from gateway.agreement.finding import AgreementError
from gateway.agreement.load import Agreement, load_agreement, revision
from gateway.evidence import container
from gateway.evidence.contents import Contents, Recorded, unpack
from gateway.evidence.message import Judged, judge
from gateway.evidence.moment import Moments
from gateway.evidence.payload import check_payload
from gateway.evidence.stamp import check_token, stamped
from gateway.evidence.together import check_together
from gateway.evidence.xades import MANIFEST, SIGNATURE, Sealed, check_seal
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.commitment import digest, signatures_digest, verify_body
from gateway.exchangelog.fields import FieldRecord, base64url, fields_root
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import NoteKey
from gateway.exchangelog.proof import TlogProof
from gateway.policy.explanation import EXCHANGES
from gateway.policy.recorded import prove_view

_RELEASING: Final = (Kind.RESPONSE, Kind.DELIVERY)  # `body` commits to the payload; else to that of a message


@dataclass(frozen=True, slots=True)
class Given:
    """What whoever checks a file brings along."""

    verifiers: Sequence[NoteKey]  # keys of the log
    anchors: Sequence[bytes] = ()  # PEM or DER; none: those of the file, and a notice
    crls: Sequence[bytes] = ()  # besides those of the file
    tsa_anchors: Sequence[bytes] = ()  # PEM
    tsa_crls: Sequence[bytes] = ()  # PEM or DER; besides those in the token
    documents: Mapping[str, bytes] = field(default_factory=dict)  # SHA-256 in hexadecimal → content


@dataclass(frozen=True, slots=True)
class Signed:
    """A message whose signature verified."""

    judged: Judged
    enterprise: str | None  # that its certificate names, if that was to be believed


@dataclass(slots=True)
class Shown:
    """What a file shows. What did not verify is not in it."""

    findings: list[Finding] = field(default_factory=list)
    sealed: Sealed | None = None
    checkpoint: Checkpoint | None = None
    stamped: datetime | None = None
    leaves: dict[int, Leaf] = field(default_factory=dict)  # those that are in the tree
    messages: dict[int, list[Signed]] = field(default_factory=dict)

    def found(self, flaw: Flaw, index: int | None = None, about: str = "") -> None:
        self.findings.append(Finding(flaw, index, about))


def check(data: bytes, given: Given) -> Shown:
    """Everything about one evidence file. Never raises for what is wrong with it."""
    shown = Shown()
    try:
        members = container.read(data)
    except ProofError as error:
        shown.found(error.flaw, about=error.about)
        return shown
    shown.sealed, findings = check_seal(members)
    contents, misplaced = unpack(
        {name: one for name, one in members.items() if name not in {SIGNATURE, MANIFEST}}
    )
    shown.findings += [*findings, *misplaced]
    _Check(contents, given, shown).run()
    return shown


class _Check:
    """One pass over the contents."""

    def __init__(self, contents: Contents, given: Given, shown: Shown) -> None:
        known = contents.known
        self._contents, self._given, self._shown = contents, given, shown
        anchors = given.anchors or known.anchors
        self._moments = Moments(anchors, known.intermediates, (*known.crls, *given.crls), known.answers)
        self._recorded = {one.index: one for one in contents.entries}
        self._leaves: dict[int, Leaf] = {}  # as they are read, whether or not they are in the tree
        self._hub: str | None = None  # enterprise of who signed the file, if that was to be believed

    def run(self) -> None:
        shown = self._shown
        if not self._given.anchors:
            shown.found(Flaw.OWN_ANCHORS)
        if shown.sealed is not None:
            self._sealer(shown.sealed)
        try:
            shown.checkpoint = open_checkpoint(self._contents.checkpoint, self._given.verifiers)
        except ProofError as error:
            shown.found(error.flaw, about=error.about or "checkpoint")
        self._stamp()
        for one in self._contents.entries:
            self._in_tree(one)
        for index, leaf in self._leaves.items():
            self._shown.messages[index] = list(self._messages(self._recorded[index], leaf))
        for index, leaf in self._leaves.items():
            self._entry(self._recorded[index], leaf)
        shown.findings += self._unplaced()
        if self._hub is not None and self._hub in self._parties():
            shown.found(Flaw.SEALER, about="of a party to the exchange")
        shown.findings += check_together(self._leaves)

    def _parties(self) -> set[str]:
        """Who asked, told or signed something. The gateway is none of them: its own messages are not in a file."""
        signed = [one for messages in self._shown.messages.values() for one in messages]
        told = [party for leaf in self._leaves.values() if leaf.notification for party in leaf.to]
        signers = [one.enterprise for one in signed if one.enterprise is not None]
        callers = [leaf.caller for leaf in self._leaves.values() if leaf.kind in EXCHANGES]
        return {*callers, *told, *signers}

    def _sealer(self, sealed: Sealed) -> None:
        try:
            self._hub = self._moments.signer(sealed.certificate, sealed.time)
        except ProofError as error:
            self._shown.found(Flaw.SEALER, about=error.about)

    def _stamp(self) -> None:
        if self._contents.token is None:
            return
        anchors = self._given.tsa_anchors
        try:
            stamped(self._contents.token, self._contents.checkpoint)
            if not anchors:
                self._shown.found(Flaw.TIMESTAMP_UNTRUSTED)
                return
            lists = self._given.tsa_crls
            found = check_token(self._contents.token, self._contents.checkpoint, anchors, lists)
            self._shown.stamped = found.time
            if not found.cleared:
                self._shown.found(Flaw.TIMESTAMP_UNCLEARED)
        except ProofError as error:
            self._shown.found(error.flaw, about=error.about)

    def _in_tree(self, one: Recorded) -> None:
        """The proof is of this index, under the one checkpoint, and of the leaf that it carries."""
        try:
            proof, entry = _proof_of(one, self._contents.checkpoint)
            leaf = self._leaves[one.index] = Leaf.parse(entry)
            proof.verify(entry, self._given.verifiers)
            self._shown.leaves[one.index] = leaf
        except ProofError as error:
            self._shown.found(error.flaw, one.index, error.about)

    def _messages(self, one: Recorded, leaf: Leaf) -> Iterator[Signed]:
        at = datetime.fromisoformat(leaf.time)
        for n, message in enumerate(one.messages, 1):
            try:
                judged = judge(message, at, self._given.documents)
            except ProofError as error:
                self._shown.found(error.flaw, one.index, f"message {n}: {error.about}")
                continue
            if judged.without is not None:
                self._shown.found(judged.without, one.index, f"message {n}")
            yield Signed(judged, self._enterprise(judged, one.index, n, at))

    def _enterprise(self, judged: Judged, index: int, n: int, at: datetime) -> str | None:
        """Whom the certificate names, if it was to be believed at the time of the entry."""
        try:
            return self._moments.signer(judged.certificate, at)
        except ProofError as error:
            self._shown.found(error.flaw, index, f"message {n}: {error.about}")
            return None

    def _entry(self, one: Recorded, leaf: Leaf) -> None:
        """The entry and what is in the file of it say the same."""
        self._signatures(one, leaf)
        self._body(one, leaf)
        self._fields(one, leaf)
        for named in {leaf.revision, leaf.in_force} - {None}:
            files = self._contents.agreements.get(named or "")
            if files is None:
                self._shown.found(Flaw.PIECE_MISSING, one.index, f"agreement {named}")
            elif revision(files) != named:
                self._shown.found(Flaw.AGREEMENT, one.index, named or "")

    def _unplaced(self) -> Iterator[Finding]:
        """Pieces that nothing in an entry vouches for: nobody has looked at what is in them."""
        for index, leaf in self._leaves.items():
            one = self._recorded[index]
            pieces = (
                ("payload.xml", one.payload, leaf.kind in _RELEASING),
                ("body.salt", one.salt, leaf.body is not None),
                ("fields.json", one.fields, leaf.fields_root is not None),
            )
            for name, data, placed in pieces:
                if data is not None and not placed:
                    yield Finding(Flaw.PIECE_SURPLUS, index, name)
        named = {one for leaf in self._leaves.values() for one in (leaf.revision, leaf.in_force)}
        for revision_ in sorted(self._contents.agreements.keys() - named):
            yield Finding(Flaw.PIECE_SURPLUS, about=f"agreement {revision_}")

    def _signatures(self, one: Recorded, leaf: Leaf) -> None:
        """`msgsig` is the hash of the signatures of these messages, or of one that another entry keeps."""
        own = self._shown.messages[one.index]
        if leaf.signature is None:
            if one.messages:
                self._shown.found(Flaw.MESSAGE_OTHER, one.index, "the entry names none")
            self._unsigned(one.index, leaf)
        elif not one.messages:
            if leaf.signature not in self._elsewhere():
                self._shown.found(Flaw.PIECE_MISSING, one.index, "signed message")
        elif len(own) == len(one.messages):  # else what is wrong with one of them was said
            if leaf.signature != _named(leaf, [each.judged.signature for each in own]):
                self._shown.found(Flaw.MESSAGE_OTHER, one.index)
            self._signers(one.index, leaf, own)

    def _unsigned(self, index: int, leaf: Leaf) -> None:
        """Only what the hub answers by itself has no signature of anybody else."""
        answered = leaf.to if leaf.kind is Kind.RESPONSE and self._hub is not None else ()
        for provider in answered:
            if provider != self._hub:
                self._shown.found(Flaw.PIECE_MISSING, index, f"signed message of {provider}")

    def _elsewhere(self) -> set[str]:
        """Hashes of single messages that the file holds, as a request or a response names them."""
        known = [each.judged.signature for signed in self._shown.messages.values() for each in signed]
        return {digest(one) for one in known} | {signatures_digest([one]) or "" for one in known}

    def _signers(self, index: int, leaf: Leaf, signed: Sequence[Signed]) -> None:
        """Who signed is whom the entry names: who asked or told, who answered in order, who acknowledged."""
        answers = leaf.kind in {Kind.RESPONSE, Kind.SETTLEMENT}
        named = leaf.to if answers else (leaf.caller,)
        found = [one.enterprise or name for one, name in zip(signed, named, strict=False)]
        if found != list(named) or len(signed) != len(named):
            self._shown.found(Flaw.MESSAGE_SIGNER, index)

    def _body(self, one: Recorded, leaf: Leaf) -> None:
        """What `body` commits to is here: what was released, or the Body of the message."""
        if leaf.body is None:
            return
        signed = self._shown.messages[one.index]
        bodies = [body for each in signed for body in each.judged.bodies]
        if leaf.kind in _RELEASING:
            bodies = [] if one.payload is None else [one.payload]
        elif one.messages and not bodies:  # a finding about the message says why
            return
        if one.salt is None or not bodies:
            self._shown.found(Flaw.PIECE_MISSING, one.index, "body")
            return
        try:
            verify_body(leaf.body, one.salt, bodies)
        except ProofError as error:
            self._shown.found(error.flaw, one.index, error.about)

    def _fields(self, one: Recorded, leaf: Leaf) -> None:
        if leaf.fields_root is None:
            return
        if one.fields is None:
            self._shown.found(Flaw.PIECE_MISSING, one.index, "fields.json")
            return
        root = base64url(fields_root(one.fields)).decode()
        if (root, len(one.fields)) != (leaf.fields_root, leaf.nfields):
            self._shown.found(Flaw.FIELDS, one.index)
            return
        if one.payload:
            self._shown.findings += check_payload(one.index, one.payload, one.fields)
        if one.index in self._shown.leaves:  # the log vouches for the hash of the agreement
            self._view(one.index, leaf, one.fields)

    def _view(self, index: int, leaf: Leaf, records: Sequence[FieldRecord]) -> None:
        """What was released and withheld is what the agreement yields (§10.3), whoever the parties were."""
        files = self._contents.agreements.get(leaf.revision or "", {})
        if revision(files) != leaf.revision:  # which was said
            return
        try:
            found = prove_view(index, leaf, records, _compiled(tuple(sorted(files.items()))), {})
        except AgreementError as error:
            self._shown.found(Flaw.AGREEMENT, index, error.what)
            return
        self._shown.findings += [one for one in found.findings if one.fails]


def _proof_of(one: Recorded, checkpoint: bytes) -> tuple[TlogProof, bytes]:
    """The proof, and the entry that it carries. Raises `ProofError`."""
    proof = TlogProof.parse(one.proof)
    if proof.extra is None or (proof.index, proof.checkpoint) != (one.index, checkpoint):
        raise ProofError(Flaw.PROOF_FORM, "of another entry or checkpoint")
    return proof, proof.extra


@lru_cache(maxsize=4)
def _compiled(files: tuple[tuple[str, bytes], ...]) -> Agreement:
    """A pure function that takes half a second; the entries of a file have mostly one agreement. Raises AgreementError."""
    return load_agreement(dict(files))


def _named(leaf: Leaf, signatures: Sequence[bytes]) -> str | None:
    """The hash as an entry of this kind has it."""
    if leaf.kind is Kind.RESPONSE:
        return signatures_digest(signatures)
    return digest(signatures[0]) if len(signatures) == 1 else None
