"""The addresses that the cloud has to give. Pure.

Services' own status is the record of who has which; after a restart it is read back before any is given.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from services.api.object import ObjectKey


class AddressPool:
    def __init__(self, cidr: str) -> None:
        """ValueError where this is no range."""
        self._network = IPv4Network(cidr)
        self._holder: dict[str, ObjectKey] = {}
        self._address: dict[ObjectKey, str] = {}

    def occupy(self, key: ObjectKey, ip: str) -> bool:
        """Whether the Service has that address now; not where it is foreign or somebody else's."""
        if not self.contains(ip) or self._holder.get(ip, key) != key:
            return False
        if self._address.get(key) != ip:
            self.release(key)
        self._holder[ip], self._address[key] = key, ip
        return True

    def take(self, key: ObjectKey, wanted: str = "") -> str | None:
        """The Service's address, the wanted one, or the lowest that is free; None where there is none."""
        if wanted:
            return wanted if self.occupy(key, wanted) else None
        if key not in self._address:
            free = next((str(ip) for ip in self._network.hosts() if str(ip) not in self._holder), None)
            if free is None or not self.occupy(key, free):
                return None
        return self._address[key]

    def release(self, key: ObjectKey) -> None:
        ip = self._address.pop(key, None)
        if ip is not None:
            self._holder.pop(ip, None)

    def contains(self, ip: str) -> bool:
        try:
            return IPv4Address(ip) in self._network
        except ValueError:
            return False
