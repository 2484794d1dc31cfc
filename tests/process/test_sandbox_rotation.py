"""The hub of a sandbox rotates its keys: its back offices learn of the new certificates from the hub's own list."""

from __future__ import annotations

import signal
import time

import pytest
from typer.testing import CliRunner

from gateway.cli.commands import app
from gateway.model import AuthorityId
from gateway.sandbox.believed import Believed
from gateway.sandbox.client import Requester
from gateway.sandbox.files import FIRST, WORKER, read_files, told
from gateway.sandbox.world import World

PARTIES = ["PLATFORM", "BRUSSELS", "IMMIGRATION_OFFICE", "POST_RABAT", "MUN_BRUSSELS", "NSSO"]
CONTEXT = "WIB:WORK_DECISION"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with World(tmp_path_factory.mktemp("rotation") / "world") as world:
        world.records.enter(FIRST, "FIRST", "CARD_ISSUED", WORKER, PARTIES)
        yield world


def until(happened):
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def rotate(world, step, *options):
    """One step, and the hub has looked at its files."""
    result = CliRunner().invoke(app, ["pki", "rotate", step, "--config", str(world.place.config), *options])
    assert result.exit_code == 0, result.output
    log = world.place.hub_log
    said = len(log.read_bytes())
    world.hub.process.send_signal(signal.SIGHUP)
    until(lambda: b'"event": "reloaded"' in log.read_bytes()[said:])


def asked_and_told(world):
    """Somebody asks the platform, NSSO tells the Immigration Office: both back offices listen to the hub."""
    with_pin_of_now = [Requester(world.place, world.place.authority(name)) for name in ("BRUSSELS", "NSSO")]
    asking, telling = with_pin_of_now
    assert asking.ask("consultDossier", CONTEXT, {"dossierNumber": FIRST}).outcome == "DATA_FOUND"
    event = told(read_files(AuthorityId("NSSO"))[FIRST], "notifySocialSecurityEvent")
    receipt = telling.tell("notifySocialSecurityEvent", CONTEXT, FIRST, event)
    until(lambda: world.offices[AuthorityId("IMMIGRATION_OFFICE")].inbox.of(receipt.exchange))
    for requester in with_pin_of_now:
        requester.close()


def test_back_offices_answer_and_take_over_at_every_step_of_a_rotation(world):
    asked_and_told(world)
    rotate(world, "prepare", "--pki", str(world.place.directory / "pki"))
    rotate(world, "switch")
    asked_and_told(world)
    rotate(world, "finish")
    asked_and_told(world)


def test_list_that_does_not_read_leaves_the_former_one_in_force(world):
    believed, path = Believed(world.place.settings), world.place.settings.trust.enrolled
    listed, before = path.read_bytes(), believed.now()
    path.write_bytes(b"half a l")
    assert believed.now() is before
    path.write_bytes(listed)
    assert believed.now() is not before
    assert believed.now().enrolment.by_fingerprint.keys() == before.enrolment.by_fingerprint.keys()
    assert believed.now() is believed.now()
