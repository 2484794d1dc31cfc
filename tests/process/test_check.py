"""`gateway check` and `gateway serve` on settings that something is wrong with: codes, never a traceback."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import app as application
from gateway import config
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.log_key import ensure_log
from gateway.adapters.store import Store
from gateway.adapters.store_witnessed import moved_to
from gateway.cli.commands import app
from gateway.exchangelog.flaw import ProofError
from gateway.loading import StartError, load
from gateway.reading import in_words
from tests.notifications import tell
from tests.path import hub as memory
from tests.process.running import OFFICER, write_settings
from tests.process.sandboxes import ROOT, gateway
from tests.process.store_world import alter
from tests.process.tokens import program

HUB = "pki/HUB"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("made")
    memory.place_pki(directory / "pki")
    write_settings(directory, "https://127.0.0.1:1/soap", {})
    settings = config.load(directory / "gateway.toml")
    ensure_log(settings.log.store, settings.keys.log_key, settings.log.origin, settings.log.bucket_keys)
    return directory


@pytest.fixture
def place(made, tmp_path) -> Path:
    """A hub's directory in order, for one test to spoil."""
    return Path(shutil.copytree(made, tmp_path / "place"))


def check(place: Path, *options: str):
    result = CliRunner().invoke(app, ["check", "--config", str(place / "gateway.toml"), *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def codes(place: Path) -> list[str]:
    result = check(place, "--json")
    told = json.loads(result.stdout)["findings"]
    assert result.exit_code == bool(told)
    assert all(one["text"] in result.stderr for one in told)
    return [one["code"] for one in told]


def setting(place: Path, old: str, new: str) -> None:
    path = place / "gateway.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


async def start(place: Path) -> str:
    """The code of what keeps a hub from starting, which begins here as in a process of its own."""
    settings = config.load(place / "gateway.toml")
    with pytest.raises((config.ConfigError, ProofError)) as found:
        async with application.hub(settings, load(settings), io.StringIO()):
            pass
    return list(in_words(found.value))[-1][:6]


def serve(place: Path) -> subprocess.CompletedProcess[str]:
    command = gateway("serve", "--config", str(place / "gateway.toml"))
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_what_is_in_order_is_told_with_ends_of_validity_and_the_key_of_the_log(place):
    facts = json.loads(check(place, "--json").stdout)
    assert facts["findings"] == []
    assert set(facts["certificates"]) == {"tls", "rsa-sha256", "ecdsa-sha256"}
    assert len(facts["issuers"]) == len(facts["revocation_lists"]) == 2
    assert facts["log"]["vkey"].startswith(facts["log"]["origin"] + "+")
    assert facts["log"]["size"] == 0
    text = check(place).stdout
    assert facts["log"]["vkey"] in text
    assert text.count("holds until") == 2


def test_officers_of_nobody_in_the_register_are_found(place):
    officer = '{ user = "somebody", id = "1", authority = "NOBODY", rights = [] }'
    setting(place, OFFICER, officer)
    assert codes(place) == ["LOG734"]


def test_stores_of_former_logs_are_looked_at(place):
    setting(place, "\nformer = []", '\nformer = ["gone.db"]')
    assert codes(place) == ["LOG506"]
    setting(place, '"gone.db"', '"store.db"')
    assert codes(place) == ["LOG720"]


@pytest.mark.parametrize("key", ["tls", "sign-rsa", "sign-ec"])
@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (Path.unlink, "CFG003"),
        (lambda path: path.chmod(0o640), "CFG009"),
        (lambda path: path.write_text("no key"), "CFG004"),
        (lambda path: path.write_bytes(memory.pki()["BRUSSELS/sign.key.pem"]), "CFG007"),
    ],
    ids=["missing", "readable by others", "no PEM", "of another certificate"],
)
def test_every_private_key_is_looked_at(place, key, spoil, code):
    spoil(place / HUB / f"{key}.key.pem")
    assert codes(place) == [code]


def linked(key: Path, mode: int) -> None:
    """A link where the key is looked for."""
    behind = key.parent.parent / "behind"
    key.rename(behind)
    behind.chmod(mode)
    key.symlink_to(behind)


