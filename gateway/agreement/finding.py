"""What is wrong with an agreement, a contract or a register, said all at once and each with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: the file, the line where the format has lines, the path inside the file, and a sentence."""

    file: str
    path: str
    sentence: str
    line: int | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.path, self.sentence) if part)


class AgreementError(Exception):
    """The agreement does not compile. Never raised while serving: nothing starts with a finding."""

    what: ClassVar[str] = "the agreement does not compile"

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class ContractError(AgreementError):
    """The XSDs or the WSDL leave the dialect, or an element has no clear mark."""

    what = "the contract's schemas do not compile"


class RegisterError(AgreementError):
    """The register of authorities is not consistent."""

    what = "the register of authorities is not consistent"


class Findings:
    """Collects the findings of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Finding] = []

    def add(self, path: str, sentence: str, line: int | None = None) -> None:
        self.found.append(Finding(self.file, path, sentence, line))

    def done(self, error: type[AgreementError]) -> None:
        """Raise `error` with everything that was found, if anything was."""
        if self.found:
            raise error(self.found)
