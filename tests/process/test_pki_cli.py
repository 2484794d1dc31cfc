"""`gateway pki` as its operator meets it: files, modes, codes, and what OpenSSL makes of them."""

from __future__ import annotations

import json
import os
import ssl
import stat
import subprocess
import sys
import tomllib
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from gateway.adapters.pki import owner_of, write_file
from gateway.adapters.tls import client_context, server_context
from gateway.agreement.register import load_register
from gateway.cli.pki import app
from gateway.cli.pki_files import read_issuer
from gateway.identity.certify import issue_leaf, subject
from gateway.identity.issue import KeyKind, new_key
from gateway.identity.leaf import Purpose

ROOT = Path(__file__).parents[2]
REGISTER = ["--register", str(ROOT / "contracts/register.toml")]
TRUST = ("root.crt.pem", "issuing.crt.pem", "root.crl.pem", "issuing.crl.pem")


def run(*arguments: str | Path):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def done(*arguments: str | Path) -> dict:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*arguments: str | Path) -> str:
    """The code on stderr; nothing else may have been printed."""
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    return result.stderr.split(":")[0]


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """A PKI that no test changes."""
    directory = tmp_path_factory.mktemp("shared") / "pki"
    done("init", directory, *REGISTER)
    return directory


@pytest.fixture
def pki(tmp_path) -> Path:
    directory = tmp_path / "pki"
    done("init", directory, *REGISTER, "--ec-only")
    return directory


def issued(pki: Path, directory: Path, authority: str = "BRUSSELS", purpose: str = "tls") -> Path:
    made = done("csr", directory, "--authority", authority, "--for", purpose, *REGISTER)
    out = directory / "new.crt.pem"
    done("issue", pki, made["request"], "--authority", authority, "--for", purpose, "--out", out, *REGISTER)
    return out


def config(pki: Path, directory: Path) -> Path:
    """Settings of a hub that believes this PKI."""
    text = (ROOT / "deploy/gateway.toml").read_text()
    text = text.replace('"pki/', f'"{pki}/').replace('"../contracts', f'"{ROOT}/contracts')
    path = directory / "gateway.toml"
    path.write_text(text)
    return path


def judged(pki: Path, directory: Path, certificate: Path, *more: str) -> dict:
    return done("explain", certificate, "--config", config(pki, directory), *more)


def handshake(pki: Path, certificate: Path, key: Path) -> None:
    """Mutual TLS between a caller and the hub, in memory. Raises ssl.SSLError."""
    trust = [pki / name for name in TRUST]
    hub = server_context(pki / "HUB/tls.crt.pem", pki / "HUB/tls.key.pem", trust)
    caller = client_context(certificate, key, trust)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        caller.wrap_bio(down, up, server_hostname="gateway.wib.example"),
        hub.wrap_bio(up, down, server_side=True),
    ]
    for _ in range(4):
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)
    assert not ends


def test_private_keys_and_directories_are_the_owners_alone(shared):
    for path in [shared, *shared.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.is_dir():
            assert mode == 0o700, path
        else:
            assert mode == (0o600 if path.name.endswith((".key.pem", ".key")) else 0o644), path


def test_a_file_is_its_predecessors_owners_or_else_its_directorys(monkeypatch):
    owners = {Path("/hub"): (11, 12), Path("/hub/tls.key.pem"): (21, 22)}

    def owned(path: Path) -> SimpleNamespace:
        if path not in owners:
            raise FileNotFoundError(path)
        return SimpleNamespace(st_uid=owners[path][0], st_gid=owners[path][1])

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", owned)
        found = owner_of(Path("/hub/tls.key.pem")), owner_of(Path("/hub/next-tls.key.pem"))
    assert found == ((21, 22), (11, 12))


def test_root_takes_no_file_from_its_owner(tmp_path):
    """Whoever is not root cannot give a file away: then both are their own, as before."""
    there, new = tmp_path / "there.key.pem", tmp_path / "new.key.pem"
    there.write_bytes(b"before")
    owners = {there: (os.geteuid(), os.getegid()), new: (os.geteuid(), os.getegid())}
    if os.geteuid() == 0:
        owners = {there: (4711, 4712), new: (4713, 4714)}
        os.chown(there, *owners[there])
        os.chown(tmp_path, *owners[new])
    for path, owner in owners.items():
        write_file(path, b"after", replace=True)
        found = path.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (*owner, 0o600)
        assert path.read_bytes() == b"after"


def test_nothing_is_left_beside_the_pki(shared):
    assert [path.name for path in shared.parent.iterdir()] == ["pki"]
    assert not list(shared.rglob(".*"))


def test_existing_pki_is_not_overwritten(pki):
    before = (pki / "root.key.pem").read_bytes()
    assert refused("init", pki, *REGISTER) == "PKI001"
    assert (pki / "root.key.pem").read_bytes() == before


def test_empty_directory_is_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    facts = done("init", tmp_path / "empty", *REGISTER, "--ec-only", "--origin", "log.example/2026")
    assert facts["log_vkey"].startswith("log.example/2026+")
    assert {str(path.relative_to(tmp_path / "empty")) for path in (tmp_path / "empty").rglob("*.*")} == set(
        facts["files"]
    )


def test_origin_that_no_checkpoint_can_carry_is_refused(tmp_path):
    assert refused("init", tmp_path / "pki", *REGISTER, "--origin", "a b") == "PKI009"
    assert not (tmp_path / "pki").exists()


def test_register_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "register.toml").write_text("[hub]\n")
    assert refused("init", tmp_path / "pki", "--register", tmp_path / "register.toml") == "PKI008"
    assert refused("init", tmp_path / "pki", "--register", tmp_path / "none.toml") == "PKI003"


