"""Each drill is noticed, by the detector and with the code that the table names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drills.catalogue import DRILLS, Drill
from tests.drills.ground import Ground, fill


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    """A good log: `fill` has it verified, with the checkpoint that an officer kept."""
    return fill(tmp_path_factory.mktemp("filled"))


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.name)
def test_the_detector_names_what_was_done(filled: Path, tmp_path: Path, drill: Drill):
    assert drill.code in drill.act(Ground.copy(filled, tmp_path / "ground"))
