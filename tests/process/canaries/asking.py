"""What is asked: every permitted view, with an answer that holds all that its provider may provide."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cache

from gateway.model import DossierScope, Pattern, Role
from tests.path.hub import agreement, register
from tests.process.canaries.answers import CONTENT, SHA256
from tests.process.canaries.parties import Message
from tests.process.canaries.place import ASKED, SSIN, scope
from tests.process.canaries.values import Part, canary, messages
from tests.process.canaries.world import World, fields, shown, word


@dataclass(frozen=True)
class Asking:
    """One cell of what the agreement grants: who asks what of whom, for which purpose."""

    operation: str
    requester: Role
    context: str
    provider: Role
    kind: str | None  # of a document

    @property
    def view(self):
        return agreement().view(self.operation, self.requester, self.context, self.provider, self.kind)


@cache
def askings() -> list[Asking]:
    """Every permitted view of a question that a provider answers and that releases something.

    Where the same is released to the same requester under several contexts, one of them is enough.
    """
    found: dict[tuple, Asking] = {}
    for operation, requester, context, provider, kind in agreement()._views:
        terms = agreement().operations[operation]
        asked = Asking(operation, requester, context, provider, kind)
        answers = terms.pattern is Pattern.CONSULT and provider is not None
        whole = operation != "retrieveDocument" or kind is not None
        other = requester is not provider or terms.scatter
        if answers and whole and other and (released := shown(operation, asked.view)):
            found.setdefault((operation, requester, provider, kind, released), asked)
    return list(found.values())


def dossier_for(one: Asking) -> tuple[str, str, str]:
    """Type of permit, procedure and status at which the question may be asked."""
    context, statuses = agreement().contexts[one.context], agreement().roles[one.requester].statuses
    kinds = ((permit, procedure) for course in agreement().courses.values()
             for permit in sorted(course.permit_types) for procedure in sorted(course.procedures))  # fmt: skip
    permit, procedure = next(kind for kind in kinds if context.applies(*kind))
    return permit, procedure, min(statuses - {"CLOSED", "INFO_REQUESTED"})


@cache
def asked_dossiers() -> dict[tuple[str, str, str], DossierScope]:
    kinds = sorted({dossier_for(one) for one in askings()})
    return {kind: scope(1000 + number, *kind, ASKED) for number, kind in enumerate(kinds)}


async def ask_everything(world: World) -> None:
    """Every permitted view, with an answer that holds all that its provider may provide."""
    dossiers, at_once = asked_dossiers(), asyncio.Semaphore(6)

    async def ask(one: Asking) -> None:
        known = fields(one.operation)
        provided = agreement().provided(one.provider, one.operation, one.kind)
        paths = shown(one.operation, one.view)
        told = {canary(leaf).value for leaf in messages()[f"{one.operation}Response"].leaves()
                if leaf.path in paths and known[leaf.path] in provided and one.kind is None}  # fmt: skip
        fixed = criteria(one, dossiers[dossier_for(one)])
        async with at_once:
            code = await question(world, ASKED[one.requester], one, fixed).send(
                may=released(one), must=told - overridden(one)
            )
        assert code is None, (one, code)

    await asyncio.gather(*map(ask, askings()))


def released(one: Asking) -> set[str]:
    """The values that its reply may hold."""
    paths = shown(one.operation, one.view)
    leaves = messages()[f"{one.operation}Response"].leaves()
    return truths(one) | {canary(leaf).value for leaf in leaves if leaf.path in paths}


def truths(one: Asking) -> set[str]:
    """What an answer cannot have a canary of its own for."""
    regions = {str(each.region) for each in register().authorities}
    return {CONTENT, SHA256, word("document")} if one.kind else regions


def overridden(one: Asking) -> set[str]:
    leaves = messages()[f"{one.operation}Response"].leaves()
    return {canary(leaf).value for leaf in leaves if leaf.name in {"dossierNumber", "region"}}


def criteria(one: Asking, dossier: DossierScope) -> dict[str, str]:
    given = {
        "dossierNumber": dossier.dossier,
        "source": one.provider,
        "ssin": SSIN,
        "documentReference": word(f"reference {one.provider}"),
        "documentType": one.kind,
        "documentSha256": SHA256,
    }
    has = {leaf.name for leaf in messages()[one.operation].leaves() if "/criteria/" in leaf.path}
    return {
        f"criteria/{name}": str(value) for name, value in given.items() if name in has and value is not None
    }


def question(world: World, name: str, one: Asking, fixed: dict[str, str]) -> Message:
    def wanted(leaf: Part) -> bool:
        return "/criteria/period" in leaf.path

    return Message.of(world.parties[name], one.operation, wanted, {**fixed, "legalContext": one.context})


async def ask_the_hub(world: World) -> None:
    """What the hub answers by itself."""
    for operation in ("sendTestMessage", "checkAccessControl"):
        for role, contexts in agreement().operations[operation].requesters.items():
            fixed = {"legalContext": min(contexts)}
            if operation == "checkAccessControl":
                fixed["criteria/dossierNumber"] = next(iter(asked_dossiers().values())).dossier
            message = Message.of(
                world.parties[ASKED[role]], operation, lambda leaf: leaf.name == "echo", fixed
            )
            assert await message.send() is None, operation