EXPOSED = {  # flaw → what is done to a key's file
    "readable by the group": lambda key: key.chmod(0o640),
    "readable by others": lambda key: key.chmod(0o604),
    "writable by others": lambda key: key.chmod(0o602),
    "a link to a file that others may read": lambda key: linked(key, 0o644),
    "in a directory that the group may write to": lambda key: key.parent.chmod(0o770),
    "in a directory that others may write to": lambda key: key.parent.chmod(0o707),
    "a link into a directory that others may write to": lambda key: (
        linked(key, 0o600),
        key.parent.parent.chmod(0o777),
    ),
}


@pytest.mark.parametrize("flaw", EXPOSED)
@pytest.mark.parametrize("key", ["log.key.pem", "payload.key"])
def test_key_that_others_may_read_or_exchange_is_refused(place, key, flaw):
    EXPOSED[flaw](place / HUB / key)
    found = codes(place)
    assert found
    assert set(found) == {"CFG009"}


def test_key_of_another_user_is_refused(place, monkeypatch):
    key = place / HUB / "log.key.pem"
    if os.geteuid() == 0:
        os.chown(key, 65534, -1)
    else:  # who cannot give a file away is somebody else instead
        owner = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert "CFG009" in codes(place)


@pytest.mark.parametrize("directory", [HUB, "kept"], ids=["of the link", "of the file"])
def test_key_in_a_directory_of_another_user_is_refused(place, monkeypatch, directory):
    key, kept = place / HUB / "payload.key", place / "kept"
    kept.mkdir()
    key.rename(kept / key.name)
    key.symlink_to(kept / key.name)
    assert codes(place) == []
    if os.geteuid() == 0:
        os.chown(place / directory, 65534, -1)
    else:
        owner = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert "CFG009" in codes(place)


@pytest.mark.parametrize("key", ["log.key.pem", "payload.key"])
def test_pipe_in_the_place_of_a_key_is_refused_and_not_waited_for(place, key):
    (place / HUB / key).unlink()
    os.mkfifo(place / HUB / key, 0o600)
    told = program(gateway("check", "--config", str(place / "gateway.toml")))
    assert (told.returncode, told.stderr[:6]) == (1, "CFG009")


def test_links_and_sticky_directories_are_accepted(place):
    """Secrets as orchestrators mount them: links into a directory where nobody may rename what is another's."""
    linked(place / HUB / "log.key.pem", 0o400)
    (place / HUB).chmod(0o1777)
    assert codes(place) == []


def test_commands_of_the_log_look_at_the_key_too(place):
    (place / HUB / "log.key.pem").chmod(0o644)
    result = CliRunner().invoke(app, ["log", "vkey", "--config", str(place / "gateway.toml")])
    assert (result.exit_code, result.stderr[:6]) == (1, "CFG009")


def test_key_with_a_password_is_refused_and_nobody_is_asked_for_it(place):
    key = place / HUB / "tls.key.pem"
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", key, "-out", place / "new", "-passout", "pass:secret"],
        check=True,
        capture_output=True,
    )
    key.write_bytes((place / "new").read_bytes())
    assert codes(place) == ["CFG004"]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("tls.crt.pem", b"none", "CFG008"),
        ("log.key.pem", b"none", "CFG004"),
        ("directory.key", b"none", "CFG011"),
    ],
)
def test_file_that_is_not_what_it_should_be_has_a_code(place, name, content, code):
    (place / HUB / name).write_bytes(content)
    assert codes(place) == [code]


def test_trust_file_that_is_der_is_refused(place):
    (place / "pki/root.crl.pem").write_bytes(b"\x30\x03\x02\x01\x00")
    assert codes(place) == ["CFG008"]


def test_trust_file_with_a_broken_block_is_refused(place):
    (place / "pki/root.crl.pem").write_text("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    assert codes(place) == ["TRU002"]


def test_certificate_chain_that_openssl_cannot_read_has_a_code(place):
    path = place / HUB / "tls.crt.pem"
    path.write_text(path.read_text() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert codes(place) in (["CFG008"], ["CFG012"])


@pytest.mark.parametrize(
    "url",
    [
        "http://hub.example/soap/v1",
        "hub.example",
        "https://hub.example:x/soap/v1",
        "https://a@b/soap/v1",
        "https://:a@b/soap/v1",
        "https://a/soap/v1?b",
        "https://hub.example",
        "https://hub.example/soap/v1/",
    ],
)
def test_public_url_must_be_https_and_where_the_hub_serves(place, url):
    setting(place, "https://gateway.example.be/soap/v1", url)
    assert codes(place) == ["CFG014"]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("# stop_seconds = 14400.0", "stop_seconds = 14400.0", "CFG041"),
        ("# stop_seconds = 14400.0", "stop_seconds = nan", "CFG002"),
        ('at_start = "warn"', 'at_start = "refuse"', "CFG041"),
        ('host = "127.0.0.1"', 'host = ""', "CFG002"),
        ('host = "127.0.0.1"', r'host = "127.0.0.1\u0000"', "CFG002"),
    ],
)
def test_settings_that_would_do_nothing_or_too_much_are_found(place, old, new, code):
    setting(place, old, new)
    assert codes(place) == [code]


