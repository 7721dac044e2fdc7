"""The alarm: how people hear of what goes wrong, and of silence.

``Notifier`` is a journal like any other: it passes every event on to the one behind it. Of some it
makes messages to people (``news`` decides which, ``services`` sends them), and at the caller's word
it sends the heartbeat (``pings``). Nothing of it is waited for: what is sent is sent by threads of
its own, within bounds, and a failure is an event in the log.
"""

from rotator.observability.notifications.notifier import Notifier, send_test
from rotator.observability.notifications.settings import SILENT, HeartbeatSettings, NotificationSettings

__all__ = ["SILENT", "HeartbeatSettings", "NotificationSettings", "Notifier", "send_test"]