def test_time_needs_a_zone(tmp_path):
    assert run("init", tmp_path / "pki", *REGISTER, "--now", "2026-01-01T00:00:00").exit_code == 2
    for now in (
        "yesterday",
        "0001-01-01T00:00:00+01:00",
        "1900-01-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00",
    ):
        assert run("init", tmp_path / "pki", *REGISTER, "--now", now).exit_code == 2


def test_every_certificate_is_explained_as_accepted(shared, tmp_path):
    for path in shared.glob("*/*.crt.pem"):
        facts = judged(shared, tmp_path, path)
        assert (facts["accepted"], facts["reasons"], facts["authority"]) == (True, [], path.parent.name)
        purpose = "tls" if path.name.startswith("tls") else "sign"
        assert facts["usages"] == (["tls-client", "tls-server"] if purpose == "tls" else ["signing"])
        assert facts["enrolled"] == {
            "authority": path.parent.name,
            "purpose": purpose,
            "valid_from": None,
            "valid_until": None,
        }
        assert [step["list"]["revoked"] for step in facts["chain"]] == [False, False]
    assert done("explain", shared / "issuing.crt.pem")["usages"] == ["authority"]


def test_pki_of_another_time_is_not_accepted_for_every_reason(tmp_path):
    done("init", tmp_path / "pki", *REGISTER, "--ec-only", "--now", "2020-01-01T00:00:00Z")
    path = tmp_path / "pki/BRUSSELS/sign.crt.pem"
    facts = judged(tmp_path / "pki", tmp_path, path)
    assert (facts["accepted"], facts["reasons"]) == (False, ["validity", "revocation unknown"])
    then = judged(tmp_path / "pki", tmp_path, path, "--now", "2020-01-02T00:00:00+01:00")
    assert then["accepted"]
    assert then["until"].startswith("2020-01-31")


def test_certificate_is_explained_in_words(shared, tmp_path):
    settings = config(shared, tmp_path)
    told = run("explain", shared / "NSSO/tls.crt.pem", "--config", settings).stdout
    for line in ("authority       NSSO", "enrolled        NSSO to tls", "accepted        until "):
        assert f"\n{line}" in told
    told = run("explain", shared / "issuing.crt.pem", "--config", settings).stdout
    assert "\naccepted        no\n" in told
    assert "usage: " in told


@pytest.mark.parametrize("name", ["BRUSSELS", "PLATFORM", "HUB"])
def test_tls_certificates_pass_a_strict_handshake(shared, name):
    handshake(shared, shared / name / "tls.crt.pem", shared / name / "tls.key.pem")


def test_signing_certificate_fails_the_handshake(shared):
    with pytest.raises(ssl.SSLError):
        handshake(shared, shared / "BRUSSELS/sign.crt.pem", shared / "BRUSSELS/sign.key.pem")


