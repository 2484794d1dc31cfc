"""Settings and register of a hub whose files all lie in one directory, as the sandbox and the benchmark need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.adapters.login import login
from gateway.model import AuthorityId

_SETTINGS: Final = """\
# Settings of this hub; deploy/gateway.toml explains each. Written anew at each start.
test_numbers = true

[listen]
port = {port}
operations_port = {operations_port}
public_url = "{public_url}"

[contracts]
directory = {contracts}
register = "register.toml"
signatures = "signatures"

[keys]
tls_certificate = "pki/HUB/tls.crt.pem"
tls_key = "pki/HUB/tls.key.pem"
sign_rsa_certificate = "pki/HUB/sign-rsa.crt.pem"
sign_rsa_key = "pki/HUB/sign-rsa.key.pem"
sign_ec_certificate = "pki/HUB/sign-ec.crt.pem"
sign_ec_key = "pki/HUB/sign-ec.key.pem"
log_key = "pki/HUB/log.key.pem"
directory_key = "pki/HUB/directory.key"
payload_key = "pki/HUB/payload.key"

[trust]
anchors = ["pki/root.crt.pem"]
intermediates = ["pki/issuing.crt.pem"]
crls = ["pki/root.crl.pem", "pki/issuing.crl.pem"]
enrolled = "pki/enrolled.toml"

[log]
store = "store.db"
origin = "{origin}"
bucket_keys = "bucket-keys"
officers = [  # whoever runs this
  {{ user = {user}, id = "sandbox-officer", authority = "HUB", rights = ["search", "person", "export", "erase"] }},
]

[documents]
spool = "spool"
store = "documents"

[outbound]
allow = ["127.0.0.0/8"]  # all on one machine

[limits]
provider_seconds = {provider_seconds}

[delivery]  # all on one machine: what fails is tried again at once
first_retry_seconds = 0.2
max_retry_seconds = 5.0
breaker_seconds = 0.5
"""


def hub_settings(
    contracts: Path,
    origin: str,
    public_url: str,
    *,
    ports: tuple[int, int] = (0, 0),
    provider_seconds: float = 15.0,
) -> str:
    """The text of gateway.toml. `ports`: of the SOAP and the operations listener, 0 takes a free one."""
    return _SETTINGS.format(
        port=ports[0],
        operations_port=ports[1],
        public_url=public_url,
        contracts=json.dumps(str(contracts.resolve())),  # a JSON string is a TOML string
        origin=origin,
        user=json.dumps(login()),
        provider_seconds=provider_seconds,
    )


def register_with_endpoints(register: str, urls: Mapping[AuthorityId, str]) -> str:
    """The register's text with an endpoint below the id of each authority that has one."""
    for name, url in urls.items():
        line = f'\nid = "{name}"\n'
        register = register.replace(line, f'{line}endpoint = "{url}"\n')
    return register
