"""A command by the program's own entry point, in this process: a new one spends more than a second on its imports."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout

import pytest

from gateway import cli
from tests.process.sandboxes import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What a user has of it: exit status and both streams. An exception that leaves it leaves this too."""
    out, error = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, chdir(ROOT), redirect_stdout(out), redirect_stderr(error):
        patch.setattr(sys, "argv", ["gateway", *arguments])
        try:
            cli.main()
        except SystemExit as end:
            status = _status(end)
    told = (stream.buffer.getvalue().decode() for stream in (out, error))
    return subprocess.CompletedProcess(arguments, status, *told)


def _status(end: SystemExit) -> int:
    """As the interpreter takes it: a sentence goes to standard error and is status 1."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1