def test_certificate_is_enrolled_then_withdrawn(pki, tmp_path):
    """Attacks K13, K28: issued is not enrolled, and an end works without the issuer."""
    certificate, settings = issued(pki, tmp_path / "new", purpose="sign"), config(pki, tmp_path)
    old = pki / "BRUSSELS/sign.crt.pem"
    assert judged(pki, tmp_path, certificate)["reasons"] == ["enrolment"]
    facts = done("enrol", certificate, "--authority", "BRUSSELS", "--config", settings)
    assert (facts["accepted"], facts["enrolled"]["authority"]) == (True, "BRUSSELS")
    assert judged(pki, tmp_path, old)["accepted"]  # both, while the authority changes over
    assert refused("enrol", certificate, "--authority", "BRUSSELS", "--config", settings) == "PKI012"
    planned = ("--at", "2090-01-01T00:00:00Z")
    assert done("withdraw", old, "--config", settings, *planned)["valid_until"].startswith("2090-01-01")
    assert judged(pki, tmp_path, old)["accepted"]
    done("withdraw", old, "--config", settings)
    assert judged(pki, tmp_path, old)["reasons"] == ["enrolment"]
    assert judged(pki, tmp_path, certificate)["accepted"]
    ended = (pki / "enrolled.toml").read_bytes()
    assert refused("withdraw", old, "--config", settings) == "PKI019"  # an end is never put off
    assert refused("withdraw", old, "--config", settings, *planned) == "PKI019"
    assert (pki / "enrolled.toml").read_bytes() == ended
    assert done("enrol", old, "--authority", "BRUSSELS", "--config", settings)["accepted"]  # and speaks again


def test_a_list_that_a_link_leads_to_is_changed_where_it_is(pki, tmp_path):
    """Another hub that reads it would go on to believe whom this one withdrew."""
    shared, path = tmp_path / "shared.toml", pki / "enrolled.toml"
    path.rename(shared)
    path.symlink_to(shared)
    done("withdraw", pki / "BRUSSELS/sign.crt.pem", "--config", config(pki, tmp_path))
    assert path.is_symlink()
    assert "valid_until" in shared.read_text()


def test_certificate_of_another_is_not_enrolled(pki, tmp_path):
    settings, listed = config(pki, tmp_path), (pki / "enrolled.toml").read_bytes()
    certificate = issued(pki, tmp_path / "new")
    arguments = ("--config", settings, "--authority")
    assert refused("enrol", certificate, *arguments, "FLANDERS") == "PKI011"
    assert refused("enrol", certificate, *arguments, "ATLANTIS") == "PKI008"
    assert refused("enrol", pki / "issuing.crt.pem", *arguments, "BRUSSELS") == "PKI011"
    assert refused("withdraw", certificate, "--config", settings) == "PKI013"
    assert (pki / "enrolled.toml").read_bytes() == listed


def inline(text: str) -> str:
    """The same list as one array."""
    tables = tomllib.loads(text)["certificate"]
    rows = (", ".join(f"{name} = {json.dumps(value)}" for name, value in one.items()) for one in tables)
    return "certificate = [" + ", ".join(f"{{{row}}}" for row in rows) + "]\n"


FORMS = {
    "one array": inline,
    "keys in quotes": lambda text: text.replace("sha256 =", '"sha256" ='),
    "headers with spaces": lambda text: text.replace("[[certificate]]", "[[ certificate ]]"),
    "an end in quotes": lambda text: text.replace(
        "sha256 =", '"valid_until" = 2090-01-01T00:00:00Z\nsha256 ='
    ),
    "an ended line before headers with spaces": lambda text: text.replace(
        "sha256 =", "valid_until = 2020-01-01T00:00:00Z\nsha256 =", 1
    ).replace("\n\n[[certificate]]", "\n\n[[ certificate ]]"),
}


@pytest.mark.parametrize("form", FORMS)
def test_line_in_another_form_is_told_and_left_alone(pki, tmp_path, form):
    settings, path = config(pki, tmp_path), pki / "enrolled.toml"
    text = FORMS[form](path.read_text())
    assert tomllib.loads(text)["certificate"]
    path.write_text(text)
    assert refused("withdraw", pki / "BRUSSELS/sign.crt.pem", "--config", settings) == "PKI018"
    assert path.read_text() == text


def test_list_that_does_not_read_is_told_and_left_alone(pki, tmp_path):
    settings, path = config(pki, tmp_path), pki / "enrolled.toml"
    path.write_text(path.read_text().replace('"BRUSSELS"', '"ATLANTIS"'))
    listed = path.read_bytes()
    certificate = issued(pki, tmp_path / "new")
    for arguments in (
        ("enrol", certificate, "--authority", "BRUSSELS"),
        ("withdraw", certificate),
        ("explain", certificate),
    ):
        assert refused(*arguments, "--config", settings) == "CFG010"
    assert path.read_bytes() == listed


