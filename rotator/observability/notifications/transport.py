"""Sends messages to services through Apprise.

The library comes with the extra ``notify`` and is imported on first use. It receives the address
and the message, writes nothing to disk and follows no redirect, which would forward the token. Its
own texts are dropped: they may quote the address.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from rotator.domain.secret import Secret
from rotator.errors import RotatorError
from rotator.observability.notifications.digest import Message
from rotator.system.installation import advice
from rotator.util.addresses import is_loopback

TIMEOUT = 20.0
"""Seconds that one message to one service may take."""


class DeliveryFailed(RotatorError):
    """A service did not accept a message. The text contains nothing of the address."""


def send(address: Callable[[], Secret], message: Message, *, allow_http: bool = False) -> None:
    """Sends one message to one service, once. Raises ``RotatorError``."""
    try:
        problem = _send(address().reveal(), message, allow_http=allow_http)
    except ImportError:
        problem = f"the library apprise is not installed; run: {advice('notify', 'notify --test')}"
    except RotatorError:
        raise
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything, and its text may hold the address
        problem = f"the library failed with {type(error).__name__}"
    if problem:
        # Raised outside of the ``except`` block: the exception of the library may contain the
        # address.
        raise DeliveryFailed(problem)


def _send(address: str, message: Message, *, allow_http: bool) -> str:
    """The problem in fixed words; empty if the service accepted the message."""
    import apprise  # noqa: PLC0415 - a quarter of a second and many megabytes, only where targets are configured
    from apprise.common import PersistentStoreMode  # noqa: PLC0415 - same

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its lines name hosts
    asset = apprise.AppriseAsset(
        app_id="rotator",
        app_desc="rotator",
        app_url="",
        async_mode=False,
        storage_mode=PersistentStoreMode.MEMORY,
        http_redirects=False,
    )
    service = apprise.Apprise(
        asset=asset
    )  # requests go to the service directly: no proxy of the environment is left to use
    if not service.add(address):
        return (
            "the file holds no address that Apprise understands: write one line such as "
            "mailtos://user:password@example.com"
        )
    if not allow_http and any(_without_tls(one) for one in service):
        return (
            "its address is without TLS, so it would cross the network unencrypted; write the form with TLS, such as "
            "jsons://, or set allow_http"
        )
    kind = getattr(apprise.NotifyType, message.weight.upper())
    if service.notify(message.body, title=message.title, notify_type=kind, timeout=TIMEOUT):
        return ""
    return "the service did not take the message, or could not be reached"


def _without_tls(service: Any) -> bool:
    """Whether messages would go to another machine unencrypted although the service has a form with
    TLS."""
    scheme = service.url().partition(":")[0]
    plain = {service.protocol} if isinstance(service.protocol, str) else set(service.protocol or ())
    return bool(service.secure_protocol) and scheme in plain and not is_loopback(getattr(service, "host", None) or "")
