"""Settings of the hub in memory, for commands that are given --config."""

from __future__ import annotations

from pathlib import Path

from gateway.adapters.login import login
from tests.path.hub import ROOT, Hub, pki


def settings_of(hub: Hub, authority: str = "HUB") -> Path:
    """A settings file beside the hub's store, with the contracts and the register of the repository.

    Whoever runs the tests is an officer of the authority.
    """
    directory = hub.path.parent
    key = directory / "log.key.pem"
    officer = f'{{ user = "{login()}", id = "officer-1", authority = "{authority}", rights = ["search"] }}'
    if not key.exists():
        key.touch(mode=0o600)
        key.write_bytes(pki()["HUB/log.key.pem"])
    text = (ROOT / "deploy/gateway.toml").read_text()
    for old, new in (
        ('"../contracts"', f'"{ROOT}/contracts"'),
        ('"../contracts/register.toml"', f'"{ROOT}/contracts/register.toml"'),
        ("store =", f'store = "{hub.path}" #'),
        ("origin =", 'origin = "test.example/log" #'),
        ("\nofficers = []", f"\nofficers = [{officer}]"),
        ("log_key =", f'log_key = "{key}" #'),
    ):
        assert old in text, old
        text = text.replace(old, new, 1)
    (directory / "gateway.toml").write_text(text)
    return directory / "gateway.toml"
