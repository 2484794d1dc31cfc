"""TLS contexts: mutual authentication, TLS 1.2 or newer, revocation checked in the handshake.

OpenSSL judges chain, dates, purpose and CRLs. Which authority a certificate names is judged by `identity`:
for callers when their first request arrives, for providers before the handshake ends.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

PeerCheck = Callable[[bytes, str], None]  # DER of the peer's certificate, the name asked for; raises Refusal


def server_context(certificate: Path, key: Path, trust: Sequence[Path]) -> ssl.SSLContext:
    """For the hub's listener and for back offices: every caller must show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _loaded(context, certificate, key, trust)


def client_context(
    certificate: Path, key: Path, trust: Sequence[Path], check: PeerCheck | None = None
) -> ssl.SSLContext:
    """For calls to a peer whose certificate must carry the host name, and must satisfy `check`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if check is not None:
        context.sslobject_class = _checked(check)
    return _loaded(context, certificate, key, trust)


def _loaded(context: ssl.SSLContext, certificate: Path, key: Path, trust: Sequence[Path]) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    for path in trust:  # anchors, intermediates and CRLs alike
        context.load_verify_locations(cafile=path)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN | ssl.VerifyFlags.VERIFY_X509_STRICT
    return context


def _checked(check: PeerCheck) -> type[ssl.SSLObject]:
    class CheckedPeer(ssl.SSLObject):
        """Asks `check` as soon as the handshake is done: no request is sent to the wrong party."""

        def do_handshake(self) -> None:
            super().do_handshake()
            der = self.getpeercert(binary_form=True)
            try:
                check(der or b"", self.server_hostname or "")
            except Exception as error:
                raise ssl.SSLCertVerificationError(str(error)) from error

    return CheckedPeer
