"""What can stop a benchmark, as a code, a sentence and a remedy."""

from __future__ import annotations


class BenchError(Exception):
    """The benchmark has no figures to give. `code` is stable; the text says what happened, then the remedy.

    BEN001 the hub did not start · BEN002 exchanges failed · BEN003 a helper process ended ·
    BEN004 an option makes no sense · BEN005 the contracts are not there · BEN006 the log took no more entries ·
    BEN007 the log that was appended does not verify · BEN008 py-spy is missing, or may not trace ·
    BEN009 a file cannot be written
    """

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(f"{code}: {message} {remedy}")
        self.code = code