def test_issued_certificate_works_until_it_is_revoked(pki, tmp_path):
    certificate = issued(pki, tmp_path / "new")
    key = tmp_path / "new/tls.key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    handshake(pki, certificate, key)
    done("enrol", certificate, "--authority", "BRUSSELS", "--config", config(pki, tmp_path))
    assert judged(pki, tmp_path, certificate)["accepted"]
    done("revoke", pki, certificate)
    assert judged(pki, tmp_path, certificate)["reasons"] == ["revoked"]
    with pytest.raises(ssl.SSLError):
        handshake(pki, certificate, key)
    handshake(pki, pki / "BRUSSELS/tls.crt.pem", pki / "BRUSSELS/tls.key.pem")


def test_certificate_is_revoked_by_the_serial_number_that_explain_prints(pki, tmp_path):
    path = pki / "FLANDERS/sign.crt.pem"
    serial = done("explain", path)["serial"]
    assert done("revoke", pki, serial)["serial"] == serial
    assert judged(pki, tmp_path, path)["reasons"] == ["revoked"]
    assert refused("revoke", pki, serial) == "PKI007"
    assert refused("revoke", pki, path) == "PKI007"


def test_issuing_authority_is_revoked_on_the_roots_list(pki, tmp_path):
    done("revoke", pki, pki / "issuing.crt.pem")
    facts = judged(pki, tmp_path, pki / "BRUSSELS/sign.crt.pem")
    assert [(step["list"]["revoked"], step["unclear"]) for step in facts["chain"]] == [
        (False, None),
        (True, "revoked"),
    ]
    assert len(x509.load_pem_x509_crl((pki / "root.crl.pem").read_bytes())) == 1


def test_lists_are_renewed_with_what_was_revoked(pki):
    path = pki / "BRUSSELS/sign.crt.pem"
    done("revoke", pki, path)
    until = done("crl", pki, "--now", "2090-01-01T00:00:00Z")["next_update"]
    assert set(until) == {"root", "issuing"}
    assert all(end.startswith("2090-01-31") for end in until.values())
    listed = x509.load_pem_x509_crl((pki / "issuing.crl.pem").read_bytes())
    serial = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
    assert listed.get_revoked_certificate_by_serial_number(serial) is not None


def test_what_cannot_be_revoked_is_refused(pki, shared):
    for serial in ("no-serial", "0", "0x1f", "1_0", "f" * 40, "a" * 300):
        assert refused("revoke", pki, serial) == "PKI006"
    assert refused("revoke", pki, "--", "-5") == "PKI006"
    assert refused("revoke", pki, shared / "BRUSSELS/sign.crt.pem") == "PKI006"
    assert refused("revoke", pki, shared / "root.key.pem") == "PKI004"
    assert refused("revoke", pki / "HUB", "1234") == "PKI003"


def test_a_key_with_a_password_is_told(pki):
    path = pki / "issuing.key.pem"
    key = load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    assert refused("crl", pki) == "PKI004"


def test_no_certificate_writes_lines_of_what_is_told_of_it(pki, tmp_path):
    """Its maker chose the names; whoever enrols it compares the fingerprint that is printed."""
    key, issuer = new_key(KeyKind.P256), read_issuer(pki, "issuing")
    holder = load_register((ROOT / "contracts/register.toml").read_bytes(), "").by_id["BRUSSELS"]
    names = x509.Name([*list(subject(holder, Purpose.SIGN))[:-1], cn("x\nsha256          00\x1b[8m")])
    made = issue_leaf(key.public_key(), holder, Purpose.SIGN, issuer, datetime.now(UTC))
    builder = x509.CertificateBuilder(
        made.issuer, names, made.public_key(), made.serial_number, made.not_valid_before_utc, made.not_valid_after_utc,
        list(made.extensions),
    )  # fmt: skip
    path = tmp_path / "new.crt.pem"
    path.write_bytes(builder.sign(issuer.key, SHA256()).public_bytes(Encoding.PEM))
    told = run("enrol", path, "--authority", "BRUSSELS", "--config", config(pki, tmp_path)).stdout
    assert "\naccepted        until " in told
    assert told.count("\nsha256 ") == 1
    assert "\x1b" not in told


