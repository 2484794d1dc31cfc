"""The client of contracts/clients.md for Node.js, run as a partner would run it: Node, and packages from npm."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.process import registries
from tests.process.sandboxes import ROOT, authority, client_files

PARTNER = ROOT / "tests/clients/node"
PACKAGES = ROOT / ".node"  # not in git; filled once for each package-lock.json
CLIENTS = ROOT / "contracts/clients.md"


def installed() -> Path:
    """The packages of the lock file, each with the hash that stands there; none may run a script."""
    PACKAGES.mkdir(exist_ok=True)
    with (PACKAGES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        wanted = hashlib.sha256((PARTNER / "package-lock.json").read_bytes()).hexdigest()
        done = PACKAGES / "installed"
        if not done.exists() or done.read_text() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(PARTNER / name, PACKAGES)
            options = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
            command = ["npm", "ci", *options]
            subprocess.run(command, cwd=PACKAGES, env=registries.environment(), check=True, timeout=300)
            done.write_text(wanted)
    return PACKAGES / "node_modules"


def said() -> str:
    """The code of the document, all of it, as one module."""
    return "\n".join(re.findall(r"```js\n(.*?)```", CLIENTS.read_text(), re.DOTALL))


def play(directory: Path, facts: dict[str, Any], name: str, **scenario: object) -> dict[str, Any]:
    """What the client of authority `name` got in an empty `directory`, which holds the files the document names."""
    own = authority(facts, name)
    files = client_files(facts, own) | {"node_modules": installed()}
    for given, file in files.items():
        (directory / given).symlink_to(file)
    code = said().replace("https://gateway.example.be/soap/v1", facts["soap"])
    for shown, value in (
        ("'0999044471'", own["cbe"]),
        ("'WIB:RENEWAL'", scenario.pop("context", "WIB:RENEWAL")),
    ):
        assert shown in code
        code = code.replace(shown, json.dumps(value))
    if own["unit"]:
        code = code.replace(f'customer("{own["cbe"]}")', f'customer("{own["cbe"]}", "{own["unit"]}")')
    (directory / "client.mjs").write_text(code + (PARTNER / "drive.mjs").read_text())
    (directory / "scenario.json").write_text(json.dumps({"url": facts["soap"], **scenario}))
    command = ["node", "--no-deprecation", "client.mjs"]
    ran = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    outcomes: dict[str, Any] = json.loads(ran.stdout)
    return outcomes
