"""`gateway agreement show`: every letter of the table is explained below it."""

from __future__ import annotations

import re

from typer.testing import CliRunner

from gateway.cli.agreement import app
from tests.rules.agreement_files import ROOT


def test_every_letter_of_the_table_is_explained():
    result = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["show", "--contracts", str(ROOT / "contracts")])
    assert result.exit_code == 0
    table, _, legend = result.output.partition("P, R   ")
    letters = set(re.findall(r"(?<=[ │])(?:[PR](?=[( ])|R\*|-|[CLJ])(?=[ (│])", table))
    assert letters == {"P", "R", "R*", "-", "C", "L", "J"}
    explained = {word for line in f"P, R   {legend}".splitlines() for word in re.split(r",? ", line[:7])}
    assert letters <= explained
