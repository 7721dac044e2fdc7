"""The checks of ``rotator doctor`` about this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rotator.domain.facts import MachineFacts
from rotator.operations.queries.diagnosis import Check

HARDENING = {
    "ProtectSystem": "strict",
    "CapabilityBoundingSet": "",
    "LimitCORE": "0",
    "MemorySwapMax": "0",
    **dict.fromkeys(
        (
            "DynamicUser",
            "LockPersonality",
            "MemoryDenyWriteExecute",
            "NoNewPrivileges",
            "PrivateDevices",
            "PrivateTmp",
            "PrivateUsers",
            "ProtectClock",
            "ProtectControlGroups",
            "ProtectHome",
            "ProtectHostname",
            "ProtectKernelLogs",
            "ProtectKernelModules",
            "ProtectKernelTunables",
            "RestrictNamespaces",
            "RestrictRealtime",
            "RestrictSUIDSGID",
        ),
        "yes",
    ),
}
"""Restrictions of the unit file in the package."""


MANY_RESTARTS = 5
"""Restarts by systemd since the unit was last started by hand or with the machine."""


def check_machine(machine: MachineFacts) -> Iterator[Check]:
    """The checks of this machine."""
    if machine.unit is not None and machine.unit.properties:
        yield check_unit(machine.unit.properties)
    if machine.missing_groups:
        groups = ", ".join(machine.missing_groups)
        yield Check(
            "groups",
            "failed",
            f"{groups} does not exist on this machine",
            f"create it: groupadd --system {machine.missing_groups[0]}",
        )
    if machine.sockets:
        if machine.socket_fault:
            yield Check("sockets", "failed", machine.socket_fault, "start the daemon: systemctl start rotator")
        else:
            yield Check("sockets", "ok", machine.sockets)
    yield _told(
        "heartbeat",
        machine.heartbeat,
        machine.heartbeat_fault,
        "a stopped daemon is noticed by no monitor",
        "[heartbeat] url",
    )
    yield _told(
        "notifications",
        bool(machine.notifications),
        machine.notification_fault,
        "problems are sent to no person",
        "[notifications] targets",
    )


def _told(name: str, configured: bool, fault: str, without: str, option: str) -> Check:
    if fault:
        return Check(name, "failed", fault, f"correct {option}")
    return Check(name, "ok", "configured") if configured else Check(name, "warning", without, f"set {option}")


def check_unit(properties: Mapping[str, str]) -> Check:
    """The check of the systemd unit, from the output of ``systemctl show``."""
    state = properties.get("ActiveState", "")
    if state == "failed":
        return Check("unit", "failed", "rotator.service has failed", "read why: journalctl -u rotator -p err")
    if state != "active":
        return Check(
            "unit", "failed", f"rotator.service is {state or 'not running'}", "start it: systemctl enable --now rotator"
        )
    if properties.get("UnitFileState") == "disabled":
        return Check(
            "unit", "warning", "rotator.service does not start with the machine", "enable it: systemctl enable rotator"
        )
    weak = [name for name, wanted in HARDENING.items() if properties.get(name, wanted) != wanted]
    if weak:
        return Check(
            "unit",
            "warning",
            f"rotator.service is less restricted than shipped: {', '.join(weak)}",
            "remove the drop-in that weakens it",
        )
    if properties.get("WatchdogUSec") in ("0", "infinity"):
        hangs = "the watchdog of rotator.service is off, so a daemon that hangs is not restarted"
        return Check("unit", "warning", hangs, "set WatchdogSec as shipped: 3min")
    restarts = properties.get("NRestarts", "0")
    if restarts.isdigit() and int(restarts) >= MANY_RESTARTS:
        remedy = "read why: journalctl -u rotator -p err"
        return Check("unit", "warning", f"systemd has restarted rotator.service {restarts} times", remedy)
    return Check("unit", "ok", "active, starts with the machine, restricted as shipped")
