"""A place for the agreement that a hub serves under, and the next revisions of it, put there as an operator does."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.sandbox.signatures import sign_agreement
from tests.path.hub import ROOT

READ = 'REG  = { provide = "none", receive = ["number", "issueDate", "expiryDate"]'
LESS = 'REG  = { provide = "none", receive = ["number", "issueDate"]'


@dataclass
class Drafts:
    """`current` leads to the directory of the revision in force: a link, which is replaced at one moment."""

    directory: Path
    hub: Path  # whose parties sign them
    made: int = 0

    @property
    def current(self) -> Path:
        return self.directory / "current"

    def begin(self) -> Path:
        """The agreement of the repository."""
        self.directory.mkdir()
        self.put(lambda text: text)
        return self.current

    def put(self, change) -> None:
        """Its text of agreement.toml, changed, in the place of the one before."""
        self.made += 1
        made = self.directory / str(self.made)
        shutil.copytree(ROOT / "contracts", made)
        path = made / "agreement.toml"
        path.write_text(change(path.read_text()))
        if (self.hub / "pki").exists():  # otherwise they sign as the hub is made
            sign_agreement(made, self.hub / "pki", self.hub / "signatures", datetime.now(UTC))
        (self.directory / "next").symlink_to(made.name)
        (self.directory / "next").replace(self.current)


def revised(number: int, *changes: tuple[str, str]):
    """The agreement with this number, and other words in some places."""

    def change(text: str) -> str:
        for before, after in (("\nrevision = 1\n", f"\nrevision = {number}\n"), *changes):
            assert before in text
            text = text.replace(before, after, 1)
        return text

    return change
