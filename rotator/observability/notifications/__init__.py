"""Notifications about problems, and the heartbeat.

``Notifier`` is an event sink that forwards every event. It turns some into messages (``digest``
selects them, ``transport`` sends them), and sends the heartbeat on request (``heartbeat``). Sending
never blocks a caller: it happens in threads of its own, within time limits, and a failure is an
event in the log.
"""

from rotator.observability.notifications.notifier import Notifier, send_test
from rotator.observability.notifications.settings import SILENT, HeartbeatSettings, NotificationSettings

__all__ = ["SILENT", "HeartbeatSettings", "NotificationSettings", "Notifier", "send_test"]
