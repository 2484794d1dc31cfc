"""What stops a start on the side of the agreement: a directory without one, a revision before its day."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway import config
from gateway.loading import StartError, load
from tests.rules.agreement_files import ROOT


def findings(directory: Path) -> list[str]:
    """What a start says with a copy of the shipped settings, beside which only the contracts lie."""
    (directory / "deploy").mkdir()
    shutil.copy(ROOT / "deploy/gateway.toml", directory / "deploy")
    with pytest.raises(StartError) as stopped:
        load(config.load(directory / "deploy/gateway.toml"))
    return [str(error) for error in stopped.value.errors]


def test_a_missing_directory_is_named_by_its_real_path(tmp_path: Path):
    assert any(f"{tmp_path}/contracts: no agreement.toml here" in one for one in findings(tmp_path))


@pytest.mark.parametrize(("day", "stops"), [("2999-01-01", True), ("2026-01-01", False)])
def test_a_revision_is_not_applied_before_its_day(tmp_path: Path, day: str, stops: bool):
    shutil.copytree(ROOT / "contracts", tmp_path / "contracts")
    file = tmp_path / "contracts/agreement.toml"
    file.write_text(file.read_text().replace("valid_from = 2026-01-01", f"valid_from = {day}"))
    assert any("agreement.valid_from: in force from 2999-01-01" in one for one in findings(tmp_path)) is stops
