"""Files that commands write: whole or not at all, and for their owner's eyes where there is a person in them."""

from __future__ import annotations

import resource
import signal
import stat
from pathlib import Path

import pytest

from gateway.cli.output import write_output


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
