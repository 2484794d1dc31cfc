"""The program as a process: standard output that cannot be written, Ctrl-C at any moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway import cli
from tests.process.commands import run
from tests.process.sandboxes import ROOT


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", [["--version"], ["agreement", "show"], ["log", "--help"]])
def test_a_full_disk_behind_standard_output_is_told_in_a_sentence(command, unbuffered):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *command],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env={"PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    (line,) = done.stderr.splitlines()
    assert (done.returncode, line[:7]) == (1, "LOG509:")
    assert "standard output" in line


def test_what_is_printed_is_utf_8_wherever_it_is_printed():
    """An answer may be on record before it is printed: it must not end at a letter that a terminal does not have."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "agreement", "show", "--courses"],
        cwd=ROOT, capture_output=True, check=False, env={"PYTHONIOENCODING": "latin-1"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert "→" in done.stdout.decode()


@pytest.mark.parametrize("away", [">&-", "| true"])
@pytest.mark.parametrize("command", ["--version", "agreement show", "agreement check"])
def test_nobody_who_reads_what_is_printed_is_no_error(command, away):
    line = f"set -o pipefail; {sys.executable} -m gateway {command} {away}"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_before_the_command_began_ends_without_a_word(monkeypatch, capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 130
    assert capsys.readouterr().err == ""


def test_a_file_that_cannot_even_be_looked_for_is_told_with_its_name():
    """A name that is too long stands here for a directory that may not be searched: root may search all."""
    long = "x" * 300
    for status, code, *arguments in (
        (1, "LOG509", "demo", "--keep", long),
        (1, "CFG016", "agreement", "check", "--contracts", long),
        (2, "LOG509", "agreement", "diff", "contracts", long),  # 1 would say that they differ
    ):
        done = run(*arguments)
        assert (done.returncode, done.stderr[:6]) == (status, code)
        assert long in done.stderr


def test_another_error_of_the_system_is_not_laid_to_standard_output(monkeypatch):
    def broken() -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(cli, "_run", broken)
    with pytest.raises(ConnectionRefusedError):
        cli.main()
