"""Which addresses messages are sent to: none in the open to another machine, unless that is allowed."""

from __future__ import annotations

import pytest

from rotator.domain.secret import Secret
from rotator.observability.notifications.digest import sample_message
from rotator.observability.notifications.transport import DeliveryFailed, send
from tests.support.listener import Listener

TOKEN = "t0ken-that-nobody-may-see"
OPEN = (
    "json://198.51.100.1",
    "xml://198.51.100.1",
    "gotify://198.51.100.1",
    "ntfy://198.51.100.1",
    "mailto://me:word@198.51.100.1",
)


@pytest.mark.parametrize("address", OPEN)
def test_an_address_without_tls_is_refused_before_a_byte_is_sent_and_is_not_shown(address: str) -> None:
    with pytest.raises(DeliveryFailed, match="is without TLS") as caught:
        send(lambda: Secret(f"{address}/{TOKEN}"), sample_message("here"))
    assert TOKEN not in str(caught.value)


def test_an_address_without_tls_is_good_on_this_machine() -> None:
    with Listener() as service:
        send(lambda: Secret(f"json://127.0.0.1:{service.port}/{TOKEN}"), sample_message("here"))


def test_an_address_without_tls_is_used_where_it_is_allowed() -> None:
    # 0.0.0.0 reaches this machine, and is none of its loopback addresses.
    with Listener() as service:
        address = Secret(f"json://0.0.0.0:{service.port}/{TOKEN}")
        with pytest.raises(DeliveryFailed, match="is without TLS"):
            send(lambda: address, sample_message("here"))
        send(lambda: address, sample_message("here"), allow_http=True)