@pytest.mark.parametrize("origin", ["https://log.example", "log.example/", "log example", "log+example", ""])
def test_origin_must_be_a_url_without_schema(place, origin):
    setting(place, "gateway.example.be/exchange-log/2026", origin)
    assert codes(place) == ["CFG015"]


def test_store_under_another_origin_is_found(place):
    setting(place, "gateway.example.be/exchange-log/2026", "gateway.example.be/exchange-log/2027")
    assert codes(place) == ["LOG204"]


def test_missing_store_is_found_and_not_made(place):
    (place / "store.db").unlink()
    assert codes(place) == ["LOG506"]
    assert not (place / "store.db").exists()


def test_key_that_nobody_may_look_for_hides_nothing_else(place):
    """Its name cannot be asked for, nor that of a successor beside it."""
    setting(place, '"pki/HUB/tls.crt.pem"', f'"{"x" * 255}"')
    setting(place, '"store.db"', '"none.db"')
    assert codes(place) == ["CFG003", "LOG506"]


def test_path_that_the_system_does_not_take_is_found(place):
    setting(place, '"store.db"', f'"{"x" * 300}"')
    assert codes(place) == ["LOG501"]


def test_file_that_is_no_store_is_found(place):
    (place / "store.db").write_bytes(b"something else " * 100)
    assert [code[:3] for code in codes(place)] == ["LOG"]


@pytest.mark.parametrize(
    ("theirs", "code"),
    [
        (b"", "LOG714"),
        (b"what contradicts it", "LOG713"),
        (moved_to("postgresql://hub@db/wib"), "LOG518"),
    ],
    ids=["ended", "frozen", "moved"],
)
async def test_log_that_takes_no_entry_is_found_as_serve_finds_it(place, theirs, code):
    assert codes(place) == []
    alter(place / "store.db", "INSERT INTO frozen VALUES (1, 1, ?, ?)", bindings=(b"its last", theirs))
    assert codes(place) == [code]
    with pytest.raises(ProofError) as caught:
        await tell_something(place)  # opens the store as a hub does
    assert caught.value.flaw.row.code == code


def test_store_is_looked_at_whatever_is_wrong_with_the_files(place):
    settings = config.load(place / "gateway.toml")
    for signature in settings.contracts.signatures.glob("*.xml"):
        signature.unlink()
    (place / "store.db").unlink()
    found = codes(place)
    assert (set(found), found.count("LOG506")) == ({"CFG036", "LOG506"}, 1)


def test_database_that_is_away_hides_nothing_else(place):
    setting(place, '"store.db"', '"postgresql://hub@127.0.0.1:9/wib"')
    (place / HUB / "directory.key").unlink()
    assert sorted(codes(place)) == ["CFG003", "LOG512"]


def test_every_finding_is_told_at_once(place):
    (place / HUB / "tls.key.pem").chmod(0o644)
    (place / HUB / "sign-ec.key.pem").unlink()
    (place / "pki/issuing.crl.pem").unlink()
    (place / "register.toml").write_text("[hub]\n")
    setting(place, "https://gateway.example.be", "http://gateway.example.be")
    found = codes(place)
    assert sorted(found) == ["CFG003", "CFG003", "CFG009", "CFG010", "CFG014"]
    with pytest.raises(StartError):
        load(config.load(place / "gateway.toml"))


async def tell_something(place: Path) -> None:
    """A notification waits in the store, under the payload key of the settings."""
    settings = config.load(place / "gateway.toml")
    loaded = load(settings)
    key, origin, store = loaded.log_keys[0], settings.log.origin, settings.log.store
    keys = BucketKeys.open(settings.log.bucket_keys)
    async with Store.open(store, key, origin, payload_key=loaded.payload_key, bucket_keys=keys) as opened:
        await opened.remember(loaded.rules.agreement.revision, loaded.rules.agreement.files)
        await tell(opened)