def cn(text: str) -> x509.NameAttribute:
    return x509.NameAttribute(NameOID.COMMON_NAME, text)


def test_a_certificate_that_reads_in_part_is_explained_as_far_as_it_does(shared, tmp_path):
    made = x509.load_pem_x509_certificate((shared / "BRUSSELS/tls.crt.pem").read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.public_bytes()
    data = made.public_bytes(Encoding.DER).replace(names, b"\x30\x7f" + names[2:])  # longer than it is
    path = tmp_path / "broken.crt.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(data))
    assert done("explain", path)["outside_profile"] == "form"
    assert judged(shared, tmp_path, path)["reasons"][0] == "form"


def test_a_time_is_for_a_hub_to_judge_at(shared):
    assert run("explain", shared / "root.crt.pem", "--now", "2026-01-01T00:00:00Z").exit_code == 2


def test_key_of_a_request_is_of_the_kind_asked_for(tmp_path):
    made = done("csr", tmp_path, "--authority", "HUB", "--for", "sign", "--kind", "rsa-2048", *REGISTER)
    assert isinstance(load_pem_private_key(Path(made["key"]).read_bytes(), None), rsa.RSAPrivateKey)
    assert refused("csr", tmp_path, "--authority", "HUB", "--for", "sign", *REGISTER) == "PKI001"


def test_authority_outside_the_register_gets_no_request(tmp_path):
    assert refused("csr", tmp_path, "--authority", "ATLANTIS", "--for", "sign", *REGISTER) == "PKI008"


def test_nothing_is_issued_on_a_request_of_another_authority(pki, tmp_path):
    made = done("csr", tmp_path / "new", "--authority", "BRUSSELS", "--for", "sign", *REGISTER)
    wanted = ["--for", "sign", "--out", tmp_path / "out.pem", *REGISTER]
    assert refused("issue", pki, made["request"], "--authority", "FLANDERS", *wanted) == "PKI005"
    assert not (tmp_path / "out.pem").exists()
    done("issue", pki, made["request"], "--authority", "BRUSSELS", *wanted)
    assert refused("issue", pki, made["request"], "--authority", "BRUSSELS", *wanted) == "PKI001"


@pytest.mark.parametrize(("used", "wanted"), [("sign", "tls"), ("tls", "sign")])
def test_nothing_is_issued_for_a_key_that_serves_the_other_purpose(pki, tmp_path, used, wanted):
    key, names = pki / f"BRUSSELS/{used}.key.pem", pki / f"BRUSSELS/{wanted}.crt.pem"
    subject = x509.load_pem_x509_certificate(names.read_bytes()).subject
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    made = builder.sign(load_pem_private_key(key.read_bytes(), None), SHA256())
    (tmp_path / "request.pem").write_bytes(made.public_bytes(Encoding.PEM))
    options = ("--authority", "BRUSSELS", "--for", wanted, "--out", tmp_path / "out.crt.pem", *REGISTER)
    assert refused("issue", pki, tmp_path / "request.pem", *options) == "PKI010"
    assert not (tmp_path / "out.crt.pem").exists()


def test_command_line_prints_the_refusal_without_a_traceback(shared):
    command = [sys.executable, "-m", "gateway", "pki", "init", str(shared), *REGISTER]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("PKI001: ")
    assert "Traceback" not in ended.stderr


def at_once(*commands: tuple[str | Path, ...]) -> None:
    """Each in a process of its own, which has loaded what it needs."""
    with ProcessPoolExecutor(len(commands), mp_context=get_context("fork")) as pool:
        for result in [pool.submit(status, *one) for one in commands]:
            assert result.result() == 0


def status(*arguments: str | Path) -> int:
    return run(*arguments).exit_code


def test_commands_at_once_undo_nothing_of_each_other(pki, tmp_path):
    settings, names = config(pki, tmp_path), ("BRUSSELS", "FLANDERS", "WALLONIA", "PLATFORM")
    certificates = [pki / name / "sign.crt.pem" for name in names]
    at_once(*(("withdraw", one, "--config", settings) for one in certificates))
    rows = tomllib.loads((pki / "enrolled.toml").read_text())["certificate"]
    assert sum("valid_until" in one for one in rows) == len(names)
    at_once(*(("revoke", pki, one) for one in certificates))
    listed = x509.load_pem_x509_crl((pki / "issuing.crl.pem").read_bytes())
    assert len(listed) == len(names)
    assert listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 1 + len(names)
