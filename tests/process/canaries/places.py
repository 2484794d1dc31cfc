"""Everything that a hub leaves behind, or shows to anybody who is no party: by the name of its place, as bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
from typer.testing import CliRunner

from gateway.adapters.store_reader import LogReader
from gateway.cli.commands import app
from tests.process.canaries.place import SSIN

OWN = ("pki/", "signatures/", "register.toml", "gateway.toml", "break")  # what was there before


def files(directory: Path) -> dict[str, bytes]:
    """Every file of the world but what was given to the hub: the store, spool, temporary files, core dumps, logs."""
    found = {
        str(path.relative_to(directory)): path for path in sorted(directory.rglob("*")) if path.is_file()
    }
    kept = {name: path for name, path in found.items() if not name.startswith(OWN)}
    return {f"file {name}": name.encode() + b"\n" + path.read_bytes() for name, path in kept.items()}


def process(pid: int) -> dict[str, bytes]:
    """What the kernel shows of the hub: its start, and the files that it holds open, also those without a name."""
    proc = Path(f"/proc/{pid}")
    shown = {
        f"process {name}": (proc / name).read_bytes() for name in ("environ", "cmdline", "status", "maps")
    }
    shown |= {
        f"process thread {n}": (one / "comm").read_bytes()
        for n, one in enumerate(sorted((proc / "task").iterdir()))
    }
    for descriptor in sorted((proc / "fd").iterdir()):
        with suppress(FileNotFoundError):  # closed meanwhile
            target = str(descriptor.readlink())
            if target.endswith("(deleted)") and (data := descriptor.read_bytes()):
                shown[f"process fd {descriptor.name}"] = target.encode() + data
    return shown


async def operations(url: str) -> dict[str, bytes]:
    """The pages of the operations listener, with their headers."""
    found = {}
    async with aiohttp.ClientSession() as session:
        for page in ("/metrics", "/healthz", "/readyz", "/"):
            async with session.get(url + page) as reply:
                found[f"page {page}"] = f"{reply.status} {reply.raw_headers!r}".encode() + await reply.read()
    return found


def log(store: Path) -> dict[str, bytes]:
    """The exchange log as it is handed out: leaves, field records, tiles, checkpoint, proofs."""
    with LogReader.open(store) as reader:
        size = reader.head().size
        return {
            "log leaves": b"\n".join(reader.entry(index) for index in range(size)),
            "log records": repr([reader.records(index) for index in range(0, size, 20)]).encode(),
            "log tiles": b"".join(reader.hash(index) for index in range(size)),
            "log checkpoint": reader.checkpoint,
            "log proof": repr(reader.prove(size - 1)).encode(),
        }


def commands(config: Path) -> dict[str, bytes]:
    """What the operator's and the officer's commands print, as JSON and as text."""
    found = {}
    for arguments in _all(config):
        done = CliRunner().invoke(app, [*arguments, "--config", str(config)], input=f"{SSIN}\n")
        assert done.exit_code in {0, 1}, (arguments, done.output)
        found[f"command {' '.join(arguments)}"] = done.output.encode()
    return found


def _all(config: Path) -> Iterator[tuple[str, ...]]:
    listed = _json(("log", "list", "--limit", "10000"), config)
    yield ("log", "list", "--limit", "10000", "--json")
    yield ("log", "list", "--limit", "10000")
    for index in _one_of_each(listed):
        yield ("log", "show", index, "--json")
        yield ("log", "show", index)
    for command in (("list", "--person", "-"), ("subject", "-")):
        yield ("log", *command, "--json")
        yield ("log", *command)
    yield ("log", "list", "--person", "-", "--format", "csv")
    for command in ("verify", "checkpoint", "vkey"):
        yield ("log", command, "--json")
    yield ("log", "prove", "0", "--json", "--output", str(config.parent / "run" / "0.tlog-proof"))
    yield ("queue", "list", "--json")
    yield ("queue", "list")
    for one in _json(("queue", "list"), config)[:3]:
        yield ("queue", "show", one["delivery"], "--json")
    yield ("dossier", "list", "--json")
    for one in _json(("dossier", "list"), config)[:2]:
        yield ("dossier", "show", one["dossier"], "--json")
        yield ("dossier", "clock", one["dossier"], "--json")
        yield ("dossier", "scope", one["dossier"], "--json")


def _one_of_each(listed: dict) -> list[str]:
    """The last entry of each kind and decision."""
    found = {(one["entry"]["kind"], one["entry"]["decision"]): str(one["index"]) for one in listed["entries"]}
    return list(found.values())


def _json(arguments: tuple[str, ...], config: Path) -> Any:
    return json.loads(CliRunner().invoke(app, [*arguments, "--config", str(config), "--json"]).stdout)