async def test_bucket_keys_that_are_missing_exposed_or_of_another_log_are_found(place):
    keys = place / "bucket-keys"
    await tell_something(place)
    assert codes(place) == []
    keys.chmod(0o770)
    assert codes(place) == ["CFG009"]
    keys.chmod(0o700)
    keys.rename(place / "elsewhere")
    assert codes(place) == ["LOG642"]
    keys.mkdir(mode=0o700)
    assert codes(place) == ["LOG643"]
    assert await start(place) == "LOG643"
    (place / "elsewhere" / "exchange_2026-03.key").rename(keys / "exchange_2026-03.key")
    assert codes(place) == []


def another_key(place: Path) -> None:
    (place / HUB / "payload.key").write_text("ab" * 32)


async def test_another_payload_key_is_found_while_something_waits(place):
    await tell_something(place)
    assert codes(place) == []
    another_key(place)
    assert codes(place) == ["LOG511"]
    assert await start(place) == "LOG511"


async def test_another_payload_key_is_none_of_ours_to_take_when_nothing_waits(place):
    """A look leaves the store as it was: the hub that runs beside it keeps its key."""
    key = place / HUB / "payload.key"
    before = key.read_bytes()
    await tell_something(place)
    alter(place / "store.db", "UPDATE notifications SET sealed = NULL")
    another_key(place)
    assert codes(place) == []
    key.write_bytes(before)
    alter(place / "store.db", "UPDATE notifications SET sealed = x'00'")
    assert codes(place) == []


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('spool = "spool"', 'spool = "register.toml"', "CFG014"),
        ("lease_seconds = 120.0", "lease_seconds = 15.0", "CFG017"),
        ("max_retry_seconds = 3600.0", "max_retry_seconds = 4.0", "CFG018"),
        ("pki/HUB/payload.key", "pki/HUB/directory.key", "CFG019"),
        ("anchors = [] ", 'anchors = ["none.pem"] ', "CFG012"),
    ],
    ids=[
        "spool that is a file",
        "lease too short",
        "longest retry before the first",
        "one key for both",
        "anchors of witnesses that are not there",
    ],
)
def test_check_and_serve_find_the_same(place, old, new, code):
    setting(place, old, new)
    assert codes(place) == [code]
    with pytest.raises(StartError) as found:
        load(config.load(place / "gateway.toml"))  # what serve begins with
    assert [line[:6] for line in in_words(found.value)] == [code]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lease_seconds = 120.0", "lease_seconds = 15.1"),
        ("max_retry_seconds = 3600.0", "max_retry_seconds = 5.0"),
    ],
)
def test_just_enough_is_enough(place, old, new):
    setting(place, old, new)
    assert codes(place) == []


@pytest.mark.parametrize(
    "content",
    [b"\xff", b"[listen]\n", b"[keys]\ntls_key = 3\n", b"= =", b"a=" + b"9" * 5_000, b"a=" + b"[" * 3_000],
    ids=[
        "no UTF-8",
        "a table without keys",
        "a number for a path",
        "no TOML",
        "a number without end",
        "lists without end",
    ],
)
def test_settings_that_do_not_read_have_a_code(place, content):
    (place / "gateway.toml").write_bytes(content)
    assert codes(place) == ["CFG002"]


def test_serve_says_the_same(place):
    (place / HUB / "tls.key.pem").write_text("no key")
    (place / HUB / "directory.key").write_text("no key")
    done = serve(place)
    assert (done.returncode, [line[:6] for line in done.stderr.splitlines()]) == (1, ["CFG004", "CFG011"])


def test_port_in_use_has_a_code_and_a_remedy(place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        setting(place, "port = 0", f"port = {taken.getsockname()[1]}")
        done = serve(place)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("CFG013: listen: 127.0.0.1 port")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid", "a..b"])
async def test_host_that_cannot_be_bound_has_a_code(place, host):
    setting(place, "127.0.0.1", host)
    assert await start(place) == "CFG013"


def test_hub_stops_when_its_standard_input_closes(place):
    command = gateway("serve", "--stop-with-stdin", "--config", str(place / "gateway.toml"))
    reading, writing = os.pipe()
    process = subprocess.Popen(command, cwd=ROOT, stdin=reading, stderr=subprocess.PIPE, text=True)
    os.close(reading)
    assert process.stderr is not None
    assert '"serving"' in process.stderr.readline()
    os.close(writing)
    assert process.wait(60) == 0


def test_version_is_printed():
    from gateway import __version__

    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == f"gateway {__version__}"
