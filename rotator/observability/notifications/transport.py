"""The services that messages go to, through Apprise: a hundred of them, one address each.

The library comes with the extra ``notify`` and is imported when something is sent. It gets the address and the message, writes
nothing to disk, follows no redirect (the token would go along), and its own words are not passed on: they may quote the address.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from rotator.domain.secret import Secret
from rotator.errors import RotatorError
from rotator.observability.notifications.digest import Message
from rotator.system.installation import advice

TIMEOUT = 20.0
"""Seconds that one message to one service may take."""


class DeliveryFailed(RotatorError):
    """A service did not take a message. Says what is known of it, and nothing of the address."""


def send(address: Callable[[], Secret], message: Message) -> None:
    """Send one message to one service, now and once; raises ``RotatorError``."""
    try:
        problem = _send(address().reveal(), message)
    except ImportError:
        problem = f"the library apprise is not installed; run: {advice('notify', 'notify --test')}"
    except RotatorError:
        raise
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything, and its text may hold the address
        problem = f"the library failed with {type(error).__name__}"
    if problem:
        # Raised here and not above: the exception of the library may hold the address.
        raise DeliveryFailed(problem)


def _send(address: str, message: Message) -> str:
    """What went wrong, in our words; empty when the service took the message."""
    import apprise  # noqa: PLC0415 - a quarter of a second and many megabytes, for those alone who are told something
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
    service = apprise.Apprise(asset=asset)
    if not service.add(address):
        return "the file holds no address that Apprise understands: write one line such as mailtos://user:password@example.com"
    kind = getattr(apprise.NotifyType, message.weight.upper())
    if service.notify(message.body, title=message.title, notify_type=kind, timeout=TIMEOUT):
        return ""
    return "the service did not take the message, or could not be reached"
