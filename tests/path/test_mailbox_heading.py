"""PROTOCOL §14.2: a fetched message says which dossier it is about, whatever its payload holds."""

from __future__ import annotations

from gateway.model import SERVICE
from tests.path.hub import DOSSIER, Hub
from tests.path.notifying import mailbox
from tests.path.test_mailbox import VISA, content, fetch, permit


async def test_fetched_message_without_header_names_its_dossier_and_the_list_does_not(hub: Hub):
    await permit(hub, post="POST_NEW_DELHI")
    answered = await mailbox(hub, "POST_NEW_DELHI", "listMessages", VISA)
    assert answered.texts("dossierNumber") == []
    (message,) = answered.texts("messageId")
    fetched = await fetch(hub, message, "POST_NEW_DELHI")
    assert not any("header" in path for path in content(fetched))
    (heading,) = [one for one in fetched.body if one.tag.endswith("}notification")]
    assert heading.findtext(f"{{{SERVICE}}}dossierNumber") == DOSSIER
