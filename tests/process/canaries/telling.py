"""What is told: every step, rectifications, and the mailboxes in which it waits."""

from __future__ import annotations

import uuid
from functools import cache

from lxml import etree

from gateway.agreement.course import Course, Step
from gateway.model import AuthorityId, DossierScope, Role
from tests.path.hub import agreement, register
from tests.process.canaries.asking import asked_dossiers
from tests.process.canaries.parties import Message, Party
from tests.process.canaries.place import ASKED, TOLD, scope
from tests.process.canaries.values import Part
from tests.process.canaries.world import World, fields, shown, word


@cache
def tellings() -> list[tuple[Course, Step, Role]]:
    """Every step by operation, sender and outcome, in the first course that has it."""
    found: dict[tuple, tuple[Course, Step, Role]] = {}
    for course in agreement().courses.values():
        for step in course.steps:
            for sender in sorted(step.senders):
                found.setdefault((step.operation, sender, step.when), (course, step, sender))
    return list(found.values())


@cache
def told_dossiers() -> list[DossierScope]:
    """For each telling the dossier that it is about; for an opening one the dossier that it will be."""
    found = []
    for number, (course, step, _) in enumerate(tellings()):
        parts = ASKED if set(step.recipients) <= {Role.MUN, Role.CONS} else TOLD  # somebody has an endpoint
        status = min(step.before) if step.before else "SUBMITTED"
        permit, procedure = min(course.permit_types), min(course.procedures)
        resumes = "SUBMITTED" if status == "INFO_REQUESTED" else None
        found.append(scope(2000 + number, permit, procedure, status, parts, resumes))
    return found


def known_before() -> list[DossierScope]:
    told = [one for one, (_, step, _) in zip(told_dossiers(), tellings(), strict=True) if not step.opens]
    return [*asked_dossiers().values(), *told]


async def tell_everything(world: World) -> None:
    """Every step, with all that its sender may write in it."""
    for dossier, (course, step, role) in zip(told_dossiers(), tellings(), strict=True):
        message = telling(world, dossier, course, step, role)
        code = await message.send()
        assert code is None, (step.operation, role, code)


def telling(world: World, dossier: DossierScope, course: Course, step: Step, role: Role) -> Message:
    operation = agreement().operations[step.operation]
    writes, known = agreement().matrix.writes(role, operation), fields(step.operation)
    outcomes = {str(one): sorted(step.values(one)) for one in course.outcomes}

    def wanted(leaf: Part) -> bool:
        field = known.get(leaf.path)
        return field is not None and field in writes and outcomes.get(field) != []

    said = {field: values[0] if step.when is None or step.when[0] != field else step.when[1]
            for field, values in outcomes.items() if values}  # fmt: skip
    fixed = {
        path.partition("/")[2]: said[field]
        for path, field in known.items()
        if field in said and field in writes
    }
    fixed |= {
        path: text
        for path, text in places(dossier).items()
        if known.get(f"{step.operation}/{path}") in writes
    }
    fixed |= {"criteria/dossierNumber": dossier.dossier, "legalContext": step.context}
    return Message.of(world.parties[part(dossier, role)], step.operation, wanted, fixed)


def part(dossier: DossierScope, role: Role) -> AuthorityId:
    """Who plays the role in the dossier."""
    return next(one.authority for one in dossier.inscriptions if one.role is role)


def places(dossier: DossierScope) -> dict[str, str]:
    """What routes: it must lead to somebody."""
    municipality, post = (register().by_id[part(dossier, role)] for role in (Role.MUN, Role.CONS))
    return {
        "dossier/header/dossierNumber": dossier.dossier,
        "dossier/header/permitType": dossier.permit_type,
        "dossier/header/procedure": dossier.procedure,
        "dossier/header/competentRegion": "BRUSSELS",
        "dossier/header/post": str(post.post),
        "dossier/addressBelgium/municipality": str(municipality.nis),
        "dossier/workPlace/municipality": "21004",
        "dossier/workPlace/main": "true",
    }


async def rectify_everything(world: World) -> None:
    """Each role that may rectify, about a dossier of which much was shown."""
    operation = agreement().operations["rectifyData"]
    known = fields("rectifyData")
    for role, contexts in operation.requesters.items():
        dossier, context = next(
            (dossier, context)
            for (*kind, status), dossier in asked_dossiers().items()
            for context in sorted(contexts)
            if status in agreement().roles[role].statuses and agreement().contexts[context].applies(*kind)
        )
        writes = agreement().matrix.writes(role, operation)
        fixed = {
            path: text for path, text in places(dossier).items() if known[f"rectifyData/{path}"] in writes
        }
        fixed |= {"criteria/dossierNumber": dossier.dossier, "legalContext": context}
        message = Message.of(
            world.parties[ASKED[role]],
            "rectifyData",
            lambda leaf, writes=writes: known.get(leaf.path) in writes,
            fixed,
        )
        while (code := await message.send()) == "WIB13006":  # what was told before is on its way still
            message.values["rectifyData/informationCustomer/ticket"] = word(f"ticket {uuid.uuid4()}")
        assert code is None, (role, code)


# Mailboxes.


async def read_mailboxes(world: World) -> None:
    """List, fetch and acknowledge, as far as the status lets the owner."""
    for role in (Role.MUN, Role.CONS):
        owner = world.parties[TOLD[role]]
        for one in await listed(owner):
            fixed = {"criteria/messageId": one["messageId"], "legalContext": one["legalContext"]}
            sender = next(each for each in register().authorities if str(each.enterprise.cbe) == one["cbeNumber"]
                          and each.enterprise.unit == one.get("unit"))  # fmt: skip
            view = agreement().view(one["operation"], role, one["legalContext"], sender.role)
            paths = shown(one["operation"], view)
            may = {each.value for (path, _), each in world.said.items() if path in paths}
            numbers = {str(each.dossier) for each in told_dossiers()}
            code = await call(owner, "fetchMessage", fixed).send(may=may | numbers)
            if code is None:
                assert await call(owner, "acknowledgeMessage", fixed).send() is None


def call(owner: Party, operation: str, fixed: dict[str, str]) -> Message:
    return Message.of(owner, operation, lambda leaf: False, fixed)


async def listed(owner: Party) -> list[dict[str, str]]:
    context = min(agreement().operations["listMessages"].requesters[owner.authority.role])
    fixed = {"legalContext": context, "criteria/waitSeconds": "0"}
    assert await call(owner, "listMessages", fixed).send() is None
    reply = owner.world.heard[-1].data
    body = etree.fromstring(reply[reply.index(b"<?xml") :])
    found = [
        {etree.QName(leaf).localname: leaf.text for leaf in one.iter()} for one in body.iter("{*}message")
    ]
    assert found, owner.id
    owner.world.given.update(one["messageId"] for one in found)
    return found
