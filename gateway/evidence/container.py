"""The ZIP of an evidence file (ETSI EN 319 162-1, ASiC-E): one form only, written and read.

Programs that read ZIP files disagree about what is in one: names that stand twice, directories that contradict
the files, bytes between them. Only what `write` could have written is read: every byte has one meaning.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Final

from gateway.exchangelog.flaw import Flaw, ProofError

MEDIA_TYPE: Final = "application/vnd.etsi.asic-e+zip"
MIMETYPE: Final = "mimetype"  # EN 319 162-1 annex A.1: first, stored, without extra field
MAX_MEMBERS: Final = 4096
MAX_BYTES: Final = 128 * 1024 * 1024  # of all members, unpacked (a file of some KB can claim terabytes)
_NAME: Final = re.compile(
    r"(?=.{1,200}\Z)[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*", re.ASCII
)
_END: Final = struct.Struct("<4s4H2LH")  # APPNOTE 4.3.16
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")  # 4.3.12
_LOCAL: Final = struct.Struct("<4s5H3L2H")  # 4.3.7
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the same members are the same file
_MODE: Final = 0o600 << 16  # unpacked, for its owner only
_MADE: Final = 3 << 8 | 20  # on Unix, by version 2.0
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def write(members: Mapping[str, bytes]) -> bytes:
    """The container with these members, in their order. Their names are of this module's form."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in {MIMETYPE: MEDIA_TYPE.encode(), **members}.items():
            described = zipfile.ZipInfo(name, _DATE)
            described.create_system = 3
            archive.writestr(
                described, data, zipfile.ZIP_STORED if name == MIMETYPE else zipfile.ZIP_DEFLATED
            )
    return file.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    """The members in their order, without `mimetype`. Raises `ProofError` (LOG661)."""
    try:
        members = _members(data)
    except (struct.error, zlib.error, UnicodeDecodeError):
        raise _not("cut off or damaged") from None
    if next(iter(members), None) != MIMETYPE or members.pop(MIMETYPE) != MEDIA_TYPE.encode():
        raise _not("mimetype")
    return members


def _members(data: bytes) -> dict[str, bytes]:
    count, size, start = _directory(data)
    at, place, left = start, 0, MAX_BYTES
    members: dict[str, bytes] = {}
    for _ in range(count):
        name, described, at = _described(data, at)
        if described["offset"] != place:  # files one after another, nothing before, between or behind them
            raise _not("order")
        if name.casefold() in (one.casefold() for one in members):
            raise _not("a name twice")
        left -= described["size"]
        if left < 0:
            raise _not("too large")
        members[name], place = _member(data, place, name, described)
    if at != start + size or place != start:
        raise _not("directory")
    return members


def _directory(data: bytes) -> tuple[int, int, int]:
    """Number of members, and size and place of the central directory."""
    at = len(data) - _END.size
    if at < 0:
        raise _not("cut off or damaged")
    mark, disk, first, here, count, size, start, comment = _END.unpack_from(data, at)
    if (mark, disk, first, comment) != (b"PK\5\6", 0, 0, 0) or here != count or start + size != at:
        raise _not("end")
    if count > MAX_MEMBERS:
        raise _not("too many")
    return count, size, start


def _described(data: bytes, at: int) -> tuple[str, dict[str, int], int]:
    """One entry of the central directory: name, what it says, and where the next one begins."""
    mark, made, *same, name_size, extra, comment, disk, attributes, mode, offset = _ENTRY.unpack_from(
        data, at
    )
    version, flags, method, time, date, crc, packed, size = same
    if (mark, made, version, flags, time, date) != (b"PK\1\2", _MADE, 20, 0, 0, 0x21):
        raise _not("entry")
    if method not in _METHODS or (extra, comment, disk, attributes, mode) != (0, 0, 0, 0, _MODE):
        raise _not("entry")
    at += _ENTRY.size
    name = data[at : at + name_size].decode("ascii")
    if _NAME.fullmatch(name) is None:  # no path out of a directory, whatever unpacks it
        raise _not("name")
    said = {"method": method, "crc": crc, "packed": packed, "size": size, "offset": offset}
    return name, said, at + name_size


def _member(data: bytes, at: int, name: str, said: Mapping[str, int]) -> tuple[bytes, int]:
    """Its bytes, once the local header says the same; and where the next one begins."""
    mark, version, flags, *same, name_size, extra = _LOCAL.unpack_from(data, at)
    wanted = [said["method"], 0, 0x21, said["crc"], said["packed"], said["size"]]
    if (mark, version, flags, extra) != (b"PK\3\4", 20, 0, 0) or same != wanted:
        raise _not(name)
    at += _LOCAL.size
    end = at + name_size + said["packed"]
    if data[at : at + name_size] != name.encode() or end > len(data):
        raise _not(name)
    content = _unpacked(data[at + name_size : end], said, name)
    if len(content) != said["size"] or zlib.crc32(content) != said["crc"]:
        raise _not(name)
    return content, end


def _unpacked(packed: bytes, said: Mapping[str, int], name: str) -> bytes:
    if said["method"] == zipfile.ZIP_STORED:
        return packed
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    content = unpacking.decompress(packed, said["size"] + 1)  # no byte more than was said, whatever it claims
    if not unpacking.eof or unpacking.unused_data:
        raise _not(name)
    return content


def _not(about: str) -> ProofError:
    return ProofError(Flaw.CONTAINER, about)
