"""Common parts of the checks of ``rotator doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from rotator.domain.facts import Endpoint
from rotator.operations.queries.diagnosis import Check
from rotator.util.formatting import format_span

CERTIFICATE_WARNING = timedelta(days=21)
"""A certificate that ends sooner gets a warning."""


_STAGES = {
    "dns": ("name", "correct the address in the configuration, or the name server of this machine"),
    "proxy": ("connection", "correct proxy in the configuration, or start the proxy"),
    "connect": ("connection", "correct the address, start the service, or open the firewall between"),
    "tls": ("certificate", "set ca_cert to the authority of the service, or replace its certificate"),
}


def check_endpoint(service: str, way: Endpoint, now: datetime) -> Iterator[Check]:
    """The checks of the connection to a service: name, connection, certificate."""
    order = ("name", "connection", "certificate")
    failing, remedy = _STAGES.get(way.stage, ("", ""))
    for number, what in enumerate(order):
        if not way.fault or number < order.index(failing):
            left = way.certificate_ends - now if way.certificate_ends else None
            if what == "certificate" and left is not None and left < CERTIFICATE_WARNING:
                yield Check(
                    f"{service} {what}",
                    "warning",
                    f"the certificate ends in {format_span(left)}",
                    "renew the certificate of the service",
                )
            elif what != "certificate" or way.certificate_ends:
                seen = f"valid for {format_span(left)}" if what == "certificate" and left else way.address
                yield Check(f"{service} {what}", "ok", seen)
        elif what == failing:
            yield Check(f"{service} {what}", "failed", way.fault, remedy)
        else:
            yield skipped(f"{service} {what}")


def skipped(name: str) -> Check:
    """A check that an earlier failure prevents."""
    return Check(name, "skipped", "an earlier check failed")
