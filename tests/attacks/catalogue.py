"""The whole catalogue: its cases in the order of the rows, and the rows that are not tried here, with the reason."""

from __future__ import annotations

from tests.attacks import (  # noqa: F401 - each module enters its cases
    answers,
    identity,
    keys,
    signature,
    times_and_addresses,
    wire,
    words,
    xml,
)
from tests.attacks.case import CASES

__all__ = ["ABSENT", "CASES"]

_CONSOLE = "there is no console: officers use commands on the hub's own machine (PROTOCOL annex F)"
ABSENT = {  # row → why no case of it is here, and which test or row tries it instead
    "I06": "needs TLS sessions over a reload: tests/process/test_reload.py::test_a_tls_session_ends_with_what_it_was_made_by",
    "K28": "needs files that change meanwhile: "
    "tests/process/test_reload.py::test_an_exchange_ends_by_the_rules_that_it_began_with_and_the_next_has_the_new_ones",
    "Z08": "the same for rights that end: "
    "tests/process/test_reload.py::test_of_who_is_suspended_a_question_under_way_is_answered_and_no_other",
    "H18": "needs replies of megabytes: "
    "tests/process/test_connections.py::test_a_reply_that_is_not_taken_is_cut_off_and_its_slot_is_free_again",
    "R17": "needs a name service: tests/process/test_outbound.py::test_a_name_that_is_bound_anew_leads_nowhere",
    "G08": "a search of its own: tests/process/test_key_exposure.py::test_nothing_of_a_key_leaves_a_running_hub",
    "L05": "needs a full disk: "
    "tests/process/test_operational_log.py::test_without_room_for_the_exchange_log_nothing_is_forwarded",
    "L07": "a search of its own: "
    "tests/process/test_no_leak.py::test_nothing_that_was_said_stands_where_it_has_no_place",
    "P19": "inclusive canonicalisation is refused by its name, before anything is canonicalised: S30",
    "S14": "thousands of wrapped messages go to the verifier itself: tests/rules/test_wss_wrapping.py",
    "S44": "needs an attachment: tests/process/test_uploads.py::test_an_attachment_has_its_bounds",
    "K26": "the same as G03",
    "W19": "nobody sets a process's clock from outside: "
    "tests/path/test_identity_and_request.py::test_a_clock_that_steps_accepts_nothing_twice",
    "L09": "holds for every case: it is G2 of the judge",
    **{f"A{number:02}": _CONSOLE for number in range(1, 11)},
}
