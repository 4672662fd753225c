"""TLS of the HTTPS port: our certificate, and the CA whose clients we know."""

from __future__ import annotations

import ssl


def server_context(certificate: str, key: str, client_ca: str) -> ssl.SSLContext:
    """A client may show a certificate; a stranger's ends the handshake. OSError for bad files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
