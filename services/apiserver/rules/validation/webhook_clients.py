"""How to reach a webhook: by URL or as a Service, and whom to trust there.

Upstream: `k8s.io/apiserver/pkg/util/webhook` validation.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any
from urllib.parse import urlsplit

from services.apiserver.rules.validation import names
from services.machinery.field_errors import Causes, invalid, required

Json = dict[str, Any]

_FORM = "; desired format: https://host[/path]"
_NO_CERTIFICATES = "data does not contain any valid RSA or ECDSA certificates"


def check_url(url: str, path: str, out: Causes) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        out.append(required(path, f"url must be a valid URL: parse {url!r}: {error}{_FORM}"))
        return
    if parts.scheme != "https":
        out.append(invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}"))
    user, at, host = parts.netloc.rpartition("@")
    if not host:
        out.append(invalid(path, "", f"host must be provided{_FORM}"))
    if at:
        out.append(invalid(path, user, "user information is not permitted in the URL"))
    if parts.fragment:
        out.append(invalid(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        out.append(invalid(path, parts.query, "query parameters are not permitted in the URL"))


def check_service(namespace: str, name: str, service: Json, path: str, out: Causes) -> None:
    if not name:
        out.append(required(f"{path}.name", "service name is required"))
    if not namespace:
        out.append(required(f"{path}.namespace", "service namespace is required"))
    port = service.get("port", 443)
    if found := names.port_number(port):
        out.append(invalid(f"{path}.port", port, "port is not valid: " + ", ".join(found)))
    if service.get("path"):
        _check_path(service["path"], f"{path}.path", out)


def _check_path(given: str, path: str, out: Causes) -> None:
    if given == "/":
        return
    if given == "//":
        out.append(invalid(path, given, "segment[0] may not be empty"))
        return
    if not given.startswith("/"):
        out.append(invalid(path, given, "must start with a '/'"))
    for index, step in enumerate(given[1:].removesuffix("/").split("/")):
        if not step:
            out.append(invalid(path, given, f"segment[{index}] may not be empty"))
            continue
        for fault in names.dns1123_subdomain(step):
            out.append(invalid(path, given, f"segment[{index}]: {fault}"))


def ca_bundle_fault(bundle: str) -> str:
    """Why a base64 encoded PEM bundle holds no certificates that can be trusted; empty when it does."""
    from cryptography import x509  # Slow to load, and most servers never see a bundle.

    try:
        found = x509.load_pem_x509_certificates(b64decode(bundle))
    except (ValueError, binascii.Error):
        found = []
    return "" if found else _NO_CERTIFICATES


def check_ca_bundle(bundle: str, path: str, out: Causes) -> None:
    if fault := ca_bundle_fault(bundle):
        out.append(invalid(path, bundle, f"unable to load root certificates: {fault}"))
