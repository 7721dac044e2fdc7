"""Opens the listeners of the current configuration, retries those that fail, and closes them at the
end."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rotator.api.access_control import allowed_group, offers_commands
from rotator.api.executor import CommandExecutor
from rotator.api.socket_names import CONTROL, READ
from rotator.api.webhook_auth import ReplayGuard
from rotator.api.webhook_slots import ReportSlots
from rotator.api.webhook_tls import FileStates, file_states, tls_context
from rotator.config import Control, Webhook
from rotator.operations.daemon_handle import DaemonHandle
from rotator.system.sockets import Port, SocketFile

if TYPE_CHECKING:
    from rotator.api.http_server import HttpListener, HttpServer

HOOK = "webhook"
"""The name of the listener for external reports; the other two are named after their sockets."""


@dataclass(frozen=True)
class ListenerSettings:
    """The listeners that should be open."""

    control: Control | None = None
    webhook: Webhook | None = None

    def where(self) -> dict[str, str]:
        """The address of each listener, by name."""
        found = {name: str(self.control.directory / name) for name in (READ, CONTROL)} if self.control else {}
        return found | ({HOOK: str(self.webhook.at)} if self.webhook else {})

    def group(self, name: str) -> str:
        """The group that may use a socket."""
        return allowed_group(self.control, name) if self.control else ""


class Listeners:
    """All listeners of one daemon. ``remark``: the addresses that could not be opened, for the
    status."""

    def __init__(self, daemon_handle: DaemonHandle) -> None:
        self._daemon_handle = daemon_handle
        self.executor = CommandExecutor(daemon_handle.stopping)
        self.remark = ""
        self.replay_guard = ReplayGuard(time.time())
        self._report_slots = ReportSlots()
        self._tls_files: FileStates = ()
        self._settings = ListenerSettings()
        self._server: HttpServer | None = None
        self._open: dict[str, tuple[SocketFile | Port, HttpListener]] = {}
        self._reported: dict[str, str] = {}
        self._closed = False
        self._maintaining = threading.Lock()

    def maintain(self, control: Control | None, webhook: Webhook | None = None) -> None:
        """Opens the listeners that should be open. A failure is reported once, and retried at the
        next call."""
        with self._maintaining:
            if self._closed:
                return
            before, self._settings = self._settings, ListenerSettings(control, webhook)
            fallen = self._server is not None and not self._server.alive
            moved = [READ, CONTROL] * (before.control != control) + [HOOK] * (before.webhook != webhook)
            for name in moved:
                self._reported.pop(name, None)
            self._shut(
                name for name, (entrance, _) in self._open.items() if fallen or name in moved or not entrance.there
            )
            for name, where in self._settings.where().items():
                if name not in self._open:
                    self._try(name, where)
                elif name == HOOK:
                    self._renew_tls(where)
            self.remark = "; ".join(f"cannot listen at {where}" for where in self._reported.values())

    def idle(self) -> float:
        """Seconds since the last tick of the event loop; 0 while nothing listens."""
        server = self._server
        return time.monotonic() - server.ticked_at if server is not None else 0.0

    def close(self) -> None:
        """Closes all listeners for good. Open connections may end within seconds."""
        with self._maintaining:
            self._closed = True
            self._shut(self._open)
            if self._server is not None:
                self._server.close()
                self._server = None

    # --- one listener -----------------------------------------------------------------------------

    def _try(self, name: str, where: str) -> None:
        try:
            self._open[name] = self._opened(name)
        except OSError as error:  # an unusable certificate raises one too
            self._report(name, where, self._reason(error, name))
            return
        self._reported.pop(name, None)
        if name == HOOK:
            self._daemon_handle.sink.emit("webhook.listening", listen=where)
        else:
            self._daemon_handle.sink.emit("control.listening", listen=where, orders=offers_commands(name))

    def _renew_tls(self, where: str) -> None:
        """Serves a certificate that was renewed on disk; the previous one until the new one is
        usable."""
        webhook = self._settings.webhook
        if webhook is None or (states := file_states(webhook)) == self._tls_files:
            return
        try:
            self._open[HOOK][1].tls = tls_context(webhook)
        except OSError as error:
            self._report(HOOK, where, f"{self._reason(error, HOOK)}; the certificate from before is served until then")
            return
        self._tls_files = states
        self._reported.pop(HOOK, None)
        self._daemon_handle.sink.emit("webhook.listening", listen=where)

    def _report(self, name: str, where: str, reason: str) -> None:
        if self._reported.get(name) == where:
            return
        self._reported[name] = where
        if name == HOOK:
            self._daemon_handle.sink.emit("webhook.unavailable", listen=where, message=reason)
        else:
            self._daemon_handle.sink.emit("control.unavailable", listen=where, message=reason)

    def _reason(self, error: OSError, name: str) -> str:
        if isinstance(error, ssl.SSLError):
            return "the certificate or the key is unusable, or they do not belong together"
        group = self._settings.group(name)
        if isinstance(error, PermissionError) and name != HOOK and group:
            return (
                f"may not be made, or not be given to group {group}: make the service's user a member "
                "(SupplementaryGroups=)"
            )
        reason = error.strerror or "input or output error"
        return reason[:1].lower() + reason[1:]

    def _opened(self, name: str) -> tuple[SocketFile | Port, HttpListener]:
        # Imported here, because it takes half a second and some megabytes that only a daemon with
        # listeners needs.
        from rotator.api.http_server import VERSION_HEADER, HttpListener, HttpServer  # noqa: PLC0415
        from rotator.api.routes import ControlApi  # noqa: PLC0415
        from rotator.api.webhook import WebhookApp  # noqa: PLC0415

        if self._server is None or not self._server.alive:
            self._server = HttpServer()
        control, webhook = self._settings.control, self._settings.webhook
        entrance: SocketFile | Port
        if name == HOOK and webhook:
            self._tls_files, tls = file_states(webhook), tls_context(webhook)
            app = WebhookApp(self._daemon_handle, self.executor, webhook, self.replay_guard, self._report_slots)
            entrance = Port(webhook.at.host, webhook.at.port)
            listener = HttpListener(entrance.socket, app.app, tls, answers_malformed=False)
        elif control:
            api = ControlApi(self._daemon_handle, self.executor, commands=offers_commands(name))
            entrance = SocketFile(control.directory / name, self._settings.group(name))
            listener = HttpListener(entrance.socket, api.app, on_shutdown=api.close_streams, headers=(VERSION_HEADER,))
        else:
            raise AssertionError("only what the settings name is opened")
        try:
            self._server.open(listener)
        except BaseException:
            entrance.close()
            raise
        return entrance, listener

    def _shut(self, names: Iterable[str]) -> None:
        leaving = [self._open.pop(name) for name in list(names)]
        for entrance, _ in leaving:
            entrance.unlink()
        if leaving and self._server is not None:
            self._server.shut(*(listener for _, listener in leaving))
        for entrance, _ in leaving:
            entrance.close()
