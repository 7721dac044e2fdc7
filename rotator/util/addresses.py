"""Network addresses."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether the name or address is of this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
