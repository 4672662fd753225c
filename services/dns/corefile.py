"""The part of a Corefile that means something here: domain, TTL, Pod names, hosts, the query log. Pure.

Other plugins are taken and do nothing (there is nothing to forward to, and no cache is needed); the names of
those that CoreDNS does not know are an error, as they would keep it from starting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

from services.dns.zone import Settings

DEFAULT = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
"""
_PLUGINS = """
acl any auto autopath bind bufsize cache cancel chaos debug dns64 dnssec dnstap erratic errors etcd file
forward geoip header health hosts import k8s_external kubernetes loadbalance local log loop metadata minimal
multisocket nsid pprof prometheus quic ready reload rewrite root route53 secondary sign template timeouts tls
trace transfer tsig view whoami
"""
PLUGINS = frozenset(_PLUGINS.split())
PODS = ("disabled", "insecure", "verified")


class BadCorefile(ValueError):
    """Says what and where, as CoreDNS does when it refuses to start."""


def parse(text: str) -> Settings:
    """Raises BadCorefile."""
    settings, depth, plugin, hosts = Settings(), 0, "", dict[str, tuple[str, ...]]()
    for number, words in _lines(text):
        closing = words == ["}"]
        opening = words[-1] == "{"
        words = words[:-1] if opening else words
        if closing:
            depth -= 1
            plugin = plugin if depth > 1 else ""
        elif depth == 1:
            plugin = words[0]
            settings = _plugin(settings, words, number)
        elif depth == 2 and plugin == "kubernetes":
            settings = _kubernetes(settings, words, number)
        elif depth == 2 and plugin == "hosts":
            _host(hosts, words, number)
        depth += opening
        if depth < 0:
            raise BadCorefile(f"Corefile:{number} - Error during parsing: Unexpected '}}'")
    if depth:
        raise BadCorefile("Corefile - Error during parsing: Unexpected EOF, expecting '}'")
    return replace(settings, hosts=hosts)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            yield number, words


def _plugin(settings: Settings, words: list[str], number: int) -> Settings:
    name = words[0]
    if name not in PLUGINS:
        raise BadCorefile(f"Corefile:{number} - Error during parsing: Unknown directive '{name}'")
    if name == "log":
        return replace(settings, log=True)
    if name == "kubernetes":
        zones = [zone for zone in words[1:] if not zone.endswith("arpa")]
        return replace(settings, domain=zones[0].rstrip(".")) if zones else settings
    return settings


def _kubernetes(settings: Settings, words: list[str], number: int) -> Settings:
    match words:
        case ["ttl", seconds] if seconds.isdigit() and int(seconds) <= 3600:
            return replace(settings, ttl=int(seconds))
        case ["pods", mode] if mode in PODS:
            return replace(settings, pods=mode)
        case ["ttl" | "pods", *rest]:
            why = f"wrong value {' '.join(rest)!r} for {words[0]}"
            raise BadCorefile(f"plugin/kubernetes: Corefile:{number} - Error during parsing: {why}")
    return settings


def _host(hosts: dict[str, tuple[str, ...]], words: list[str], number: int) -> None:
    try:
        address = str(ip_address(words[0]))
    except ValueError:
        return  # an option of the plugin: fallthrough, ttl, reload, no_reverse
    for name in words[1:]:
        key = name.lower().rstrip(".")
        hosts[key] = (*hosts.get(key, ()), address)
