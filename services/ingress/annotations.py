"""The annotations of ingress-nginx that mean something here. Pure; others are taken and do nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "nginx.ingress.kubernetes.io/"
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Options:
    """`redirect` is a whole URL to which everything goes, with `redirect_status`."""

    rewrite_target: str = ""
    use_regex: bool = False
    ssl_redirect: bool = True
    force_ssl_redirect: bool = False
    app_root: str = ""
    redirect: str = ""
    redirect_status: int = 301


NONE_SET = Options()


def read(annotations: Mapping[str, str]) -> Options:
    def text(name: str) -> str:
        return annotations.get(PREFIX + name, "")

    def flag(name: str, default: bool) -> bool:
        return {"true": True, "false": False}.get(text(name).lower(), default)

    code = text("permanent-redirect-code")
    status = int(code) if code.isdigit() and int(code[:4]) in REDIRECTS else 301
    return Options(
        rewrite_target=text("rewrite-target"),
        use_regex=flag("use-regex", False),
        ssl_redirect=flag("ssl-redirect", True),
        force_ssl_redirect=flag("force-ssl-redirect", False),
        app_root=text("app-root"),
        redirect=text("temporal-redirect") or text("permanent-redirect"),
        redirect_status=302 if text("temporal-redirect") else status,
    )
