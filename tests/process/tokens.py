"""A SoftHSM 2 token with the hub's signing keys in it: a directory of its own, and the real library."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gateway.adapters.token import library
from tests.path import hub as memory
from tests.path.hub import ROOT

MODULE = next(
    path
    for path in (Path("/usr/lib/softhsm/libsofthsm2.so"), Path("/usr/lib64/pkcs11/libsofthsm2.so"))
    if path.exists()
)
PIN = "835-wib-2271"  # found nowhere by chance
KEYS = {"sign_rsa_key": "sign-rsa", "sign_ec_key": "sign-ec", "log_key": "log"}  # setting → key
_ANEW = """
import sys, pkcs11
token = pkcs11.lib(sys.argv[1]).get_token(token_label=sys.argv[2])
session = token.open(rw=True, user_pin=sys.argv[3])
exec(sys.argv[4])
"""


@dataclass(frozen=True)
class SoftToken:
    """What is below `place`: the configuration, the token, the file with the PIN."""

    place: Path
    label: str = "wib"

    @property
    def pin(self) -> Path:
        return self.place / "pin"

    def make(self) -> None:
        """With the three keys of the development PKI's hub in it."""
        (self.place / "tokens").mkdir()
        self.pin.write_text(f"{PIN}\n")
        self.pin.chmod(0o600)
        self.use()
        self.initialise()
        for number, name in enumerate(KEYS.values(), start=1):
            self.hold(name, memory.pki()[f"HUB/{name}.key.pem"], f"{number:02}")

    def use(self) -> None:
        """What this process and its children see from now on."""
        configuration = self.place / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {self.place}/tokens\nobjectstore.backend = file\n")
        os.environ["SOFTHSM2_CONF"] = str(configuration)
        self.look_again()

    def look_again(self) -> None:
        """The library reads its configuration and its tokens once for each generation."""
        one = library(MODULE.resolve())
        with one.lock:
            one.begin_anew()

    def initialise(self) -> None:
        _run("--init-token", "--free", "--label", self.label, "--pin", PIN, "--so-pin", "so-wib-835")

    def hold(self, label: str, pem: bytes, id_: str) -> None:
        """Take a private key in, as a file would be taken in: sensitive, not extractable."""
        file = self.place / "taken-in.pem"
        file.write_bytes(pem)
        _run("--import", str(file), "--token", self.label, "--label", label, "--id", id_, "--pin", PIN)
        file.unlink()

    def run(self, statement: str, pin: str = PIN) -> subprocess.CompletedProcess[str]:
        """A statement of python-pkcs11 about `token` and `session`, in a process of its own."""
        command = [sys.executable, "-c", _ANEW, str(MODULE), self.label, pin, statement]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def uri(self, object_: str, **attributes: str) -> str:
        query = {"module-path": str(MODULE), "pin-source": f"file:{self.pin}"} | {
            name.replace("_", "-"): value for name, value in attributes.items()
        }
        path = f"pkcs11:token={self.label};{object_ if '=' in object_ else f'object={object_}'}"
        return f"{path}?{'&'.join(f'{name}={value}' for name, value in query.items())}"

    def settings(self) -> dict[str, str]:
        """Lines of the settings file, as `running_hub` takes them."""
        return {setting: f'"{self.uri(name)}"' for setting, name in KEYS.items()}

    def take_out(self) -> None:
        (self.place / "tokens").rename(self.place / "away")

    def put_back(self) -> None:
        (self.place / "away").rename(self.place / "tokens")

    def close_sessions(self) -> None:
        """What a token does when its reader is reset: every session of this process is gone."""
        shared = ctypes.CDLL(str(MODULE))
        one = library(MODULE.resolve())
        with one.lock:
            for token in one.tokens():
                assert shared.C_CloseAllSessions(ctypes.c_ulong(token.slot.slot_id)) == 0


def _run(*arguments: str) -> None:
    subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True, timeout=60)


def program(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run to its end, with nothing on standard input."""
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )
