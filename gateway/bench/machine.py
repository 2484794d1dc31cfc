"""What the figures were measured on: without it they mean nothing."""

from __future__ import annotations

import os
import platform
import ssl
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

from lxml import etree

from gateway import __version__

_PACKAGES: Final = ("aiohttp", "apsw", "cryptography", "lxml", "uvloop")
_VOLATILE: Final = frozenset({"tmpfs", "ramfs"})  # where an fsync may cost nothing

Facts = dict[str, str | int | float | dict[str, str]]


def facts(directory: Path) -> Facts:
    """Processor, memory, systems and versions; `directory` is where the hub's store lies."""
    return {
        "cpu": _after_colon(Path("/proc/cpuinfo"), "model name") or platform.processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000,
        "system": platform.platform(),
        "load_average": os.getloadavg()[0],  # at the end: the benchmark's own load is in it
        "store_filesystem": filesystem(directory),
        "python": sys.version.partition(" ")[0],
        "openssl": ssl.OPENSSL_VERSION,
        "libxml2": ".".join(map(str, etree.LIBXML_VERSION)),
        "packages": {name: version(name) for name in _PACKAGES},
        "gateway": __version__,
    }


def filesystem(directory: Path) -> str:
    """Type of the file system that holds `directory` (proc(5): mounts)."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [(point, kind) for point, kind in mounts if directory.resolve().is_relative_to(point)]
    return max(holding, key=lambda mount: len(mount[0]), default=("", "unknown"))[1]


def is_volatile(directory: Path) -> bool:
    """Whether the two commits of an exchange would be measured without a disk."""
    return filesystem(directory) in _VOLATILE


def _after_colon(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return ""
