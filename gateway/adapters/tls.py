"""TLS contexts: mutual authentication, TLS 1.2 or newer.

OpenSSL judges chain, dates and purpose, and revocation lists where it is told to. Which authority a certificate
names, whether it is enrolled, and at the hub whether it is revoked, is judged by `identity`, which knows responders
and grace as well: for callers at each request, for providers before the handshake ends.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path


class TlsError(Exception):
    """OpenSSL does not take a file; the message names it."""


PeerCheck = Callable[[bytes, str], None]  # DER of the peer's certificate, the name asked for; raises Refusal


def server_context(
    certificate: Path, key: Path, trust: Sequence[Path], *, lists: bool = True
) -> ssl.SSLContext:
    """For the hub's listener and for back offices: every caller must show a certificate. Raises TlsError.

    `lists`: whether the handshake checks revocation lists; the hub's does not.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_RENEGOTIATION  # a peer would have the hub work at its pleasure (attack H29)
    return _loaded(context, certificate, key, trust, lists=lists)


def public_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """For a listener that serves anybody, certificate or not. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION
    return _loaded(context, certificate, key, (), lists=False)


def outward_context(anchors: Sequence[Path]) -> ssl.SSLContext:
    """For calls to peers that are judged by these issuers, and to whom no certificate is shown. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return _trusting(context, anchors, lists=False)


def client_context(
    certificate: Path, key: Path, trust: Sequence[Path], check: PeerCheck | None = None
) -> ssl.SSLContext:
    """For calls to a peer whose certificate must carry the host name, and must satisfy `check`. Raises TlsError.

    Revocation is left to `check`; without one the handshake checks lists.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if check is not None:
        context.sslobject_class = _checked(check)
    return _loaded(context, certificate, key, trust, lists=check is None)


def _loaded(
    context: ssl.SSLContext, certificate: Path, key: Path, trust: Sequence[Path], *, lists: bool
) -> ssl.SSLContext:
    try:
        # A key with a password would be asked for at the terminal.
        context.load_cert_chain(certificate, key, password=b"")
    except OSError as error:  # SSLError is one
        raise TlsError(f"{certificate} with {key}: {_reason(error)}") from error
    return _trusting(context, trust, lists=lists)


def _trusting(context: ssl.SSLContext, trust: Sequence[Path], *, lists: bool) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for path in trust:  # anchors, intermediates and CRLs alike
        try:
            context.load_verify_locations(cafile=path)
        except OSError as error:
            raise TlsError(f"{path}: {_reason(error)}") from error
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    if lists:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
    return context


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or "not readable")


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
