"""Files that commands write: whole or not at all, and for their owner's eyes where there is a person in them."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.output import is_writable, write_output
from tests.process.sandboxes import ROOT


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def before(tmp_path) -> Path:
    path = tmp_path / "report.html"
    path.write_bytes(b"before")
    path.chmod(0o644)
    return path


def test_what_holds_a_person_is_its_owners_although_the_file_was_everybodys(before):
    write_output(before, b"after", private=True)
    assert (mode(before), before.read_bytes()) == (0o600, b"after")


def test_what_holds_none_may_be_read_by_all(before):
    write_output(before, b"after", private=False)
    assert (mode(before), before.read_bytes()) == (0o644, b"after")


def test_what_can_be_written_is_known_before(before, tmp_path):
    """A file takes the place of another: its directory is what must be writable."""
    ours, theirs = os.pipe()
    sound = (before, tmp_path / "new", Path("/dev/full"), Path(f"/dev/fd/{theirs}"))
    assert [is_writable(one) for one in sound] == [True] * len(sound)
    assert not any(is_writable(one) for one in (tmp_path, tmp_path / "none" / "new", before / "new"))
    (tmp_path / "link").symlink_to(before)
    assert not is_writable(before, None, tmp_path / "link")  # it is read as well
    assert is_writable(tmp_path / "new", before, tmp_path / "none")
    for one in (ours, theirs):
        os.close(one)


def test_a_link_stays_and_its_file_is_written(before, tmp_path):
    link = tmp_path / "latest.html"
    link.symlink_to(before)
    write_output(link, b"after", private=True)
    assert link.is_symlink()
    assert before.read_bytes() == b"after"


def test_a_device_stays_one():
    device = Path("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_output(device, b"after", private=True)
    assert device.is_char_device()


def test_a_named_pipe_hands_on_what_is_written_and_stays_one(tmp_path):
    pipe = tmp_path / "report.html"
    os.mkfifo(pipe)
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        write_output(pipe, b"report", private=True)
        assert reader.read() == b"report"
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.parametrize("directory", ["/dev/fd", "/proc/self/fd"])
def test_a_pipe_that_has_no_name_hands_on_what_is_written(directory):
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as reader, os.fdopen(theirs, "wb") as writer:
        write_output(Path(directory, str(theirs)), b"report", private=True)
        writer.close()
        assert reader.read() == b"report"


def test_a_file_that_has_lost_its_name_is_written_to_and_gets_no_other(tmp_path):
    with (tmp_path / "gone").open("w+b") as file:
        (tmp_path / "gone").unlink()
        write_output(Path(f"/dev/fd/{file.fileno()}"), b"after", private=True)
        assert file.read() == b"after"
    assert list(tmp_path.iterdir()) == []


def test_standard_output_into_a_pipe_may_be_named_as_a_file():
    code = "import sys; from pathlib import Path; from gateway.cli.output import write_output as w; "
    code += "w(Path('/dev/stdout'), b'report', private=True)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"report", b"")


def test_a_disk_that_is_full_leaves_what_was_there(before):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_output(before, bytes(10_000), private=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert before.read_bytes() == b"before"
    assert list(before.parent.iterdir()) == [before]
