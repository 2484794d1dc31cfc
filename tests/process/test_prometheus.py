"""A real Prometheus scrapes a real hub, with the rules of deploy/."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from gateway.agreement import notices
from tests.path.hub import ROOT, question, sign_as, signed_question
from tests.path.notifying import GRANTED, dossier
from tests.process.running import running_hub

CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: gateway
    static_configs: [{{targets: ["{target}"]}}]
rule_files: ["{rules}"]
"""

RULES = """
rule_files: ["{rules}"]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series: [{series}]
    promql_expr_test:
      - {{expr: 'count by (alertname, recipient) (ALERTS{{alertstate="firing"}})', eval_time: 45m, exp_samples: [{firing}]}}
"""
NEVER_COSIGNED = {"gateway_cosigned_timestamp_seconds": 0, 'gateway_witness_answers_total{outcome="fork"}': 0}
LEFT_ALONE = {'gateway_circuit_open{recipient="NSSO"}': 1}
FIRING = {  # series that stay as they are → what fires
    "witnesses that never cosigned": (NEVER_COSIGNED, {'alertname="WitnessesLate"'}),
    "no witnesses": ({"gateway_cosigned_timestamp_seconds": 0}, set()),
    "a pin that was written long ago": (
        {"gateway_pin_timestamp_seconds": 1},
        {'alertname="PinStandsStill"'},
    ),
    "no pin": ({"gateway_pin_timestamp_seconds": 0}, set()),
    "a recipient that takes nothing": (
        LEFT_ALONE | {'gateway_queue_depth{recipient="NSSO",state="waiting"}': 2},
        {'alertname="RecipientLeftAlone", recipient="NSSO"'},
    ),
    "a recipient that took all from another process": (LEFT_ALONE, set()),
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


async def value(session: aiohttp.ClientSession, url: str, query: str) -> list[float]:
    async with session.get(f"{url}/api/v1/query", params={"query": query}) as response:
        answer = await response.json()
        return [float(sample["value"][1]) for sample in answer["data"]["result"]]


async def eventually(session: aiohttp.ClientSession, url: str, query: str) -> list[float]:
    for _ in range(120):
        try:
            found = await value(session, url, query)
        except aiohttp.ClientError:
            found = []
        if found:
            return found
        await asyncio.sleep(0.25)
    return []


@asynccontextmanager
async def prometheus_of(hub, place: Path, port: int) -> AsyncIterator[str]:
    """Yields where it answers; it scrapes the hub."""
    config = place / "prometheus.yml"
    target = hub.operations.removeprefix("http://")
    config.write_text(CONFIG.format(target=target, rules=ROOT / "deploy/alerts.yml"))
    command = [
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={place / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
    ]  # fmt: skip
    prometheus = await asyncio.create_subprocess_exec(*command)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        prometheus.terminate()
        await prometheus.wait()


def decision() -> bytes:
    now = datetime.now(UTC)
    asked = question("BRUSSELS", "notifyWorkDecision", "WIB:WORK_DECISION", None, now)
    return sign_as("BRUSSELS", notices.write_notification(asked, (), dossier(GRANTED)), now)


async def test_prometheus_scrapes_the_hub(tmp_path: Path):
    port = free_port()
    async with running_hub(tmp_path) as hub, aiohttp.ClientSession() as session:
        data = signed_question("BRUSSELS", "consultDossier", "WIB:WORK_DECISION", None, datetime.now(UTC))
        assert (await hub.soap("BRUSSELS", data))[0] == 200
        assert (await hub.soap("BRUSSELS", decision()))[0] == 200
        async with prometheus_of(hub, tmp_path, port) as url:
            counted = (
                'gateway_exchanges_total{operation="consultDossier",authority="BRUSSELS",outcome="released"}'
            )
            assert await eventually(session, url, counted) == [1.0]
            told = 'gateway_notifications_total{operation="notifyWorkDecision",sender="BRUSSELS"}'
            assert await eventually(session, url, told) == [1.0]
            # The platform's endpoint here answers questions only, the Immigration Office has none.
            for recipient in ("PLATFORM", "IMMIGRATION_OFFICE"):
                waiting = f'gateway_queue_depth{{recipient="{recipient}",state="waiting"}} == 1'
                assert await eventually(session, url, waiting) == [1.0]
            assert await eventually(session, url, 'gateway_deliveries_total{recipient="PLATFORM"} > 0')
            assert await value(session, url, "gateway_log_entries") == [
                4.0
            ]  # with the delivery to the platform
            assert await value(session, url, "up") == [1.0]


async def test_what_an_alert_watches_for_the_first_of_is_there_before_it(tmp_path: Path):
    rules = (ROOT / "deploy/alerts.yml").read_text()
    watched = re.findall(r"increase\((gateway_\w+)\{([^}]*)\}\[\w+\]\)\)? > 0$", rules, re.MULTILINE)
    elsewhere = {
        "gateway_witness_answers_total",  # of a hub that has witnesses: tests/process/test_feeding.py
        "gateway_ocsp_answers_total",  # of one that has responders, which are asked again and again
    }
    port = free_port()
    async with (
        running_hub(tmp_path) as hub,
        aiohttp.ClientSession() as session,
        prometheus_of(hub, tmp_path, port) as url,
    ):
        assert await eventually(session, url, 'gateway_refusals_total{code="internal"}')
        for series, labels in watched:
            if series not in elsewhere:
                assert await value(session, url, f"{series}{{{labels}}}"), f"{series}{{{labels}}}"
    assert len(watched) > 5


async def test_the_exposition_is_clean_by_promtools_rules(tmp_path: Path):
    async with (
        running_hub(tmp_path) as hub,
        aiohttp.ClientSession() as session,
        session.get(hub.operations + "/metrics") as response,
    ):
        exposition = await response.read()
    pipe = asyncio.subprocess.PIPE
    promtool = await asyncio.create_subprocess_exec("promtool", "check", "metrics", stdin=pipe, stderr=pipe)
    _, complaint = await promtool.communicate(exposition)
    assert promtool.returncode == 0, complaint


def test_the_shipped_configuration_and_rules_are_valid():
    for command in (["check", "config", "deploy/prometheus.yml"], ["check", "rules", "deploy/alerts.yml"]):
        checked = subprocess.run(["promtool", *command], cwd=ROOT, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("case", FIRING)
def test_an_alert_fires_when_it_should_and_only_then(tmp_path, case):
    series, firing = FIRING[case]
    given = ", ".join(f"{{series: '{name}', values: '{value}x60'}}" for name, value in series.items())
    expected = ", ".join(f"{{labels: '{{{labels}}}', value: 1}}" for labels in firing)
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES.format(rules=ROOT / "deploy/alerts.yml", series=given, firing=expected))
    checked = subprocess.run(["promtool", "test", "rules", rules], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
